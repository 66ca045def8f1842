//! Content that no row knows becomes a blob again, and manifests that are damaged go.
//!
//! Promises that what is taken in is seen by nobody who did not see it before, and goes after a grace unless somebody has it
//! by then. Never takes a pushed manifest away.

use jiff::Timestamp;

use crate::oci::Digest;
use crate::store::Error;
use crate::store::index::Index;
use crate::store::index::blobs::{self, Space};
use crate::store::index::facts::{BlobRow, Fact};
use crate::store::index::generation::Shard;
use crate::store::index::sql;
use crate::store::index::tx::Tx;

impl Index {
    /// Takes in a proven file that no row knows, and that takes so many bytes on the disk. It begins its grace, unless a repository sees it.
    pub(in crate::store) async fn adopt(
        &self,
        digest: &Digest,
        blob: BlobRow,
        allocated: u64,
        now: Timestamp,
    ) -> Result<(), Error> {
        const UNLINKED: &str = "
            INSERT INTO unlinked (since, digest)
            SELECT ?2, ?1 WHERE NOT EXISTS (SELECT 1 FROM visible WHERE visible.digest = ?1)
            ON CONFLICT DO NOTHING";
        let digest = *digest;
        // Nobody knows when it was pulled: it goes last.
        let used = self.0.writer.notes().next_use();
        let change = move |tx: &mut Tx<'_>| {
            blobs::put_blob(tx, &digest, blob, Space { allocated, used })?;
            tx.execute(UNLINKED, (sql::text(&digest), now.as_microsecond()))?;
            Ok(())
        };
        self.0.writer.write(Fact::Blob(digest), change).await
    }

    /// Forgets a manifest whose bytes are damaged; its upstream has it. A pushed one stays: false.
    pub(in crate::store) async fn drop_manifest(&self, digest: &Digest) -> Result<bool, Error> {
        const DROP: &str = "
            DELETE FROM manifest
            WHERE digest = ?1 AND NOT EXISTS (SELECT 1 FROM pushed WHERE pushed.digest = ?1)";
        let digest = *digest;
        let change = move |tx: &mut Tx<'_>| {
            tx.touch(Shard::of_digest(&digest));
            Ok(tx.execute(DROP, [sql::text(&digest)])? > 0)
        };
        self.0.writer.write(Fact::Manifest(digest), change).await
    }
}
