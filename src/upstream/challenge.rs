//! Owns: reading `WWW-Authenticate` (RFC 9110 section 11.6.1) for a challenge that wharf can meet.
//!
//! Promises: prefers Bearer to Basic, and knows no others; finds one among several headers and several challenges in one header; scheme and parameter names in any
//! case; values quoted, with escapes, or bare. It is lenient where registries are: a bare value may be a whole URL
//! (not a token by the grammar, which is why no strict parser is used here). Never panics.

use reqwest::header::{HeaderMap, WWW_AUTHENTICATE};

/// What a server wants to see.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Challenge {
    /// A token of somebody else's.
    Bearer(Bearer),
    /// User and password.
    Basic,
}

/// A Bearer challenge (distribution's token specification).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Bearer {
    pub(super) realm: String,
    pub(super) service: Option<String>,
    pub(super) scope: Option<String>,
}

/// The first Bearer challenge that names a realm, or else Basic where that is offered.
pub(super) fn find(headers: &HeaderMap) -> Option<Challenge> {
    let values = headers.get_all(WWW_AUTHENTICATE).iter();
    let values = values.filter_map(|value| std::str::from_utf8(value.as_bytes()).ok());
    let mut found: Vec<Challenge> = values.flat_map(challenges).collect();
    let bearer = found.iter().position(|challenge| *challenge != Challenge::Basic);
    let first = bearer.unwrap_or(0);
    (first < found.len()).then(|| found.swap_remove(first))
}

/// Those of a header's challenges that can be met.
fn challenges(header: &str) -> impl Iterator<Item = Challenge> {
    let mut challenges: Vec<Option<Challenge>> = Vec::new();
    let mut rest = header;
    while let Some((word, after)) = word(rest) {
        if let Some(value) = after.trim_start().strip_prefix('=') {
            let (value, after) = value_of(value.trim_start());
            if let Some(Some(Challenge::Bearer(bearer))) = challenges.last_mut() {
                bearer.set(word, value);
            }
            rest = after;
        } else {
            // A word without '=' begins a challenge (or is a token68 of a scheme that we do not know: the same to us).
            challenges.push(Challenge::new(word));
            rest = after;
        }
    }
    let usable = |challenge: &Challenge| match challenge {
        Challenge::Bearer(bearer) => !bearer.realm.is_empty(),
        Challenge::Basic => true,
    };
    challenges.into_iter().flatten().filter(usable)
}

impl Challenge {
    fn new(scheme: &str) -> Option<Self> {
        match scheme.to_ascii_lowercase().as_str() {
            "bearer" => Some(Self::Bearer(Bearer::default())),
            "basic" => Some(Self::Basic),
            _ => None,
        }
    }
}

impl Bearer {
    fn set(&mut self, name: &str, value: String) {
        match name.to_ascii_lowercase().as_str() {
            "realm" => self.realm = value,
            "service" => self.service = Some(value),
            "scope" => self.scope = Some(value),
            _ => {}
        }
    }
}

/// The next word and what follows it.
fn word(text: &str) -> Option<(&str, &str)> {
    let separator = |c: char| c == ',' || c == '=' || c == '"' || c.is_ascii_whitespace();
    let text = text.trim_start_matches(separator);
    let end = text.find(separator).unwrap_or(text.len());
    (end > 0).then(|| text.split_at(end))
}

/// A parameter's value, unquoted, and what follows it.
fn value_of(text: &str) -> (String, &str) {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text
            .find(|c: char| c == ',' || c.is_ascii_whitespace())
            .unwrap_or(text.len());
        let (value, rest) = text.split_at(end);
        return (value.to_owned(), rest);
    };
    let mut value = String::new();
    let mut chars = quoted.chars();
    while let Some(c) = chars.next() {
        match c {
            '"' => break,
            '\\' => value.extend(chars.next()),
            c => value.push(c),
        }
    }
    (value, chars.as_str())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parse(headers: &[&str]) -> Option<Challenge> {
        let mut map = HeaderMap::new();
        for header in headers {
            map.append(WWW_AUTHENTICATE, header.parse().unwrap());
        }
        find(&map)
    }

    fn challenge(realm: &str, service: Option<&str>, scope: Option<&str>) -> Challenge {
        let owned = |text: Option<&str>| text.map(str::to_owned);
        Challenge::Bearer(Bearer {
            realm: realm.to_owned(),
            service: owned(service),
            scope: owned(scope),
        })
    }

    #[test]
    fn reads_docker_hub() {
        let header = r#"Bearer realm="https://auth.docker.io/token",service="registry.docker.io",scope="repository:library/alpine:pull""#;
        let scope = "repository:library/alpine:pull";
        let expected = challenge("https://auth.docker.io/token", Some("registry.docker.io"), Some(scope));
        assert_eq!(parse(&[header]), Some(expected));
    }

    #[test]
    fn reads_bare_values_in_any_case() {
        let header = "bearer REALM=https://h:5000/token?a=b , Service=zot";
        let expected = challenge("https://h:5000/token?a=b", Some("zot"), None);
        assert_eq!(parse(&[header]), Some(expected));
    }

    #[test]
    fn finds_bearer_among_other_challenges() {
        let expected = Some(challenge("https://h/t", None, Some("a,b")));
        let one =
            r#"Negotiate YII==, Basic realm="x, \"y\"", Bearer realm="https://h/t",scope="a,b", Digest realm="d""#;
        assert_eq!(parse(&[one]), expected);
        assert_eq!(
            parse(&["Basic realm=\"x\"", r#"Bearer realm="https://h/t", scope="a,b""#]),
            expected
        );
    }

    #[test]
    fn escapes_are_undone() {
        let header = r#"Bearer realm="https://h/t",service="a \"b\" \\c""#;
        assert_eq!(
            parse(&[header]),
            Some(challenge("https://h/t", Some(r#"a "b" \c"#), None))
        );
    }

    #[test]
    fn basic_is_for_where_no_bearer_can_be_had() {
        // ECR, plain htpasswd, nothing but the word; a Bearer that cannot be met.
        for header in [
            r#"Basic realm="https://1.dkr.ecr.us-east-1.amazonaws.com/",service="ecr.amazonaws.com""#,
            "basic realm=x",
            "BASIC",
            "Bearer service=\"x\", Basic realm=\"x\"",
        ] {
            assert_eq!(parse(&[header]), Some(Challenge::Basic), "{header}");
        }
        assert_eq!(
            parse(&["Basic realm=\"x\", Bearer realm=\"https://h/t\""]),
            Some(challenge("https://h/t", None, None))
        );
    }

    #[test]
    fn without_a_realm_there_is_no_bearer() {
        for header in [
            "Bearer",
            "Bearer service=\"x\"",
            "Negotiate",
            "realm=\"x\"",
            "",
            ",,=\"",
            "Bearer realm=\"\"",
        ] {
            assert_eq!(parse(&[header]), None, "{header}");
        }
        assert_eq!(parse(&[]), None);
    }

    proptest! {
        #[test]
        fn never_panics(header in "\\PC*") {
            let _ = challenges(&header).count();
        }

        #[test]
        fn quoting_is_undone(realm in "[!-~]{1,40}", service in "[ -~]{0,40}") {
            let quote = |text: &str| text.replace('\\', "\\\\").replace('"', "\\\"");
            let header = format!("Bearer realm=\"{}\", service=\"{}\"", quote(&realm), quote(&service));
            prop_assert_eq!(challenges(&header).next(), Some(challenge(&realm, Some(&service), None)));
        }
    }
}
