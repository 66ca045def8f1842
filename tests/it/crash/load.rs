//! One pusher of a crash round: it does to its own repository what clients do, in an order that dice decide, until the
//! server is gone, and keeps account of what it was told.

use std::sync::Arc;

use tokio::sync::watch;

use super::ledger::{Doubt, Ledger, Session};
use super::stock::{Manifest, Stock};
use crate::support::client::Ended;
use crate::support::dice::Dice;
use crate::support::image::Content;
use crate::support::push::{Pusher, Way, location};
use crate::support::{blob_path, manifest_path};

/// A repository of a mirror that has what the pushers share.
pub(crate) const MIRRORED: &str = "hub/lib/shared";

pub(crate) struct Load {
    pub(crate) pusher: Pusher,
    pub(crate) stock: Arc<Stock>,
    pub(crate) dice: Dice,
    /// Other repositories, to mount from.
    pub(crate) neighbours: Vec<String>,
    /// Whether a blob stays that nothing names.
    pub(crate) keeps: bool,
    /// Counts what has been done, over all pushers.
    pub(crate) done: Arc<watch::Sender<u64>>,
}

impl Load {
    /// Ends when the server does.
    pub(crate) async fn run(mut self, mut ledger: Ledger) -> Ledger {
        while self.step(&mut ledger).await.is_ok() {
            self.done.send_modify(|done| *done += 1);
        }
        ledger
    }

    async fn step(&mut self, ledger: &mut Ledger) -> Result<(), Ended> {
        match self.dice.roll(20) {
            0..8 => self.push_image(ledger).await,
            8 => self.push_index(ledger).await,
            9..11 => self.move_tag(ledger).await,
            11 => self.remove_tag(ledger).await,
            12..15 => self.remove_manifest(ledger).await,
            15 => self.remove_blob(ledger).await,
            16 => self.push_blob(ledger).await,
            17 => self.pull().await,
            _ => self.upload_in_pieces(ledger).await,
        }
    }

    async fn push_image(&mut self, ledger: &mut Ledger) -> Result<(), Ended> {
        let image = self.stock.image(&mut self.dice);
        let tags = self.tags();
        // A blob may have been collected before its manifest came: then the client pushes it again.
        for _ in 0..5 {
            for blob in &image.blobs {
                self.bring(ledger, blob).await?;
            }
            if self.put(ledger, &image, &tags).await? {
                break;
            }
        }
        Ok(())
    }

    async fn push_index(&mut self, ledger: &mut Ledger) -> Result<(), Ended> {
        let all: Vec<&Manifest> = ledger.manifests.values().collect();
        let mut children: Vec<&Manifest> = (0..2).filter_map(|_| self.dice.pick(&all).copied()).collect();
        children.dedup_by_key(|child| child.digest());
        let index = self.stock.index(&children);
        let tags = self.tags();
        assert!(
            self.put(ledger, &index, &tags).await?,
            "an index of what is there was refused"
        );
        Ok(())
    }

    async fn move_tag(&mut self, ledger: &mut Ledger) -> Result<(), Ended> {
        let all: Vec<Manifest> = ledger.manifests.values().cloned().collect();
        if let Some(manifest) = self.dice.pick(&all) {
            let tags = self.tags();
            assert!(
                self.put(ledger, manifest, &tags).await?,
                "what is there was refused when it came again"
            );
        }
        Ok(())
    }

    async fn remove_tag(&mut self, ledger: &mut Ledger) -> Result<(), Ended> {
        let tags: Vec<String> = ledger.tags.keys().cloned().collect();
        if let Some(tag) = self.dice.pick(&tags) {
            ledger.doubt = Some(Doubt::Untag(tag.clone()));
            let answer = self.pusher.delete(&manifest_path(&ledger.repository, tag)).await?;
            assert_eq!(answer.status, 202, "DELETE of tag {tag}: {}", answer.text());
            ledger.settled(true);
        }
        Ok(())
    }

    async fn remove_manifest(&mut self, ledger: &mut Ledger) -> Result<(), Ended> {
        let digests: Vec<String> = ledger.manifests.keys().cloned().collect();
        if let Some(digest) = self.dice.pick(&digests) {
            let wanted = if ledger.is_child(digest) { 405 } else { 202 };
            ledger.doubt = Some(Doubt::Remove(digest.clone()));
            let answer = self.pusher.delete(&manifest_path(&ledger.repository, digest)).await?;
            assert_eq!(answer.status, wanted, "DELETE of {digest}: {}", answer.text());
            ledger.settled(wanted == 202);
        }
        Ok(())
    }

    async fn remove_blob(&mut self, ledger: &mut Ledger) -> Result<(), Ended> {
        let blobs: Vec<Content> = ledger.blobs.values().cloned().collect();
        if let Some(blob) = self.dice.pick(&blobs) {
            let named = ledger.names(blob.digest());
            ledger.doubt = Some(Doubt::Drop(blob.clone()));
            let answer = self.pusher.delete(&blob_path(&ledger.repository, blob)).await?;
            match answer.status {
                405 => assert!(named, "a blob that nothing names may not be deleted: {}", answer.text()),
                202 => assert!(!named, "a blob was deleted that a manifest names"),
                404 => assert!(!named && !self.keeps, "a blob is gone: {}", blob.digest()),
                other => panic!("DELETE of a blob: {other}: {}", answer.text()),
            }
            ledger.settled(answer.status != 405);
        }
        Ok(())
    }

    async fn push_blob(&mut self, ledger: &mut Ledger) -> Result<(), Ended> {
        let blob = self.stock.blob(&mut self.dice);
        self.bring(ledger, &blob).await
    }

    /// What others push, by way of a mirror.
    async fn pull(&mut self) -> Result<(), Ended> {
        let blob = self.dice.pick(self.stock.shared()).unwrap();
        let answer = self.pusher.get(&blob_path(MIRRORED, blob)).await?;
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert!(answer.body == blob.all(), "{} has other bytes", blob.digest());
        Ok(())
    }

    /// One step of an upload that is open over many others; some are open when the server goes.
    async fn upload_in_pieces(&mut self, ledger: &mut Ledger) -> Result<(), Ended> {
        if ledger.sessions.len() < 2 || self.dice.once_in(3) {
            let location = self.pusher.begin(&ledger.repository).await?;
            let blob = self.stock.blob(&mut self.dice);
            ledger.sessions.push(Session::new(location, blob));
            return Ok(());
        }
        let n = usize::try_from(self.dice.roll(ledger.sessions.len() as u64)).unwrap();
        let session = &mut ledger.sessions[n];
        let (at, end) = (session.acknowledged, session.blob.len());
        if self.dice.once_in(3) || at + 1 >= end {
            session.closing = true;
            let answer = self.pusher.close(&session.location, &session.blob, at).await?;
            assert_eq!(answer.status, 201, "{}", answer.text());
            let session = ledger.sessions.swap_remove(n);
            ledger.has(session.blob);
            return Ok(());
        }
        let to = at + 1 + self.dice.roll(end - at - 1);
        let answer = self.pusher.chunk(&session.location, &session.blob, at..to).await?;
        assert_eq!(answer.status, 202, "{}", answer.text());
        assert_eq!(answer.header("range"), Some(format!("0-{}", to - 1).as_str()));
        session.acknowledged = to;
        Ok(())
    }

    /// Sees to it that the repository has the blob, as different clients do.
    async fn bring(&mut self, ledger: &mut Ledger, blob: &Content) -> Result<(), Ended> {
        if self.dice.once_in(3) {
            let there = self.pusher.has(&ledger.repository, blob).await?;
            let known = ledger.blobs.contains_key(blob.digest());
            assert!(there || !known || !self.keeps, "{} is gone", blob.digest());
            if there {
                return Ok(());
            }
        }
        let mounted = match self.dice.pick(&self.neighbours) {
            Some(neighbour) if self.dice.clone().once_in(3) => {
                let answer = self.pusher.mount(&ledger.repository, neighbour, blob.digest()).await?;
                if answer.status == 201 {
                    answer
                } else {
                    self.pusher.close(&location(&answer, 202), blob, 0).await?
                }
            }
            _ => {
                let size = 1 + self.dice.roll(blob.len() + 1);
                let ways = [
                    Way::Post,
                    Way::Put,
                    Way::Streamed,
                    Way::Chunked(size.max(blob.len() / 4)),
                ];
                let way = *self.dice.pick(&ways).unwrap();
                self.pusher.blob(&ledger.repository, blob, way).await?
            }
        };
        assert_eq!(mounted.status, 201, "{}", mounted.text());
        ledger.has(blob.clone());
        Ok(())
    }

    /// False when a blob is missing that may have been collected.
    async fn put(&mut self, ledger: &mut Ledger, manifest: &Manifest, tags: &[String]) -> Result<bool, Ended> {
        ledger.doubt = Some(Doubt::Put(manifest.clone(), tags.to_vec()));
        let reference = match tags {
            [] => manifest.digest().to_owned(),
            [tag] if self.dice.once_in(2) => tag.clone(),
            tags => {
                let query: Vec<String> = tags.iter().map(|tag| format!("tag={tag}")).collect();
                format!("{}?{}", manifest.digest(), query.join("&"))
            }
        };
        let sent = self
            .pusher
            .manifest(&ledger.repository, &reference, manifest.media_type, &manifest.body);
        let answer = sent.await?;
        let refused = answer.status == 400 && answer.code() == "MANIFEST_BLOB_UNKNOWN" && !self.keeps;
        assert!(refused || answer.status == 201, "{}: {}", answer.status, answer.text());
        ledger.settled(!refused);
        Ok(!refused)
    }

    fn tags(&mut self) -> Vec<String> {
        let mut tags: Vec<String> = (0..self.dice.roll(3))
            .map(|_| format!("t{}", self.dice.roll(6)))
            .collect();
        tags.dedup();
        tags
    }
}
