//! `GET` and `HEAD` of `/v2/_catalog`, Docker's list of repositories.
//!
//! Promises to name only what the caller may pull, and by the name it is pulled by.

use http::Response;
use serde_json::json;

use crate::http::body::Body;
use crate::http::error::Refusal;
use crate::http::list;
use crate::http::route::Page;
use crate::oci::RepoKey;
use crate::pull::Kept;
use crate::pull::Pull;

/// One page of the repositories that `may` lets through.
pub(super) async fn answer(pull: &Pull, may: impl Fn(&Kept) -> bool, page: &Page) -> Result<Response<Body>, Refusal> {
    let limit = list::limit(page);
    let repositories = pull.repositories(may, page.last.as_deref(), limit).await?;
    let last = repositories.entries.last().filter(|_| repositories.more);
    let next = list::next_page("/v2/_catalog", limit, last.map(RepoKey::as_str), None);
    let keys: Vec<&str> = repositories.entries.iter().map(RepoKey::as_str).collect();
    Ok(list::json(&json!({ "repositories": keys }), next))
}
