//! What one pusher was told about its repository, and what must therefore be true of it after any crash. Nobody else writes
//! there, so only the one request that was under way is open to doubt.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::stock::{Manifest, SUBJECTS};
use crate::support::client::Answer;
use crate::support::image::Content;
use crate::support::push::Pusher;
use crate::support::{blob_path, manifest_path};

#[derive(Debug)]
pub(crate) struct Ledger {
    pub(crate) repository: String,
    pub(crate) manifests: BTreeMap<String, Manifest>,
    pub(crate) tags: BTreeMap<String, String>,
    pub(crate) blobs: BTreeMap<String, Content>,
    pub(crate) sessions: Vec<Session>,
    pub(crate) doubt: Option<Doubt>,
    gone: BTreeSet<String>,
}

/// A change that was asked for and not answered.
#[derive(Clone, Debug)]
pub(crate) enum Doubt {
    Put(Manifest, Vec<String>),
    Untag(String),
    Remove(String),
    Drop(Content),
}

/// An upload that is not complete.
#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) location: String,
    pub(crate) blob: Content,
    pub(crate) acknowledged: u64,
    /// The request that completes it was sent.
    pub(crate) closing: bool,
}

impl Session {
    pub(crate) fn new(location: String, blob: Content) -> Self {
        Self {
            location,
            blob,
            acknowledged: 0,
            closing: false,
        }
    }
}

impl Ledger {
    pub(crate) fn of(repository: String) -> Self {
        Self {
            repository,
            manifests: BTreeMap::new(),
            tags: BTreeMap::new(),
            blobs: BTreeMap::new(),
            sessions: Vec::new(),
            doubt: None,
            gone: BTreeSet::new(),
        }
    }

    pub(crate) fn has(&mut self, blob: Content) {
        self.blobs.insert(blob.digest().to_owned(), blob);
    }

    pub(crate) fn is_child(&self, digest: &str) -> bool {
        self.manifests
            .values()
            .any(|manifest| manifest.children.iter().any(|child| child == digest))
    }

    pub(crate) fn names(&self, blob: &str) -> bool {
        let mut named = self.manifests.values().flat_map(|manifest| &manifest.blobs);
        named.any(|named| named.digest() == blob)
    }

    /// The change in doubt was made, or was not.
    pub(crate) fn settled(&mut self, made: bool) {
        let doubt = self.doubt.take().filter(|_| made);
        match doubt {
            Some(Doubt::Put(manifest, tags)) => {
                let digest = manifest.digest().to_owned();
                self.tags.extend(tags.into_iter().map(|tag| (tag, digest.clone())));
                self.manifests.insert(digest, manifest);
            }
            Some(Doubt::Untag(tag)) => drop(self.tags.remove(&tag)),
            Some(Doubt::Remove(digest)) => {
                self.tags.retain(|_, tagged| *tagged != digest);
                self.manifests.remove(&digest);
                self.gone.insert(digest);
            }
            Some(Doubt::Drop(blob)) => drop(self.blobs.remove(blob.digest())),
            None => {}
        }
    }

    /// Holds the server to all of it. `keeps`: a blob stays that nothing names.
    pub(crate) async fn check(&mut self, pusher: Pusher, keeps: bool) {
        let reader = Reader {
            pusher,
            repository: self.repository.clone(),
        };
        self.settle(&reader).await;
        self.check_tags(&reader).await;
        for manifest in self.manifests.values() {
            reader.has_whole(manifest).await;
        }
        for digest in &self.gone {
            assert_eq!(reader.manifest(digest).await.status, 404, "{digest} was deleted");
        }
        for blob in self.blobs.values() {
            reader.has_blob(blob, keeps || self.names(blob.digest())).await;
        }
        self.check_referrers(&reader).await;
        for session in std::mem::take(&mut self.sessions) {
            if reader.completes(&session, keeps).await {
                self.has(session.blob);
            }
        }
    }

    /// What was under way has happened or has not, in all its parts.
    async fn settle(&mut self, reader: &Reader) {
        let made = match &self.doubt {
            None => return,
            Some(Doubt::Put(manifest, tags)) => {
                let digest = manifest.digest();
                let there = reader.manifest(digest).await.status == 200;
                let known = self.manifests.contains_key(digest);
                assert!(there || !known, "{digest} is gone, and was only tagged anew");
                match tags
                    .iter()
                    .find(|tag| self.tags.get(*tag).is_none_or(|old| old != digest))
                {
                    None => there,
                    Some(tag) => {
                        let tagged = reader.tagged(tag).await.as_deref() == Some(digest);
                        assert!(
                            known || there == tagged,
                            "half of a push is visible: {digest} with {tags:?}"
                        );
                        tagged
                    }
                }
            }
            Some(Doubt::Untag(tag)) => reader.tagged(tag).await.is_none(),
            Some(Doubt::Remove(digest)) => reader.manifest(digest).await.status == 404,
            Some(Doubt::Drop(blob)) => !reader.pusher.has(&self.repository, blob).await.unwrap(),
        };
        self.settled(made);
    }

    async fn check_tags(&self, reader: &Reader) {
        let list = reader.get(&format!("/v2/{}/tags/list", self.repository)).await;
        if list.status != 404 || !self.manifests.is_empty() {
            let list: Value = serde_json::from_slice(&list.body).unwrap();
            let listed: Vec<&str> = list["tags"]
                .as_array()
                .unwrap()
                .iter()
                .filter_map(Value::as_str)
                .collect();
            assert_eq!(
                listed,
                self.tags.keys().collect::<Vec<_>>(),
                "tags of {}",
                self.repository
            );
        }
        for (tag, digest) in &self.tags {
            assert_eq!(
                reader.tagged(tag).await.as_ref(),
                Some(digest),
                "{tag} in {}",
                self.repository
            );
        }
    }

    async fn check_referrers(&self, reader: &Reader) {
        for subject in SUBJECTS {
            let list = reader
                .get(&format!("/v2/{}/referrers/{subject}", self.repository))
                .await;
            let list: Value = serde_json::from_slice(&list.body).unwrap();
            let listed = list["manifests"]
                .as_array()
                .unwrap()
                .iter()
                .filter_map(|one| one["digest"].as_str());
            let listed: BTreeSet<&str> = listed.collect();
            let mut known = BTreeSet::new();
            for (digest, manifest) in &self.manifests {
                if manifest.subject.as_deref() == Some(subject) {
                    known.insert(digest.as_str());
                }
            }
            assert_eq!(listed, known, "what points at {subject} in {}", self.repository);
        }
    }

    /// Deletes all that keeps content: parents before their children.
    pub(crate) async fn clear(&mut self, pusher: Pusher) {
        while let Some(digest) = self.manifests.keys().find(|digest| !self.is_child(digest)).cloned() {
            let answer = pusher.delete(&manifest_path(&self.repository, &digest)).await.unwrap();
            assert_eq!(answer.status, 202, "DELETE of {digest}: {}", answer.text());
            self.doubt = Some(Doubt::Remove(digest));
            self.settled(true);
        }
        assert!(self.manifests.is_empty() && self.tags.is_empty());
        self.blobs.clear();
    }
}

/// Looks into one repository.
struct Reader {
    pusher: Pusher,
    repository: String,
}

impl Reader {
    async fn get(&self, target: &str) -> Answer {
        self.pusher
            .get(target)
            .await
            .unwrap_or_else(|how| panic!("GET {target}: {how:?}"))
    }

    async fn manifest(&self, reference: &str) -> Answer {
        let answer = self.get(&manifest_path(&self.repository, reference)).await;
        assert!(matches!(answer.status, 200 | 404), "{reference}: {}", answer.text());
        answer
    }

    async fn tagged(&self, tag: &str) -> Option<String> {
        let answer = self.manifest(tag).await;
        (answer.status == 200).then(|| answer.header("docker-content-digest").unwrap().to_owned())
    }

    /// The manifest, byte for byte, and every blob that it names.
    async fn has_whole(&self, manifest: &Manifest) {
        let answer = self.manifest(manifest.digest()).await;
        assert_eq!(answer.status, 200, "{} in {}", manifest.digest(), self.repository);
        assert_eq!(answer.body, manifest.body.all());
        assert_eq!(answer.header("content-type"), Some(manifest.media_type));
        for blob in &manifest.blobs {
            self.has_blob(blob, true).await;
        }
    }

    async fn has_blob(&self, blob: &Content, surely: bool) {
        let answer = self.get(&blob_path(&self.repository, blob)).await;
        if surely || answer.status != 404 {
            assert_eq!(answer.status, 200, "{} in {}", blob.digest(), self.repository);
            assert!(answer.body == blob.all(), "{} has other bytes", blob.digest());
        }
    }

    /// Finishes an upload where the server says it stands; false when it knows nothing of it.
    async fn completes(&self, session: &Session, keeps: bool) -> bool {
        let status = self.get(&session.location).await;
        if status.status == 404 {
            let there = self.pusher.has(&self.repository, &session.blob).await.unwrap();
            // It may have become a blob that nothing names.
            assert!(
                there || !keeps || session.acknowledged == 0,
                "an upload with acknowledged bytes is gone"
            );
            assert!(
                session.closing || session.acknowledged == 0,
                "an upload that nobody was about to complete is gone"
            );
            return there;
        }
        assert_eq!(status.status, 204, "{}", status.text());
        let at = match status.header("range") {
            // Nothing, or one byte.
            Some("0-0") if session.acknowledged != 1 => 0,
            range => 1 + range.unwrap().strip_prefix("0-").unwrap().parse::<u64>().unwrap(),
        };
        let least = session.acknowledged;
        assert!(
            (least..=session.blob.len()).contains(&at),
            "{least} bytes were acknowledged, {at} are there"
        );
        let answer = self.pusher.close(&session.location, &session.blob, at).await.unwrap();
        assert_eq!(answer.status, 201, "resumed at {at}: {}", answer.text());
        // Nothing names it: where nothing is kept, it may be collected by now.
        self.has_blob(&session.blob, keeps).await;
        true
    }
}
