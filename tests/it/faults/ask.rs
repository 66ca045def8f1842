//! One cell of the table: a request while the registry fails, what it costs, and what is there when the registry is well again.

use std::time::{Duration, Instant};

use serde_json::Value;

use crate::support::client::{Answer, Ended};
use crate::support::image::{Content, KIB};
use crate::support::script::On;
use crate::support::{blob_path, manifest_path, soon};

use super::fault::{Fault, HALF, LEN};
use super::table::{Again, Cached, Heard, Row};
use super::world::{Asked, World};

impl World {
    pub(super) async fn holds_to(&mut self, row: &Row) {
        let [tag_costs, blob_costs] = self.fault.costs();
        match self.asked {
            Asked::CachedTag => self.cached_tag(row.cached_tag).await,
            Asked::CachedDigest => self.cached_digest().await,
            Asked::UncachedTag => {
                let target = manifest_path("hub/a/b", "fresh");
                let manifest = self.fresh.manifest.clone();
                self.uncached(&target, &manifest, row.uncached_tag, tag_costs).await;
                self.again(&target, row.again, tag_costs).await;
                self.heal().await;
                self.comes_right(&target, &manifest).await;
            }
            Asked::UncachedBlob => {
                let blob = self.fresh.layer(0).clone();
                let target = blob_path("hub/a/b", &blob);
                self.uncached(&target, &blob, row.uncached_blob, blob_costs).await;
                self.comes_whole(&target, &blob, row.uncached_blob).await;
            }
            Asked::UnderWay => self.under_way(row.under_way).await,
        }
    }

    async fn cached_tag(&mut self, expected: Cached) {
        self.strike().await;
        let (target, began) = (manifest_path("hub/a/b", "moving"), Instant::now());
        // What happens once is told once.
        let times = if self.fault == Fault::SilentOnce { 1 } else { 3 };
        for method in ["GET", "HEAD", "GET"].into_iter().take(times) {
            let answer = self.wharf.send(method, &target, &[]).await.whole().await;
            self.assert_cached(&answer, expected);
            assert!(method == "HEAD" || answer.body == self.manifest(expected).all());
        }
        // Far below the deadlines of the registry's own answers, which are 25 s here.
        assert!(began.elapsed() < Duration::from_secs(15), "{:?}", began.elapsed());
        self.heal().await;
        let moved = self.new.manifest.clone();
        self.comes_to_mean(&target, &moved).await;
    }

    fn manifest(&self, expected: Cached) -> &Content {
        match expected {
            Cached::News => &self.new.manifest,
            Cached::Stale | Cached::StaleInTime => &self.old.manifest,
        }
    }

    fn assert_cached(&self, answer: &Answer, expected: Cached) {
        let (digest, how) = (answer.header("docker-content-digest"), answer.header("cache-status"));
        let told = format!("{} {how:?} {}\n{}", answer.status, answer.text(), self.story());
        assert_eq!(answer.status, 200, "{told}");
        assert_eq!(digest, Some(self.manifest(expected).digest()), "{told}");
        if !matches!(expected, Cached::News) {
            let how = how.unwrap_or_default();
            assert!(how.starts_with("wharf; hit; ttl="), "{told}");
            assert!(how.ends_with(&format!("; detail={}", self.fault.detail())), "{told}");
        }
    }

    /// By digest, whatever happens: at once, and nobody is asked.
    async fn cached_digest(&mut self) {
        self.strike().await;
        let before = self.requests();
        let layer = self.old.layer(0);
        for (target, content) in [
            (manifest_path("hub/a/b", self.old.digest()), &self.old.manifest),
            (blob_path("hub/a/b", layer), layer),
        ] {
            let answer = self.wharf.get(&target).await;
            assert_eq!(
                (answer.status, answer.header("cache-status")),
                (200, Some("wharf; hit"))
            );
            assert!(answer.body == content.all());
        }
        assert_eq!(self.requests(), before, "{}", self.story());
    }

    async fn uncached(&mut self, target: &str, content: &Content, expected: Heard, cost: usize) {
        self.strike().await;
        let before = self.requests();
        let answer = self.wharf.open(target).await;
        if self.fault == Fault::Corrupt {
            self.silence.open();
        }
        let answer = answer.whole().await;
        let told = format!("{} {}\n{}", answer.status, answer.text(), self.story());
        assert_eq!(self.requests() - before, cost, "{told}");
        match expected {
            Heard::Nothing => {
                assert_eq!((answer.status, answer.ended), (200, Ended::Clean), "{told}");
                assert!(answer.body == content.all(), "{told}");
            }
            Heard::Told(status, code) => self.assert_told(&answer, status, code),
            Heard::Cut | Heard::CutWrong => assert_cut(&answer.body, answer.ended, content, expected),
        }
    }

    fn assert_told(&self, answer: &Answer, status: u16, code: &str) {
        let (their_status, cause) = self.fault.told();
        let told = format!("{} {}\n{}", answer.status, answer.text(), self.story());
        assert_eq!((answer.status, answer.code().as_str()), (status, code), "{told}");
        assert_eq!(answer.header("content-type"), Some("application/json"), "{told}");
        assert_eq!(answer.header("www-authenticate"), None, "{told}");
        let body: Value = serde_json::from_slice(&answer.body).unwrap();
        let error = &body["errors"][0];
        let message = error["message"].as_str().unwrap();
        assert!(message.contains(cause) && message.contains(&self.culprit()), "{told}");
        assert_eq!(error["detail"]["upstream"], "hub", "{told}");
        assert_eq!(
            error["detail"]["upstream_status"].as_u64(),
            their_status.map(u64::from),
            "{told}"
        );
        let retry = answer.header("retry-after").map(|it| it.parse::<u64>().unwrap());
        if let Fault::Throttles(named) = self.fault {
            assert!((1..=named.unwrap_or(5)).contains(&retry.unwrap()), "{told}");
        } else {
            assert_eq!(retry, None, "{told}");
        }
    }

    async fn again(&self, target: &str, expected: Again, cost: usize) {
        let (left_alone, cost) = match expected {
            Again::Served => return,
            Again::Asked => (false, cost),
            Again::LeftAlone(after) => {
                // The question that meets the last of them may hear of it, and so may the next.
                for failures in 2..=after + 1 {
                    let answer = self.wharf.get(target).await;
                    let may_hear = failures >= after;
                    assert!(may_hear || !answer.text().contains("left alone"), "{}", answer.text());
                }
                (true, 0)
            }
            Again::Held | Again::Remembered => (false, 0),
            Again::Blamed => (false, cost - 1),
        };
        let before = self.requests_there();
        let answer = self.wharf.get(target).await;
        let told = format!("{} {}\n{}", answer.status, answer.text(), self.story());
        assert_eq!(answer.text().contains("left alone"), left_alone, "{told}");
        assert_eq!(self.requests_there() - before, cost, "{told}");
        if !matches!(expected, Again::Blamed) {
            self.assert_told(&answer, answer.status, &answer.code());
        }
        if !self.fault.is_of_bodies() {
            let head = self.wharf.head(target).await;
            assert_eq!((head.status, head.body.len()), (answer.status, 0), "{told}");
        }
    }

    async fn under_way(&mut self, expected: Heard) {
        let mut answer = self.half_way().await;
        self.strike().await;
        let (rest, ended) = answer.rest().await;
        let body = [self.large.bytes(0..HALF - 1), rest].concat();
        match expected {
            Heard::Nothing => {
                assert_eq!(ended, Ended::Clean, "{}", self.story());
                assert!(body == self.large.all());
            }
            Heard::Cut | Heard::CutWrong => assert_cut(&body, ended, &self.large, expected),
            Heard::Told(..) => panic!("it has a status already"),
        }
        let (target, large) = (blob_path("hub/a/b", &self.large), self.large.clone());
        self.comes_whole(&target, &large, expected).await;
    }

    /// As [`World::comes_right`]; and what was kept is not asked for again, and what was not, is.
    async fn comes_whole(&mut self, target: &str, blob: &Content, before: Heard) {
        self.heal().await;
        self.comes_right(target, blob).await;
        let seen = [(&self.upstream, On::blobs()), (&self.cdn, On::cdn())];
        let seen = seen.map(|(it, on)| it.seen(&on.get().of(blob.digest())));
        let last = seen.concat().last().cloned().unwrap();
        match before {
            Heard::Nothing | Heard::Told(..) => {}
            Heard::Cut => assert!(last.request.header("range").is_some(), "{}", self.story()),
            Heard::CutWrong => assert_eq!(last.request.header("range"), None, "{}", self.story()),
        }
        let sent: u64 = seen.concat().iter().map(|seen| seen.sent()).sum();
        if matches!(before, Heard::Cut) && blob.len() == LEN {
            assert!(sent <= LEN + 64 * KIB, "{sent}\n{}", self.story());
        }
    }

    /// Now that the registry is well, the right bytes come, and no wrong ones before them.
    async fn comes_right(&self, target: &str, content: &Content) {
        let mut steps = tokio::time::interval(Duration::from_millis(250));
        soon("the registry to be asked again", async {
            loop {
                steps.tick().await;
                let answer = self.wharf.get(target).await;
                if answer.status == 200 {
                    assert_eq!(answer.ended, Ended::Clean, "{}", self.story());
                    assert!(answer.body == content.all(), "{}", self.story());
                    return;
                }
            }
        })
        .await;
    }

    async fn comes_to_mean(&self, target: &str, moved: &Content) {
        let mut steps = tokio::time::interval(Duration::from_millis(250));
        soon("the tag to move", async {
            loop {
                steps.tick().await;
                let answer = self.wharf.get(target).await;
                assert_eq!(answer.status, 200, "{}", answer.text());
                if answer.body == moved.all() {
                    return;
                }
                assert!(answer.body == self.old.manifest.all());
            }
        })
        .await;
    }
}

fn assert_cut(body: &[u8], ended: Ended, content: &Content, expected: Heard) {
    assert_ne!(ended, Ended::Clean);
    assert!((body.len() as u64) < content.len());
    assert!(matches!(expected, Heard::CutWrong) || content.all().starts_with(body));
}
