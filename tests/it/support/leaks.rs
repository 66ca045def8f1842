//! P9 in every test, whatever it is about: each client presents secrets, and no upstream may have seen one that is not its own.
//!
//! Who may see what is known without being told: tokens are for whom they were issued, logins for the mirror that has them.
//! Dropping an [`Upstream`](super::upstream::Upstream) looks through all that it was ever sent, and dropping a
//! [`Wharf`](super::wharf::Wharf) through its log.

use std::collections::{HashMap, HashSet};
use std::sync::{LazyLock, Mutex};

use base64::engine::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::registry::Request;

/// What every client presents to wharf, and nobody else may ever hear.
pub(crate) const PRESENTED: [(&str, &str); 2] = [
    ("Authorization", "Basic Y2xpZW50OmNsaWVudHMtb3duLXNlY3JldA=="),
    ("Cookie", "session=clients-own-session"),
];

/// By a secret word: the ports of those who may see it. Every upstream is on 127.0.0.1.
static SECRETS: LazyLock<Mutex<HashMap<String, HashSet<u16>>>> = LazyLock::new(|| {
    let presented = PRESENTED.iter().filter_map(|(_, value)| words(value).last());
    Mutex::new(presented.map(|word| (word.to_owned(), HashSet::new())).collect())
});

/// From now on this is a secret, and upstreams on these ports may see it.
pub(crate) fn secret(word: &str, ports: impl IntoIterator<Item = u16>) {
    let mut secrets = SECRETS.lock().unwrap();
    secrets.entry(as_word(word)).or_default().extend(ports);
}

/// A login, as what is presented and as what must not be seen at all.
pub(crate) fn login(user: &str, password: &str, ports: &[u16]) {
    secret(password, []);
    secret(&STANDARD.encode(format!("{user}:{password}")), ports.iter().copied());
}

/// The login in these lines of a mirror's table is for those whom they name.
pub(crate) fn declare(lines: &[String]) {
    let value = |key: &str| {
        let line = lines.iter().find_map(|line| line.strip_prefix(&format!("{key} = ")));
        line.map(|value| value.trim_matches('"').to_owned())
    };
    let file = || std::fs::read_to_string(value("password_file")?).ok();
    if let Some(password) = value("password").or_else(file) {
        let named = [value("endpoints"), value("token_realm")];
        let ports: Vec<_> = named.into_iter().flatten().flat_map(|urls| ports(&urls)).collect();
        login(&value("username").unwrap_or_default(), password.trim_end(), &ports);
    }
}

/// The ports in a text that names URLs.
pub(crate) fn ports(text: &str) -> Vec<u16> {
    let behind_colons = text.split(':').skip(1);
    let number = |text: &str| text.split(|char: char| !char.is_ascii_digit()).next()?.parse().ok();
    behind_colons.filter_map(number).collect()
}

/// What this request holds that none of `ports` may see.
pub(crate) fn leaked(request: &Request, ports: &[u16]) -> Vec<String> {
    let secrets = SECRETS.lock().unwrap();
    let theirs = |word: &str| {
        secrets
            .get(word)
            .is_some_and(|at| ports.iter().any(|port| at.contains(port)))
    };
    let lines = request
        .headers
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()));
    let lines = lines.chain([
        ("the path", request.path.as_str()),
        ("the query", request.query.as_str()),
    ]);
    let mut leaked = Vec::new();
    for (name, value) in lines {
        let is_leaked = match name {
            // Credentials of which nobody has said whose they are, too.
            "authorization" => words(value).skip(1).any(|word| !theirs(word)),
            "cookie" | "proxy-authorization" => true,
            _ => words(value).any(|word| secrets.contains_key(word) && !theirs(word)),
        };
        if is_leaked {
            leaked.push(format!("{} {}: {name}: {value}", request.method, request.path));
        }
    }
    leaked
}

/// The lines of a text that hold a secret of anybody's.
pub(crate) fn told(text: &str) -> Vec<String> {
    let secrets = SECRETS.lock().unwrap();
    let tells = |line: &&str| words(line).any(|word| secrets.contains_key(word));
    text.lines().filter(tells).map(str::to_owned).collect()
}

/// All that may be a token, a password or base64.
fn words(text: &str) -> impl Iterator<Item = &str> {
    let inside = |char: char| char.is_ascii_alphanumeric() || "-_.+/".contains(char);
    text.split(move |char| !inside(char)).filter(|word| !word.is_empty())
}

fn as_word(secret: &str) -> String {
    secret.trim_end_matches('=').to_owned()
}
