//! Owns: reading `WWW-Authenticate` (RFC 9110 section 11.6.1) for a Bearer challenge.
//!
//! Promises: finds one among several headers and several challenges in one header; scheme and parameter names in any
//! case; values quoted, with escapes, or bare. It is lenient where registries are: a bare value may be a whole URL
//! (not a token by the grammar, which is why no strict parser is used here). Never panics.

use reqwest::header::{HeaderMap, WWW_AUTHENTICATE};

/// A Bearer challenge (distribution's token specification).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Challenge {
    /// The URL of the token endpoint; never empty.
    pub realm: String,
    /// Whom the token is for.
    pub service: Option<String>,
    /// What it is to allow.
    pub scope: Option<String>,
}

/// The first Bearer challenge that names a realm.
pub fn bearer(headers: &HeaderMap) -> Option<Challenge> {
    let values = headers.get_all(WWW_AUTHENTICATE).iter();
    values
        .filter_map(|value| std::str::from_utf8(value.as_bytes()).ok())
        .find_map(bearer_in)
}

fn bearer_in(header: &str) -> Option<Challenge> {
    let mut challenges: Vec<Option<Challenge>> = Vec::new();
    let mut rest = header;
    while let Some((word, after)) = word(rest) {
        if let Some(value) = after.trim_start().strip_prefix('=') {
            let (value, after) = value_of(value.trim_start());
            if let Some(Some(challenge)) = challenges.last_mut() {
                challenge.set(word, value);
            }
            rest = after;
        } else {
            // A word without '=' begins a challenge (or is a token68 of a scheme that we do not know: the same to us).
            challenges.push(word.eq_ignore_ascii_case("bearer").then(Challenge::default));
            rest = after;
        }
    }
    challenges
        .into_iter()
        .flatten()
        .find(|challenge| !challenge.realm.is_empty())
}

impl Challenge {
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
        bearer(&map)
    }

    fn challenge(realm: &str, service: Option<&str>, scope: Option<&str>) -> Challenge {
        let owned = |text: Option<&str>| text.map(str::to_owned);
        Challenge {
            realm: realm.to_owned(),
            service: owned(service),
            scope: owned(scope),
        }
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
    fn without_a_realm_there_is_no_challenge() {
        for header in [
            "Bearer",
            "Bearer service=\"x\"",
            "Basic realm=\"x\"",
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
            let _ = bearer_in(&header);
        }

        #[test]
        fn quoting_is_undone(realm in "[!-~]{1,40}", service in "[ -~]{0,40}") {
            let quote = |text: &str| text.replace('\\', "\\\\").replace('"', "\\\"");
            let header = format!("Bearer realm=\"{}\", service=\"{}\"", quote(&realm), quote(&service));
            prop_assert_eq!(bearer_in(&header), Some(challenge(&realm, Some(&service), None)));
        }
    }
}
