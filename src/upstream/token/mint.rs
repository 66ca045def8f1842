//! Owns: one request to a token endpoint, and reading its answer.
//!
//! Promises: the answer is bounded in size and time; its life is counted from receipt, because clocks differ.

use std::sync::Arc;
use std::time::{Duration, Instant};

use reqwest::Method;
use reqwest::header::{ACCEPT, HeaderMap, HeaderValue};
use serde::Deserialize;
use serde_json::Value;

use crate::clock::Clock;

use super::super::Tally;
use super::super::error::Error;
use super::super::fault::Fault;
use super::super::mirror::Mirror;
use super::super::redirect::{self, Answer, Start};
use super::super::wire::Wire;
use super::{Demand, Token};

/// Largest token answer in bytes.
const MAX_ANSWER: usize = 64 * 1024;
/// What an answer without `expires_in` means, and the least that is believed (distribution: at least 60 s).
const LEAST_LIFE: Duration = Duration::from_mins(1);
const MOST_LIFE: Duration = Duration::from_hours(24);
/// A token is renewed when this much of its life is over: it must be good when a request starts, not longer.
const USED: f64 = 0.85;

/// Asks for a token that meets a demand, anonymously.
pub(super) async fn mint(
    wire: Wire,
    clock: Clock,
    mirror: Arc<Mirror>,
    demand: Arc<Demand>,
    tally: Tally,
) -> Result<Arc<Token>, Error> {
    let headers = HeaderMap::from_iter([(ACCEPT, HeaderValue::from_static("application/json"))]);
    let start = Start {
        method: &Method::GET,
        url: demand.request(),
        headers,
        targets: demand.targets,
        at: mirror.endpoint().place().realm(&demand.url),
        stays: false,
    };
    let limits = mirror.deadlines();
    let answer = redirect::follow(&wire, start, limits, &tally).await?;
    let answer = granted(answer, &mirror, &clock)?;
    let no_token = answer.unusable(Fault::NoToken);
    let body = answer.small_body(MAX_ANSWER, limits).await?;
    let token = serde_json::from_slice(&body)
        .ok()
        .and_then(|answer| read(answer, &clock));
    token.map(Arc::new).ok_or(no_token)
}

/// A token endpoint says nothing about a repository: its 404 is a fault, its 401 a question for credentials.
fn granted(answer: Answer, mirror: &Mirror, clock: &Clock) -> Result<Answer, Error> {
    let status = answer.status();
    match status {
        401 | 403 => Err(Error::Refused {
            at: answer.at,
            status,
            mirror: mirror.key().to_owned(),
        }),
        404 | 416 => Err(answer.unusable(Fault::Status)),
        _ => answer.expect(&[200], clock),
    }
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
    let mut header = HeaderValue::try_from(format!("Bearer {token}")).ok()?;
    header.set_sensitive(true);
    let life = answer
        .expires_in
        .as_ref()
        .and_then(Value::as_f64)
        .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    let life = life.unwrap_or(LEAST_LIFE).clamp(LEAST_LIFE, MOST_LIFE).mul_f64(USED);
    // From receipt, not from `issued_at`: clocks differ.
    Some(Token {
        header,
        minted: Instant::now(),
        renew_at: clock.now() + life,
    })
}
