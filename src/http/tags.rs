//! `GET` and `HEAD` of a tag list (distribution-spec end-8).
//!
//! Promises to name only what the caller may pull.

use serde_json::json;

use crate::http::content::Answer;
use crate::http::content::Asked;
use crate::http::error::Refusal;
use crate::http::list;
use crate::http::route::Page;
use crate::oci::RepoName;
use crate::oci::Tag;
use crate::pull::ListAnswer;
use crate::pull::Pull;
use crate::pull::Slice;

/// One page of the tags of `name` that `may` lets through.
pub(super) async fn answer(
    pull: &Pull,
    asked: Asked<'_>,
    may: impl Fn(&Tag) -> bool,
    name: &RepoName,
    page: &Page,
) -> Result<Answer, Refusal> {
    let limit = list::limit(page);
    let slice = Slice {
        after: page.last.as_deref(),
        limit,
    };
    let check = asked.head.wants();
    let tags = pull.tags(asked.caller, asked.repo, may, slice, check, asked.tally);
    let ListAnswer { part, via } = tags.await?;
    let last = part.entries.last().filter(|_| part.more).map(Tag::as_str);
    let next = list::next_page(&format!("/v2/{name}/tags/list"), limit, last, asked.ns);
    let tags: Vec<&str> = part.entries.iter().map(Tag::as_str).collect();
    let response = list::json(&json!({ "name": name.as_str(), "tags": tags }), next);
    Ok(Answer { response, via })
}
