//! What a manifest tells of itself where the referrers of its subject are listed.
//!
//! Promises the descriptor of distribution-spec "Listing Referrers": the artifact type, and all annotations. Reads the
//! bytes anew, and more strictly than a pull does: what nobody could list must not be pushed.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::oci::digest::Digest;
use crate::oci::json;
use crate::oci::json::{InvalidJson, Object};
use crate::oci::manifest::{InvalidManifest, Kind, Manifest};

/// What a manifest that is about another is to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct About {
    /// That other, which need not exist.
    pub subject: Digest,
    /// What kind of thing this is: its `artifactType`, else an image's config type. An index may have none.
    pub artifact_type: Option<String>,
    /// Its descriptor, as JSON.
    pub descriptor: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Told {
    artifact_type: Option<String>,
    config: Option<Object<Config>>,
    annotations: Option<BTreeMap<String, String>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Config {
    media_type: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Listed<'a> {
    media_type: &'a str,
    digest: String,
    size: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    artifact_type: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    annotations: Option<BTreeMap<String, String>>,
}

impl Manifest {
    /// What it is to its subject; `None` where it has none that could be asked for. An error where `artifactType` or
    /// `annotations` have the wrong type, whether there is a subject or not.
    pub fn about(&self) -> Result<Option<About>, InvalidManifest> {
        let told: Told = json::parse(self.bytes())?;
        let Some(subject) = self.subject() else {
            return Ok(None);
        };
        let said = |text: &String| !text.is_empty();
        let artifact_type = told.artifact_type.filter(said).or_else(|| match self.kind() {
            Kind::Image => told.config.and_then(|Object(config)| config.media_type).filter(said),
            Kind::Index => None,
        });
        let listed = Listed {
            media_type: self.media_type().as_str(),
            digest: self.digest().to_string(),
            size: self.bytes().len(),
            artifact_type: artifact_type.as_deref(),
            annotations: told.annotations,
        };
        let descriptor = serde_json::to_string(&listed).map_err(InvalidJson::from)?;
        Ok(Some(About {
            subject: subject.digest,
            artifact_type,
            descriptor,
        }))
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use serde_json::{Value, json};

    use super::*;
    use crate::oci::Algorithm;

    const CONFIG: &str = "application/vnd.oci.image.config.v1+json";

    fn subject() -> Digest {
        Digest::of(Algorithm::Sha512, b"subject")
    }

    /// An image with these fields on top.
    fn parse(more: Value) -> Manifest {
        let empty = Digest::of(Algorithm::Sha256, b"{}").to_string();
        let mut body = json!({
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": { "mediaType": CONFIG, "digest": empty, "size": 2 },
        });
        let Value::Object(more) = more else { panic!("an object") };
        body.as_object_mut().unwrap().extend(more);
        body.as_object_mut().unwrap().retain(|_, value| !value.is_null());
        let bytes = Bytes::from(body.to_string());
        Manifest::parse(bytes, None, Algorithm::Sha256).unwrap()
    }

    fn about(more: Value) -> Value {
        let mut body = json!({ "subject": { "digest": subject().to_string(), "size": 7 } });
        let Value::Object(more) = more else { panic!("an object") };
        body.as_object_mut().unwrap().extend(more);
        body
    }

    #[test]
    fn the_descriptor_has_all_that_a_list_shows() {
        let annotations = json!({ "b": "2", "a": "1", "": "ü\n\"" });
        let manifest = parse(about(
            json!({ "artifactType": "application/spdx+json", "annotations": annotations }),
        ));
        let about = manifest.about().unwrap().unwrap();
        assert_eq!(about.subject, subject());
        assert_eq!(about.artifact_type.as_deref(), Some("application/spdx+json"));
        let descriptor: Value = serde_json::from_str(&about.descriptor).unwrap();
        let expected = json!({
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "digest": manifest.digest().to_string(),
            "size": manifest.bytes().len(),
            "artifactType": "application/spdx+json",
            "annotations": annotations,
        });
        assert_eq!(descriptor, expected);
    }

    #[test]
    fn an_image_without_a_type_of_its_own_has_its_configs_and_an_index_none() {
        let index = json!({
            "mediaType": "application/vnd.oci.image.index.v1+json", "config": null, "manifests": [],
        });
        for (more, expected) in [
            (json!({}), Some(CONFIG)),
            (json!({ "artifactType": "" }), Some(CONFIG)),
            (json!({ "artifactType": "x/y" }), Some("x/y")),
            (json!({ "config": null, "layers": [] }), None),
            (index, None),
        ] {
            let about = parse(about(more.clone())).about().unwrap().unwrap();
            assert_eq!(about.artifact_type.as_deref(), expected, "{more}");
            let descriptor: Value = serde_json::from_str(&about.descriptor).unwrap();
            assert_eq!(descriptor.get("artifactType"), expected.map(Value::from).as_ref());
            assert_eq!(descriptor.get("annotations"), None);
        }
    }

    #[test]
    fn without_a_subject_that_can_be_asked_for_there_is_nothing_to_list() {
        assert_eq!(parse(json!({})).about().unwrap(), None);
        let blake = json!({ "subject": { "digest": "blake3:00", "size": 7 } });
        assert_eq!(parse(blake).about().unwrap(), None);
    }

    #[test]
    fn what_cannot_be_listed_is_refused_with_a_subject_or_without() {
        for wrong in [
            json!({ "annotations": { "a": 1 } }),
            json!({ "annotations": [] }),
            json!({ "artifactType": {} }),
        ] {
            for body in [wrong.clone(), about(wrong)] {
                let refused = parse(body.clone()).about();
                assert!(matches!(refused, Err(InvalidManifest::Json(_))), "{body}");
            }
        }
    }
}
