//! The `[store]` table of the configuration file: its shape, its defaults, and what can be said against it at once.
//!
//! Promises nothing about the disk but that neither directory is something else. Never makes or opens anything.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::clock::friendly;
use crate::oci::Pin;
use crate::store::budget::size::Size;
use crate::store::content::file_system;

/// The `[store]` table. Relative paths are relative to where the process was started, durations friendly: `"180d"`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// The directory of the content; made when it is missing. May be on a network file system.
    pub path: PathBuf,
    /// The directory of the index, on a local file system; `index` inside `path` when not said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub index: Option<PathBuf>,
    /// What is cached takes no more of the file system of `path`; pushed content is not counted.
    pub max_size: Size,
    /// What is cached goes where less than this would be free on that file system.
    pub min_free: Size,
    /// What is never evicted: names with their mirror's key in front, perhaps with tags or a digest.
    pub pins: Vec<Pin>,
    /// How long facts of mirrors' repositories are kept that nobody asks for, and of whose content nothing is stored.
    #[serde(with = "friendly")]
    pub forget_after: Duration,
    /// How often all content is read and proven again while wharf serves.
    pub scrub: Scrub,
}

/// How often content is proven again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scrub {
    /// Once within so long; more than nothing.
    Every(Duration),
    /// Not at all.
    Never,
}

const NEVER: &str = "never";

impl Serialize for Scrub {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Every(period) => friendly::serialize(period, to),
            Self::Never => to.serialize_str(NEVER),
        }
    }
}

impl<'de> Deserialize<'de> for Scrub {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        match friendly::parse(&text) {
            _ if text == NEVER => Ok(Self::Never),
            Ok(period) if !period.is_zero() => Ok(Self::Every(period)),
            Ok(_) | Err(_) => Err(D::Error::custom(format!(
                "{text:?} is not a duration such as \"30d\", or \"never\""
            ))),
        }
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            path: PathBuf::from("./wharf-data"),
            index: None,
            max_size: Size::Percent(80),
            min_free: Size::Percent(5),
            pins: Vec::new(),
            forget_after: Duration::from_hours(180 * 24),
            scrub: Scrub::Every(Duration::from_hours(30 * 24)),
        }
    }
}

impl Config {
    /// Where the index is.
    pub fn index_path(&self) -> PathBuf {
        self.index.clone().unwrap_or_else(|| self.path.join("index"))
    }

    /// Refuses paths that can never be the directories they should be. Looks at the disk, and blocks for it.
    pub fn check(&self) -> Result<(), InvalidConfig> {
        directory("path", &self.path)?;
        if let Some(index) = &self.index {
            directory("index", index)?;
        }
        // Of the directory that it will be made in, where it is not there yet.
        let space = self.path.ancestors().find_map(|path| file_system::space(path).ok());
        let total = space.map_or(u64::MAX, |space| space.total);
        if self.max_size.of(total) == 0 {
            return Err(InvalidConfig::NoRoom { size: self.max_size });
        }
        within("max_size", self.max_size, total)?;
        within("min_free", self.min_free, total)
    }
}

fn directory(field: &'static str, path: &Path) -> Result<(), InvalidConfig> {
    if path.as_os_str().is_empty() {
        return Err(InvalidConfig::Empty { field });
    }
    // One that cannot be looked at may yet be made; if not, opening the store says why.
    match path.metadata() {
        Ok(found) if !found.is_dir() => Err(InvalidConfig::NoDirectory {
            field,
            path: path.to_owned(),
        }),
        Ok(_) | Err(_) => Ok(()),
    }
}

fn within(field: &'static str, size: Size, total: u64) -> Result<(), InvalidConfig> {
    if size.of(total) > total {
        return Err(InvalidConfig::TooLarge { field, size, total });
    }
    Ok(())
}

/// A `[store]` table that cannot be meant. Each variant names the key, the value, and what is accepted.
#[derive(Debug, thiserror::Error)]
pub enum InvalidConfig {
    /// Nothing at all.
    #[error("store.{field} = \"\": expected a directory, such as \"/var/lib/wharf\"")]
    Empty {
        /// `path` or `index`.
        field: &'static str,
    },
    /// Something else is there.
    #[error("store.{field} = {path:?}: expected a directory; what is there is none")]
    NoDirectory {
        /// `path` or `index`.
        field: &'static str,
        /// As written.
        path: PathBuf,
    },
    /// Nothing could ever be kept.
    #[error("store.max_size = \"{size}\": expected more than nothing: {ACCEPTED}")]
    NoRoom {
        /// As written.
        size: Size,
    },
    /// The file system cannot have it.
    #[error("store.{field} = \"{size}\": the file system of store.path has {}; expected less: {ACCEPTED}", Size::Bytes(*total))]
    TooLarge {
        /// `max_size` or `min_free`.
        field: &'static str,
        /// As written.
        size: Size,
        /// Bytes.
        total: u64,
    },
}

const ACCEPTED: &str = "bytes, like \"200GiB\", or a share of the file system, like \"80%\"";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_index_is_inside_the_store_unless_said_otherwise() {
        let said = Config {
            path: "/a".into(),
            index: Some("/b".into()),
            ..Config::default()
        };
        assert_eq!(said.index_path(), Path::new("/b"));
        assert_eq!(
            Config {
                path: "/a".into(),
                ..Config::default()
            }
            .index_path(),
            Path::new("/a/index")
        );
    }

    #[test]
    fn a_scrub_is_a_period_or_never() {
        let read = |value: &str| toml::from_str::<Config>(&format!("scrub = \"{value}\"")).map(|config| config.scrub);
        assert_eq!(read("12h").unwrap(), Scrub::Every(Duration::from_hours(12)));
        assert_eq!(read("never").unwrap(), Scrub::Never);
        assert!(
            toml::to_string(&Config::default())
                .unwrap()
                .contains("scrub = \"720h\"")
        );
        for value in ["0s", "sometimes", "-1d", ""] {
            let said = read(value).unwrap_err().to_string();
            assert!(said.contains("\"never\""), "{value}: {said}");
        }
    }

    #[test]
    fn a_file_is_no_directory() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let config = Config {
            path: file.path().into(),
            ..Config::default()
        };
        let said = config.check().unwrap_err().to_string();
        assert!(said.starts_with("store.path = \"/"), "{said}");
        let config = Config {
            path: std::env::temp_dir(),
            index: Some("".into()),
            ..Config::default()
        };
        assert!(
            config
                .check()
                .unwrap_err()
                .to_string()
                .starts_with("store.index = \"\"")
        );
        Config {
            path: "/no/such/place/yet".into(),
            ..Config::default()
        }
        .check()
        .unwrap();
    }
}
