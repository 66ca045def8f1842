//! All limits of what a client may send (design section 8), in one place.

use std::time::Duration;

const KIB: usize = 1024;

/// Request target, in bytes: longer is 414.
pub const REQUEST_TARGET: usize = 8 * KIB;

/// Request line and headers together, in bytes: more is 431. Also what hyper may buffer of a response.
/// (More than 100 headers are 431 too: hyper's own default, which costs nothing as long as it is not set.)
pub const HEADERS: usize = 64 * KIB;

/// From the moment a request could come to its last header.
pub const HEADER_WITHIN: Duration = Duration::from_secs(10);

/// How long a client that has closed its sending side is waited for while nothing moves: it may be gone.
pub const HALF_CLOSED_FOR: Duration = Duration::from_secs(3);

/// How long, after an answer that closes the connection, the client's unread bytes are swallowed.
pub const LINGER_FOR: Duration = Duration::from_secs(1);

/// How many of them, in bytes.
pub const LINGER_BYTES: usize = 1024 * KIB;

/// Ranges of one request; with more of them `Range` is ignored.
pub const RANGES: usize = 1024;

/// A `Range` header, in bytes: a longer one is ignored.
pub const RANGE_HEADER: usize = 32 * KIB;

/// An `X-Request-Id` of the client that is longer is replaced, in characters.
pub const REQUEST_ID: usize = 128;

/// Body frames, in bytes, while few bodies stream: larger is faster, up to here.
pub const LARGE_FRAME: usize = 256 * KIB;

/// Body frames, in bytes, while many stream: a stalled reader holds one.
pub const SMALL_FRAME: usize = 64 * KIB;

/// Up to so many bodies get large frames.
pub const FEW_BODIES: usize = 16;

/// Manifests that are pushed and are larger than [`SMALL_MANIFEST`], in bytes, all that are on their way together: more
/// of them wait. Looking into one may take four times its size on top.
pub const LARGE_MANIFESTS: usize = 32 * 1024 * KIB;

/// Up to so many bytes a manifest waits for nobody: no more than any connection may hold.
pub const SMALL_MANIFEST: usize = 64 * KIB;

/// Tags that one push of a manifest may set with `?tag=`: more are 414.
pub const TAGS: usize = 100;

/// Entries of one page of tags or repositories: more are a further page.
pub const PAGE: usize = 10_000;

/// A page of referrers, in bytes: more are a further page, since clients read it as they read a manifest. A single one
/// that is larger is a page of its own.
pub const REFERRERS: usize = 4 * 1024 * KIB;
