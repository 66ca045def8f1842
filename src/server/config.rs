//! The `[server]` table of the configuration file (design section 7): its shape and its defaults.

use std::net::Ipv4Addr;
use std::net::SocketAddr;
use std::time::Duration;

use jiff::fmt::serde::unsigned_duration::friendly::compact::required as friendly;
use serde::Deserialize;
use serde::Deserializer;
use serde::Serialize;
use serde::de::Error;

/// The `[server]` table. Durations are friendly: `"250ms"`, `"60s"`, `"1m 30s"`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Address and port to listen on; port 0 leaves the choice to the system.
    pub listen: SocketAddr,
    /// What clients call this server, with port where they use one: `?ns=` with one of these means us.
    pub names: Vec<String>,
    /// On SIGTERM: how long running responses may take to end.
    #[serde(with = "friendly")]
    pub drain: Duration,
    /// A client that takes no byte of its answer, or sends none of its body, for this long is cut.
    #[serde(serialize_with = "friendly::serialize", deserialize_with = "longer_than_nothing")]
    pub client_silence: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 5000)),
            names: Vec::new(),
            drain: Duration::from_secs(30),
            client_silence: Duration::from_mins(1),
        }
    }
}

fn longer_than_nothing<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
    let duration = friendly::deserialize(from)?;
    if duration.is_zero() {
        return Err(D::Error::custom(
            "a duration longer than nothing is needed, such as \"60s\"",
        ));
    }
    Ok(duration)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_said_has_its_default() {
        let config: Config = toml::from_str("names = ['hub.example:5000']\nclient_silence = '250ms'").unwrap();
        let expected = Config {
            names: vec!["hub.example:5000".to_owned()],
            client_silence: Duration::from_millis(250),
            ..Config::default()
        };
        assert_eq!(config, expected);
    }

    #[test]
    fn what_is_written_reads_back() {
        let text = toml::to_string(&Config::default()).unwrap();
        assert_eq!(toml::from_str::<Config>(&text).unwrap(), Config::default());
    }

    #[test]
    fn nonsense_is_refused() {
        for bad in [
            "listen = 'everywhere'",
            "client_silence = '0s'",
            "drain = '-1s'",
            "port = 5000",
        ] {
            assert!(toml::from_str::<Config>(bad).is_err(), "{bad}");
        }
    }
}
