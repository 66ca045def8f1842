//! A registry that was well until now, and a wharf that has some of what it holds.

use crate::support::client::Response;
use crate::support::hole::Hole;
use crate::support::image::{Content, Image, KIB};
use crate::support::registry::Registry;
use crate::support::script::{Act, Gate, On};
use crate::support::upstream::Upstream;
use crate::support::wharf::{Mirror, Setup, Wharf};
use crate::support::{blob_path, manifest_path};

use super::fault::{EARLY, Fault, HALF, LEN};

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Asked {
    CachedTag,
    CachedDigest,
    UncachedTag,
    UncachedBlob,
    UnderWay,
}

#[derive(Debug)]
pub(super) struct World {
    pub(super) fault: Fault,
    pub(super) asked: Asked,
    pub(super) upstream: Upstream,
    /// Where blobs, or tokens, come from, if not from the registry itself.
    pub(super) cdn: Upstream,
    /// Nobody vouches for it.
    strange: Upstream,
    pub(super) wharf: Wharf,
    /// The tag `moving` was this and is cached.
    pub(super) old: Image,
    /// Then it moved here.
    pub(super) new: Image,
    /// Not cached, under the tag `fresh`.
    pub(super) fresh: Image,
    pub(super) large: Content,
    hole: Option<Hole>,
    gate: Gate,
    /// What holds the answers of a registry that says nothing, or not all.
    pub(super) silence: Gate,
}

/// RFC 6761: in no DNS.
const NAMELESS: &str = "registry.invalid:5001";

impl World {
    pub(super) async fn new(fault: Fault, asked: Asked) -> Self {
        let (upstream, cdn) = (Upstream::with_door(fault.door()), Upstream::start());
        let [old, new, fresh] = [1, 2, 3].map(|seed| Image::oci(seed, &[100 * KIB]));
        let large = Content::seeded(4, LEN);
        let wharf = Setup::new().mirror(mirror(fault, asked, upstream.url()));
        let world = Self {
            strange: Upstream::start_tls(),
            wharf: wharf.start().await,
            gate: Gate::at(HALF - 1),
            silence: Gate::shut(),
            hole: None,
            fault,
            asked,
            upstream,
            cdn,
            old,
            new,
            fresh,
            large,
        };
        world.fill();
        world.warm().await;
        world.upstream.put_image("a/b", "moving", &world.new);
        world
    }

    fn fill(&self) {
        for holder in [&self.upstream, &self.cdn] {
            holder.put_image("a/b", "moving", &self.old);
            holder.put_image("a/b", "fresh", &self.fresh);
            holder.put_blob("a/b", &self.large);
        }
        if self.fault.has_cdn() {
            let to = format!("{}/cdn/{{digest}}?sig={{n}}", self.cdn.url());
            self.upstream.script(On::blobs(), [Act::Redirect(307, to)]);
        }
    }

    async fn warm(&self) {
        let targets = [
            manifest_path("hub/a/b", "moving"),
            blob_path("hub/a/b", self.old.layer(0)),
        ];
        for target in &targets {
            assert_eq!(self.wharf.get(target).await.status, 200, "{}", self.upstream.story());
        }
        self.wharf.landed(&targets[1]).await;
    }

    /// Half of the large blob has come.
    pub(super) async fn half_way(&self) -> Response {
        let (giver, on) = if self.fault.has_cdn() {
            (&self.cdn, On::cdn())
        } else {
            (&self.upstream, On::blobs())
        };
        giver.script(on.times(1), self.fault.under_way(&self.gate));
        let mut answer = self.wharf.open(&blob_path("hub/a/b", &self.large)).await;
        assert_eq!((answer.status, answer.length()), (200, Some(LEN)));
        assert!(answer.exactly(HALF - 1).await == self.large.bytes(0..HALF - 1));
        answer
    }

    /// From now on the registry fails.
    pub(super) async fn strike(&mut self) {
        let is_under_way = self.asked == Asked::UnderWay;
        if let Some((on, acts)) = self.fault.script(is_under_way, &self.silence) {
            self.upstream.script(on, acts);
        }
        if self.fault.is_elsewhere() && is_under_way {
            // The registry is there, and tells of a place that is not.
            let to = format!("{}/cdn/{{digest}}", self.elsewhere());
            self.upstream.script(On::blobs(), [Act::Redirect(307, to)]);
        } else if self.fault.is_elsewhere() {
            self.ask_at(&self.elsewhere()).await;
        } else if self.fault == Fault::Deleted {
            self.forget();
        } else if self.fault == Fault::SignaturesRefused {
            self.cdn.script(On::cdn(), [Act::Status(403)]);
        } else if matches!(self.fault, Fault::Refused | Fault::BlackHole) {
            self.upstream.stop().await;
        }
        if self.fault == Fault::BlackHole {
            self.hole = Some(Hole::at(self.upstream.address()).await);
        }
        if matches!(self.fault, Fault::NoTokens | Fault::TokenExpired) {
            self.upstream.holds(Registry::revoke_tokens);
        }
        if self.fault == Fault::NoTokens {
            let realm = format!("{}/token", self.cdn.url());
            self.upstream.holds(|it| it.realm = Some(realm));
            self.cdn.script(On::tokens(), [Act::Status(500)]);
        }
        self.upstream.holds(|it| it.welcomes = self.fault != Fault::Unwelcome);
        if self.fault == Fault::Corrupt {
            // The client has the head of its answer before the last byte can tell.
            let is_held = self.asked == Asked::UncachedBlob;
            self.silence.raise(if is_held { 2 * EARLY } else { u64::MAX });
        }
        if self.fault == Fault::SignatureExpired {
            self.cdn.holds(Registry::expire_signatures);
        }
        self.gate.open();
    }

    fn forget(&self) {
        let images = [&self.old, &self.new, &self.fresh];
        let contents = images
            .iter()
            .flat_map(|image| image.blobs.iter().chain([&image.manifest]));
        let digests = contents.chain([&self.large]).map(Content::digest);
        self.upstream.holds(|it| {
            for gone in digests.chain(["moving", "fresh"]) {
                it.forget("a/b", gone);
            }
        });
    }

    /// All is as it was, but for the tag that has moved.
    pub(super) async fn heal(&mut self) {
        self.upstream.heal();
        self.cdn.heal();
        self.silence.open();
        self.upstream.holds(|it| {
            it.welcomes = true;
            it.realm = None;
        });
        if matches!(self.fault, Fault::Refused | Fault::BlackHole) {
            self.hole = None;
            self.upstream.resume().await;
        }
        self.fill();
        self.upstream.put_image("a/b", "moving", &self.new);
        if self.fault.is_elsewhere() && self.asked != Asked::UnderWay {
            let registry = self.upstream.url().to_owned();
            self.ask_at(&registry).await;
        }
    }

    async fn ask_at(&mut self, endpoint: &str) {
        self.wharf.kill();
        self.wharf
            .reconfigure(&Setup::new().mirror(mirror(self.fault, self.asked, endpoint)));
        self.wharf.restart().await;
    }

    fn elsewhere(&self) -> String {
        if self.fault == Fault::NoName {
            format!("http://{NAMELESS}")
        } else {
            self.strange.url().to_owned()
        }
    }

    /// Whom an error must name.
    pub(super) fn culprit(&self) -> String {
        let url = if self.fault.is_elsewhere() {
            self.elsewhere()
        } else if matches!(self.fault, Fault::SignaturesRefused | Fault::NoTokens) {
            self.cdn.url().to_owned()
        } else {
            self.upstream.url().to_owned()
        };
        url.split_once("//").unwrap().1.to_owned()
    }

    /// Requests so far, probes included.
    pub(super) fn requests(&self) -> usize {
        let all = [&self.upstream, &self.cdn, &self.strange];
        all.iter().map(|it| it.count(&On::any())).sum()
    }

    /// Requests to whom an error must name.
    pub(super) fn requests_there(&self) -> usize {
        if self.fault == Fault::NoTokens {
            return self.cdn.count(&On::any());
        }
        self.requests()
    }

    pub(super) fn story(&self) -> String {
        format!("registry:\n{}redirect:\n{}", self.upstream.story(), self.cdn.story())
    }
}

/// Only what a test is about has a deadline that it will see.
fn mirror(fault: Fault, asked: Asked, endpoint: &str) -> Mirror {
    let is_short = fault.is_slow() && asked != Asked::CachedTag;
    let deadline = if is_short { "\"2s\"" } else { "\"25s\"" };
    let silence = if fault == Fault::SilentOnce {
        "\"2s\""
    } else {
        "\"25s\""
    };
    let revalidate = if fault.is_slow() { "\"200ms\"" } else { "\"25s\"" };
    Mirror::at("hub", endpoint)
        .set("fresh_for", "\"0s\"")
        .set("connect", deadline)
        .set("first_byte", deadline)
        .set("silence", silence)
        .set("revalidate", revalidate)
}
