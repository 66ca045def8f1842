//! The SQL that makes the tables, step by step.
//!
//! Never changes a step that has been released: a new one is added at the end.

/// Step n leads from schema n to schema n + 1.
pub(super) const STEPS: &[&str] = &[V1, V2, V3, V4, V5, V6];

/// Digests are text, so that an operator can read the index with `sqlite3`; the comments are stored with the tables.
const V1: &str = "
CREATE TABLE meta (
    key     TEXT NOT NULL PRIMARY KEY, -- 'format': of the files beside the index; 'store': the store's identity
    value   TEXT NOT NULL
) STRICT, WITHOUT ROWID;

INSERT INTO meta (key, value) VALUES ('format', '1');

CREATE TABLE repository (
    id      INTEGER PRIMARY KEY,
    key     TEXT NOT NULL UNIQUE,      -- '<mirror key>/<remote name>', or the name of a hosted repository
    mirror  TEXT                       -- the mirror's key; NULL: hosted
) STRICT;

CREATE TABLE blob (
    digest   TEXT NOT NULL PRIMARY KEY,
    size     INTEGER NOT NULL,         -- bytes
    modified INTEGER NOT NULL          -- of the file when it was proven, nanoseconds since 1970
) STRICT, WITHOUT ROWID;

CREATE TABLE origin (
    digest  TEXT NOT NULL,
    mirror  TEXT NOT NULL,             -- a mirror through which this content has come in, now or earlier
    PRIMARY KEY (digest, mirror)
) STRICT, WITHOUT ROWID;

CREATE TABLE link (
    repository INTEGER NOT NULL REFERENCES repository (id),
    digest     TEXT NOT NULL,
    proven     INTEGER NOT NULL,       -- 1: pushed there, or its upstream answered for it; 0: named by a manifest
    size       INTEGER,                -- bytes: as counted, else as claimed; NULL: nobody said, or claims differ
    PRIMARY KEY (repository, digest)
) STRICT, WITHOUT ROWID;

CREATE TABLE manifest (
    digest     TEXT NOT NULL PRIMARY KEY,
    media_type TEXT NOT NULL,
    bytes      BLOB NOT NULL
) STRICT;

CREATE TABLE tag (
    repository INTEGER NOT NULL REFERENCES repository (id),
    name       TEXT NOT NULL,
    digest     TEXT NOT NULL,
    media_type TEXT,
    size       INTEGER,                -- of the manifest, bytes
    checked_at INTEGER NOT NULL,       -- microseconds since 1970
    PRIMARY KEY (repository, name)
) STRICT, WITHOUT ROWID;

CREATE TABLE staged (
    id      INTEGER PRIMARY KEY AUTOINCREMENT, -- names the file, so it is never given again
    mirror  TEXT NOT NULL,
    remote  TEXT NOT NULL,
    digest  TEXT NOT NULL,
    length  INTEGER,                   -- bytes; NULL: not known
    pieces  BLOB NOT NULL,
    UNIQUE (mirror, digest)
) STRICT;
";

/// Pushing: what hosted repositories hold, and what is under way.
const V2: &str = "
CREATE TABLE upload (
    id         TEXT NOT NULL PRIMARY KEY, -- names the session and its file
    repository TEXT NOT NULL,          -- the key of a hosted repository, which need not exist yet
    owner      TEXT NOT NULL,          -- who began it
    algorithm  TEXT NOT NULL,          -- what its bytes are hashed by as they come
    digest     TEXT,                   -- what it was about to become last; NULL: nothing yet
    moved_at   INTEGER NOT NULL        -- microseconds since 1970: its last progress
) STRICT, WITHOUT ROWID;

CREATE TABLE pushed (                  -- the manifests of hosted repositories
    repository    INTEGER NOT NULL REFERENCES repository (id),
    digest        TEXT NOT NULL REFERENCES manifest (digest),
    media_type    TEXT NOT NULL,       -- as pushed there
    subject       TEXT,                -- the digest that it is about; NULL: none
    artifact_type TEXT,                -- of a referrer
    descriptor    TEXT,                -- of a referrer, as JSON
    PRIMARY KEY (repository, digest)
) STRICT, WITHOUT ROWID;

CREATE INDEX pushed_by_subject ON pushed (repository, subject, digest) WHERE subject IS NOT NULL;
CREATE INDEX pushed_by_digest ON pushed (digest);

CREATE TABLE names (                   -- what pushed manifests name
    repository INTEGER NOT NULL REFERENCES repository (id),
    digest     TEXT NOT NULL,
    manifest   TEXT NOT NULL,          -- pushed there
    PRIMARY KEY (repository, digest, manifest)
) STRICT, WITHOUT ROWID;

CREATE INDEX names_by_manifest ON names (repository, manifest);

CREATE TABLE loose (                   -- blobs of hosted repositories that no manifest there names
    repository INTEGER NOT NULL REFERENCES repository (id),
    digest     TEXT NOT NULL,
    since      INTEGER NOT NULL,       -- microseconds since 1970
    PRIMARY KEY (repository, digest)
) STRICT, WITHOUT ROWID;

CREATE TABLE unlinked (                -- stored blobs that no repository could see when the index was restored
    since      INTEGER NOT NULL,       -- microseconds since 1970
    digest     TEXT NOT NULL,
    PRIMARY KEY (since, digest)
) STRICT, WITHOUT ROWID;

CREATE VIEW visible AS                 -- what is served through which repository, if it is stored
SELECT link.repository, link.digest
FROM link JOIN repository ON repository.id = link.repository
WHERE link.proven
      OR EXISTS (SELECT 1 FROM origin WHERE origin.digest = link.digest AND origin.mirror = repository.mirror);

CREATE INDEX loose_by_age ON loose (since);
CREATE INDEX tag_by_digest ON tag (repository, digest);
CREATE INDEX link_by_digest ON link (digest);
";

/// What upstreams said that is no content.
const V3: &str = "
CREATE TABLE listing (                 -- lists of mirrors' repositories, as their upstreams gave them
    id         INTEGER PRIMARY KEY,
    repository INTEGER NOT NULL REFERENCES repository (id),
    subject    TEXT NOT NULL,          -- a digest: what is about it; '': the tags
    checked_at INTEGER NOT NULL,       -- microseconds since 1970
    size       INTEGER NOT NULL,       -- of the lines, bytes
    lines      TEXT NOT NULL,          -- one entry each: a tag, or a descriptor as JSON
    UNIQUE (repository, subject)
) STRICT;

CREATE INDEX listing_by_age ON listing (checked_at DESC, id DESC, size);
";

/// When, in microseconds since 1970, a fact of a mirror's repository was first found not to have been asked for since the
/// last look; NULL: it has been, or is new. `meta` has when that look was, by the same count.
const V4: &str = "
ALTER TABLE link ADD COLUMN idle_since INTEGER;
ALTER TABLE tag ADD COLUMN idle_since INTEGER;
";

/// What the store weighs, and what was pulled when. The books are kept by triggers: whoever changes a blob or a link cannot
/// forget them, and a blob is counted in the very transaction that takes its last hosted link. Before this step nobody
/// noted what a file takes on the disk: whole pages.
const V5: &str = "
ALTER TABLE blob ADD COLUMN allocated INTEGER NOT NULL DEFAULT 0; -- bytes that its file takes on the disk
ALTER TABLE blob ADD COLUMN used      INTEGER NOT NULL DEFAULT 0; -- the number of its last pull; later ones are larger
ALTER TABLE blob ADD COLUMN hosted    INTEGER NOT NULL DEFAULT 0; -- 1: in `hosted`, so neither counted nor evicted
ALTER TABLE staged ADD COLUMN used    INTEGER NOT NULL DEFAULT 0; -- as of a blob

CREATE TABLE counted (
    bytes   INTEGER NOT NULL           -- on the disk, of all blobs that are not hosted
) STRICT;

CREATE VIEW hosted AS                  -- what hosted repositories have: perhaps nobody else does
SELECT link.digest
FROM link JOIN repository ON repository.id = link.repository
WHERE link.proven AND repository.mirror IS NULL;

UPDATE blob SET allocated = (size + 4095) / 4096 * 4096, hosted = digest IN hosted;
INSERT INTO counted (bytes) SELECT coalesce(sum(allocated), 0) FROM blob WHERE NOT hosted;

CREATE INDEX blob_by_use ON blob (hosted, used);
CREATE INDEX staged_by_use ON staged (used);

CREATE TRIGGER blob_comes AFTER INSERT ON blob BEGIN
    UPDATE counted SET bytes = bytes + NEW.allocated WHERE NOT NEW.hosted;
    UPDATE blob SET hosted = 1
    WHERE digest = NEW.digest AND NOT hosted AND EXISTS (SELECT 1 FROM hosted WHERE hosted.digest = NEW.digest);
END;
CREATE TRIGGER blob_changes AFTER UPDATE OF allocated, hosted ON blob BEGIN
    UPDATE counted SET bytes = bytes + iif(NEW.hosted, 0, NEW.allocated) - iif(OLD.hosted, 0, OLD.allocated);
END;
CREATE TRIGGER blob_goes AFTER DELETE ON blob WHEN NOT OLD.hosted BEGIN
    UPDATE counted SET bytes = bytes - OLD.allocated;
END;
CREATE TRIGGER link_comes AFTER INSERT ON link WHEN NEW.proven BEGIN
    UPDATE blob SET hosted = 1
    WHERE digest = NEW.digest AND NOT hosted AND (SELECT mirror IS NULL FROM repository WHERE id = NEW.repository);
END;
CREATE TRIGGER link_is_proven AFTER UPDATE OF proven ON link WHEN NEW.proven AND NOT OLD.proven BEGIN
    UPDATE blob SET hosted = 1
    WHERE digest = NEW.digest AND NOT hosted AND (SELECT mirror IS NULL FROM repository WHERE id = NEW.repository);
END;
CREATE TRIGGER link_goes AFTER DELETE ON link WHEN OLD.proven BEGIN
    UPDATE blob SET hosted = 0
    WHERE digest = OLD.digest AND hosted AND NOT EXISTS (SELECT 1 FROM hosted WHERE hosted.digest = OLD.digest);
END;
CREATE TRIGGER repository_is_hosted AFTER UPDATE OF mirror ON repository WHEN NEW.mirror IS NULL BEGIN
    UPDATE blob SET hosted = 1
    WHERE NOT hosted AND digest IN (SELECT digest FROM link WHERE repository = NEW.id AND proven);
END;
";

/// What an operator pinned.
const V6: &str = "
CREATE TABLE pin (                     -- by command; `store.pins` has others
    pattern TEXT NOT NULL PRIMARY KEY,
    since   INTEGER NOT NULL           -- microseconds since 1970
) STRICT, WITHOUT ROWID;
";
