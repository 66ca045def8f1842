//! Owns: which keys a running process takes from a file that is read again.
//!
//! Promises that every other key whose value has changed is named. Never judges a value.

use toml::{Table, Value};

use super::Config;
use super::error::dotted;

impl Config {
    /// This configuration, but for what needs no restart: that is as `read` says it.
    #[must_use]
    pub fn renewed(&self, read: &Self) -> Self {
        let mut renewed = self.clone();
        renewed.server.names.clone_from(&read.server.names);
        renewed.store.pins.clone_from(&read.store.pins);
        renewed.hosted.namespaces.clone_from(&read.hosted.namespaces);
        renewed.access = read.access.clone();
        renewed.mirror = read.mirror.clone();
        renewed
    }

    /// The keys that `other` says something else about, as the file has them.
    pub fn differences(&self, other: &Self) -> Vec<String> {
        // What has no words in a file cannot have come from one.
        let table = |config| Table::try_from(config).unwrap_or_default();
        let (ours, theirs) = (table(self), table(other));
        let mut found = Vec::new();
        compare(&mut Vec::new(), &ours, &theirs, &mut found);
        // Printed without its password, which may be all that has changed.
        let proxy = "upstream.proxy";
        if self.upstream.proxy != other.upstream.proxy && !found.iter().any(|key| key == proxy) {
            found.push(proxy.to_owned());
        }
        found
    }
}

fn compare(path: &mut Vec<String>, ours: &Table, theirs: &Table, found: &mut Vec<String>) {
    let new = theirs.keys().filter(|key| !ours.contains_key(*key));
    for key in ours.keys().chain(new) {
        path.push(key.clone());
        match (ours.get(key), theirs.get(key)) {
            (Some(Value::Table(ours)), Some(Value::Table(theirs))) => compare(path, ours, theirs, found),
            (ours, theirs) if ours == theirs => {}
            (_, _) => found.push(dotted(path)),
        }
        path.pop();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(text: &str) -> Config {
        let table: Table = text.parse().unwrap();
        let figment = figment::Figment::from(figment::providers::Serialized::defaults(Config::default()));
        figment
            .merge(figment::providers::Serialized::defaults(table))
            .extract()
            .unwrap()
    }

    #[test]
    fn what_needs_no_restart_is_taken_and_the_rest_is_named() {
        let running = config("[server]\nlisten = '127.0.0.1:1'\n[store]\npath = 'here'");
        let read = config(
            "[server]\nlisten = '127.0.0.1:2'\nnames = ['w:1']\n[store]\npath = 'there'\nindex = 'i'\npins = ['a/b']\n\
             [hosted]\nnamespaces = ['team/*']\ngrace = '2h'\n[access]\nanonymous = ['pull']\n\
             [upstream]\nno_proxy = ['x']\n[mirror.new]\nendpoints = ['http://h']\n[mirror.'quay.io']\nenabled = false",
        );
        let renewed = running.renewed(&read);
        assert_eq!(renewed.server.names, ["w:1"]);
        assert_eq!(renewed.hosted.namespaces, ["team/*"]);
        assert_eq!(renewed.store.pins, ["a/b".parse().unwrap()]);
        assert_eq!((&renewed.access, &renewed.mirror), (&read.access, &read.mirror));
        assert_eq!(renewed.server.listen, running.server.listen);
        assert_eq!(
            renewed.differences(&read),
            [
                "hosted.grace",
                "server.listen",
                "store.path",
                "store.index",
                "upstream.no_proxy"
            ]
        );
        assert!(renewed.differences(&renewed).is_empty());
    }

    #[test]
    fn a_secret_that_has_changed_is_named_once() {
        let proxy = |user: &str| config(&format!("[upstream]\nproxy = 'http://{user}@p'"));
        let changed = |ours: &str, theirs: &str| proxy(ours).differences(&proxy(theirs));
        assert_eq!(changed("u:a", "u:b"), ["upstream.proxy"]);
        assert!(changed("u:a", "u:a").is_empty());
        assert_eq!(config("").differences(&proxy("u:a")), ["upstream.proxy"]);
    }

    #[test]
    fn a_key_that_is_gone_is_named_too() {
        let running = config("[store]\nindex = 'i'");
        let read = config("");
        assert_eq!(running.renewed(&read).differences(&read), ["store.index"]);
    }
}
