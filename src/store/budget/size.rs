//! `store.max_size` and `store.min_free` as people write them: bytes, or a share of the file system.

use std::fmt;
use std::str::FromStr;

use bytesize::ByteSize;
use serde::de::{Error, Unexpected, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A part of a file system: `"200GiB"`, a number of bytes, or `"80%"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Size {
    /// So many bytes.
    Bytes(u64),
    /// So many hundredths of the file system, 100 at most.
    Percent(u8),
}

/// Neither bytes nor a share.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("neither bytes, like \"200GiB\", nor a share of the file system, like \"80%\"")]
pub struct InvalidSize;

impl Size {
    /// In bytes, of a file system with `total` bytes.
    pub fn of(self, total: u64) -> u64 {
        match self {
            Self::Bytes(bytes) => bytes,
            // Exact for any file system: the quotient first would round, and the product first overflow.
            Self::Percent(percent) => {
                let percent = u64::from(percent);
                total / 100 * percent + total % 100 * percent / 100
            }
        }
    }
}

impl FromStr for Size {
    type Err = InvalidSize;

    fn from_str(text: &str) -> Result<Self, InvalidSize> {
        if let Some(percent) = text.strip_suffix('%') {
            let percent = percent.trim_end().parse().ok().filter(|percent| *percent <= 100);
            return percent.map(Self::Percent).ok_or(InvalidSize);
        }
        let bytes: Result<ByteSize, _> = text.parse();
        bytes.map(|bytes| Self::Bytes(bytes.as_u64())).map_err(|_| InvalidSize)
    }
}

impl fmt::Display for Size {
    /// The largest unit that says it exactly.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const UNITS: [(u32, &str); 4] = [(40, "TiB"), (30, "GiB"), (20, "MiB"), (10, "KiB")];
        match self {
            Self::Percent(percent) => write!(f, "{percent}%"),
            Self::Bytes(bytes) => match UNITS
                .iter()
                .find(|(bits, _)| *bytes > 0 && bytes.trailing_zeros() >= *bits)
            {
                Some((bits, unit)) => write!(f, "{}{unit}", bytes >> bits),
                None => write!(f, "{bytes}B"),
            },
        }
    }
}

impl Serialize for Size {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Size {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(Written)
    }
}

struct Written;

impl Visitor<'_> for Written {
    type Value = Size;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("bytes, or a share of the file system")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Size, E> {
        text.parse().map_err(E::custom)
    }

    fn visit_u64<E: Error>(self, bytes: u64) -> Result<Size, E> {
        Ok(Size::Bytes(bytes))
    }

    fn visit_i64<E: Error>(self, bytes: i64) -> Result<Size, E> {
        let bytes = u64::try_from(bytes).map_err(|_| E::invalid_value(Unexpected::Signed(bytes), &self))?;
        Ok(Size::Bytes(bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_people_write_is_understood_and_written_the_same() {
        for (text, size, written) in [
            ("200GiB", Size::Bytes(200 << 30), "200GiB"),
            ("1536MiB", Size::Bytes(1536 << 20), "1536MiB"),
            ("5 GB", Size::Bytes(5_000_000_000), "5000000000B"),
            ("4096", Size::Bytes(4096), "4KiB"),
            ("0", Size::Bytes(0), "0B"),
            ("80%", Size::Percent(80), "80%"),
            ("100 %", Size::Percent(100), "100%"),
        ] {
            assert_eq!(text.parse(), Ok(size), "{text}");
            assert_eq!(size.to_string(), written);
            assert_eq!(written.parse(), Ok(size));
        }
        for text in ["", "%", "101%", "-1", "-5%", "1.5%", "lots", "80 percent"] {
            assert_eq!(text.parse::<Size>(), Err(InvalidSize), "{text}");
        }
    }

    #[test]
    fn a_share_is_exact_and_never_overflows() {
        assert_eq!(Size::Percent(80).of(1000), 800);
        assert_eq!(Size::Percent(33).of(199), 65);
        assert_eq!(Size::Percent(100).of(u64::MAX), u64::MAX);
        assert_eq!(Size::Bytes(7).of(5), 7);
    }
}
