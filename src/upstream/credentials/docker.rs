//! Owns: what Docker's `config.json` says of one registry.
//!
//! Promises what Docker does: a helper of `credHelpers` comes before `credsStore`, and that before `auths`; an identity
//! token comes before a password. Lenient: what it does not know is left alone. Never repeats what the file holds.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use base64::engine::Engine as _;
use base64::engine::general_purpose::STANDARD_PAD_INDIFFERENT;
use serde::Deserialize;

use super::super::secret::Secret;
use super::credential::Credential;
use super::helper::Helper;
use super::server::Server;
use super::source::Given;
use super::unavailable::Unavailable;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct DockerConfig {
    auths: Option<BTreeMap<String, Entry>>,
    cred_helpers: Option<BTreeMap<String, String>>,
    creds_store: Option<String>,
}

#[derive(Deserialize)]
struct Entry {
    auth: Option<String>,
    username: Option<String>,
    password: Option<String>,
    identitytoken: Option<String>,
}

/// What the text of the file at `path` says of a registry.
pub(super) fn read(path: &Path, text: &str, server: &Server, lifetime: Duration) -> Result<Given, Unavailable> {
    // Without serde's words: they may quote what is there.
    let config: DockerConfig = serde_json::from_str(text).map_err(|error| Unavailable::NoDockerConfig {
        path: path.to_owned(),
        line: error.line(),
    })?;
    let helpers = config.cred_helpers.unwrap_or_default();
    let helper = server.find(&helpers).or(config.creds_store.as_ref());
    if let Some(helper) = helper.filter(|helper| !helper.is_empty()) {
        return Ok(Given::Helper(Helper::new(helper, server.clone(), lifetime)));
    }
    let entries = config.auths.unwrap_or_default();
    let bad_auth = || Unavailable::BadAuth {
        path: path.to_owned(),
        server: server.to_string(),
    };
    let credential = server.find(&entries).map(Entry::credential);
    let credential = credential.transpose().map_err(|BadAuth| bad_auth())?.flatten();
    let given = credential.map(|credential| Given::Credential(Arc::new(credential)));
    given.ok_or_else(|| Unavailable::NoEntry {
        path: path.to_owned(),
        server: server.to_string(),
    })
}

struct BadAuth;

impl Entry {
    fn credential(&self) -> Result<Option<Credential>, BadAuth> {
        let present = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
        let (user, password) = match present(&self.auth) {
            Some(auth) => decode(&auth).ok_or(BadAuth)?,
            None => (
                self.username.clone().unwrap_or_default(),
                self.password.clone().unwrap_or_default(),
            ),
        };
        let user = Some(user).filter(|user| !user.is_empty());
        if let Some(token) = present(&self.identitytoken) {
            let token = Secret::from(token);
            return Ok(Some(Credential::IdentityToken { user, token }));
        }
        let password = Secret::from(password);
        let pair = user.filter(|_| !password.is_empty());
        Ok(pair.map(|user| Credential::new(user, password)))
    }
}

/// `user:password` in base64; Docker has been seen to end it with zero bytes.
fn decode(auth: &str) -> Option<(String, String)> {
    let pair = STANDARD_PAD_INDIFFERENT.decode(auth.trim()).ok()?;
    let pair = String::from_utf8(pair).ok()?;
    let (user, password) = pair.split_once(':')?;
    Some((user.to_owned(), password.trim_matches('\0').to_owned()))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use url::Url;

    use super::*;

    const LIFETIME: Duration = Duration::from_hours(1);

    fn server(endpoint: &str) -> Server {
        Server::of(&Url::parse(endpoint).unwrap())
    }

    fn said(endpoint: &str, config: &serde_json::Value) -> Result<Given, Unavailable> {
        read(
            Path::new("/d/config.json"),
            &config.to_string(),
            &server(endpoint),
            LIFETIME,
        )
    }

    fn password(user: &str, password: &str) -> Given {
        let password = Secret::from(password.to_owned());
        Given::Credential(Arc::new(Credential::new(user.to_owned(), password)))
    }

    #[test]
    fn a_login_is_user_and_password_in_base64() {
        // "site:p:w" (a colon is part of the password), and as Docker for Windows wrote it.
        for auth in ["c2l0ZTpwOnc=", "c2l0ZTpwOnc", "c2l0ZTpwOncA"] {
            let config = json!({"auths": {"r.example:5000": {"auth": auth, "email": "x"}}, "HttpHeaders": {}});
            assert_eq!(
                said("https://r.example:5000", &config).unwrap(),
                password("site", "p:w")
            );
        }
        let kubernetes = json!({"auths": {"https://r.example": {"username": "site", "password": "pw"}}});
        assert_eq!(said("https://r.example", &kubernetes).unwrap(), password("site", "pw"));
    }

    #[test]
    fn docker_hub_is_found_by_its_old_name() {
        let config = json!({"auths": {"https://index.docker.io/v1/": {"auth": "c2l0ZTpwOnc="}}});
        assert_eq!(
            said("https://registry-1.docker.io", &config).unwrap(),
            password("site", "p:w")
        );
    }

    #[test]
    fn an_identity_token_comes_before_the_password() {
        // As `az acr login` writes it: the user of all zeros, an empty password.
        let auth = "MDAwMDAwMDAtMDAwMC0wMDAwLTAwMDAtMDAwMDAwMDAwMDAwOg==";
        let config = json!({"auths": {"x.azurecr.io": {"auth": auth, "identitytoken": "refresh"}}});
        let expected = Credential::IdentityToken {
            user: Some("00000000-0000-0000-0000-000000000000".to_owned()),
            token: Secret::from("refresh".to_owned()),
        };
        assert_eq!(
            said("https://x.azurecr.io", &config).unwrap(),
            Given::Credential(Arc::new(expected))
        );
    }

    #[test]
    fn a_helper_comes_before_a_login_and_its_own_before_the_common_one() {
        let mut config = json!({
            "auths": {"r.example": {"auth": "c2l0ZTpwOnc="}},
            "credHelpers": {"r.example": "ecr-login", "plain.example": ""},
            "credsStore": "pass",
        });
        for (registry, name) in [("r.example", "ecr-login"), ("other.example", "pass")] {
            let endpoint = format!("https://{registry}");
            let helper = Helper::new(name, server(&endpoint), LIFETIME);
            assert_eq!(said(&endpoint, &config).unwrap(), Given::Helper(helper));
        }
        // Docker's way of excepting one registry from the store.
        assert!(matches!(
            said("https://plain.example", &config),
            Err(Unavailable::NoEntry { .. })
        ));
        config["credHelpers"] = json!({});
        config["credsStore"] = json!("");
        assert_eq!(said("https://r.example", &config).unwrap(), password("site", "p:w"));
    }

    #[test]
    fn what_is_missing_or_no_login_is_named_and_not_shown() {
        let text = "{\"auths\":\n{\"r.example\": {\"auth\": 12345}}}";
        let broken = read(
            Path::new("/d/config.json"),
            text,
            &server("https://r.example"),
            LIFETIME,
        );
        let broken = broken.unwrap_err().to_string();
        assert_eq!(broken, "/d/config.json is no Docker config.json (line 2)");
        for auth in ["???", "bm9jb2xvbg=="] {
            let config = json!({"auths": {"r.example": {"auth": auth}}});
            let error = said("https://r.example", &config).unwrap_err().to_string();
            assert!(
                error.contains("for r.example in `auth` is not user and password"),
                "{error}"
            );
            assert!(!error.contains(auth), "{error}");
        }
        for config in [
            json!({}),
            json!({"auths": null}),
            json!({"auths": {"r.example": {}}}),
            json!({"auths": {"other.example": {"auth": "c2l0ZTpwOnc="}}}),
            json!({"auths": {"r.example": {"username": "site"}}}),
        ] {
            let error = said("https://r.example", &config).unwrap_err().to_string();
            assert_eq!(
                error,
                "/d/config.json has neither credentials nor a helper for r.example"
            );
        }
    }
}
