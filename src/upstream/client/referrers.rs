//! Owns: what an upstream has about a manifest (distribution-spec end-12), by its API, or where it has none by the tag
//! that clients keep in its stead; and which endpoints have the API.
//!
//! Promises: nothing is about a manifest only if the upstream says so: by the API, or by having neither it nor the tag.
//! Whatever fails is an error: an empty list would read as "unsigned".

use std::time::Duration;

use jiff::Timestamp;
use moka::future::Cache;
use reqwest::Method;

use crate::oci::{Digest, Listed, Manifest, MediaType, Reference, RemoteName, Tag, lists};

use super::super::error::Error;
use super::super::fault::Fault;
use super::super::mirror::{Endpoint, EndpointId, Mirror};
use super::ask::Ask;
use super::lists::in_time;
use super::turns::{Turn, Turns};
use super::{Client, Tally, digest_of};

/// How long an endpoint is taken to be as it was: registries are upgraded.
const SETTLED_FOR: Duration = Duration::from_hours(1);
const ENDPOINTS: u64 = 1024;

/// Which endpoints list referrers.
#[derive(Debug, Clone)]
pub(super) struct Apis(Cache<EndpointId, (bool, Timestamp)>);

/// What an endpoint's API had to say.
enum Said {
    Listed(Vec<Listed>),
    /// Nothing. `clear`: because there is no API, and not for the sake of this repository or digest.
    Nothing {
        clear: bool,
    },
}

impl Apis {
    pub(super) fn new() -> Self {
        Self(Cache::new(ENDPOINTS))
    }

    async fn of(&self, endpoint: &Endpoint, now: Timestamp) -> Option<bool> {
        let (has, since) = self.0.get(endpoint.id()).await?;
        (now.duration_since(since).unsigned_abs() < SETTLED_FOR).then_some(has)
    }

    async fn remember(&self, endpoint: &Endpoint, has: bool, now: Timestamp) {
        self.0.insert(endpoint.id().clone(), (has, now)).await;
    }
}

impl Client {
    /// All that the upstream has about `subject`, sorted by digest: of the first endpoint that has anything about it. `known`: whether it has the repository, as far as we know.
    pub async fn referrers(
        &self,
        mirror: &Mirror,
        remote: &RemoteName,
        subject: &Digest,
        known: bool,
        tally: &Tally,
    ) -> Result<Vec<Listed>, Error> {
        let mut turns = Turns::new(mirror.endpoints());
        let mut list = loop {
            let turn = turns.turn();
            let list = Box::pin(self.all_referrers(turn, remote, subject, known, tally));
            let said = in_time(turn.endpoint, list).await;
            if let Some(said) = turns.heard(said).await {
                break match turns.of_all(said) {
                    // Everybody says so, who could know.
                    Err(error) if error.is_not_found() => Vec::new(),
                    said => said?,
                };
            }
        };
        list.sort_by_key(|listed| *listed.digest());
        list.dedup_by_key(|listed| *listed.digest());
        Ok(list)
    }

    async fn all_referrers(
        &self,
        turn: Turn<'_>,
        remote: &RemoteName,
        subject: &Digest,
        known: bool,
        tally: &Tally,
    ) -> Result<Vec<Listed>, Error> {
        // A 404 of the tag, where there is no API, is how an endpoint says that it has nothing.
        let has_api = self.apis.of(turn.endpoint, self.clock.now()).await;
        if has_api == Some(false) {
            return self.by_tag(turn, remote, subject, tally).await;
        }
        let ask = Ask::referrers(turn, remote, subject, tally);
        match self.by_api(ask, known, has_api == Some(true)).await {
            Ok(Said::Listed(list)) => {
                self.apis.remember(turn.endpoint, true, self.clock.now()).await;
                Ok(list)
            }
            Ok(Said::Nothing { clear }) => {
                let tagged = self.by_tag(turn, remote, subject, tally).await;
                let settled = match &tagged {
                    Ok(_) => true,
                    Err(error) => clear && error.is_not_found(),
                };
                if has_api.is_none() && settled {
                    self.apis.remember(turn.endpoint, false, self.clock.now()).await;
                }
                tagged
            }
            // Some registries fail at what they do not know. Then what the tag has counts, but not that there is none.
            Err(error) if has_api.is_none() && error.status().is_some() => {
                let tagged = self.by_tag(turn, remote, subject, tally).await;
                tagged.map_err(|_| error)
            }
            Err(error) => Err(error),
        }
    }

    async fn by_api(&self, ask: Ask<'_>, known: bool, has_api: bool) -> Result<Said, Error> {
        let answer = match self.ask(&ask).await {
            Ok(answer) => answer,
            Err(Error::Absent { .. }) => return Ok(Said::Nothing { clear: false }),
            Err(error) => return Err(error),
        };
        match answer.status() {
            200 if answer.media_type() == Some(MediaType::OCI_INDEX) => {
                let list = self.whole(ask, answer, lists::referrers, |_| None);
                list.await.map(Said::Listed)
            }
            400 => Ok(Said::Nothing { clear: false }),
            404 => Ok(Said::Nothing { clear: known }),
            408 | 429 | 500 | 502..=599 => Err(answer.error(&self.clock)),
            // A registry that has an API keeps it: something stands in between.
            _ if has_api => Err(answer.unusable(Fault::Status)),
            _ => Ok(Said::Nothing { clear: true }),
        }
    }

    /// What the subject's tag has.
    async fn by_tag(
        &self,
        turn: Turn<'_>,
        remote: &RemoteName,
        subject: &Digest,
        tally: &Tally,
    ) -> Result<Vec<Listed>, Error> {
        let tag = Reference::Tag(Tag::of_referrers(subject));
        let answer = self.ask(&Ask::manifest(Method::GET, turn, remote, &tag, tally)).await?;
        let answer = answer.expect(&[200], &self.clock)?;
        let (told, wrong) = (digest_of(&answer), answer.unusable(Fault::Digest));
        let none = answer.unusable(Fault::NoList);
        let body = answer.small_body(Manifest::MAX_BYTES).await?;
        if told.is_some_and(|told| Digest::of(told.algorithm(), &body) != told) {
            return Err(wrong);
        }
        lists::referrers(&body).map_err(|_| none)
    }
}
