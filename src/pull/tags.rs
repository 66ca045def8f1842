//! Which tags a repository has (distribution-spec end-8): those that were pushed, or those that its upstream has.
//!
//! Promises them sorted by their bytes. Dropped futures cost nothing.

use crate::access::Caller;
use crate::namespaces::Repo;
use crate::oci::Tag;
use crate::pull::{Error, ListAnswer, Part, Place, Pull, Via};
use crate::store::List;
use crate::upstream::Tally;

impl Pull {
    /// Up to `limit` tags behind `after`, which need not be one of them. Of a mirror's, those that `may` lets through.
    pub async fn tags(
        &self,
        _caller: &Caller,
        repo: &Repo,
        may: impl Fn(&Tag) -> bool,
        after: Option<&str>,
        limit: usize,
        tally: &Tally,
    ) -> Result<ListAnswer<Tag>, Error> {
        if let Some(place) = Place::of(repo) {
            let (listing, via) = self.listing(&place, &List::Tags, tally).await?;
            let part = part(&listing.lines, may, after, limit);
            return Ok(ListAnswer { part, via });
        }
        let tags = self.store.tags(&repo.key(), after, limit).await?;
        let part = tags.ok_or_else(|| Error::NameUnknown(repo.key()))?;
        Ok(ListAnswer { part, via: Via::Hit })
    }
}

fn part(lines: &str, may: impl Fn(&Tag) -> bool, after: Option<&str>, limit: usize) -> Part<Tag> {
    let behind = lines.lines().filter(|tag| after.is_none_or(|after| *tag > after));
    let mut tags = behind.filter_map(|tag| tag.parse().ok()).filter(may);
    let entries = tags.by_ref().take(limit).collect();
    let more = tags.next().is_some();
    Part { entries, more }
}
