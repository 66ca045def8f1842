//! Owns: [`Source`], where a mirror's credentials come from, as its table says it, and how often it is worth a look.
//!
//! Promises: one source or none; two, or half of one, are an error that names the keys. Never reads what it names, and
//! never repeats a secret.

use std::sync::Arc;
use std::time::Duration;

use url::Url;

use super::super::config::MirrorConfig;
use super::super::mirror::InvalidMirror;
use super::super::secret::MASK;
use super::credential::Credential;
use super::file::SecretFile;
use super::helper::Helper;
use super::server::Server;

/// Where a mirror's credentials come from.
#[derive(Debug)]
pub(in crate::upstream) enum Source {
    /// The configuration has them.
    Said(Arc<Credential>),
    Outside(Outside),
}

/// What is looked at again and again.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(in crate::upstream) enum Outside {
    File(SecretFile),
    Helper(Helper),
}

/// What [`Outside`] gives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Given {
    Credential(Arc<Credential>),
    /// Ask there.
    Helper(Helper),
}

/// How often a file is looked at, at most.
const FILE_PERIOD: Duration = Duration::from_secs(1);
/// How long a helper is left alone after it failed, or after it gave what the upstream then refused.
const HELPER_REST: Duration = Duration::from_secs(10);
/// A helper is asked again when this much of its answer's lifetime is over.
const USED: f64 = 0.85;

impl Source {
    /// What the table of mirror `key` says for this endpoint.
    pub(in crate::upstream) fn new(
        key: &str,
        config: &MirrorConfig,
        endpoint: &Url,
    ) -> Result<Option<Self>, InvalidMirror> {
        only_one(key, config)?;
        let lifetime = lifetime(key, config)?;
        if let Some(command) = &config.credential_helper {
            let usable = !command.is_empty() && !command.contains(char::is_whitespace);
            let accepted = "a command's name or path without arguments, like \"ecr-login\"";
            ensure(usable, key, "credential_helper", accepted)?;
            let helper = Helper::new(command, Server::of(endpoint), lifetime);
            return Ok(Some(Self::Outside(Outside::Helper(helper))));
        }
        if let Some(path) = &config.docker_config {
            ensure(!path.as_os_str().is_empty(), key, "docker_config", "a file")?;
            return Ok(Some(Self::Outside(Outside::File(SecretFile::DockerConfig {
                path: path.clone(),
                server: Server::of(endpoint),
                lifetime,
            }))));
        }
        login(key, config)
    }

    /// The key that names it.
    pub(super) fn key(&self) -> &'static str {
        match self {
            Self::Said(_) => "password",
            Self::Outside(Outside::File(SecretFile::Password { .. })) => "password_file",
            Self::Outside(Outside::File(SecretFile::DockerConfig { .. })) => "docker_config",
            Self::Outside(Outside::Helper(_)) => "credential_helper",
        }
    }
}

impl Outside {
    /// How long what it gave is used before it is looked at again.
    pub(super) fn period(&self) -> Duration {
        match self {
            Self::File(_) => FILE_PERIOD,
            Self::Helper(helper) => helper.lifetime().mul_f64(USED),
        }
    }

    /// How long it is left alone after it gave nothing.
    pub(super) fn pause(&self) -> Duration {
        match self {
            Self::File(_) => FILE_PERIOD,
            Self::Helper(_) => HELPER_REST,
        }
    }

    /// How long what it gave is held to be all that it has, although it was refused.
    pub(super) fn rest(&self) -> Duration {
        match self {
            Self::File(_) => Duration::ZERO,
            Self::Helper(_) => HELPER_REST,
        }
    }
}

fn only_one(key: &str, config: &MirrorConfig) -> Result<(), InvalidMirror> {
    let named = [
        ("credential_helper", config.credential_helper.is_some()),
        ("docker_config", config.docker_config.is_some()),
        ("password_file", config.password_file.is_some()),
        ("password", config.password.is_some()),
    ];
    let mut named = named.into_iter().filter(|(_, is)| *is).map(|(name, _)| name);
    let complete = named.next();
    let user = config.username.as_ref().map(|_| "username");
    // A user's name belongs to a password, and is one thing too many beside what brings its own.
    let user = user.filter(|_| matches!(complete, Some("credential_helper" | "docker_config")));
    match (complete, named.next().or(user)) {
        (Some(one), Some(other)) => Err(InvalidMirror::TwoSources {
            key: key.to_owned(),
            one,
            other,
        }),
        (Some(_) | None, _) => Ok(()),
    }
}

fn login(key: &str, config: &MirrorConfig) -> Result<Option<Source>, InvalidMirror> {
    let half = |field, wants| InvalidMirror::HalfSource {
        key: key.to_owned(),
        field,
        wants,
    };
    let Some(user) = &config.username else {
        return match (&config.password, &config.password_file) {
            (None, None) => Ok(None),
            (Some(_), _) => Err(half("password", "username")),
            (None, Some(_)) => Err(half("password_file", "username")),
        };
    };
    let plain = !user.is_empty() && !user.contains(|c: char| c == ':' || c.is_control());
    ensure(plain, key, "username", "a name without colons")?;
    let user = user.clone();
    match (&config.password, &config.password_file) {
        (None, None) => Err(half("username", "password or password_file")),
        (Some(password), _) => {
            let real = !password.is_empty() && password.expose() != MASK;
            let accepted = "the password itself, not the asterisks that `config check` prints for it";
            ensure(real, key, "password", accepted)?;
            Ok(Some(Source::Said(Arc::new(Credential::new(user, password.clone())))))
        }
        (None, Some(path)) => {
            ensure(!path.as_os_str().is_empty(), key, "password_file", "a file")?;
            let path = path.clone();
            Ok(Some(Source::Outside(Outside::File(SecretFile::Password {
                user,
                path,
            }))))
        }
    }
}

fn lifetime(key: &str, config: &MirrorConfig) -> Result<Duration, InvalidMirror> {
    let lifetime = config.credential_lifetime;
    if lifetime.is_zero() {
        return Err(InvalidMirror::Deadline {
            key: key.to_owned(),
            field: "credential_lifetime",
        });
    }
    Ok(lifetime)
}

fn ensure(usable: bool, key: &str, field: &'static str, accepted: &'static str) -> Result<(), InvalidMirror> {
    let error = || InvalidMirror::Credential {
        key: key.to_owned(),
        field,
        accepted,
    };
    usable.then_some(()).ok_or_else(error)
}
