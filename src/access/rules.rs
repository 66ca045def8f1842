//! May this be had of this mirror, by anybody?
//!
//! Owns what `allow` and `deny` mean together: what is denied is denied, and where there is an `allow`, so is all that it
//! does not list. Content is judged by its repository: a rule about tags denies no digest, and allows those of its names.

use crate::oci::{RemoteName, RepoKey, Rule, Tag};
use crate::upstream::Mirror;

/// A mirror's rules say no. Names the mirror and the rule.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Ruled {
    /// It is denied.
    #[error("{what} may not be pulled: mirror.{mirror:?}.deny has \"{rule}\"")]
    Denied {
        /// The repository, perhaps with a tag.
        what: String,
        /// The mirror's key.
        mirror: String,
        /// What denies it.
        rule: Rule,
    },
    /// It is not allowed.
    #[error("{what} may not be pulled: mirror.{mirror:?}.allow does not list it")]
    Unlisted {
        /// The repository, perhaps with a tag.
        what: String,
        /// The mirror's key.
        mirror: String,
    },
}

/// What the rules of `mirror` say of its repository `remote`, or of a tag there.
pub(super) fn judge(mirror: &Mirror, remote: &RemoteName, tag: Option<&Tag>) -> Result<(), Ruled> {
    let short = remote.without_library().filter(|_| mirror.has_library());
    let names = || [Some(remote), short.as_ref()].into_iter().flatten();
    let concerned = |rule: &&Rule| names().any(|name| rule.concerns(name));
    let denies = |rule: &&Rule| tag.map_or(!rule.names_tags(), |tag| rule.covers(tag));
    // A signature is as welcome as what it signs.
    let tag_to_allow = tag.filter(|tag| !tag.is_about_a_digest());
    let allows = |rule: &Rule| tag_to_allow.is_none_or(|tag| rule.covers(tag));

    if let Some(rule) = mirror.deny().iter().filter(concerned).find(denies) {
        return Err(Ruled::Denied {
            what: what(mirror, remote, tag),
            mirror: mirror.key().to_owned(),
            rule: rule.clone(),
        });
    }
    match mirror.allow() {
        Some(listed) if !listed.iter().filter(concerned).any(allows) => Err(Ruled::Unlisted {
            what: what(mirror, remote, tag),
            mirror: mirror.key().to_owned(),
        }),
        Some(_) | None => Ok(()),
    }
}

fn what(mirror: &Mirror, remote: &RemoteName, tag: Option<&Tag>) -> String {
    let repository = RepoKey::mirrored(mirror.key(), remote);
    tag.map_or_else(|| repository.to_string(), |tag| format!("{repository}:{tag}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::upstream::MirrorConfig;

    fn rules(texts: &[&str]) -> Vec<Rule> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    fn mirror(key: &str, allow: Option<&[&str]>, deny: &[&str]) -> Mirror {
        let config = MirrorConfig {
            endpoints: vec!["https://upstream.example".to_owned()],
            allow: allow.map(rules),
            deny: rules(deny),
            ..MirrorConfig::default()
        };
        Mirror::new(key, &config).unwrap()
    }

    /// `name` or `name:tag`.
    fn passes(mirror: &Mirror, what: &str) -> bool {
        let (name, tag) = match what.split_once(':') {
            Some((name, tag)) => (name, Some(tag.parse().unwrap())),
            None => (what, None),
        };
        judge(mirror, &name.parse().unwrap(), tag.as_ref()).is_ok()
    }

    #[test]
    fn deny_wins_and_an_allow_list_denies_the_rest() {
        let open = mirror("hub", None, &[]);
        assert!(passes(&open, "a/b") && passes(&open, "a/b:v1"));
        let site = mirror("hub", Some(&["a/*", "b/c"]), &["a/bad"]);
        for (what, expected) in [
            ("a/b", true),
            ("a/b:v1", true),
            ("b/c:v1", true),
            ("a/bad", false),
            ("a/bad:v1", false),
            ("b/d", false),
            ("b/c/d", false),
        ] {
            assert_eq!(passes(&site, what), expected, "{what}");
        }
        assert!(
            !passes(&mirror("hub", Some(&[]), &[]), "a/b"),
            "an empty list allows nothing"
        );
    }

    #[test]
    fn a_rule_about_tags_leaves_content_to_its_repository() {
        let signature = format!("a/b:sha256-{}.sig", "0".repeat(64));
        let allowed = mirror("hub", Some(&["a/b:3*", "a/b:edge"]), &[]);
        for what in ["a/b:3", "a/b:3.20", "a/b:edge", "a/b", &signature] {
            assert!(passes(&allowed, what), "{what}");
        }
        for what in ["a/b:edge2", "a/b:2", "a/c:3", "a/c"] {
            assert!(!passes(&allowed, what), "{what}");
        }
        let denied = mirror("hub", None, &["a/b:3*"]);
        for (what, expected) in [
            ("a/b", true),
            ("a/b:2", true),
            (signature.as_str(), true),
            ("a/b:3", false),
            ("a/b:3.20", false),
        ] {
            assert_eq!(passes(&denied, what), expected, "{what}");
        }
        assert!(
            !passes(&mirror("hub", None, &["a/b:sha256-*"]), &signature),
            "unless denied by name"
        );
    }

    #[test]
    fn an_official_image_has_two_names_on_docker_hub_only() {
        for rule in ["alpine", "alp*", "library/alpine", "*"] {
            let hub = mirror("docker.io", None, &[rule]);
            assert!(!passes(&hub, "library/alpine"), "{rule}");
            assert!(
                passes(&mirror("docker.io", Some(&[rule]), &[]), "library/alpine:3"),
                "{rule}"
            );
        }
        assert!(passes(&mirror("quay.io", None, &["alpine"]), "library/alpine"));
    }

    #[test]
    fn who_is_denied_hears_the_rule_and_the_mirror() {
        let said = |mirror: &Mirror, name: &str, tag: Option<&str>| {
            let tag = tag.map(|tag| tag.parse().unwrap());
            judge(mirror, &name.parse().unwrap(), tag.as_ref())
                .unwrap_err()
                .to_string()
        };
        assert_eq!(
            said(&mirror("quay.io", None, &["a/b:3*"]), "a/b", Some("3.1")),
            "quay.io/a/b:3.1 may not be pulled: mirror.\"quay.io\".deny has \"a/b:3*\""
        );
        assert_eq!(
            said(&mirror("quay.io", Some(&["a/b"]), &[]), "a/c", None),
            "quay.io/a/c may not be pulled: mirror.\"quay.io\".allow does not list it"
        );
    }
}
