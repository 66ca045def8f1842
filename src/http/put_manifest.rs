//! `PUT` of a manifest (distribution-spec end-7).
//!
//! Promises that a body over the limit is refused as soon as that shows, that one manifest has one type, that the answer
//! has the digest in the client's algorithm, and that every push of a manifest with a subject hears `OCI-Subject`.

use http::HeaderMap;
use http::HeaderName;
use http::Response;
use http::header::CONTENT_TYPE;

use crate::access::Action;
use crate::http::Exchange;
use crate::http::Shared;
use crate::http::body::Body;
use crate::http::conditions;
use crate::http::content;
use crate::http::error::Refusal;
use crate::oci::InvalidMediaType;
use crate::oci::MediaType;
use crate::oci::Reference;
use crate::oci::RepoName;
use crate::oci::Tag;
use crate::push::ManifestPush;

const SUBJECT: HeaderName = HeaderName::from_static("oci-subject");
const TAG: HeaderName = HeaderName::from_static("oci-tag");

impl Shared {
    /// The answer to a push of a manifest as `reference`, and under further `tags`.
    pub(super) async fn put_manifest(
        &self,
        exchange: &mut Exchange,
        name: &RepoName,
        reference: Reference,
        tags: Vec<Tag>,
    ) -> Result<Response<Body>, Refusal> {
        exchange.record.asks(name, &reference);
        let repo = exchange.writable(name, Action::Push)?;
        let content_type = content_type(&exchange.head.headers)?;
        let bytes = self.room.whole(&mut exchange.body).await?;
        let tagged: Vec<_> = tags.iter().map(|tag| (TAG, content::value(tag))).collect();
        let manifest = ManifestPush {
            reference,
            tags,
            conditions: conditions::of_push(&exchange.head.headers),
            content_type,
            bytes,
        };
        let accepted = self.push.manifest(&exchange.caller, &repo, manifest).await?;
        let location = format!("/v2/{name}/manifests/{}", accepted.digest);
        let mut response = content::created(&location, &accepted.digest);
        let subject = accepted.subject.map(|subject| (SUBJECT, content::value(&subject)));
        for (name, value) in tagged.into_iter().chain(subject) {
            response.headers_mut().append(name, value);
        }
        Ok(response)
    }
}

/// Of several types nobody could tell which one was meant.
fn content_type(headers: &HeaderMap) -> Result<Option<MediaType>, InvalidMediaType> {
    let mut said = headers.get_all(CONTENT_TYPE).iter();
    match (said.next(), said.next()) {
        (None, _) => Ok(None),
        (Some(said), None) => said.to_str().map_err(|_not_ascii| InvalidMediaType)?.parse().map(Some),
        (Some(_), Some(_)) => Err(InvalidMediaType),
    }
}
