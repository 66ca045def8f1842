//! Bytes: content that arrives, content that is proven, and the disk under both.

pub(crate) mod disk;
