//! Which tags a repository has (distribution-spec end-8): those that were pushed, or those that its upstream has.
//!
//! Promises them sorted by their bytes. Dropped futures cost nothing.

use crate::access::Caller;
use crate::namespaces::Repo;
use crate::oci::Tag;
use crate::pull::{Check, Error, ListAnswer, Part, Place, Pull, Via};
use crate::store::List;
use crate::upstream::Tally;

/// A stretch of a sorted list.
#[derive(Debug, Clone, Copy)]
pub struct Slice<'a> {
    /// It begins behind this, which need not be an entry.
    pub after: Option<&'a str>,
    /// The most entries that it has.
    pub limit: usize,
}

impl Pull {
    /// A slice of the tags. Of a mirror's, those that `may` lets through.
    pub async fn tags(
        &self,
        _caller: &Caller,
        repo: &Repo,
        may: impl Fn(&Tag) -> bool,
        slice: Slice<'_>,
        check: Check,
        tally: &Tally,
    ) -> Result<ListAnswer<Tag>, Error> {
        if let Some(place) = Place::of(repo) {
            let (listing, via) = self.listing(&place, &List::Tags, check, tally).await?;
            let part = part(&listing.lines, may, slice);
            return Ok(ListAnswer { part, via });
        }
        let Slice { after, limit } = slice;
        let tags = self.store.tags(&repo.key(), after, limit).await?;
        let part = tags.ok_or_else(|| Error::NameUnknown(repo.key()))?;
        Ok(ListAnswer { part, via: Via::Hit })
    }
}

fn part(lines: &str, may: impl Fn(&Tag) -> bool, slice: Slice<'_>) -> Part<Tag> {
    let behind = lines.lines().filter(|tag| slice.after.is_none_or(|after| *tag > after));
    let mut tags = behind.filter_map(|tag| tag.parse().ok()).filter(may);
    let entries = tags.by_ref().take(slice.limit).collect();
    let more = tags.next().is_some();
    Part { entries, more }
}
