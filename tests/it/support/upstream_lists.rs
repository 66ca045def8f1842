//! What the fake upstream lists: tags, page by page and in an order that no client expects, and what is about a manifest.

use serde_json::{Value, json};

use super::image::{Content, Image, OCI_INDEX};
use super::registry::{Registry, Request};
use super::reply::Reply;
use super::script::On;
use super::upstream::Upstream;

/// What is about a manifest: an image of this artifact type, with one layer.
pub(crate) fn about(subject: &Content, kind: &str) -> Image {
    let mut image = Image::oci(7, &[]);
    let layer = Content::of(format!("{kind} of {}", subject.digest()));
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": image.media_type,
        "artifactType": kind,
        "config": image.blobs[0].descriptor("application/vnd.oci.empty.v1+json"),
        "layers": [layer.descriptor("application/octet-stream")],
        "subject": subject.descriptor(image.media_type),
        "annotations": { "org.example.made-by": "the tests" },
    });
    image.manifest = Content::of(serde_json::to_vec_pretty(&manifest).unwrap());
    image.blobs.push(layer);
    image
}

/// The tag in whose index clients keep what is about a manifest, where the registry cannot tell.
pub(crate) fn referrers_tag(subject: &Content) -> String {
    subject.digest().replace(':', "-")
}

/// An index of what is about a manifest.
pub(crate) fn referrers_index(about: &[&Image]) -> Content {
    let manifests: Vec<_> = about.iter().map(|image| descriptor(&image.manifest)).collect();
    let index = json!({ "schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": manifests });
    Content::of(serde_json::to_vec_pretty(&index).unwrap())
}

impl On {
    pub(crate) fn tags() -> Self {
        Self::kind(super::registry::Kind::Tags)
    }

    pub(crate) fn referrers() -> Self {
        Self::kind(super::registry::Kind::Referrers)
    }
}

impl Upstream {
    /// Something about `subject`, with its blobs and without a tag.
    pub(crate) fn put_about(&self, name: &str, subject: &Content, kind: &str) -> Image {
        let image = about(subject, kind);
        image.blobs.iter().for_each(|blob| self.put_blob(name, blob));
        self.holds(|registry| registry.put_manifest(name, image.digest(), image.media_type, &image.manifest));
        image
    }
}

impl Registry {
    pub(super) fn tag_list(&self, request: &Request) -> Reply {
        let Some(repository) = self.repositories.get(&request.repository) else {
            return Reply::error(404, "NAME_UNKNOWN");
        };
        let mut tags: Vec<&String> = repository.tags.keys().collect();
        tags.sort_unstable();
        tags.reverse();
        if let Some(behind) = request.query("behind").first() {
            tags.retain(|tag| *tag < behind);
        }
        let n = request
            .query("n")
            .first()
            .and_then(|n| n.parse().ok())
            .unwrap_or(usize::MAX);
        let page = &tags[..tags.len().min(n).min(self.page)];
        let body = json!({ "name": request.repository, "tags": page });
        let reply = Reply::ok("application/json", &Content::of(body.to_string()));
        match page.last() {
            Some(last) if page.len() < tags.len() => {
                let link = format!("</v2/{}/tags/list?behind={last}>; rel=\"next\"", request.repository);
                reply.with("link", &link)
            }
            _ => reply,
        }
    }

    pub(super) fn referrer_list(&self, request: &Request) -> Reply {
        let manifests = self.repositories.get(&request.repository).map(|held| &held.manifests);
        let about = |manifest: &Content| manifest_json(manifest)["subject"]["digest"] == request.reference;
        let held = manifests.into_iter().flat_map(|manifests| manifests.values());
        let mut listed: Vec<_> = held.filter(|(_, manifest)| about(manifest)).collect();
        listed.sort_by_key(|(_, manifest)| std::cmp::Reverse(manifest.digest().to_owned()));
        let at = request.query("at").first().and_then(|at| at.parse().ok()).unwrap_or(0);
        let page: Vec<_> = listed
            .iter()
            .skip(at)
            .take(self.page)
            .map(|(_, manifest)| descriptor(manifest))
            .collect();
        let next = at + page.len();
        let body = json!({ "schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": page });
        let reply = Reply::ok(OCI_INDEX, &Content::of(body.to_string()));
        if next < listed.len() {
            return reply.with("link", &format!("<?at={next}>; rel=\"next\""));
        }
        reply
    }
}

fn manifest_json(manifest: &Content) -> Value {
    serde_json::from_slice(&manifest.all()).unwrap()
}

fn descriptor(manifest: &Content) -> Value {
    let told = manifest_json(manifest);
    let mut descriptor = manifest.descriptor(told["mediaType"].as_str().unwrap());
    descriptor["artifactType"] = told["artifactType"].clone();
    descriptor["annotations"] = told["annotations"].clone();
    descriptor
}
