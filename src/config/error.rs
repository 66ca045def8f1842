//! Owns: what can be wrong with a configuration, each in one line that names the file, the key, the value and a remedy.
//!
//! Never shows a password, nor what stands before the `@` of a URL.

use std::fmt;
use std::io;
use std::path::PathBuf;

use figment::error::Kind;
use toml::Value;

/// Why there is no configuration.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file cannot be read.
    #[error("{}: the configuration file cannot be read: {source}", file.display())]
    Read {
        /// The file.
        file: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The file is not TOML.
    #[error("{}: line {line}: this is not TOML: {message}", file.display())]
    Syntax {
        /// The file.
        file: PathBuf,
        /// From 1.
        line: usize,
        /// What the parser said.
        message: String,
    },
    /// The value of a variable is not text.
    #[error("{name}: the value is not UTF-8; say it in the file")]
    NotUnicode {
        /// The variable.
        name: String,
    },
    /// A variable that every program reads, with something else than a proxy. What it holds may be a password.
    #[error("{name}: expected {PROXY}")]
    Proxy {
        /// The variable.
        name: String,
    },
    /// Nothing has this name.
    #[error("{place}: unknown key; accepted here: {}{}", accepted.join(", "), near(place, accepted))]
    Unknown {
        /// The key.
        place: Place,
        /// What its table knows.
        accepted: &'static [&'static str],
    },
    /// The value is not of the kind that the key takes.
    #[error("{place} = {value}: expected {}", expected(place.path(), kind))]
    Value {
        /// The key.
        place: Place,
        /// As written, less what is secret.
        value: String,
        /// What the parser said.
        kind: Box<Kind>,
    },
}

const PROXY: &str = "a proxy's URL, like \"http://proxy.example:3128\" or \"socks5h://proxy.example:1080\"";

/// A key, and who said it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// The file.
    File {
        /// Which.
        file: PathBuf,
        /// The key's parts, from the top.
        path: Vec<String>,
    },
    /// The environment.
    Variable {
        /// The variable.
        name: String,
        /// The key's parts, from the top.
        path: Vec<String>,
    },
    /// Nobody: a default.
    Default {
        /// The key's parts, from the top.
        path: Vec<String>,
    },
}

impl Place {
    fn path(&self) -> &[String] {
        match self {
            Self::File { path, .. } | Self::Variable { path, .. } | Self::Default { path } => path,
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Variable { name, .. } => f.write_str(name),
            Self::File { file, path } => write!(f, "{}: {}", file.display(), dotted(path)),
            Self::Default { path } => f.write_str(&dotted(path)),
        }
    }
}

/// The key as TOML would have it: `mirror."docker.io".ns`.
pub(super) fn dotted(path: &[String]) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    let part = |part: &String| {
        if part.chars().all(plain) {
            part.clone()
        } else {
            format!("{part:?}")
        }
    };
    path.iter().map(part).collect::<Vec<_>>().join(".")
}

/// A value as written, less what is secret in it.
pub(super) fn shown(path: &[String], value: &Value) -> String {
    if path.last().is_some_and(|key| is_secret(key)) {
        return HIDDEN.to_owned();
    }
    let mut value = value.clone();
    hide_secrets(&mut value);
    value.to_string()
}

const HIDDEN: &str = "(not shown)";

fn is_secret(key: &str) -> bool {
    key == "password"
}

fn hide_secrets(value: &mut Value) {
    match value {
        Value::Table(table) => {
            for (key, value) in table.iter_mut() {
                if is_secret(key) {
                    *value = HIDDEN.into();
                } else {
                    hide_secrets(value);
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(hide_secrets),
        Value::String(text) if text.contains('@') => *value = HIDDEN.into(),
        Value::String(_) | Value::Integer(_) | Value::Float(_) | Value::Boolean(_) | Value::Datetime(_) => {}
    }
}

fn near(place: &Place, accepted: &[&str]) -> String {
    /// Of 1; a letter too few, too many or swapped is above it.
    const ALIKE: f64 = 0.85;
    let Some(name) = place.path().last() else {
        return String::new();
    };
    let likeness = |other: &&&str| strsim::jaro_winkler(name, other);
    let nearest = accepted.iter().max_by(|a, b| likeness(a).total_cmp(&likeness(b)));
    let nearest = nearest.filter(|nearest| likeness(nearest) > ALIKE);
    nearest.map_or_else(String::new, |nearest| format!("; did you mean {nearest}?"))
}

/// What a key takes, in words.
fn expected(path: &[String], kind: &Kind) -> String {
    if path.last().is_some_and(|key| key == "proxy") {
        return format!("{PROXY}, or \"none\"");
    }
    let path: Vec<&str> = path.iter().map(String::as_str).collect();
    let words = match path.as_slice() {
        [_] | ["mirror", _] => "a table",
        [.., "listen"] => "an IP address and a port, like \"127.0.0.1:5000\"",
        [.., "drain"] => "a duration, like \"30s\"",
        [.., "grace" | "upload_expiry" | "forget_after"] => "a duration, like \"90m\" or \"7d\"",
        ["access", "anonymous"] => "a list of what may be done, like [\"pull\", \"push\", \"delete\"]",
        [
            ..,
            "client_silence" | "connect" | "first_byte" | "silence" | "revalidate",
        ] => "a duration longer than nothing, like \"10s\"",
        [.., "credential_lifetime"] => "a duration longer than nothing, like \"12h\"",
        [.., "username"] => "a name in quotes, like \"site\"",
        [.., "password"] => "a text in quotes, like \"…\"",
        [.., "password_file"] => "a file, like \"/etc/wharf/hub.token\"",
        [.., "credential_helper"] => "a command, like \"ecr-login\"",
        [.., "docker_config"] => "a file, like \"/etc/wharf/docker/config.json\"",
        [.., "fresh_for" | "stale_for"] => "a duration, like \"5m\", or \"forever\"",
        [.., "scrub"] => "a duration longer than nothing, like \"30d\", or \"never\"",
        [.., "when_deleted"] => "a word, like \"serve\" or \"forget\"",
        [.., "tag"] => "a list of tables, like [{ pattern = \"v*\", fresh_for = \"forever\" }]",
        [.., "pattern"] => "a pattern of tags, like \"v*\"",
        [.., "names" | "ns" | "hosts"] => "a list of hosts, like [\"registry.example:5000\"]",
        [.., "pins"] => {
            "a list of names with their mirror's key in front, perhaps with tags or a digest, like [\"docker.io/library/alpine:3*\"]"
        }
        [.., "namespaces" | "allow_missing" | "bare"] => "a list of patterns, like [\"team/*\"]",
        [.., "allow" | "deny"] => "a list of rules, like [\"library/*\", \"org/app\", \"org/tool:v1*\"]",
        [.., "endpoints"] => "a list of URLs, like [\"https://registry.example\"]",
        [.., "segments"] => "a number from 1 on, like 4",
        [.., "max_connections"] => "a number from 1 on, like 64",
        [.., "max_rate"] => "bytes a second, like \"10MiB\"",
        [.., "send_ns"] => "a host, like \"quay.io\"",
        [.., "token_realm"] => "a URL, like \"https://auth.example/token\"",
        ["store", "max_size" | "min_free"] => "bytes, like \"200GiB\", or a share of the file system, like \"80%\"",
        [.., "path" | "index"] => "a directory, like \"/var/lib/wharf\"",
        [.., "ca_file" | "client_cert" | "client_key"] => "a file, like \"/etc/wharf/ca.pem\"",
        [.., "no_proxy"] => "a list of hosts, domains and networks, like [\"10.0.0.0/8\", \"site.example\"]",
        [.., "enabled" | "skip_verify" | "offline"] => "true or false",
        _ => return kind.to_string(),
    };
    words.to_owned()
}
