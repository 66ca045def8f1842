//! What is kept: bytes in files (`content`), facts in rows (`index`).

mod content;
mod error;
mod index;
mod lock;

pub use error::Error;
pub use index::{BlobRow, Fact, Link, PutManifest, Sight, StoredManifest, TagRow};
