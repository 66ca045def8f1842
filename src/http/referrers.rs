//! `GET` and `HEAD` of the manifests that are about another one (distribution-spec end-12).
//!
//! Promises an index whose type is exactly OCI's (clients compare the text), no larger than a manifest may be, and to
//! say when it was filtered.

use http::HeaderName;

use crate::http::content::Answer;
use crate::http::content::Asked;
use crate::http::error::Refusal;
use crate::http::limits;
use crate::http::list;
use crate::oci::Digest;
use crate::oci::RepoName;
use crate::pull::ListAnswer;
use crate::pull::Pull;
use crate::pull::Referrer;
use crate::pull::Which;

const FILTERS_APPLIED: HeaderName = HeaderName::from_static("oci-filters-applied");
const INDEX: &str = "application/vnd.oci.image.index.v1+json";

/// Which referrers.
#[derive(Debug)]
pub(super) struct Wanted {
    /// About this manifest.
    pub(super) subject: Digest,
    /// Only those of this type.
    pub(super) artifact_type: Option<String>,
    /// Only those behind this one.
    pub(super) after: Option<Digest>,
}

/// One page of the referrers in `name`.
pub(super) async fn answer(pull: &Pull, asked: Asked<'_>, name: &RepoName, wanted: &Wanted) -> Result<Answer, Refusal> {
    let Wanted { subject, after, .. } = wanted;
    let artifact_type = wanted.artifact_type.as_deref();
    let which = Which {
        artifact_type,
        after: after.as_ref(),
        max_bytes: limits::REFERRERS - index(&[]).len(),
    };
    let check = asked.head.wants();
    let found = pull.referrers(asked.caller, asked.repo, subject, which, check, asked.tally);
    let ListAnswer { part, via } = found.await?;
    let last = part.entries.last().filter(|_| part.more);
    let next = last.map(|last| {
        let last = last.digest.to_string();
        let filter = artifact_type.map(|it| ("artifactType", it));
        let query: Vec<_> = filter.into_iter().chain([("last", &*last)]).collect();
        list::next(&format!("/v2/{name}/referrers/{subject}"), &query, asked.ns)
    });
    let mut answer = Answer {
        response: list::answer(INDEX, index(&part.entries), next),
        via,
    };
    if artifact_type.is_some() {
        answer.set(FILTERS_APPLIED, "artifactType");
    }
    Ok(answer)
}

/// An index of what is JSON already.
fn index(referrers: &[Referrer]) -> String {
    let descriptors: Vec<&str> = referrers.iter().map(|it| &*it.descriptor).collect();
    let descriptors = descriptors.join(",");
    format!(r#"{{"schemaVersion":2,"mediaType":"{INDEX}","manifests":[{descriptors}]}}"#)
}

#[cfg(test)]
mod tests {
    use serde_json::Value;
    use serde_json::json;

    use super::*;
    use crate::oci::Algorithm;

    #[test]
    fn descriptors_stand_in_the_index_as_they_are() {
        let referrer = |descriptor: &str| Referrer {
            digest: Digest::of(Algorithm::Sha256, descriptor.as_bytes()),
            descriptor: descriptor.to_owned(),
        };
        let body = index(&[referrer(r#"{"size":1}"#), referrer(r#"{"size":2}"#)]);
        let body: Value = serde_json::from_str(&body).unwrap();
        let expected = json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": [{ "size": 1 }, { "size": 2 }] });
        assert_eq!(body, expected);
    }
}
