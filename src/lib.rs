//! wharf: an OCI registry that stands in front of other registries.
//!
//! Clients pull anything through it. Every byte from an upstream is fetched once, streamed to whoever waits while it
//! arrives, proven against its digest, kept, and served when the upstream is slow, throttled or gone.
//!
//! The usual way to build this is a proxy beside a store: the fetch, the client's stream and the stored blob are three
//! things that are glued together afterwards. Here **the fill is the only way bytes enter from an upstream, and a tail
//! of that fill is the only way they leave while it runs.**
//!
//! # The tree is the request's path
//!
//! Reading the modules in this order is reading one `GET` from the socket to the disk.
//!
//! | module | what it does |
//! |---|---|
//! | [`cli`], [`config`], [`app`] | a command line and a file become a running process |
//! | [`admin`] | what an operator on this machine tells a running process, by a socket in the store |
//! | [`server`] | accepts, limits and drains connections |
//! | [`http`] | turns a request line into a route of domain types, an outcome into a response; the only place that knows status codes, and where body bytes leave |
//! | [`access`] | may this caller do this; may anybody have this of that mirror |
//! | [`namespaces`] | where a repository lives: on a mirror, or here |
//! | [`pull`] | flight, fill, tail: one fetch, followed by everybody who waits; relay: a fetch of one's own, past a store that fails |
//! | [`push`] | uploads, manifests and deletions: what a client was told is done survives a power cut |
//! | [`upstream`] | asks a registry, at its endpoints in order: tokens, redirects, deadlines, guards, and who is left alone for how long |
//! | [`store`] | bytes in files (`content`), facts in rows (`index`) |
//! | [`oci`] | digests, names, references, media types, manifests |
//! | [`clock`], [`tasks`], [`telemetry`] | the one wall clock, the one spawner, the log |
//!
//! Imports point down this table; `tests/tidy.rs` holds the exact rule and checks it.
//!
//! # One blob that is not here yet
//!
//! 1. [`pull::Pull::blob`] looks at what the repository may *see* of the digest: stored, and linked?
//! 2. It takes a seat in the flight for (mirror, digest). The first to board holds the permit and starts the fill, a
//!    task of its own; everybody rides, the first one too.
//! 3. The fill asks the upstream before it writes anything, so a 404 leaves no trace. With the head of the answer
//!    the length is known, or known to be unknown, and all passengers get a [`store::Arriving`].
//!    Room for them is reserved before: what was pulled least recently goes, and where that is not enough nothing does.
//! 4. Bytes are written to a named sparse file, entered in the set of present spans, and only then told: each reader is
//!    woken for its own next byte. The hash follows at the frontier, on the blocking pool, each byte once.
//! 5. A reader far ahead of the main stream gets a side stream into the same file, four at a time, in windows that
//!    double while it reads on; but only if the main stream, at the pace seen while the reader waited, would not be
//!    there within a quarter of a second.
//! 6. A response that could complete the blob has its last byte held back until `Staged::verify`, the only way to a
//!    [`store::Verified`]. On a mismatch everybody is cut, the bytes go, and the upstream is left alone for a while.
//! 7. The commit syncs the file, and on the index's writer thread renames it beside its row change: one directory sync
//!    and one transaction for all that wait.
//! 8. Whatever fails in the store on this way, a full disk above all, fails no pull: each reader goes on from where it is by
//!    a relay, first over what the staging file has, then over a body of its own. A response that could complete the blob
//!    is hashed from byte 0 on, and its last byte held back, as before. Nothing of that is stored, and the next pull
//!    tries the store again.
//!
//! # One push
//!
//! 1. [`http`] asks [`access`], and [`namespaces`] for a [`namespaces::HostedRepo`]: pushing to a mirror does not
//!    type-check.
//! 2. A session is a row and a file, and **the length of the file is the position**. One request at a time has its turn;
//!    bytes are hashed as they are written. Whatever breaks, the client asks for the position and goes on from there, also
//!    after a restart.
//! 3. `Upload::verify` is the only way to a [`store::Received`]. The landing syncs the file, and on the index's writer thread
//!    renames it beside its row and its link, as a fetched blob does: one directory sync and one transaction for all that
//!    wait. Then comes the 201.
//! 4. A manifest is one transaction: what it names is here, its bytes, its tags, its place among the referrers. What the
//!    decision rests on is read inside that transaction, so nothing that was accepted can lose a blob to whatever runs
//!    beside it.
//! 5. A blob that no manifest of its repository names is loose, and goes after a grace. Collection looks at what is loose,
//!    a few rows at a time, and never at the whole.
//!
//! # What holds everywhere
//!
//! * A broken body is resumed where it broke. A partial outlives its clients, its flight and the process; it is never
//!   trusted: the digest decides, and wrong bytes after a resume are fetched once more from zero before anybody is
//!   blamed.
//! * A tag's row moves only to a manifest that is stored. What the upstream said in between is in memory, so a cached
//!   tag never stops answering.
//! * Nobody waits for news of a tag in use: it is asked about just before its time is over, aside, by one for all.
//! * A list of a mirror's repository is the upstream's whole list, or an error. An empty one is never kept: with the
//!   upstream down it would read as "unsigned".
//! * A request is judged by the policy that was in force when it began, wherever it leads; what it began goes on when
//!   SIGHUP puts another in its place.
//! * Shared work runs in tasks of its own. Dropping any future here, a client's included, changes nothing for others.
//! * What is cached stays within a byte budget, by bytes really allocated, partials and uploads included. What a hosted
//!   repository has is not counted: triggers in the index see to that, in the transaction that changes it. What is open
//!   never goes, and what counts as pulled last goes last: a manifest takes along all that it names.
//! * A start reads a few rows, however many there are, and no request and no eviction waits for a search through a table:
//!   tests look at SQLite's plan for each statement in the index, and `benches/size` at a store of a million blobs.
//! * No lock is held across I/O or an await.
//! * Nothing stored is believed for ever: a file that has changed is proven before it is served, and all of them once in a
//!   while (`store::fsck`: the scrub, and `wharf fsck`). Pushed bytes are put aside when they are damaged, never deleted.
//! * What is pinned is a set of digests, brought up to date by whoever wants to evict: a commit only notes what has moved.
//! * What goes is first forgotten, durably, and then removed. A crash in between leaves a file that the next start finds.
//!
//! # Where this differs from the first design, and why
//!
//! * Presence is a set of spans exact to the byte, not a bitmap of 1 MiB pieces: a resume then asks for nothing that
//!   is there, also for small blobs, and the set is as small as the number of streams that ever wrote.
//! * The main stream reads through what is present only when that is less than 1 MiB, not 16: side streams are started
//!   only where the main stream is slow, and a slow upstream has little under way when a body is dropped.
//! * A push is taken in one batch at a time: the socket's buffer gathers what comes meanwhile. To read ahead was no faster,
//!   cost no less CPU time, and held twice the memory.
//! * The breaker is of each host behind an endpoint (its token realm, the CDN that it redirects to), not of the endpoint:
//!   a CDN that is down says nothing about tags. A probe asks what was to be asked, not `/v2/`: that is what a front end
//!   answers when all behind it hangs. Who has no other way waits for it, but no longer than a connection may take.
//! * `budget` holds no handles of blobs, but a number for each file that is open: the guard goes with the file, so no part
//!   of it that is still to be sent can be forgotten.
//! * All single flights outside `upstream` are one mechanism, `pull::flight`, also the small ones.

pub mod access;
pub mod admin;
pub mod app;
pub mod cli;
pub mod clock;
pub mod config;
pub mod http;
pub mod namespaces;
pub mod oci;
pub mod pull;
pub mod push;
pub mod server;
pub mod store;
pub mod tasks;
pub mod telemetry;
pub mod upstream;
