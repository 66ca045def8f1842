//! The name of an upload session, and of its file.
//!
//! Promises that nobody can guess one, and that a text is an id only exactly as wharf wrote it.

use std::fmt;
use std::str::FromStr;

use uuid::Uuid;

/// Names one upload session: 122 random bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct UploadId(Uuid);

/// The text names no upload session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not the name of an upload session")]
pub struct InvalidUploadId;

impl UploadId {
    /// One that nobody has.
    pub(in crate::store) fn new() -> Self {
        Self(Uuid::new_v4())
    }
}

impl FromStr for UploadId {
    type Err = InvalidUploadId;

    fn from_str(text: &str) -> Result<Self, InvalidUploadId> {
        let id = Self(Uuid::try_parse(text).map_err(|_no_uuid| InvalidUploadId)?);
        // A UUID has other spellings, and a file only one name.
        if id.to_string() == text {
            Ok(id)
        } else {
            Err(InvalidUploadId)
        }
    }
}

impl fmt::Display for UploadId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.as_hyphenated().fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_spelling_that_was_given_out_is_an_id() {
        let id = UploadId::new();
        let text = id.to_string();
        assert_eq!(text.parse(), Ok(id));
        for other in [
            text.to_uppercase(),
            text.replace('-', ""),
            format!("{{{text}}}"),
            format!("urn:uuid:{text}"),
            format!("{text}/"),
            "..".to_owned(),
            String::new(),
        ] {
            assert_eq!(other.parse::<UploadId>(), Err(InvalidUploadId), "{other}");
        }
    }
}
