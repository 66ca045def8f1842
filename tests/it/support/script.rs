//! The language in which a test tells the fake upstream how to misbehave: which request (`On`), what then (`Act`), and when to
//! let go (`Gate`). Pure data; `reply` carries it out.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use tokio::sync::watch;

use super::registry::{Kind, Request};

/// Selects requests. Every condition left out matches all.
#[derive(Clone, Debug, Default)]
pub(crate) struct On {
    kind: Option<Kind>,
    method: Option<&'static str>,
    repository: Option<String>,
    reference: Option<String>,
    ranged: Option<bool>,
    skip: u32,
    times: Option<u32>,
}

impl On {
    pub(crate) fn any() -> Self {
        Self::default()
    }

    pub(crate) fn kind(kind: Kind) -> Self {
        Self {
            kind: Some(kind),
            ..Self::default()
        }
    }

    pub(crate) fn blobs() -> Self {
        Self::kind(Kind::Blob)
    }

    pub(crate) fn manifests() -> Self {
        Self::kind(Kind::Manifest)
    }

    pub(crate) fn tokens() -> Self {
        Self::kind(Kind::Token)
    }

    pub(crate) fn cdn() -> Self {
        Self::kind(Kind::Cdn)
    }

    pub(crate) fn get(self) -> Self {
        Self {
            method: Some("GET"),
            ..self
        }
    }

    pub(crate) fn head(self) -> Self {
        Self {
            method: Some("HEAD"),
            ..self
        }
    }

    pub(crate) fn repo(self, name: &str) -> Self {
        Self {
            repository: Some(name.to_owned()),
            ..self
        }
    }

    /// The tag or digest asked for.
    pub(crate) fn of(self, reference: &str) -> Self {
        Self {
            reference: Some(reference.to_owned()),
            ..self
        }
    }

    /// With a `Range` header (true) or without one (false).
    pub(crate) fn ranged(self, ranged: bool) -> Self {
        Self {
            ranged: Some(ranged),
            ..self
        }
    }

    /// Lets the first `n` matching requests pass untouched.
    pub(crate) fn after(self, n: u32) -> Self {
        Self { skip: n, ..self }
    }

    /// Applies to so many matching requests and then never again.
    pub(crate) fn times(self, n: u32) -> Self {
        Self { times: Some(n), ..self }
    }

    pub(crate) fn matches(&self, request: &Request) -> bool {
        self.kind.is_none_or(|kind| kind == request.kind)
            && self.method.is_none_or(|method| method == request.method)
            && self.repository.as_ref().is_none_or(|name| *name == request.repository)
            && self
                .reference
                .as_ref()
                .is_none_or(|reference| *reference == request.reference)
            && self
                .ranged
                .is_none_or(|ranged| ranged == request.header("range").is_some())
    }
}

/// How a connection is broken off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum How {
    /// An orderly FIN: the peer reads an end of file.
    Fin,
    /// A reset: the peer reads an error.
    Rst,
}

/// One deviation from a truthful answer. Offsets count from the start of the blob, whatever range was asked for.
#[derive(Clone, Debug)]
pub(crate) enum Act {
    /// Another status, with an OCI error body.
    Status(u16),
    /// Sets or replaces a header.
    Header(&'static str, String),
    /// Leaves a header out.
    Without(&'static str),
    /// A captive portal: 200 `text/html`.
    Html,
    /// A body of the test's choice with status 200, under the content type that the truthful answer has.
    Body(super::image::Content),
    /// Says nothing, not even a status, until the gate opens.
    HoldHead(Gate),
    /// Breaks off in place of an answer.
    Break(How),
    /// A head that never ends.
    EndlessHead,
    /// Lets body bytes below the gate's level out, and the end of the body only when the level is above the last byte.
    Hold(Gate),
    /// The same with a level of so many bytes of each body: an upstream that limits each connection.
    HoldEach(Gate),
    /// Breaks off before this byte.
    Cut(u64, How),
    /// Flips the byte at this offset.
    Corrupt(u64),
    /// A body of so many bytes, said honestly.
    Shorten(u64),
    /// So many bytes too many, said honestly.
    Lengthen(u64),
    /// `Transfer-Encoding: chunked`, no length.
    Chunked,
    /// HTTP/1.0: no length, the end of the connection is the end of the body.
    CloseDelimited,
    /// A redirect; `{n}` in the address becomes a fresh number, `{digest}` the blob's digest.
    Redirect(u16, String),
    /// Answers 200 and everything to a `Range` request.
    IgnoreRange,
}

/// A level that only the test raises. `0` is shut.
#[derive(Clone, Debug)]
pub(crate) struct Gate(Arc<watch::Sender<u64>>);

impl Gate {
    pub(crate) fn shut() -> Self {
        Self::at(0)
    }

    /// Lets the first `level` bytes through.
    pub(crate) fn at(level: u64) -> Self {
        Self(Arc::new(watch::Sender::new(level)))
    }

    pub(crate) fn raise(&self, level: u64) {
        self.0.send_replace(level);
    }

    pub(crate) fn open(&self) {
        self.raise(u64::MAX);
    }

    /// Waits until the level is above `offset`; returns the level.
    pub(crate) async fn passes(&self, offset: u64) -> u64 {
        let mut levels = self.0.subscribe();
        *levels
            .wait_for(|level| *level > offset)
            .await
            .expect("the gate holds its own sender")
    }
}

/// A rule in force: the acts of the newest matching rule apply.
#[derive(Debug)]
pub(crate) struct Rule {
    on: On,
    acts: Vec<Act>,
    met: AtomicU32,
}

impl Rule {
    pub(crate) fn new(on: On, acts: Vec<Act>) -> Self {
        Self {
            on,
            acts,
            met: AtomicU32::new(0),
        }
    }

    /// The acts, if this rule applies to `request`; counts the meeting.
    pub(crate) fn take(&self, request: &Request) -> Option<Vec<Act>> {
        if !self.on.matches(request) {
            return None;
        }
        let met = self.met.fetch_add(1, Ordering::SeqCst);
        let spent = self
            .on
            .times
            .is_some_and(|times| met >= self.on.skip.saturating_add(times));
        (met >= self.on.skip && !spent).then(|| self.acts.clone())
    }
}
