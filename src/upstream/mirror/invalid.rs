//! Owns: what can be wrong with a `[mirror."key"]` table, in words that name the key, the value and what is accepted.

use super::super::network::BadFile;

/// A mirror table that says something impossible. Each names the key, the value, and what is accepted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidMirror {
    /// The key is a path component of image names, so it must look like one.
    #[error(
        "mirror.{key:?}: a mirror's key is one component of an image name: lower-case letters and digits, with '.', '_' or '-' between them (a port goes into `ns`)"
    )]
    Key {
        /// As written.
        key: String,
    },
    /// No endpoint.
    #[error("mirror.{key:?}.endpoints is missing: it takes a list of URLs, such as [\"https://{key}\"]")]
    NoEndpoint {
        /// The mirror's key.
        key: String,
    },
    /// An endpoint that would be asked twice.
    #[error("mirror.{key:?}.endpoints has {value} twice: accepted is each endpoint once")]
    SameEndpoint {
        /// The mirror's key.
        key: String,
        /// Its `host[:port]`.
        value: String,
    },
    /// A URL with too much in it, or none at all.
    #[error(
        "mirror.{key:?}.endpoints = [{value:?}]: accepted is http:// or https:// with a host and perhaps a port, no user, path or query"
    )]
    Endpoint {
        /// The mirror's key.
        key: String,
        /// As written, without user and password.
        value: String,
    },
    /// A token endpoint that cannot be one.
    #[error("mirror.{key:?}.token_realm = {value:?}: accepted is {accepted}")]
    TokenRealm {
        /// The mirror's key.
        key: String,
        /// As written, without user and password.
        value: String,
        /// What would do.
        accepted: &'static str,
    },
    /// `ns` or `hosts` with something that is no host.
    #[error("mirror.{key:?}.{field} has {value:?}: accepted is {accepted}")]
    Host {
        /// The mirror's key.
        key: String,
        /// `ns` or `hosts`.
        field: &'static str,
        /// As written.
        value: String,
        /// What would do.
        accepted: &'static str,
    },
    /// `allow` or `deny` with a name as clients may say it.
    #[error(
        "mirror.{key:?}.{field} has {value:?}: accepted are names as the registry has them, without \"{key}/\" before them"
    )]
    Rule {
        /// The mirror's key.
        key: String,
        /// `allow` or `deny`.
        field: &'static str,
        /// As written.
        value: String,
    },
    /// A key without the certificate that it belongs to.
    #[error("mirror.{key:?}.client_key says nothing without client_cert")]
    KeyAlone {
        /// The mirror's key.
        key: String,
    },
    /// `ca_file`, `client_cert` or `client_key` with something that cannot be used.
    #[error("mirror.{key:?}.{problem}")]
    File {
        /// The mirror's key.
        key: String,
        /// Which file, and why.
        problem: BadFile,
    },
    /// A deadline that passes before it starts.
    #[error("mirror.{key:?}.{field} = \"0s\": accepted is any longer time, such as \"10s\"")]
    Deadline {
        /// The mirror's key.
        key: String,
        /// Which.
        field: &'static str,
    },
    /// A rate at which nothing comes.
    #[error("mirror.{key:?}.max_rate = 0: accepted is any more bytes a second, such as \"10MiB\"")]
    NoRate {
        /// The mirror's key.
        key: String,
    },
    /// Two sources of credentials, or a user's name beside a source that brings its own.
    #[error("mirror.{key:?} has both {one} and {other}: accepted is one source of credentials")]
    TwoSources {
        /// The mirror's key.
        key: String,
        /// One of them.
        one: &'static str,
        /// Another.
        other: &'static str,
    },
    /// Half of a login.
    #[error("mirror.{key:?}.{field} is nothing without {wants}")]
    HalfSource {
        /// The mirror's key.
        key: String,
        /// What is there.
        field: &'static str,
        /// What is not.
        wants: &'static str,
    },
    /// Something that cannot be a user, a secret, a file or a command. The value may be a secret, so it is not shown.
    #[error("mirror.{key:?}.{field}: accepted is {accepted}")]
    Credential {
        /// The mirror's key.
        key: String,
        /// Which.
        field: &'static str,
        /// What would do.
        accepted: &'static str,
    },
}
