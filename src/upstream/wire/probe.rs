//! Owns: asking a host that is left alone whether it is well again.
//!
//! Promises: a probe asks what somebody was to ask, because a front end answers whatever else is asked although all behind it
//! hangs; but by HEAD, and aside: nobody's answer comes of it.
//! Dropped: it is a task of its own, and goes on.

use std::pin::pin;
use std::sync::Arc;

use reqwest::Method;
use reqwest::header::RANGE;
use tokio::time::timeout;

use super::super::Tally;
use super::super::health::{Errand, Witness};
use super::super::place::Place;
use super::{Hop, Wire, word};

impl Wire {
    /// Asks what this hop was to ask, in the time that an answer has: a slow registry is not an ill one. What cannot
    /// be asked twice is not asked, but its host. Any answer will do that is no failure of the host's own.
    pub(super) fn probe(&self, errand: Errand, witness: Witness, hop: &Hop<'_>, at: &Place) {
        let (wire, endpoint, at) = (self.clone(), Arc::clone(hop.endpoint), at.clone());
        let (mut url, mut headers) = (hop.url.clone(), hop.headers.clone());
        if hop.body.is_some() {
            url.set_path("/v2/");
            url.set_query(None);
            headers.clear();
        }
        headers.remove(RANGE);
        let (targets, part, counts) = (hop.targets, hop.part, hop.counts);
        let closing = self.tasks.closing();
        self.tasks.spawn(async move {
            let hop = Hop {
                method: &Method::HEAD,
                url: &url,
                headers: &headers,
                body: None,
                targets,
                endpoint: &endpoint,
                part,
                counts,
            };
            let tally = Tally::default();
            let mut asked = pin!(closing.run_until_cancelled(wire.dial(hop, &witness, &at, &tally)));
            let heard = match timeout(endpoint.deadlines().connect, &mut asked).await {
                Ok(heard) => heard,
                Err(_elapsed) => {
                    errand.takes_long();
                    asked.await
                }
            };
            let Some(heard) = heard else { return };
            match (word(&heard, counts), &heard) {
                (Some(Err(error)), _) => witness.still_ill(&error),
                // What says nothing of the host was no answer either: without a rest, each question would begin a probe.
                (None, Err(error)) => witness.still_ill(error),
                (Some(Ok(())), _) | (None, Ok(_)) => witness.is_mended(),
            }
            drop(errand);
        });
    }
}
