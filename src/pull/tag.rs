//! One manifest by tag: whatever digest the tag means now.
//!
//! Promises P5: a cached tag answers whatever happens upstream, within the time that a revalidation is worth waiting
//! for, and moves only to a manifest that is stored. A late answer is used when it comes: it runs in a task of its own.
//! Nobody waits for news of a tag that was asked for at the end of its window.

use tokio::time::timeout;

use crate::oci::Tag;
use crate::pull::absence::is_final;
use crate::pull::freshness::{Freshness, Stage};
use crate::pull::manifest::{ManifestAnswer, ManifestStat};
use crate::pull::{Check, Error, Place, Pull, Via};
use crate::store::TagRow;
use crate::upstream::{self, Tally, Verdict};

/// What the upstream said about a tag that is cached.
enum Word<T> {
    /// This.
    New(T),
    /// Nothing, or not in time: for this reason, in one token.
    None(String),
}

impl Pull {
    pub(super) async fn by_tag(
        &self,
        place: &Place,
        tag: &Tag,
        check: Check,
        tally: &Tally,
    ) -> Result<ManifestAnswer, Error> {
        let Some(row) = self.or_none(self.store.tag(&place.key, tag).await).flatten() else {
            return self.newest(place, tag, None, check, tally).await;
        };
        let Freshness { stage, ttl_secs } = self.freshness(place, tag, row.checked_at);
        match (stage, check) {
            (Stage::Fresh, Check::WhenDue) => return self.by_digest(place, &row.digest, tally).await,
            (Stage::Waning, Check::WhenDue) => {
                self.renew(place, tag, &row).await;
                return self.by_digest(place, &row.digest, tally).await;
            }
            (Stage::Spent, _) => return self.newest(place, tag, Some(&row), check, tally).await,
            (Stage::Fresh | Stage::Waning, Check::Now) | (Stage::Stale, _) => {}
        }
        if !self.has_manifest(place, &row).await {
            return self.newest(place, tag, None, check, tally).await;
        }
        match self.word(place, tag, &row, check, tally).await? {
            Word::New(answer) => Ok(answer),
            Word::None(detail) => self.stale(place, &row, Via::Stale { ttl_secs, detail }, tally).await,
        }
    }

    /// What the upstream says of a tag that is cached, as far as that is worth waiting for.
    async fn word(
        &self,
        place: &Place,
        tag: &Tag,
        row: &TagRow,
        check: Check,
        tally: &Tally,
    ) -> Result<Word<ManifestAnswer>, Error> {
        if check == Check::WhenDue
            && let Some(gone) = self.said_to_be_gone(place, tag).await
        {
            return Ok(Word::None(reason(&gone)));
        }
        if let Some(error) = self.client.trouble(&place.mirror) {
            self.revalidate_aside(place, tag, row, check);
            return Ok(Word::None(upstream_reason(&error)));
        }
        in_time(place, tag, self.newest(place, tag, Some(row), check, tally)).await
    }

    /// Asks aside, once in a window.
    async fn renew(&self, place: &Place, tag: &Tag, row: &TagRow) {
        if self.renewals.begin(&place.key, tag, row.checked_at).await {
            self.revalidate_aside(place, tag, row, Check::Now);
        }
    }

    /// Nobody waits for an upstream in trouble who has an answer: but it is asked, so that somebody sees when it is well.
    fn revalidate_aside(&self, place: &Place, tag: &Tag, row: &TagRow, check: Check) {
        if place.mirror.is_offline() {
            return;
        }
        let key = (place.key.clone(), tag.clone());
        self.tags_aside.aside(&key, &self.tasks, || {
            let (pull, place, tag, row) = (self.clone(), place.clone(), tag.clone(), row.clone());
            async move {
                let asked = pull.newest(&place, &tag, Some(&row), check, &Tally::default()).await;
                if let Err(error) = asked {
                    tracing::debug!(%error, %tag, repository = %place.key, "a tag could not be revalidated");
                }
            }
        });
    }

    /// What a HEAD of the tag answers; `None` where only the manifest itself tells.
    pub(super) async fn head_tag(
        &self,
        place: &Place,
        tag: &Tag,
        check: Check,
        tally: &Tally,
    ) -> Result<Option<ManifestStat>, Error> {
        let Some(row) = self.or_none(self.store.tag(&place.key, tag).await).flatten() else {
            return Ok(stat(self.resolve(place, tag, check, tally).await?, Via::Miss));
        };
        if self.has_manifest(place, &row).await {
            // As a GET is answered, so that a tag that has moved to what cannot be had still means what it meant.
            let answer = self.by_tag(place, tag, check, tally).await?;
            return Ok(Some(ManifestStat::of(answer)));
        }
        if check == Check::WhenDue && self.freshness(place, tag, row.checked_at).answers() {
            return Ok(stat(row, Via::Hit));
        }
        Ok(stat(self.resolve(place, tag, check, tally).await?, Via::Miss))
    }

    /// A tag may only ever have been asked about by HEAD: then there is nothing that could still be given.
    async fn has_manifest(&self, place: &Place, row: &TagRow) -> bool {
        let sight = self.or_none(self.store.sight(&place.key, &row.digest).await);
        sight.is_some_and(|sight| sight.manifest && sight.visible())
    }

    /// What the upstream has for the tag now; the tag moves once the manifest is here.
    async fn newest(
        &self,
        place: &Place,
        tag: &Tag,
        row: Option<&TagRow>,
        check: Check,
        tally: &Tally,
    ) -> Result<ManifestAnswer, Error> {
        let TagRow { digest, checked_at, .. } = self.resolve(place, tag, check, tally).await?;
        if let Some(manifest) = self.stored_manifest(place, &digest, tally).await? {
            let via = if row.is_some() { Via::Revalidated } else { Via::Miss };
            return Ok(ManifestAnswer { manifest, via });
        }
        let manifest = self
            .fetch(place, &digest, Some((tag.clone(), checked_at)), tally)
            .await?;
        Ok(ManifestAnswer {
            manifest,
            via: Via::Miss,
        })
    }

    /// The manifest that the tag meant when it was last checked.
    async fn stale(&self, place: &Place, row: &TagRow, via: Via, tally: &Tally) -> Result<ManifestAnswer, Error> {
        let ManifestAnswer { manifest, .. } = self.by_digest(place, &row.digest, tally).await?;
        Ok(ManifestAnswer { manifest, via })
    }
}

/// What a row says of its manifest, if it says all.
fn stat(row: TagRow, via: Via) -> Option<ManifestStat> {
    let (media_type, size) = row.media_type.zip(row.size)?;
    Some(ManifestStat {
        digest: row.digest,
        media_type,
        size,
        via,
    })
}

/// The upstream's answer within the time that one who has a cached tag waits for it.
async fn in_time<T>(
    place: &Place,
    tag: &Tag,
    answer: impl Future<Output = Result<T, Error>>,
) -> Result<Word<T>, Error> {
    match timeout(place.mirror.revalidate(), answer).await {
        Ok(Ok(answer)) => Ok(Word::New(answer)),
        Ok(Err(error)) if is_final(place, tag, &error) => Err(error),
        Ok(Err(error)) => Ok(Word::None(reason(&error))),
        Err(_elapsed) => Ok(Word::None("upstream-timeout".to_owned())),
    }
}

/// Why the upstream did not answer, in one token.
pub(super) fn reason(error: &Error) -> String {
    let source = match error {
        Error::Upstream(source) | Error::ManifestUnknown { source, .. } | Error::BlobUnknown { source, .. } => source,
        Error::Mismatch { .. } => return "upstream-mismatch".to_owned(),
        Error::BadManifest { .. } | Error::Length { .. } => return "upstream-unusable".to_owned(),
        Error::NameUnknown(_) | Error::NoManifest { .. } | Error::NoBlob { .. } | Error::Store(_) | Error::Lost(_) => {
            return "local-failure".to_owned();
        }
    };
    upstream_reason(source)
}

/// The same, of what the upstream itself said.
pub(super) fn upstream_reason(error: &upstream::Error) -> String {
    match (error.status(), error.verdict()) {
        // It said that all was well, and it was not.
        (Some(200..300), _) => "upstream-unusable".to_owned(),
        (Some(status), _) => format!("upstream-{status}"),
        (None, Verdict::Slow) => "upstream-timeout".to_owned(),
        (None, Verdict::Offline) => "offline".to_owned(),
        (None, _) => "upstream-unreachable".to_owned(),
    }
}
