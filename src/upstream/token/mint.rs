//! Owns: asking a token endpoint, and reading its answer.
//!
//! Promises: the answer is bounded in size and time; its life is counted from receipt, because clocks differ. An
//! identity token goes by POST (OAuth 2, RFC 6749 section 6), and by GET like a password where that is not known.
//! Never: credentials to where the token endpoint redirects.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use reqwest::Method;
use reqwest::header::{ACCEPT, CONTENT_TYPE, HeaderMap, HeaderValue};
use serde::Deserialize;
use serde_json::Value;
use url::{Url, form_urlencoded};

use crate::clock::Clock;

use super::super::Tally;
use super::super::credentials::sensitive;
use super::super::error::Error;
use super::super::fault::Fault;
use super::super::guard;
use super::super::health::Part;
use super::super::mirror::Endpoint;
use super::super::place::Place;
use super::super::redirect::{self, Answer, Start};
use super::super::refusals::Refusals;
use super::super::secret::Secret;
use super::super::wire::{Heard, Hop, Wire};
use super::{Key, Purpose, Token};

/// Largest token answer in bytes.
const MAX_ANSWER: usize = 64 * 1024;
/// What an answer without `expires_in` means, and the least that is believed (distribution: at least 60 s).
const LEAST_LIFE: Duration = Duration::from_mins(1);
const MOST_LIFE: Duration = Duration::from_hours(24);
/// The next token is asked for when this much of one's life is over.
const USED: f64 = 0.85;
/// How OAuth 2 has servers know us.
const CLIENT_ID: &str = "wharf";

/// One errand to a token endpoint.
pub(super) struct Mint {
    pub(super) wire: Wire,
    pub(super) clock: Clock,
    pub(super) endpoint: Arc<Endpoint>,
    pub(super) key: Key,
    pub(super) refusals: Refusals<Key>,
    pub(super) tally: Tally,
}

impl Mint {
    /// A token, unless this credential was refused one a moment ago.
    pub(super) async fn run(self) -> Result<Arc<Token>, Error> {
        self.refusals.check(&self.key, self.clock.now()).await?;
        let minted = self.ask().await;
        if let Err(error @ (Error::Rejected { .. } | Error::Denied { .. })) = &minted {
            let (key, now) = (self.key.clone(), self.clock.now());
            self.refusals.remember(key, error.clone(), now).await;
        }
        minted
    }

    async fn ask(&self) -> Result<Arc<Token>, Error> {
        let identity_token = self.key.credential.as_ref().and_then(|it| it.identity_token());
        let posted = match identity_token {
            Some(token) => self.post(token).await?,
            None => None,
        };
        let answer = match posted {
            Some(answer) => answer,
            None => self.get().await?,
        };
        let answer = self.granted(answer)?;
        let no_token = answer.unusable(Fault::NoToken);
        let body = answer.small_body(MAX_ANSWER).await?;
        let token = serde_json::from_slice(&body)
            .ok()
            .and_then(|answer| read(answer, &self.clock));
        token.map(Arc::new).ok_or(no_token)
    }

    /// The token specification: anonymously, or with the credential by Basic.
    async fn get(&self) -> Result<Answer, Error> {
        let mut headers = accept_json();
        let credential = self.key.credential.as_ref();
        if let Some(credential) = credential {
            credential.authorize(&mut headers);
        }
        let start = Start {
            method: &Method::GET,
            url: self.key.purpose.request(),
            headers,
            targets: self.key.purpose.targets,
            endpoint: &self.endpoint,
            part: Part::Realm,
            at: self.at(),
            stays: false,
            counts: true,
        };
        let answer = redirect::follow(&self.wire, start, &self.tally).await;
        let answer = answer.map_err(|error| self.told(error))?;
        if credential.is_some() && answer.elsewhere {
            // What it granted was granted to nobody in particular.
            return Err(answer.unusable(Fault::MovedRealm));
        }
        Ok(answer)
    }

    /// OAuth 2's refresh; `None` where the server does not know it. A redirect is not followed: the secret is in the body.
    async fn post(&self, identity_token: &Secret) -> Result<Option<Answer>, Error> {
        let form = HeaderValue::from_static("application/x-www-form-urlencoded");
        let mut headers = accept_json();
        headers.insert(CONTENT_TYPE, form);
        let hop = Hop {
            method: &Method::POST,
            url: &self.key.purpose.realm,
            headers: &headers,
            body: Some(self.key.purpose.refresh(identity_token)),
            targets: self.key.purpose.targets,
            endpoint: &self.endpoint,
            part: Part::Realm,
            counts: true,
        };
        let sent = self.wire.send(hop, &self.at(), &self.tally).await;
        let Heard {
            response, at, witness, ..
        } = sent.map_err(|error| self.told(error))?;
        let status = response.status();
        // GCR says 404, others 405, Artifactory 401, ACR 400.
        if redirect::redirects(status) || matches!(status.as_u16(), 400 | 401 | 404 | 405) {
            return Ok(None);
        }
        Ok(Some(Answer {
            response,
            at,
            endpoint: Arc::clone(&self.endpoint),
            elsewhere: false,
            targets: self.key.purpose.targets,
            witness,
        }))
    }

    /// A token endpoint says nothing about a repository: its 404 is a fault, its 401 a question for credentials.
    fn granted(&self, answer: Answer) -> Result<Answer, Error> {
        let status = answer.status();
        let mirror = self.endpoint.mirror();
        let whose = self.key.credential.as_ref().map(|credential| credential.whose(mirror));
        let at = answer.at.clone();
        match (status, whose) {
            (401, Some(whose)) => Err(Error::Rejected { at, status, whose }),
            (403, Some(whose)) => Err(Error::Denied { at, status, whose }),
            (401 | 403, None) => Err(Error::Refused {
                at,
                status,
                mirror: mirror.to_owned(),
            }),
            (404 | 416, _) => Err(answer.unusable(Fault::Status)),
            _ => answer.expect(&[200], &self.clock),
        }
    }

    fn at(&self) -> Place {
        self.endpoint.place().realm(&self.key.purpose.realm)
    }

    /// An error of the token endpoint, with the key that would allow what is forbidden to others.
    fn told(&self, mut error: Error) -> Error {
        if let Error::Unusable { fault, .. } = &mut error {
            *fault = guard::of_realm(fault.clone(), &self.endpoint);
        }
        error
    }
}

impl Purpose {
    /// The realm with its own query, the service, and each scope by itself.
    pub(super) fn request(&self) -> Url {
        let mut url = self.realm.clone();
        let service = self.service.iter().map(|service| ("service", service));
        let scopes = self.scopes.iter().map(|scope| ("scope", scope));
        url.query_pairs_mut().extend_pairs(service.chain(scopes));
        url
    }

    /// The form of a refresh; all scopes in one.
    pub(super) fn refresh(&self, identity_token: &Secret) -> String {
        let mut form = form_urlencoded::Serializer::new(String::new());
        form.append_pair("grant_type", "refresh_token");
        form.append_pair("client_id", CLIENT_ID);
        form.extend_pairs(self.service.iter().map(|service| ("service", service)));
        form.append_pair("scope", &self.scopes.join(" "));
        form.append_pair("refresh_token", identity_token.expose());
        form.finish()
    }
}

fn accept_json() -> HeaderMap {
    HeaderMap::from_iter([(ACCEPT, HeaderValue::from_static("application/json"))])
}

/// The token specification's answer. Some send the one, some the other, some both names.
#[derive(Deserialize)]
pub(super) struct TokenAnswer {
    pub(super) token: Option<String>,
    pub(super) access_token: Option<String>,
    /// Anything but a number counts as absent: the token is good all the same.
    pub(super) expires_in: Option<Value>,
}

pub(super) fn read(answer: TokenAnswer, clock: &Clock) -> Option<Token> {
    let present = |token: &String| !token.is_empty();
    let token = answer.token.filter(present).or(answer.access_token.filter(present))?;
    let header = sensitive("Bearer", &token)?;
    let life = answer
        .expires_in
        .as_ref()
        .and_then(Value::as_f64)
        .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    let life = life.unwrap_or(LEAST_LIFE).clamp(LEAST_LIFE, MOST_LIFE);
    // From receipt, not from `issued_at`: clocks differ.
    let now = clock.now();
    Some(Token {
        header,
        minted: Instant::now(),
        renew_at: Mutex::new(Some(now + life.mul_f64(USED))),
        ends_at: now + life,
    })
}
