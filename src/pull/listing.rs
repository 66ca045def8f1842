//! A list of a mirror's repository: kept whole, asked for anew when it is due.
//!
//! Promises one listing upstream for all who ask within its freshness; P5, for what is kept: the upstream may be silent,
//! the list answers, and a late answer is used when it comes. P6: an empty list comes from the upstream, within the last
//! ten seconds, and never from anywhere else. Dropping these futures leaves the listing running.

use std::sync::Arc;

use jiff::Timestamp;
use tokio::time::timeout;

use crate::oci::{Listed, Tag};
use crate::pull::freshness::{Freshness, Stage, Term};
use crate::pull::tag::{reason, upstream_reason};
use crate::pull::{Check, Error, Place, Pull, Via};
use crate::store::{List, Listing};
use crate::upstream::Tally;

/// A list that needs no asking, or one to fall back on.
enum Known {
    Fresh(Listing),
    Stale { listing: Listing, ttl_secs: i64 },
    Nothing,
}

impl Pull {
    /// The list, and how it came.
    pub(super) async fn listing(
        &self,
        place: &Place,
        list: &List,
        check: Check,
        tally: &Tally,
    ) -> Result<(Listing, Via), Error> {
        if check == Check::Now {
            self.absent_lists.forget(&(place.key.clone(), list.clone())).await;
        }
        let (kept, ttl_secs) = match self.known_list(place, list, check).await? {
            Known::Fresh(listing) => return Ok((listing, Via::Hit)),
            Known::Nothing => return Ok((self.list(place, list, check, tally).await?, Via::Miss)),
            Known::Stale { listing, ttl_secs } => (listing, ttl_secs),
        };
        if let Some(error) = self.client.trouble(&place.mirror) {
            self.relist_aside(place, list, check);
            let detail = upstream_reason(&error);
            return Ok((kept, Via::Stale { ttl_secs, detail }));
        }
        let detail = match timeout(place.mirror.revalidate(), self.list(place, list, check, tally)).await {
            Ok(Ok(listing)) if listing.lines == kept.lines => return Ok((listing, Via::Revalidated)),
            Ok(Ok(listing)) => return Ok((listing, Via::Miss)),
            // A refusal that may mean that there is no such repository, like Docker Hub's, hides no list that is kept.
            Ok(Err(error)) if error.is_not_found() => return Err(error),
            Ok(Err(error)) => reason(&error),
            Err(_elapsed) => "upstream-timeout".to_owned(),
        };
        Ok((kept, Via::Stale { ttl_secs, detail }))
    }

    /// As a tag is revalidated beside an upstream in trouble.
    fn relist_aside(&self, place: &Place, list: &List, check: Check) {
        if place.mirror.is_offline() {
            return;
        }
        let key = (place.key.clone(), list.clone());
        self.lists_aside.aside(&key, &self.tasks, || {
            let (pull, place, list) = (self.clone(), place.clone(), list.clone());
            async move {
                if let Err(error) = pull.list(&place, &list, check, &Tally::default()).await {
                    tracing::debug!(%error, repository = %place.key, "a list could not be renewed");
                }
            }
        });
    }

    async fn known_list(&self, place: &Place, list: &List, check: Check) -> Result<Known, Error> {
        let (key, now) = ((place.key.clone(), list.clone()), self.clock.now());
        if let Some(absence) = self.absent_lists.get(&key, now).await {
            return absence.map(Known::Fresh);
        }
        let Some(listing) = self.or_none(self.store.listing(&place.key, list).await).flatten() else {
            return Ok(Known::Nothing);
        };
        let Freshness { stage, ttl_secs } = Term::of_lists(place).freshness(listing.checked_at, now);
        Ok(match (stage, check) {
            (Stage::Fresh | Stage::Waning, Check::WhenDue) => Known::Fresh(listing),
            (Stage::Fresh | Stage::Waning, Check::Now) | (Stage::Stale, _) => Known::Stale { listing, ttl_secs },
            (Stage::Spent, _) => Known::Nothing,
        })
    }

    /// What the upstream lists now: one listing for all who ask.
    async fn list(&self, place: &Place, list: &List, check: Check, tally: &Tally) -> Result<Listing, Error> {
        let key = (place.key.clone(), list.clone());
        let (pull, at, list, tally) = (self.clone(), place.clone(), list.clone(), tally.clone());
        self.lists
            .share(&key, &self.tasks, || pull.list_now(at, list, check, tally))
            .await
    }

    async fn list_now(self, place: Place, list: List, check: Check, tally: Tally) -> Result<Listing, Error> {
        // The last flight may just have landed.
        if let Known::Fresh(listing) = self.known_list(&place, &list, check).await? {
            return Ok(listing);
        }
        let checked_at = self.clock.now();
        match self.ask_for_list(&place, &list, &tally).await {
            Ok(lines) => {
                let listing = Listing { lines, checked_at };
                self.keep_list(&place, list, &listing).await;
                Ok(listing)
            }
            Err(error) => {
                if error.is_not_found() {
                    self.remember_absence(&place, list, checked_at, Err(error.clone()))
                        .await;
                }
                Err(error)
            }
        }
    }

    async fn ask_for_list(&self, place: &Place, list: &List, tally: &Tally) -> Result<Arc<str>, Error> {
        let Place { mirror, remote, key } = place;
        Ok(match list {
            List::Tags => {
                let tags = self.client.tags(mirror, remote, tally).await?;
                lines(tags.iter().map(Tag::as_str))
            }
            List::Referrers(subject) => {
                let known = self
                    .or_none(self.store.sight(key, subject).await)
                    .is_some_and(|it| it.visible());
                let listed = self.client.referrers(mirror, remote, subject, known, tally).await?;
                lines(listed.iter().map(Listed::descriptor))
            }
        })
    }

    async fn keep_list(&self, place: &Place, list: List, listing: &Listing) {
        let put = self
            .store
            .put_listing(&place.key, place.mirror.key(), &list, listing.clone());
        if let Err(error) = put.await {
            // It is true, so it is answered; the next one who asks costs a listing more.
            self.complaints.tell("cannot keep a list", &error);
        }
        if listing.lines.is_empty() {
            self.remember_absence(place, list, listing.checked_at, Ok(listing.clone()))
                .await;
        }
    }

    async fn remember_absence(&self, place: &Place, list: List, said_at: Timestamp, said: Result<Listing, Error>) {
        self.absent_lists
            .remember((place.key.clone(), list), said_at, said)
            .await;
    }
}

fn lines<'a>(entries: impl Iterator<Item = &'a str>) -> Arc<str> {
    entries.collect::<Vec<_>>().join("\n").into()
}
