//! The `[hosted]` table of the configuration file: its shape and its defaults.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::clock::friendly;
use crate::oci::Pattern;

/// The `[hosted]` table. Durations are friendly: `"90m"`, `"7d"`; a day has 24 hours.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Patterns of bare names that live here.
    pub namespaces: Vec<String>,
    /// How long a pushed blob that no manifest names is kept.
    #[serde(with = "friendly")]
    pub grace: Duration,
    /// How long an upload without progress is kept.
    #[serde(with = "friendly")]
    pub upload_expiry: Duration,
    /// Patterns of names whose manifests may name what is not there.
    pub allow_missing: Vec<Pattern>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            namespaces: vec!["*".to_owned()],
            grace: Duration::from_hours(1),
            upload_expiry: Duration::from_hours(7 * 24),
            allow_missing: Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_and_patterns_read_back() {
        let text = "namespaces = ['team/*']\ngrace = '100ms'\nupload_expiry = '7d 12h'\nallow_missing = ['mirrors/*']";
        let config: Config = toml::from_str(text).unwrap();
        assert_eq!(config.upload_expiry, Duration::from_hours(7 * 24 + 12));
        assert_eq!(config.grace, Duration::from_millis(100));
        assert!(config.allow_missing[0].matches(&"mirrors/a/b".parse().unwrap()));
        let written = toml::to_string(&config).unwrap();
        assert_eq!(toml::from_str::<Config>(&written).unwrap(), config);
        assert_eq!(toml::from_str::<Config>("").unwrap(), Config::default());
    }

    #[test]
    fn nonsense_is_refused() {
        for bad in [
            "grace = '-1s'",
            "grace = 'soon'",
            "upload_expiry = 7",
            "allow_missing = ['A/B']",
        ] {
            assert!(toml::from_str::<Config>(bad).is_err(), "{bad}");
        }
    }
}
