//! Owns: lists that an upstream gives page by page.
//!
//! Promises: the whole list or an error; bounded in entries, bytes, pages and time, whatever the upstream does.
//! Never: asks anybody but the endpoint for a page; a link only says which.

use std::collections::HashSet;
use std::pin::Pin;

use bytes::Bytes;
use tokio::time::timeout;

use crate::oci::{InvalidList, RemoteName, Tag, lists};

use super::super::error::Error;
use super::super::fault::{Fault, Phase};
use super::super::link;
use super::super::mirror::{Endpoint, Mirror};
use super::super::place::Place;
use super::super::redirect::Answer;
use super::ask::Ask;
use super::turns::Turns;
use super::{Client, Tally};

/// More than the longest lists there are; names of 80 bytes then fill the bytes below.
const ENTRIES: usize = 200_000;
const BYTES: usize = 16 * 1024 * 1024;
/// Some registries give 50 tags a page, whatever they are asked for.
const PAGES: usize = 2_000;
const TOO_LONG: Fault = Fault::LongList {
    entries: ENTRIES,
    bytes: BYTES,
    pages: PAGES,
};
/// Tags to ask for at a time: what registries give at most.
const PAGE: usize = 1000;

struct Page {
    body: Bytes,
    at: Place,
    /// The query of the one behind it.
    next: Option<String>,
}

impl Client {
    /// All tags of a repository, sorted by their bytes.
    pub async fn tags(&self, mirror: &Mirror, remote: &RemoteName, tally: &Tally) -> Result<Vec<Tag>, Error> {
        let mut turns = Turns::new(mirror.endpoints());
        let mut tags = loop {
            let turn = turns.turn();
            let ask = Ask::tags(turn, remote, tally).page(Some(format!("n={PAGE}")));
            let said = in_time(turn.endpoint, Box::pin(self.all_tags(ask))).await;
            if let Some(said) = turns.heard(said).await {
                break turns.of_all(said)?;
            }
        };
        tags.sort_unstable();
        tags.dedup();
        Ok(tags)
    }

    async fn all_tags(&self, ask: Ask<'_>) -> Result<Vec<Tag>, Error> {
        let first = self.ask(&ask).await?;
        if first.status() == 400 {
            // Its operator may allow fewer on a page.
            let ask = ask.page(None);
            let first = self.ask(&ask).await?;
            return self.whole(ask, first, lists::tags, |_| None).await;
        }
        // A link is optional where `n` was asked for: a full page without one need not be the last.
        let behind = |page: &[Tag]| {
            let last = page.last().filter(|_| page.len() == PAGE);
            last.map(|last| format!("n={PAGE}&last={last}"))
        };
        self.whole(ask, first, lists::tags, behind).await
    }

    /// All pages of the list that `ask` is about, of which `answer` is the first. `read` reads one; `behind` says what to
    /// ask for where a page has no link.
    pub(super) async fn whole<T>(
        &self,
        mut ask: Ask<'_>,
        mut answer: Answer,
        read: fn(&[u8]) -> Result<Vec<T>, InvalidList>,
        behind: impl Fn(&[T]) -> Option<String>,
    ) -> Result<Vec<T>, Error> {
        let (mut list, mut bytes, mut asked) = (Vec::new(), 0, HashSet::new());
        loop {
            let Page { body, at, next } = self.page(&ask, answer, BYTES - bytes).await?;
            let unusable = |fault| Err(unusable(at, fault));
            bytes += body.len();
            let Ok(entries) = read(&body) else {
                return unusable(Fault::NoList);
            };
            let (linked, next) = (next.is_some(), next.or_else(|| behind(&entries)));
            list.extend(entries);
            if list.len() > ENTRIES || asked.len() > PAGES {
                return unusable(TOO_LONG);
            }
            let Some(query) = next else {
                return Ok(list);
            };
            if !asked.insert(query.clone()) {
                // Where we only guessed that more follows, this was the end.
                return if linked { unusable(Fault::Circle) } else { Ok(list) };
            }
            ask = ask.page(Some(query));
            answer = self.ask(&ask).await?;
            if answer.status() == 404 {
                // The list is there, so this says nothing of the repository.
                return Err(answer.unusable(Fault::BadLink));
            }
        }
    }

    async fn page(&self, ask: &Ask<'_>, answer: Answer, room: usize) -> Result<Page, Error> {
        let answer = answer.expect(&[200], &self.clock)?;
        let (host, at) = (ask.endpoint.host(), answer.at.clone());
        let next = link::next(answer.response.headers(), answer.response.url(), host);
        let next = next.map_err(|fault| unusable(at.clone(), fault))?;
        match answer.small_body(room).await {
            Ok(body) => Ok(Page { body, at, next }),
            Err(Error::Unusable {
                fault: Fault::TooBig { .. },
                ..
            }) => Err(unusable(at, TOO_LONG)),
            Err(error) => Err(error),
        }
    }
}

/// Each page has its deadlines; a list of many slow ones has this too. (Boxed: a client's future need not carry it.)
pub(super) async fn in_time<T>(
    endpoint: &Endpoint,
    list: Pin<Box<impl Future<Output = Result<T, Error>>>>,
) -> Result<T, Error> {
    let limits = endpoint.deadlines();
    let within = 2 * (limits.first_byte + limits.silence);
    let slow = |_elapsed| Error::Timeout {
        at: endpoint.place(),
        phase: Phase::List,
        within,
    };
    timeout(within, list).await.map_err(slow)?
}

fn unusable(at: Place, fault: Fault) -> Error {
    Error::Unusable {
        at,
        status: Some(200),
        fault,
    }
}
