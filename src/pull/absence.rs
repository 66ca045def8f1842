//! Tags and manifests that an upstream does not have: known for ten seconds, and what follows for those that are cached.
//!
//! Promises that a cached tag is deleted only where all of its upstream says of itself, not of what it points to, that it is
//! gone.
//! Dropped futures leave at most a tag that the next answer of that kind deletes.

use crate::oci::{Reference, RepoKey, Tag};
use crate::pull::{Check, Error, Place, Pull};
use crate::upstream::{FreshFor, WhenDeleted};

impl Pull {
    /// What `ask` says, unless the upstream has just said that it is not there.
    pub(super) async fn unless_absent<T>(
        &self,
        place: &Place,
        reference: &Reference,
        ask: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        let (key, asked_at) = ((place.key.clone(), reference.clone()), self.clock.now());
        if let Some(absent) = self.absent.get(&key, asked_at).await {
            return Err(absent);
        }
        let said = ask.await;
        if let Err(absent @ Error::ManifestUnknown { .. }) = &said {
            self.absent.remember(key, asked_at, absent.clone()).await;
        }
        said
    }

    /// What was said of a cached tag that is gone upstream, and serves on: within its window that is news, as it is of one
    /// that is there.
    pub(super) async fn said_to_be_gone(&self, place: &Place, tag: &Tag) -> Option<Error> {
        let (key, now) = ((place.key.clone(), Reference::Tag(tag.clone())), self.clock.now());
        let (age, said) = self.absent.aged(&key, now).await?;
        let counts = match place.mirror.tag_fresh_for(tag) {
            FreshFor::Within(window) => age < window,
            FreshFor::Forever => true,
        };
        (counts && said.is_not_found()).then_some(said)
    }

    /// Makes room for a question that is to be put now.
    pub(super) async fn forget_absence(&self, place: &Place, reference: &Reference, check: Check) {
        if check == Check::Now {
            self.absent.forget(&(place.key.clone(), reference.clone())).await;
        }
    }

    /// Deletes a cached tag of which the upstream says so, if that counts here.
    pub(super) async fn forget_if_deleted(&self, place: &Place, tag: &Tag, said: &Error) {
        if !is_final(place, tag, said) {
            return;
        }
        if let Err(error) = self.forget_tag(&place.key, tag).await {
            tracing::error!(%error, %tag, repository = %place.key, "a tag that was deleted upstream is still here");
        }
    }

    async fn forget_tag(&self, key: &RepoKey, tag: &Tag) -> Result<(), Error> {
        self.resolutions.forget(key, tag).await;
        if self.store.tag(key, tag).await?.is_some() {
            self.store.forget_tag(key, tag).await?;
            tracing::info!(%tag, repository = %key, "a tag was deleted upstream, and here");
        }
        Ok(())
    }
}

/// Whether a cached tag must not hide this answer: a signature that is gone upstream is gone (`sha256-….sig`), while an
/// image that was deleted there is still served, unless the configuration says otherwise. A refusal that may mean an
/// absence, like Docker Hub's, deletes nothing.
pub(super) fn is_final(place: &Place, tag: &Tag, error: &Error) -> bool {
    let Error::ManifestUnknown { reference, .. } = error else {
        return false;
    };
    let forgets = match place.mirror.when_deleted() {
        WhenDeleted::Serve => tag.is_about_a_digest(),
        WhenDeleted::Forget => true,
    };
    let of_tag = matches!(reference, Reference::Tag(it) if it == tag);
    forgets && of_tag && error.is_not_found()
}
