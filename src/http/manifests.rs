//! `GET` and `HEAD` of a manifest (distribution-spec end-3).
//!
//! Promises the bytes and the media type as they were made, and that a HEAD fetches no manifest. Ignores `Accept`: a
//! registry that converts, or picks a platform, breaks clients. Ignores `Range`, as it may: manifests are small.

use http::StatusCode;
use http::header::CONTENT_LENGTH;
use http::header::CONTENT_TYPE;

use crate::http::body::Body;
use crate::http::content::Answer;
use crate::http::content::Asked;
use crate::http::content::Lasting;
use crate::http::error::Refusal;
use crate::oci::Digest;
use crate::oci::Reference;
use crate::pull::Pull;

/// The answer to a pull of `reference`.
pub(super) async fn answer(pull: &Pull, asked: Asked<'_>, reference: &Reference) -> Result<Answer, Refusal> {
    if asked.head.is_head() {
        return stat(pull, asked, reference).await;
    }
    let check = asked.head.wants();
    let found = pull.manifest(asked.caller, asked.repo, reference, check, asked.tally);
    let found = found.await?;
    let (manifest, lasting) = (found.manifest, lasting(reference));
    let digest = digest(reference, &manifest.digest);
    let mut answer = Answer::new(asked, digest, lasting, found.via, Body::full(manifest.bytes));
    answer.set(CONTENT_TYPE, &manifest.media_type);
    Ok(answer)
}

async fn stat(pull: &Pull, asked: Asked<'_>, reference: &Reference) -> Result<Answer, Refusal> {
    let check = asked.head.wants();
    let stat = pull.stat_manifest(asked.caller, asked.repo, reference, check, asked.tally);
    let stat = stat.await?;
    let digest = digest(reference, &stat.digest);
    let mut answer = Answer::new(asked, digest, lasting(reference), stat.via, Body::empty());
    answer.set(CONTENT_TYPE, &stat.media_type);
    if answer.response.status() == StatusCode::OK {
        answer.headers().insert(CONTENT_LENGTH, stat.size.into());
    }
    Ok(answer)
}

/// In the algorithm that was asked for; a tag has the digest that it was given with.
fn digest<'a>(reference: &'a Reference, own: &'a Digest) -> &'a Digest {
    match reference {
        Reference::Digest(asked) => asked,
        Reference::Tag(_) => own,
    }
}

fn lasting(reference: &Reference) -> Lasting {
    match reference {
        Reference::Digest(_) => Lasting::Forever,
        Reference::Tag(_) => Lasting::Unknown,
    }
}
