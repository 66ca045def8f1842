//! Which manifests are about another one (distribution-spec end-12): those that were pushed, or those that its upstream has.
//!
//! Promises an answer for a subject, and a hosted repository, that nobody has heard of: nothing is about it; and for a
//! mirror's that only where the upstream says so. Filters here, whatever the upstream can. Dropped futures cost nothing.

use std::convert::Infallible;

use crate::access::Caller;
use crate::namespaces::Repo;
use crate::oci::{Digest, Listed};
use crate::pull::{Check, Error, ListAnswer, Part, Place, Pull, Referrer, Via};
use crate::store::List;
use crate::upstream::Tally;

/// Which of the referrers.
#[derive(Debug, Clone, Copy, Default)]
pub struct Which<'a> {
    /// Only those of this type.
    pub artifact_type: Option<&'a str>,
    /// Only those behind this one.
    pub after: Option<&'a Digest>,
    /// Only as many as their descriptors fit into so many bytes, but one at least.
    pub max_bytes: usize,
}

impl Pull {
    /// What is about `subject`, sorted by digest.
    pub async fn referrers(
        &self,
        _caller: &Caller,
        repo: &Repo,
        subject: &Digest,
        which: Which<'_>,
        check: Check,
        tally: &Tally,
    ) -> Result<ListAnswer<Referrer>, Error> {
        if let Some(place) = Place::of(repo) {
            let list = List::Referrers(*subject);
            let (listing, via) = self.listing(&place, &list, check, tally).await?;
            let part = part(&listing.lines, which);
            return Ok(ListAnswer { part, via });
        }
        let Which {
            artifact_type,
            after,
            max_bytes,
        } = which;
        let key = repo.key();
        let referrers = self.store.referrers(&key, subject, artifact_type, after, max_bytes);
        let part = referrers.await?;
        Ok(ListAnswer { part, via: Via::Hit })
    }
}

fn part(lines: &str, which: Which<'_>) -> Part<Referrer> {
    let wanted = |it: &Listed| {
        which.after.is_none_or(|after| it.digest() > after)
            && which
                .artifact_type
                .is_none_or(|wanted| it.artifact_type() == Some(wanted))
    };
    let listed = lines.lines().filter_map(|line| line.parse().ok()).filter(wanted);
    let referrers = listed.map(|listed| Referrer {
        digest: *listed.digest(),
        descriptor: listed.to_string(),
    });
    let Ok(part) = Part::fitting(referrers.map(Ok::<_, Infallible>), which.max_bytes);
    part
}
