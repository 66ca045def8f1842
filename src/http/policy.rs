//! What names mean, and who may have what lives there: all of the configuration that may change while requests run.
//!
//! Promises that one request is judged by one policy from its head to its answer. What it began goes on when another takes
//! its place: nothing here is asked again.

use crate::access::Access;
use crate::access::Action;
use crate::access::Caller;
use crate::namespaces::Namespaces;
use crate::namespaces::Repo;
use crate::oci::Tag;
use crate::pull::Kept;

/// Both halves of it, of one configuration.
#[derive(Debug)]
pub struct Policy {
    /// Who may do what.
    pub access: Access,
    /// What names mean.
    pub namespaces: Namespaces,
}

impl Policy {
    /// Whether what a repository holds can be pulled by its key, and by this caller.
    pub(super) fn may_pull(&self, caller: &Caller, kept: &Kept) -> bool {
        let name = kept.key.as_str().parse().ok();
        let resolved = name.and_then(|name| self.namespaces.resolve(&name, None, None).ok());
        resolved.is_some_and(|resolved| {
            let repo = resolved.repo;
            let leads_there = repo.key() == kept.key && matches!(repo, Repo::Hosted(_)) == kept.hosted;
            leads_there && self.admits(caller, &repo, None)
        })
    }

    /// Whether the caller may pull from there: this tag, where one is meant.
    pub(super) fn admits(&self, caller: &Caller, repo: &Repo, tag: Option<&Tag>) -> bool {
        self.access.admit(caller, Action::Pull, repo, tag).is_ok()
    }
}
