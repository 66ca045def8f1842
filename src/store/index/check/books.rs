//! The books that the triggers keep, against the rows that they are kept of.
//!
//! Promises that they are right after a repair, also where somebody has written beside wharf. Never looks at files.

use rusqlite::Connection;

use crate::store::Error;
use crate::store::index::Index;
use crate::store::index::facts::Fact;
use crate::store::index::tx::Tx;

/// Blobs that are taken for a hosted repository's, or for nobody's, and are not.
const WRONG: &str = "SELECT count(*) FROM blob WHERE blob.hosted != (digest IN hosted)";
const OFF: &str = "
    SELECT coalesce((SELECT sum(bytes) FROM counted), -1)
           != (SELECT coalesce(sum(allocated), 0) FROM blob WHERE NOT blob.hosted)";

impl Index {
    /// How many blobs the books have wrong, and whether their sum is.
    pub(in crate::store) async fn books(&self) -> Result<(u64, bool), Error> {
        let read = |connection: &Connection| {
            let wrong: i64 = connection.query_row(WRONG, [], |row| row.get(0))?;
            let off = connection.query_row(OFF, [], |row| row.get(0))?;
            Ok((wrong.unsigned_abs(), off))
        };
        self.0.readers.read(Fact::Integrity, read).await
    }

    /// Writes the books anew.
    pub(in crate::store) async fn mend_books(&self) -> Result<(), Error> {
        const HOSTED: &str = "UPDATE blob SET hosted = (digest IN hosted) WHERE blob.hosted != (digest IN hosted)";
        const NONE: &str = "DELETE FROM counted";
        const SUM: &str = "
            INSERT INTO counted (bytes) SELECT coalesce(sum(allocated), 0) FROM blob WHERE NOT blob.hosted";
        let change = |tx: &mut Tx<'_>| {
            tx.execute(HOSTED, [])?;
            tx.execute(NONE, [])?;
            tx.execute(SUM, [])?;
            Ok(())
        };
        self.0.writer.write(Fact::Integrity, change).await
    }
}
