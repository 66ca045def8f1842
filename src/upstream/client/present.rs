//! Owns: one question to one endpoint: the dance of 401 and token around it, and the waiting that an endpoint asks for.
//!
//! Promises: at most three attempts: bare, with what was good before, with what is now; none before the time that the
//! endpoint has named.

use std::sync::Arc;
use std::time::Instant;

use super::super::auth::{Demand, Grant};
use super::super::budget::Budget;
use super::super::challenge::{self, Challenge};
use super::super::error::Error;
use super::super::fault::Absence;
use super::super::guard::Targets;
use super::super::health::Part;
use super::super::redirect::{self, Answer, Start};
use super::super::token::Purpose;
use super::Client;
use super::ask::Ask;
use crate::clock::Clock;

const ATTEMPTS: usize = 3;

impl Client {
    /// One question to one endpoint, unless that asked us to wait.
    pub(super) async fn ask(&self, ask: &Ask<'_>) -> Result<Answer, Error> {
        // Before anything that would ask in its stead: a token endpoint, a credential helper.
        ask.endpoint.may_be_asked()?;
        let (endpoint, remote) = (ask.endpoint, ask.remote);
        if let Some(hold) = self.holds.find(endpoint.id(), remote).await {
            let who = self.auth.who(endpoint).await;
            if let Some(held) = hold.of(who.as_ref(), self.clock.now()) {
                return Err(held);
            }
        }
        let said = match self.present(ask).await {
            Ok(answer) if matches!(answer.status(), 429 | 503) => Err(answer.error(&self.clock)),
            said => said,
        };
        if let Err(
            error @ (Error::Throttled { .. }
            | Error::Failed {
                retry_after: Some(_), ..
            }),
        ) = &said
        {
            let who = self.auth.who(endpoint).await;
            let place = (endpoint.id(), remote);
            self.holds.remember(place, who, error, self.clock.now()).await;
        }
        said
    }

    /// Asks with what the repository is known to demand, or bare; then with what is demanded.
    async fn present(&self, ask: &Ask<'_>) -> Result<Answer, Error> {
        let began = Instant::now();
        let Ask {
            endpoint,
            remote,
            tally,
            ..
        } = *ask;
        let mut grant = self.auth.recall(endpoint, remote, tally).await?;
        let mut attempts = 1;
        loop {
            let answer = self.attempt(ask, grant.as_ref()).await?;
            if !is_refused(&answer, grant.as_ref()) {
                return Ok(answer);
            }
            let demand = demand(ask, grant.as_ref(), &answer)?;
            let better = match &grant {
                None => Some(self.auth.meet(endpoint, remote, demand, tally).await?),
                Some(_) if attempts == ATTEMPTS => None,
                Some(refused) => {
                    let better = self.auth.instead_of(refused, demand, began, endpoint, remote, tally);
                    better.await?
                }
            };
            if better.is_none() {
                let refusal = refusal(ask, grant.as_ref(), &answer, &self.clock);
                if let Some(grant) = &grant {
                    self.auth.note_refusal(grant, endpoint, remote, &refusal).await;
                }
                return Err(refusal);
            }
            grant = better;
            attempts += 1;
        }
    }

    async fn attempt(&self, ask: &Ask<'_>, grant: Option<&Grant>) -> Result<Answer, Error> {
        let mut headers = ask.headers.clone();
        if let Some(grant) = grant {
            grant.authorize(&mut headers);
        }
        let start = Start {
            method: &ask.method,
            url: ask.url(),
            headers,
            targets: Targets::Any,
            endpoint: ask.endpoint,
            part: Part::Itself,
            at: ask.endpoint.place(),
            stays: ask.stays,
            counts: ask.counts,
        };
        let answer = redirect::follow(&self.wire, start, ask.tally).await?;
        if !answer.elsewhere
            && let Some(budget) = Budget::read(answer.response.headers(), self.clock.now())
        {
            ask.endpoint.note_budget(budget);
        }
        Ok(answer)
    }
}

/// Whether something else may have to be presented. ECR Public says 400 to a token that has expired, and no more.
fn is_refused(answer: &Answer, grant: Option<&Grant>) -> bool {
    match answer.status() {
        401 | 403 => !answer.elsewhere,
        400 => !answer.elsewhere && matches!(grant, Some(Grant::Token(_))),
        _ => false,
    }
}

/// What a refusal demands: what its challenge says, or what was demanded before. Where nothing is said, credentials
/// that are configured are shown to the endpoint that they are for.
fn demand(ask: &Ask<'_>, grant: Option<&Grant>, answer: &Answer) -> Result<Demand, Error> {
    match (challenge::find(answer.response.headers()), grant) {
        (Some(Challenge::Bearer(bearer)), _) => {
            let purpose = Purpose::new(ask.endpoint, ask.remote, bearer, answer.targets);
            let purpose = purpose.map_err(|fault| answer.unusable(fault))?;
            Ok(Demand::Token(Arc::new(purpose)))
        }
        (None, Some(grant)) => Ok(grant.demand()),
        (Some(Challenge::Basic) | None, _) if ask.endpoint.credentials().is_some() => Ok(Demand::Basic),
        (Some(Challenge::Basic) | None, _) => Err(Error::Refused {
            at: answer.at.clone(),
            status: answer.status(),
            mirror: ask.endpoint.mirror().to_owned(),
        }),
    }
}

/// A refusal of the best that could be presented.
fn refusal(ask: &Ask<'_>, grant: Option<&Grant>, answer: &Answer, clock: &Clock) -> Error {
    let (at, status) = (answer.at.clone(), answer.status());
    if status == 400 {
        return answer.error(clock);
    }
    match grant.and_then(Grant::credential) {
        Some(credential) => Error::Denied {
            at,
            status,
            whose: credential.whose(ask.endpoint.mirror()),
        },
        None => Error::Absent {
            at,
            status,
            how: Absence::RefusedAnonymous,
        },
    }
}
