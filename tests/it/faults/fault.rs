//! The ways to fail, as scripts of the fake upstream, and what each must be called by whoever tells of it.

use crate::support::registry::Door;
use crate::support::script::{Act, Gate, How, On};

/// How long is the body that is under way, and what of it arrives before the fault.
pub(super) const LEN: u64 = 4 * 1024 * 1024;
pub(super) const HALF: u64 = LEN / 2;
/// Where a manifest or a small blob goes wrong.
pub(super) const EARLY: u64 = 100;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    Refused,
    NoName,
    NoTls,
    /// SYNs are dropped.
    BlackHole,
    /// Connections are taken, and that is all.
    Silent,
    /// Every connection is reset before an answer.
    Resets,
    Status(u16),
    /// 429, with so many seconds in `Retry-After`.
    Throttles(Option<u64>),
    /// 401 to a token that has just been granted to nobody in particular.
    Unwelcome,
    Deleted,
    Html,
    /// The token endpoint answers 500.
    NoTokens,
    TokenExpired,
    SignatureExpired,
    /// Where blobs are redirected to, everybody gets 403.
    SignaturesRefused,
    BreaksOnce(How),
    SilentOnce,
    /// Every body ends at the same byte.
    Short,
    Corrupt,
}

impl Fault {
    pub(super) fn door(self) -> Door {
        if matches!(self, Self::NoTokens | Self::TokenExpired | Self::Unwelcome) {
            Door::Bearer
        } else {
            Door::Open
        }
    }

    /// Whether blobs come from elsewhere.
    pub(super) fn has_cdn(self) -> bool {
        matches!(self, Self::SignatureExpired | Self::SignaturesRefused)
    }

    /// Whether wharf must be told of another place to ask.
    pub(super) fn is_elsewhere(self) -> bool {
        matches!(self, Self::NoName | Self::NoTls)
    }

    /// Whether it is a deadline that ends the wait.
    pub(super) fn is_slow(self) -> bool {
        matches!(self, Self::BlackHole | Self::Silent)
    }

    /// Whether a HEAD hears nothing of it.
    pub(super) fn is_of_bodies(self) -> bool {
        matches!(self, Self::Short | Self::Corrupt)
    }

    /// The requests that the first question for an uncached tag costs, and that for a blob.
    pub(super) fn costs(self) -> [usize; 2] {
        match self {
            Self::Refused | Self::NoName | Self::NoTls | Self::BlackHole => [0, 0],
            Self::Silent | Self::Status(..500) | Self::Throttles(_) | Self::Deleted | Self::Html => [1, 1],
            // What fails in passing is asked for twice more; a token, or a redirect, is a request more.
            Self::Resets | Self::Status(500..) | Self::Unwelcome => [3, 3],
            Self::NoTokens => [5, 5],
            Self::TokenExpired => [4, 3],
            Self::SignatureExpired | Self::SignaturesRefused | Self::SilentOnce => [2, 2],
            Self::BreaksOnce(_) => [3, 2],
            Self::Short => [4, 4],
            Self::Corrupt => [2, 1],
        }
    }

    /// What goes wrong with the body that is under way, when it may pass the gate.
    pub(super) fn under_way(self, gate: &Gate) -> Vec<Act> {
        if self == Self::SilentOnce {
            return vec![Act::Hold(Gate::at(HALF - 1))];
        }
        let is_short = matches!(self, Self::Short | Self::BreaksOnce(How::Fin));
        let bent = if self == Self::Corrupt {
            Act::Corrupt(HALF)
        } else {
            Act::Cut(HALF, if is_short { How::Fin } else { How::Rst })
        };
        vec![Act::Hold(gate.clone()), bent]
    }

    /// What the registry does from now on, where a script says it all.
    pub(super) fn script(self, is_under_way: bool, gate: &Gate) -> Option<(On, Vec<Act>)> {
        let script = match self {
            Self::Silent => (On::any(), vec![Act::HoldHead(gate.clone())]),
            Self::Resets => (On::any(), vec![Act::Break(How::Rst)]),
            Self::Status(status) => (On::any(), vec![Act::Status(status)]),
            Self::Throttles(None) => (On::any(), vec![Act::Status(429)]),
            Self::Throttles(Some(seconds)) => {
                let retry = Act::Header("retry-after", seconds.to_string());
                (On::any(), vec![Act::Status(429), retry])
            }
            Self::Html => (On::any(), vec![Act::Html]),
            Self::NoTokens => (On::tokens(), vec![Act::Status(500)]),
            Self::BreaksOnce(how) if !is_under_way => (On::any().get().times(1), vec![Act::Cut(EARLY, how)]),
            Self::SilentOnce if !is_under_way => (On::any().get().times(1), vec![Act::Hold(Gate::at(EARLY))]),
            Self::Short => {
                let end = if is_under_way { HALF } else { EARLY };
                (On::any(), vec![Act::Cut(end, How::Fin)])
            }
            Self::Corrupt => (On::any(), vec![Act::Corrupt(EARLY), Act::Hold(gate.clone())]),
            Self::BreaksOnce(_)
            | Self::SilentOnce
            | Self::Refused
            | Self::NoName
            | Self::NoTls
            | Self::BlackHole
            | Self::Unwelcome
            | Self::Deleted
            | Self::TokenExpired
            | Self::SignatureExpired
            | Self::SignaturesRefused => return None,
        };
        Some(script)
    }

    /// The status that the error names as the registry's, and the words for the cause.
    pub(super) fn told(self) -> (Option<u16>, &'static str) {
        match self {
            Self::Refused => (None, "cannot be reached: no connection"),
            Self::NoName => (None, "cannot be reached: its name does not resolve"),
            Self::NoTls => (None, "cannot be reached: no TLS session"),
            Self::BlackHole => (None, "was too slow: no connection within 2s"),
            Self::Silent => (None, "was too slow: no answer within 4s"),
            Self::Resets => (None, "cannot be reached: the connection broke before an answer"),
            Self::Status(401) => (Some(401), "answered 401: it demands credentials"),
            Self::Status(403) => (Some(403), "answered 403: it demands credentials"),
            Self::Status(418) => (Some(418), "answered 418: not an answer to this request"),
            Self::Status(status) => (Some(status), "answered 50"),
            Self::Throttles(_) => (Some(429), "answered 429: too many requests"),
            Self::Unwelcome => (Some(401), "refused although it had just granted an anonymous token"),
            Self::Deleted => (Some(404), "answered 404: not found"),
            Self::Html => (Some(200), "an HTML page instead of content"),
            Self::NoTokens => (Some(500), "answered 500"),
            Self::SignaturesRefused => (Some(403), "answered 403"),
            Self::SilentOnce => (None, "was too slow: no complete body within 2s"),
            Self::Short => (None, "broke off after 100 bytes of"),
            Self::Corrupt => (None, "sends wrong bytes"),
            Self::TokenExpired | Self::SignatureExpired | Self::BreaksOnce(_) => (None, "nothing of it is heard"),
        }
    }

    /// What `Cache-Status` says of a stale answer.
    pub(super) fn detail(self) -> String {
        match (self, self.told().0) {
            (Self::Corrupt, _) => "upstream-mismatch".to_owned(),
            (Self::Html, _) => "upstream-unusable".to_owned(),
            (_, Some(status)) => format!("upstream-{status}"),
            (slow, None) if slow.is_slow() || slow == Self::SilentOnce => "upstream-timeout".to_owned(),
            (_, None) => "upstream-unreachable".to_owned(),
        }
    }
}
