//! The request line as domain types.
//!
//! Owns the shape of every URL below `/v2`. Promises to read from the right, because a repository may itself be called
//! `blobs` or `a/tags/list`; to decode percent signs once, piece by piece; and to say exactly what is wrong. Never decides
//! where a name leads.

use std::borrow::Cow;

use http::Method;
use percent_encoding::percent_decode_str;

use crate::access::Action;
use crate::oci::{Digest, InvalidDigest, InvalidName, InvalidReference, InvalidTag, Reference, RepoName};

/// What a request line asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// Of whom, and what.
    pub route: Route,
    /// The value of `?ns=`, decoded; never for a write, where it means nothing.
    pub ns: Option<String>,
}

/// What can be asked for (distribution-spec, "Endpoints"). `HEAD` is possible wherever `GET` is, and is the same route.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Route {
    /// `/v2/`: is this a registry, and is it ready?
    Ping,
    /// Read a manifest.
    Manifest {
        /// Of this repository.
        name: RepoName,
        /// By tag or digest.
        reference: Reference,
    },
    /// Read a blob.
    Blob {
        /// Of this repository.
        name: RepoName,
        /// Which.
        digest: Digest,
    },
    /// List the tags.
    Tags {
        /// Of this repository.
        name: RepoName,
    },
    /// List the manifests that are about another.
    Referrers {
        /// Of this repository.
        name: RepoName,
        /// That other, which need not exist.
        digest: Digest,
    },
    /// Push or delete something, or go on with an upload.
    Write {
        /// In this repository.
        name: RepoName,
        /// Which of them.
        action: Action,
    },
}

/// Why a request line leads nowhere.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// No URL of a registry looks like this.
    #[error("no such endpoint")]
    NotFound,
    /// The URL is one, but not for this method.
    #[error("method not allowed here: {allow} are")]
    MethodNotAllowed {
        /// The value of `Allow` (RFC 9110 10.2.1).
        allow: &'static str,
    },
    /// A piece of the path, decoded, has NUL or a slash in it, or is not UTF-8.
    #[error("the percent-encoding hides a slash, a NUL or bytes that are not UTF-8")]
    Encoding,
    /// `?ns=` stands twice.
    #[error("the query parameter ns may appear only once")]
    RepeatedNs,
    /// The repository's name is malformed.
    #[error("{why}")]
    Name {
        /// Whether something was to be written: malformed is then the client's fault (400), else just unknown (404).
        writing: bool,
        /// How.
        why: InvalidName,
    },
    /// The tag is malformed.
    #[error("{why}")]
    Tag {
        /// As for the name.
        writing: bool,
        /// How.
        why: InvalidTag,
    },
    /// The digest is malformed, or its algorithm is not supported.
    #[error("{why}")]
    Digest {
        /// Which of them.
        why: InvalidDigest,
    },
}

/// Reads a request line; `path` and `query` as they were sent, still encoded. Query parameters other than `ns` are ignored.
pub fn parse(method: &Method, path: &str, query: Option<&str>) -> Result<Target, Error> {
    let decoded = path.split('/').map(decode).collect::<Result<Vec<_>, _>>()?;
    let pieces: Vec<&str> = decoded.iter().map(AsRef::as_ref).collect();
    let (name, endpoint) = Endpoint::find(&pieces).ok_or(Error::NotFound)?;
    let action = endpoint.action(method)?;
    let route = endpoint.route(&name.join("/"), action)?;
    let ns = match action {
        Action::Pull => ns(query)?,
        Action::Push | Action::Delete => None,
    };
    Ok(Target { route, ns })
}

/// The shapes of URLs: what follows the repository's name.
#[derive(Clone, Copy)]
enum Endpoint<'a> {
    Ping,
    Manifest(&'a str),
    Blob(&'a str),
    Tags,
    Referrers(&'a str),
    Uploads,
    Upload,
}

impl<'a> Endpoint<'a> {
    /// Splits a path into a repository's name and what follows it.
    fn find<'p>(pieces: &'p [&'a str]) -> Option<(&'p [&'a str], Self)> {
        match pieces {
            ["", "v2"] | ["", "v2", ""] => Some((&[], Self::Ping)),
            ["", "v2", name @ .., "blobs", "uploads"] | ["", "v2", name @ .., "blobs", "uploads", ""] => {
                Some((name, Self::Uploads))
            }
            ["", "v2", name @ .., "blobs", "uploads", _session] => Some((name, Self::Upload)),
            ["", "v2", name @ .., "manifests", reference] => Some((name, Self::Manifest(reference))),
            ["", "v2", name @ .., "blobs", digest] => Some((name, Self::Blob(digest))),
            ["", "v2", name @ .., "tags", "list"] => Some((name, Self::Tags)),
            ["", "v2", name @ .., "referrers", digest] => Some((name, Self::Referrers(digest))),
            _ => None,
        }
    }

    /// What the method means here.
    fn action(self, method: &Method) -> Result<Action, Error> {
        match (self, method) {
            (
                Self::Ping | Self::Manifest(_) | Self::Blob(_) | Self::Tags | Self::Referrers(_),
                &Method::GET | &Method::HEAD,
            ) => Ok(Action::Pull),
            (Self::Manifest(_), &Method::PUT)
            | (Self::Uploads, &Method::POST)
            | (Self::Upload, &(Method::GET | Method::HEAD | Method::PATCH | Method::PUT | Method::DELETE)) => {
                Ok(Action::Push)
            }
            (Self::Manifest(_) | Self::Blob(_), &Method::DELETE) => Ok(Action::Delete),
            _ => Err(Error::MethodNotAllowed { allow: self.allow() }),
        }
    }

    fn allow(self) -> &'static str {
        match self {
            Self::Ping | Self::Tags | Self::Referrers(_) => "GET, HEAD",
            Self::Manifest(_) => "GET, HEAD, PUT, DELETE",
            Self::Blob(_) => "GET, HEAD, DELETE",
            Self::Uploads => "POST",
            Self::Upload => "GET, HEAD, PATCH, PUT, DELETE",
        }
    }

    fn route(self, name: &str, action: Action) -> Result<Route, Error> {
        let writing = action != Action::Pull;
        let name = || name.parse::<RepoName>().map_err(|why| Error::Name { writing, why });
        Ok(match self {
            Self::Ping => Route::Ping,
            Self::Manifest(text) => {
                let (name, reference) = (name()?, reference(text, writing)?);
                if writing {
                    Route::Write { name, action }
                } else {
                    Route::Manifest { name, reference }
                }
            }
            Self::Blob(text) => {
                let (name, digest) = (name()?, digest(text)?);
                if writing {
                    Route::Write { name, action }
                } else {
                    Route::Blob { name, digest }
                }
            }
            Self::Tags => Route::Tags { name: name()? },
            Self::Referrers(text) => Route::Referrers {
                name: name()?,
                digest: digest(text)?,
            },
            Self::Uploads | Self::Upload => Route::Write { name: name()?, action },
        })
    }
}

fn reference(text: &str, writing: bool) -> Result<Reference, Error> {
    text.parse().map_err(|error| match error {
        InvalidReference::Tag(why) => Error::Tag { writing, why },
        InvalidReference::Digest(why) => Error::Digest { why },
    })
}

fn digest(text: &str) -> Result<Digest, Error> {
    text.parse().map_err(|why| Error::Digest { why })
}

/// One piece of the path. What the encoding may not do is change how many pieces there are.
fn decode(piece: &str) -> Result<Cow<'_, str>, Error> {
    let decoded = percent_decode_str(piece)
        .decode_utf8()
        .map_err(|_not_utf8| Error::Encoding)?;
    if decoded.contains(['/', '\0']) {
        Err(Error::Encoding)
    } else {
        Ok(decoded)
    }
}

/// Whatever stands in `ns` is only looked up, so bytes that are not UTF-8 are an unknown registry like any other.
fn ns(query: Option<&str>) -> Result<Option<String>, Error> {
    let pairs = query
        .unwrap_or_default()
        .split('&')
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")));
    let mut values = pairs
        .filter(|(key, _)| percent_decode_str(key).eq(*b"ns"))
        .map(|(_, value)| value);
    let first = values
        .next()
        .map(|value| percent_decode_str(value).decode_utf8_lossy().into_owned());
    if values.next().is_some() {
        Err(Error::RepeatedNs)
    } else {
        Ok(first)
    }
}

#[cfg(test)]
mod tests;
