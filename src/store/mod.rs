//! What is kept: bytes in files (`content`), facts in rows (`index`).

mod config;
mod content;
mod error;
mod index;
mod lock;

pub use config::{Config, InvalidConfig};
pub use error::Error;
pub use index::{BlobRow, Fact, Link, PutManifest, Sight, StoredManifest, TagRow};
