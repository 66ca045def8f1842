//! Bytes: content that arrives, content that is proven, and the disk under both.

pub(crate) mod arriving;
pub(crate) mod blob;
pub(crate) mod disk;
pub(crate) mod file_system;
mod frontier;
pub(crate) mod in_use;
pub(crate) mod layout;
mod pieces;
pub(crate) mod reader;
pub(crate) mod readers;
pub(crate) mod staging;
pub(crate) mod upload;
mod writing;

pub(crate) use frontier::hash_file;
pub(crate) use pieces::Pieces;
