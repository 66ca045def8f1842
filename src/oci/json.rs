//! JSON from strangers, read with bounded depth and objects as objects.
//!
//! Promises that hostile input is an error, never a stack overflow or a second reading: serde's derived structs would
//! also take an array for an object, field by field in order of declaration.

use std::fmt;
use std::marker::PhantomData;

use serde::de::value::MapAccessDeserializer;
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

/// How many arrays and objects may stand inside each other, in known and unknown fields alike. Manifests need six.
const MAX_DEPTH: usize = 100;

/// Why bytes are not the expected JSON.
#[derive(Debug, thiserror::Error)]
pub enum InvalidJson {
    /// Arrays and objects inside each other beyond any use.
    #[error("JSON is nested deeper than {MAX_DEPTH} levels")]
    TooDeep,
    /// Not JSON, or a field has the wrong type, or stands twice.
    #[error(transparent)]
    Unreadable(#[from] serde_json::Error),
}

/// Reads one object; unknown fields are skipped.
pub(super) fn parse<'de, T: Deserialize<'de>>(text: &'de [u8]) -> Result<T, InvalidJson> {
    // serde_json limits the depth of what it reads, but not of the unknown fields that it skips.
    if is_too_deep(text) {
        return Err(InvalidJson::TooDeep);
    }
    let Object(value) = serde_json::from_slice(text)?;
    Ok(value)
}

/// A `T` that was written as an object.
pub(super) struct Object<T>(pub(super) T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Fields(PhantomData)).map(Self)
    }
}

struct Fields<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for Fields<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<T, A::Error> {
        T::deserialize(MapAccessDeserializer::new(map))
    }
}

fn is_too_deep(text: &[u8]) -> bool {
    let mut depth = 0_usize;
    let mut bytes = text.iter();
    while let Some(byte) = bytes.next() {
        match byte {
            b'[' | b'{' if depth == MAX_DEPTH => return true,
            b'[' | b'{' => depth += 1,
            b']' | b'}' => depth = depth.saturating_sub(1),
            b'"' => skip_string(&mut bytes),
            _ => {}
        }
    }
    false
}

/// Moves behind the closing quote.
fn skip_string(bytes: &mut std::slice::Iter<'_, u8>) {
    while let Some(byte) = bytes.next() {
        match byte {
            b'"' => return,
            b'\\' => {
                bytes.next();
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq, Deserialize)]
    struct Point {
        x: u64,
    }

    fn read(text: &str) -> Result<Point, InvalidJson> {
        parse(text.as_bytes())
    }

    #[test]
    fn reads_objects_only() {
        assert_eq!(read(r#" {"y":[{}],"x":1} "#).unwrap(), Point { x: 1 });
        for text in [
            "",
            "[1]",
            "1",
            "null",
            "<html>",
            r#"{"x":1"#,
            r#"{"x":1}{}"#,
            r#"{"x":1,"x":1}"#,
            r#"{"x":-1}"#,
            "\u{feff}{\"x\":1}",
        ] {
            assert!(matches!(read(text), Err(InvalidJson::Unreadable(_))), "{text}");
        }
    }

    #[test]
    fn deep_nesting_is_an_error_wherever_it_stands() {
        for (open, close) in [("[", "]"), (r#"{"a":"#, "}")] {
            for key in ["x", "unknown"] {
                let deep = format!(
                    r#"{{"{key}":{}0{},"x":1}}"#,
                    open.repeat(200_000),
                    close.repeat(200_000)
                );
                assert!(matches!(read(&deep), Err(InvalidJson::TooDeep)));
            }
        }
        assert!(matches!(read(&"[".repeat(4 << 20)), Err(InvalidJson::TooDeep)));
    }

    #[test]
    fn brackets_in_strings_are_no_depth() {
        let text = format!(r#"{{"s":"\"{}\\","x":1}}"#, "[{".repeat(1000));
        assert_eq!(read(&text).unwrap(), Point { x: 1 });
    }
}
