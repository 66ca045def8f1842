//! Digests: the name of every immutable thing, and the way to compute one.
//!
//! Owns the two algorithms that wharf can prove. Promises that two digests are equal exactly when their texts are.

use std::fmt;
use std::str::FromStr;

use sha2::{Digest as _, Sha256, Sha512};

/// The longest digest that is understood, in bytes (sha512).
const MAX_BYTES: usize = 64;

/// A hash algorithm that content can be proven with (image-spec, descriptor.md, "Registered Algorithms").
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Algorithm {
    /// SHA-256: what everybody uses.
    Sha256,
    /// SHA-512: optional in the specification, required by its conformance suite.
    Sha512,
}

/// A content digest such as `sha256:e3b0…`: an algorithm and the hash that it gave.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Digest {
    algorithm: Algorithm,
    /// The hash, followed by zeros where the algorithm gives fewer bytes.
    bytes: [u8; MAX_BYTES],
}

/// Computes a digest piece by piece.
#[derive(Clone, Debug)]
pub struct Hasher(State);

#[derive(Clone, Debug)]
enum State {
    Sha256(Sha256),
    Sha512(Sha512),
}

/// Why a text is no digest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidDigest {
    /// Not `algorithm:encoded`, or the encoded part does not belong to the algorithm (upper-case hex included).
    #[error("malformed digest: expected sha256: with 64, or sha512: with 128 lower-case hexadecimal digits")]
    Malformed,
    /// Well formed, but by an algorithm that wharf cannot compute.
    #[error("unsupported digest algorithm: sha256 and sha512 are supported")]
    UnsupportedAlgorithm,
}

impl Algorithm {
    /// The name in front of the colon.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Sha256 => "sha256",
            Self::Sha512 => "sha512",
        }
    }

    /// The length of a hash, in bytes.
    const fn width(self) -> usize {
        match self {
            Self::Sha256 => 32,
            Self::Sha512 => 64,
        }
    }
}

impl Digest {
    /// The digest of `content`.
    pub fn of(algorithm: Algorithm, content: &[u8]) -> Self {
        let mut hasher = Hasher::new(algorithm);
        hasher.update(content);
        hasher.finish()
    }

    /// The algorithm, the part before the colon.
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// The hash in lower-case hexadecimal, the part after the colon.
    pub fn encoded(&self) -> String {
        const HEX: &[u8; 16] = b"0123456789abcdef";
        let mut text = String::with_capacity(2 * MAX_BYTES);
        for byte in &self.bytes[..self.algorithm.width()] {
            text.push(HEX[usize::from(byte >> 4)].into());
            text.push(HEX[usize::from(byte & 0xf)].into());
        }
        text
    }

    fn padded(algorithm: Algorithm, hash: &[u8]) -> Self {
        let mut bytes = [0; MAX_BYTES];
        bytes[..hash.len()].copy_from_slice(hash);
        Self { algorithm, bytes }
    }
}

impl FromStr for Algorithm {
    type Err = InvalidDigest;

    fn from_str(text: &str) -> Result<Self, InvalidDigest> {
        match text {
            "sha256" => Ok(Self::Sha256),
            "sha512" => Ok(Self::Sha512),
            other if is_algorithm(other) => Err(InvalidDigest::UnsupportedAlgorithm),
            _ => Err(InvalidDigest::Malformed),
        }
    }
}

impl FromStr for Digest {
    type Err = InvalidDigest;

    fn from_str(text: &str) -> Result<Self, InvalidDigest> {
        let (name, encoded) = text.split_once(':').ok_or(InvalidDigest::Malformed)?;
        let algorithm: Algorithm = match name.parse() {
            Err(InvalidDigest::UnsupportedAlgorithm) if !is_encoded(encoded) => return Err(InvalidDigest::Malformed),
            parsed => parsed?,
        };
        let mut bytes = [0; MAX_BYTES];
        let (pairs, odd) = encoded.as_bytes().as_chunks::<2>();
        if pairs.len() != algorithm.width() || !odd.is_empty() {
            return Err(InvalidDigest::Malformed);
        }
        for (byte, [high, low]) in bytes.iter_mut().zip(pairs) {
            *byte = nibble(*high)? << 4 | nibble(*low)?;
        }
        Ok(Self { algorithm, bytes })
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.algorithm, self.encoded())
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Hasher {
    /// A hasher that has seen nothing yet.
    pub fn new(algorithm: Algorithm) -> Self {
        Self(match algorithm {
            Algorithm::Sha256 => State::Sha256(Sha256::new()),
            Algorithm::Sha512 => State::Sha512(Sha512::new()),
        })
    }

    /// Takes in the next bytes. Costs about 0.7 CPU seconds per GB: give it 64 KiB or more, off the async threads.
    pub fn update(&mut self, bytes: &[u8]) {
        match &mut self.0 {
            State::Sha256(state) => state.update(bytes),
            State::Sha512(state) => state.update(bytes),
        }
    }

    /// The digest of everything taken in.
    pub fn finish(self) -> Digest {
        match self.0 {
            State::Sha256(state) => Digest::padded(Algorithm::Sha256, &state.finalize()),
            State::Sha512(state) => Digest::padded(Algorithm::Sha512, &state.finalize()),
        }
    }
}

/// image-spec, descriptor.md: `algorithm-component [ ("+" | "." | "_" | "-") algorithm-component ]*`.
fn is_algorithm(text: &str) -> bool {
    text.split(['+', '.', '_', '-']).all(|part| {
        !part.is_empty()
            && part
                .bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
    })
}

/// image-spec, descriptor.md: `[a-zA-Z0-9=_-]+`.
fn is_encoded(text: &str) -> bool {
    !text.is_empty()
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"=_-".contains(&byte))
}

fn nibble(digit: u8) -> Result<u8, InvalidDigest> {
    match digit {
        b'0'..=b'9' => Ok(digit - b'0'),
        b'a'..=b'f' => Ok(digit - b'a' + 10),
        _ => Err(InvalidDigest::Malformed),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const EMPTY_256: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    const ABC_512: &str = "sha512:ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f";

    #[test]
    fn computes_the_published_vectors() {
        assert_eq!(Digest::of(Algorithm::Sha256, b"").to_string(), EMPTY_256);
        assert_eq!(Digest::of(Algorithm::Sha512, b"abc").to_string(), ABC_512);
    }

    #[test]
    fn hashing_in_pieces_is_hashing_at_once() {
        let mut hasher = Hasher::new(Algorithm::Sha512);
        hasher.update(b"a");
        hasher.update(b"");
        hasher.update(b"bc");
        assert_eq!(hasher.finish().to_string(), ABC_512);
    }

    #[test]
    fn tells_malformed_from_unsupported() {
        let hex = &EMPTY_256["sha256:".len()..];
        for malformed in [
            String::new(),
            "sha256".into(),
            "sha256:".into(),
            "sha256:totallywrong".into(),
            ":".into(),
            format!(":{hex}"),
            format!("sha256:{}", hex.to_uppercase()),
            format!("SHA256:{hex}"),
            format!("sha256:{hex}0"),
            format!("sha256:{}", &hex[1..]),
            format!("sha256:{} ", &hex[1..]),
            format!("sha256::{}", &hex[1..]),
            format!("sha512:{hex}"),
            format!("sha256:{}é", &hex[2..]),
            format!("md5+:{hex}"),
            format!("md5:{hex}/"),
        ] {
            assert_eq!(
                malformed.parse::<Digest>(),
                Err(InvalidDigest::Malformed),
                "{malformed}"
            );
        }
        for unsupported in [
            "md5:d41d8cd98f00b204e9800998ecf8427e",
            "blake3:00",
            "multihash+base58:QmRZxt2b1FVZPNqd8hsiykDL3TdBDeTSPX9Kv46HmX4Gx8",
        ] {
            assert_eq!(
                unsupported.parse::<Digest>(),
                Err(InvalidDigest::UnsupportedAlgorithm),
                "{unsupported}"
            );
        }
    }

    proptest! {
        #[test]
        fn print_inverts_parse(text in "sha256:[a-f0-9]{64}|sha512:[a-f0-9]{128}") {
            prop_assert_eq!(text.parse::<Digest>().unwrap().to_string(), text);
        }

        #[test]
        fn parse_inverts_print(content in any::<Vec<u8>>(), long in any::<bool>()) {
            let algorithm = if long { Algorithm::Sha512 } else { Algorithm::Sha256 };
            let digest = Digest::of(algorithm, &content);
            prop_assert_eq!(digest.to_string().parse(), Ok(digest));
        }

        #[test]
        fn whatever_parses_is_what_was_written(text in ".{0,140}") {
            if let Ok(digest) = text.parse::<Digest>() {
                prop_assert_eq!(digest.to_string(), text);
            }
        }
    }
}
