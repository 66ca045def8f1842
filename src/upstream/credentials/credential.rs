//! Owns: [`Credential`], who wharf is to one upstream, and [`Whose`], how an error speaks of it.
//!
//! Promises: equal and hashed by content, so that a token made for one credential is never used for another, and a
//! credential that has changed is another one. Never shows its secret.

use std::fmt;

use base64::engine::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderValue};

use super::super::secret::Secret;

/// Docker's name for a user whose secret is an identity token.
const TOKEN_USER: &str = "<token>";

/// What wharf presents: at the endpoint, if that asks for Basic, or at its token endpoint.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(in crate::upstream) enum Credential {
    Password {
        user: String,
        password: Secret,
    },
    /// An OAuth 2 refresh token.
    IdentityToken {
        user: Option<String>,
        token: Secret,
    },
}

impl Credential {
    /// A user and a secret by Docker's convention: the user `<token>` is none, and has an identity token.
    pub(super) fn new(user: String, secret: Secret) -> Self {
        if user == TOKEN_USER {
            return Self::IdentityToken {
                user: None,
                token: secret,
            };
        }
        Self::Password { user, password: secret }
    }

    pub(in crate::upstream) fn identity_token(&self) -> Option<&Secret> {
        match self {
            Self::Password { .. } => None,
            Self::IdentityToken { token, .. } => Some(token),
        }
    }

    /// Presents it by Basic (RFC 7617). An identity token goes as a password does: what knows no OAuth 2 may know that.
    pub(in crate::upstream) fn authorize(&self, headers: &mut HeaderMap) {
        let (user, secret) = match self {
            Self::Password { user, password } => (user.as_str(), password),
            Self::IdentityToken { user, token } => (user.as_deref().unwrap_or_default(), token),
        };
        let pair = STANDARD.encode(format!("{user}:{}", secret.expose()));
        headers.extend(sensitive("Basic", &pair).map(|value| (AUTHORIZATION, value)));
    }

    pub(in crate::upstream) fn whose(&self, mirror: &str) -> Whose {
        let user = match self {
            Self::Password { user, .. } => Some(user.clone()),
            Self::IdentityToken { user, .. } => user.clone(),
        };
        Whose {
            mirror: mirror.to_owned(),
            user,
        }
    }
}

/// The value of an `Authorization` header that no debug output shows; none if it cannot be one.
pub(in crate::upstream) fn sensitive(scheme: &str, token: &str) -> Option<HeaderValue> {
    let mut value = HeaderValue::try_from(format!("{scheme} {token}")).ok()?;
    value.set_sensitive(true);
    Some(value)
}

/// Whose credentials an error is about: the mirror's key and the user's name, never the secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Whose {
    mirror: String,
    user: Option<String>,
}

impl fmt::Display for Whose {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the credentials of mirror {:?}", self.mirror)?;
        match &self.user {
            Some(user) => write!(f, " (user {user:?})"),
            None => f.write_str(" (an identity token)"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn basic(credential: &Credential) -> String {
        let mut headers = HeaderMap::new();
        credential.authorize(&mut headers);
        assert!(headers[AUTHORIZATION].is_sensitive());
        headers[AUTHORIZATION].to_str().unwrap().to_owned()
    }

    #[test]
    fn basic_is_user_and_secret() {
        // The example of RFC 7617, and the one beyond ASCII.
        let aladdin = Credential::new("Aladdin".to_owned(), Secret::from("open sesame".to_owned()));
        assert_eq!(basic(&aladdin), "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==");
        let pound = Credential::new("test".to_owned(), Secret::from("123\u{a3}".to_owned()));
        assert_eq!(basic(&pound), "Basic dGVzdDoxMjPCow==");
    }

    #[test]
    fn the_user_token_has_an_identity_token() {
        let credential = Credential::new(TOKEN_USER.to_owned(), Secret::from("refresh".to_owned()));
        assert_eq!(credential.identity_token().unwrap().expose(), "refresh");
        assert_eq!(basic(&credential), "Basic OnJlZnJlc2g=");
        assert_eq!(
            credential.whose("hub").to_string(),
            "the credentials of mirror \"hub\" (an identity token)"
        );
    }

    #[test]
    fn a_credential_shows_its_user_and_never_its_secret() {
        let credential = Credential::new("site".to_owned(), Secret::from("hunter2".to_owned()));
        let whose = credential.whose("hub");
        assert_eq!(whose.to_string(), "the credentials of mirror \"hub\" (user \"site\")");
        assert!(!format!("{credential:?} {whose:?}").contains("hunter2"));
    }
}
