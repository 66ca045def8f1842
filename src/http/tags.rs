//! `GET` and `HEAD` of a tag list (distribution-spec end-8).

use serde_json::json;

use crate::http::content::Answer;
use crate::http::content::Asked;
use crate::http::error::Refusal;
use crate::http::list;
use crate::http::route::Page;
use crate::oci::RepoName;
use crate::oci::Tag;
use crate::pull::Pull;
use crate::pull::Via;

/// One page of the tags of `name`.
pub(super) async fn answer(pull: &Pull, asked: Asked<'_>, name: &RepoName, page: &Page) -> Result<Answer, Refusal> {
    let limit = list::limit(page);
    let tags = pull.tags(asked.caller, asked.repo, page.last.as_deref(), limit).await?;
    let last = tags.entries.last().filter(|_| tags.more).map(Tag::as_str);
    let next = list::next_page(&format!("/v2/{name}/tags/list"), limit, last);
    let tags: Vec<&str> = tags.entries.iter().map(Tag::as_str).collect();
    Ok(Answer {
        response: list::json(&json!({ "name": name.as_str(), "tags": tags }), next),
        via: Via::Hit,
    })
}
