//! Owns: following redirects, hop by hop, under the guards.
//!
//! Promises: at most [`MAX_REDIRECTS`]; `Authorization` and wharf's certificate go no further than the scheme, host and
//! port they are meant for; every hop has its own deadlines. Never keeps a redirect's URL: it is signed, and good for minutes.
//! Dropped: the request under way is given up.

use std::sync::Arc;

use reqwest::header::{AUTHORIZATION, HeaderMap, LOCATION};
use reqwest::{Method, Response, StatusCode};
use url::Url;

use super::Tally;
use super::error::Error;
use super::fault::Fault;
use super::guard::{self, Targets};
use super::health::{Part, Witness};
use super::mirror::Endpoint;
use super::place::Place;
use super::wire::{Hop, Wire};

const MAX_REDIRECTS: usize = 10;

/// Where a request starts.
pub(super) struct Start<'a> {
    pub(super) method: &'a Method,
    pub(super) url: Url,
    pub(super) headers: HeaderMap,
    pub(super) targets: Targets,
    pub(super) endpoint: &'a Arc<Endpoint>,
    /// Of the host that is asked first.
    pub(super) part: Part,
    pub(super) at: Place,
    /// Whether only redirects within the host are followed: any other is the answer then.
    pub(super) stays: bool,
    /// Whether a 5xx says something of the host.
    pub(super) counts: bool,
}

/// The first answer that is no redirect to be followed.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) response: Response,
    pub(super) at: Place,
    /// Who was asked.
    pub(super) endpoint: Arc<Endpoint>,
    /// Whether it came from another scheme, host or port than the one first asked.
    pub(super) elsewhere: bool,
    /// What the party first asked may point to.
    pub(super) targets: Targets,
    pub(super) witness: Witness,
}

pub(super) async fn follow(wire: &Wire, start: Start<'_>, tally: &Tally) -> Result<Answer, Error> {
    let Start {
        method,
        mut url,
        mut headers,
        mut targets,
        endpoint,
        part,
        mut at,
        stays,
        counts,
    } = start;
    let origin = url.origin();
    for hops in 0..=MAX_REDIRECTS {
        let hop = Hop {
            method,
            url: &url,
            headers: &headers,
            body: None,
            targets,
            endpoint,
            part: if url.origin() == origin { part } else { Part::Elsewhere },
            counts,
        };
        let heard = wire.send(hop, &at, tally).await?;
        if hops == 0 {
            targets = guard::targets(&url, heard.peer);
        }
        let response = heard.response;
        let moved = redirects(response.status());
        let to = moved.then(|| guard::redirect(&url, response.headers().get(LOCATION), targets));
        let at_home = |to: &Result<Url, Fault>| to.as_ref().is_ok_and(|to| to.host() == url.host());
        let Some(to) = to.filter(|to| !stays || at_home(to)) else {
            let elsewhere = url.origin() != origin;
            return Ok(Answer {
                response,
                at: heard.at,
                endpoint: Arc::clone(endpoint),
                elsewhere,
                targets,
                witness: heard.witness,
            });
        };
        let to = to.map_err(|fault| Error::Unusable {
            at: heard.at,
            status: Some(response.status().as_u16()),
            fault,
        })?;
        if to.origin() != url.origin() {
            headers.remove(AUTHORIZATION);
            at = at.redirected(&to);
        }
        url = to;
    }
    Err(Error::Unusable {
        at,
        status: None,
        fault: Fault::Redirects { limit: MAX_REDIRECTS },
    })
}

pub(super) fn redirects(status: StatusCode) -> bool {
    matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308)
}
