//! The query string as domain types.
//!
//! Promises to decode percent signs once, to take the first of a parameter that stands several times (`tag` means all of
//! them, `ns` may not), and to ignore what nobody here knows: clients append to whatever URL they were given. A plus sign
//! is a plus sign: media types have them, and clients send them bare.

use http::Method;
use percent_encoding::percent_decode_str;

use super::{Error, From, Page, Start, Step, digest};
use crate::http::limits;
use crate::oci::{Digest, Reference, Tag};

/// A query string, still encoded.
#[derive(Clone, Copy, Debug)]
pub(super) struct Query<'a>(&'a str);

impl<'a> Query<'a> {
    pub(super) fn new(query: Option<&'a str>) -> Self {
        Self(query.unwrap_or_default())
    }

    /// The first value of `key` that is not empty. Bytes that are not UTF-8 become a text that names nothing.
    pub(super) fn value(&self, key: &str) -> Option<String> {
        self.values(key).find(|value| !value.is_empty())
    }

    /// Whatever stands in `ns` is only looked up.
    pub(super) fn ns(&self) -> Result<Option<String>, Error> {
        let mut values = self.values("ns");
        let first = values.next();
        match values.next() {
            Some(_) => Err(Error::RepeatedNs),
            None => Ok(first),
        }
    }

    pub(super) fn page(&self) -> Result<Page, Error> {
        Ok(Page {
            n: self.value("n").map(|n| number(&n)).transpose()?,
            last: self.value("last"),
        })
    }

    pub(super) fn tags(&self, reference: &Reference) -> Result<Vec<Tag>, Error> {
        let parsed = self.values("tag").map(|tag| tag.parse::<Tag>());
        let tags = parsed.collect::<Result<Vec<_>, _>>();
        let tags = tags.map_err(|why| Error::Tag { writing: true, why })?;
        match reference {
            Reference::Tag(_) if !tags.is_empty() => Err(Error::TagForTag),
            Reference::Digest(_) if tags.len() > limits::TAGS => Err(Error::TooManyTags),
            Reference::Tag(_) | Reference::Digest(_) => Ok(tags),
        }
    }

    pub(super) fn start(&self) -> Result<Start, Error> {
        if let Some(mount) = self.digest("mount")? {
            let from = match self.value("from").map(|from| from.parse()) {
                None => From::Anywhere,
                Some(Ok(name)) => From::Repository(name),
                Some(Err(_)) => From::Nowhere,
            };
            return Ok(Start::Mount { digest: mount, from });
        }
        if let Some(whole) = self.digest("digest")? {
            return Ok(Start::Whole(whole));
        }
        let algorithm = self.value("digest-algorithm").map(|algorithm| algorithm.parse());
        let algorithm = algorithm.transpose().map_err(|why| Error::Digest { why })?;
        Ok(Start::Empty(algorithm))
    }

    pub(super) fn step(&self, method: &Method) -> Result<Step, Error> {
        Ok(match *method {
            Method::PATCH => Step::Append,
            Method::PUT => Step::Finish(self.digest("digest")?.ok_or(Error::NoDigest)?),
            Method::DELETE => Step::Cancel,
            _ => Step::Status,
        })
    }

    fn digest(&self, key: &str) -> Result<Option<Digest>, Error> {
        self.value(key).map(|text| digest(&text)).transpose()
    }

    fn values(&self, key: &str) -> impl Iterator<Item = String> {
        let pairs = self.0.split('&').map(|pair| pair.split_once('=').unwrap_or((pair, "")));
        let ours = pairs.filter(move |(found, _)| percent_decode_str(found).eq(key.bytes()));
        ours.map(|(_, value)| percent_decode_str(value).decode_utf8_lossy().into_owned())
    }
}

/// Digits alone, as many as one likes: a page has a largest size anyway.
fn number(text: &str) -> Result<usize, Error> {
    if text.bytes().all(|byte| byte.is_ascii_digit()) {
        Ok(text.parse().unwrap_or(usize::MAX))
    } else {
        Err(Error::Page)
    }
}
