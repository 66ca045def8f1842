//! Owns: reading the variables that name proxies for every program: `HTTP_PROXY`, `HTTPS_PROXY`, `ALL_PROXY`, `NO_PROXY`.
//!
//! Promises: upper case before lower case, and an empty variable is as if it were not there. Never repeats a password.

use std::ffi::OsString;

use crate::upstream::{Environment, ProxyUrl};

use super::Error;

/// What they say; `variable` gives the value of one.
pub(super) fn proxies(variable: impl Fn(&str) -> Option<OsString>) -> Result<Environment, Error> {
    let value = |name: &str| {
        let names = [name.to_owned(), name.to_lowercase()];
        let found = names.into_iter().find_map(|name| Some((variable(&name)?, name)));
        let found = found.filter(|(value, _)| !value.is_empty());
        let text = found.map(|(value, name)| match value.into_string() {
            Ok(value) => Ok((name, value)),
            Err(_) => Err(Error::NotUnicode { name }),
        });
        text.transpose()
    };
    let proxy = |name: &str| -> Result<Option<ProxyUrl>, Error> {
        let proxy = value(name)?.map(|(name, value)| value.parse().map_err(|_| Error::Proxy { name }));
        proxy.transpose()
    };
    Ok(Environment {
        http: proxy("HTTP_PROXY")?,
        https: proxy("HTTPS_PROXY")?,
        all: proxy("ALL_PROXY")?,
        none: value("NO_PROXY")?.map(|(_, value)| value),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(variables: &[(&str, &str)]) -> Result<Environment, Error> {
        proxies(|name| {
            let found = variables.iter().find(|(variable, _)| *variable == name);
            found.map(|(_, value)| OsString::from(value))
        })
    }

    #[test]
    fn upper_case_comes_first_and_empty_is_not_there() {
        let read = read(&[
            ("HTTP_PROXY", "http://upper:3128"),
            ("http_proxy", "http://lower:3128"),
            ("https_proxy", "lower:3128"),
            ("ALL_PROXY", ""),
            ("no_proxy", "a,b"),
        ])
        .unwrap();
        assert_eq!(read.http, Some("http://upper:3128".parse().unwrap()));
        assert_eq!(read.https, Some("http://lower:3128".parse().unwrap()));
        assert_eq!((read.all, read.none.as_deref()), (None, Some("a,b")));
    }

    #[test]
    fn a_variable_that_names_no_proxy_is_named_and_not_shown() {
        let said = read(&[("https_proxy", "ftp://user:hunter2@p")])
            .unwrap_err()
            .to_string();
        assert!(said.starts_with("https_proxy: expected a proxy's URL"), "{said}");
        assert!(!said.contains("hunter2"), "{said}");
    }
}
