//! The request line as domain types.
//!
//! Owns the shape of every URL below `/v2`. Promises to read from the right, because a repository may itself be called
//! `blobs` or `a/tags/list`; to decode percent signs once, piece by piece; and to say exactly what is wrong. Never decides
//! where a name leads.

mod query;

use std::borrow::Cow;

use http::Method;
use percent_encoding::percent_decode_str;

use crate::access::Action;
use crate::http::limits;
use crate::oci::{
    Algorithm, Digest, InvalidDigest, InvalidName, InvalidReference, InvalidTag, Reference, RepoName, Tag,
};

use query::Query;

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
    /// `/v2/_oci/ext/discover`: what it can do beyond the specification.
    Extensions,
    /// `/v2/_catalog`: which repositories are there.
    Catalog {
        /// Which part of the list.
        page: Page,
    },
    /// Read a manifest.
    Manifest {
        /// Of this repository.
        name: RepoName,
        /// By tag or digest.
        reference: Reference,
    },
    /// Push a manifest.
    PutManifest {
        /// To this repository.
        name: RepoName,
        /// Under this tag, or with this digest.
        reference: Reference,
        /// And under these tags (`?tag=`), in the order asked for. Empty where `reference` is a tag.
        tags: Vec<Tag>,
    },
    /// Delete a tag, or a manifest with all its tags.
    DeleteManifest {
        /// In this repository.
        name: RepoName,
        /// The tag, or the manifest.
        reference: Reference,
    },
    /// Read a blob.
    Blob {
        /// Of this repository.
        name: RepoName,
        /// Which.
        digest: Digest,
    },
    /// Delete a blob.
    DeleteBlob {
        /// From this repository.
        name: RepoName,
        /// Which.
        digest: Digest,
    },
    /// List the tags.
    Tags {
        /// Of this repository.
        name: RepoName,
        /// Which part of the list.
        page: Page,
    },
    /// List the manifests that are about another.
    Referrers {
        /// Of this repository.
        name: RepoName,
        /// That other, which need not exist.
        digest: Digest,
        /// Only those of this type (`?artifactType=`).
        artifact_type: Option<String>,
        /// Only those behind this one (`?last=`): a page after the first.
        after: Option<Digest>,
    },
    /// Begin an upload, or save it.
    StartUpload {
        /// To this repository.
        name: RepoName,
        /// How.
        start: Start,
    },
    /// Go on with an upload.
    Upload {
        /// To this repository.
        name: RepoName,
        /// The session, as the client names it.
        session: String,
        /// What to do.
        step: Step,
    },
}

/// A part of a sorted list (distribution-spec, "Listing Tags").
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Page {
    /// No more entries than this (`?n=`).
    pub n: Option<usize>,
    /// Only what sorts behind this (`?last=`), which need not be in the list.
    pub last: Option<String>,
}

/// How an upload begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Start {
    /// `?mount=`: the blob may be here already. If not, as `Empty`.
    Mount {
        /// The blob.
        digest: Digest,
        /// Where it is said to be (`?from=`); anywhere the caller may read where this is not said.
        from: From,
    },
    /// `?digest=`: all of it is in this request's body.
    Whole(Digest),
    /// With a session, to be hashed by this algorithm (`?digest-algorithm=`) as far as is known yet.
    Empty(Option<Algorithm>),
}

/// Where a blob is to be mounted from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum From {
    /// Wherever the caller may read it.
    Anywhere,
    /// From this repository.
    Repository(RepoName),
    /// From something that is no repository: there is nothing to mount.
    Nowhere,
}

/// One request on an upload session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// `GET`: how far is it?
    Status,
    /// `PATCH`: more bytes.
    Append,
    /// `PUT`: the last bytes, if any; all together are this blob.
    Finish(Digest),
    /// `DELETE`: forget it.
    Cancel,
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
    /// `?n=` is no number.
    #[error("the query parameter n must be a number of entries, such as 100")]
    Page,
    /// A closing `PUT` without `?digest=`.
    #[error("the query parameter digest is missing: it says what the upload is to be")]
    NoDigest,
    /// `?tag=` beside a tag: the manifest would be pushed under a name that it also has.
    #[error("the query parameter tag goes with a digest, not with a tag")]
    TagForTag,
    /// More of `?tag=` than [`limits::TAGS`].
    #[error("more than {} query parameters tag", limits::TAGS)]
    TooManyTags,
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

/// Reads a request line; `path` and `query` as they were sent, still encoded. Query parameters that mean nothing here are
/// ignored.
pub fn parse(method: &Method, path: &str, query: Option<&str>) -> Result<Target, Error> {
    let decoded = path.split('/').map(decode).collect::<Result<Vec<_>, _>>()?;
    let pieces: Vec<&str> = decoded.iter().map(AsRef::as_ref).collect();
    let (name, endpoint) = Endpoint::find(&pieces).ok_or(Error::NotFound)?;
    let action = endpoint.action(method)?;
    let query = Query::new(query);
    let route = endpoint.route(&name.join("/"), action, method, &query)?;
    let ns = match action {
        Action::Pull => query.ns()?,
        Action::Push | Action::Delete => None,
    };
    Ok(Target { route, ns })
}

/// The shapes of URLs: what follows the repository's name.
#[derive(Clone, Copy)]
enum Endpoint<'a> {
    Ping,
    Extensions,
    Catalog,
    Manifest(&'a str),
    Blob(&'a str),
    Tags,
    Referrers(&'a str),
    Uploads,
    Upload(&'a str),
}

impl<'a> Endpoint<'a> {
    /// Splits a path into a repository's name and what follows it.
    fn find<'p>(pieces: &'p [&'a str]) -> Option<(&'p [&'a str], Self)> {
        match pieces {
            ["", "v2"] | ["", "v2", ""] => Some((&[], Self::Ping)),
            ["", "v2", "_catalog"] => Some((&[], Self::Catalog)),
            ["", "v2", name @ .., "_oci", "ext", "discover"] => Some((name, Self::Extensions)),
            ["", "v2", name @ .., "blobs", "uploads"] | ["", "v2", name @ .., "blobs", "uploads", ""] => {
                Some((name, Self::Uploads))
            }
            ["", "v2", name @ .., "blobs", "uploads", session] => Some((name, Self::Upload(session))),
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
                Self::Ping
                | Self::Extensions
                | Self::Catalog
                | Self::Manifest(_)
                | Self::Blob(_)
                | Self::Tags
                | Self::Referrers(_),
                &Method::GET | &Method::HEAD,
            ) => Ok(Action::Pull),
            (Self::Manifest(_), &Method::PUT)
            | (Self::Uploads, &Method::POST)
            | (Self::Upload(_), &(Method::GET | Method::HEAD | Method::PATCH | Method::PUT | Method::DELETE)) => {
                Ok(Action::Push)
            }
            (Self::Manifest(_) | Self::Blob(_), &Method::DELETE) => Ok(Action::Delete),
            _ => Err(Error::MethodNotAllowed { allow: self.allow() }),
        }
    }

    fn allow(self) -> &'static str {
        match self {
            Self::Ping | Self::Extensions | Self::Catalog | Self::Tags | Self::Referrers(_) => "GET, HEAD",
            Self::Manifest(_) => "GET, HEAD, PUT, DELETE",
            Self::Blob(_) => "GET, HEAD, DELETE",
            Self::Uploads => "POST",
            Self::Upload(_) => "GET, HEAD, PATCH, PUT, DELETE",
        }
    }

    fn route(self, text: &str, action: Action, method: &Method, query: &Query<'_>) -> Result<Route, Error> {
        let writing = action != Action::Pull;
        let name = || text.parse::<RepoName>().map_err(|why| Error::Name { writing, why });
        Ok(match self {
            Self::Ping => Route::Ping,
            Self::Extensions if text.is_empty() => Route::Extensions,
            Self::Extensions => name().map(|_of_any| Route::Extensions)?,
            Self::Catalog => Route::Catalog { page: query.page()? },
            Self::Manifest(text) => {
                let (name, reference) = (name()?, reference(text, writing)?);
                match action {
                    Action::Pull => Route::Manifest { name, reference },
                    Action::Push => Route::PutManifest {
                        tags: query.tags(&reference)?,
                        name,
                        reference,
                    },
                    Action::Delete => Route::DeleteManifest { name, reference },
                }
            }
            Self::Blob(text) => {
                let (name, digest) = (name()?, digest(text)?);
                if writing {
                    Route::DeleteBlob { name, digest }
                } else {
                    Route::Blob { name, digest }
                }
            }
            Self::Tags => Route::Tags {
                name: name()?,
                page: query.page()?,
            },
            Self::Referrers(text) => Route::Referrers {
                name: name()?,
                digest: digest(text)?,
                artifact_type: query.value("artifactType"),
                after: query.value("last").map(|last| digest(&last)).transpose()?,
            },
            Self::Uploads => Route::StartUpload {
                name: name()?,
                start: query.start()?,
            },
            Self::Upload(session) => Route::Upload {
                name: name()?,
                session: session.to_owned(),
                step: query.step(method)?,
            },
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

#[cfg(test)]
mod tests;
