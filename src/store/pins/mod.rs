//! What is never evicted: pins, followed along links into digests.
//!
//! Promises that when [`settle`] has answered, all is held that was pinned before it was asked: where tags point, what that
//! names, and what the manifests among that name, stored or not yet. Reads only where something has changed, a page at a
//! time, and never on the writer thread. A dropped future leaves the work to the next who asks.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use jiff::Timestamp;

use crate::oci::{Digest, Pin, RepoKey};
use crate::store::index::Index;
use crate::store::index::pins::{Source, Work};
use crate::store::{Error, Store};

/// Digests that are followed in one read.
const STEP: usize = 64;
/// How long it is not weighed again what is pinned: whoever makes room asks at each step.
const LOOK: Duration = Duration::from_secs(1);

impl Store {
    /// Other pins of the configuration from now on.
    pub fn configure_pins(&self, pins: &[Pin]) {
        self.index.held().configure(pins);
    }

    /// Pins, until it is taken back. False when there is such a pin by command already.
    pub async fn add_pin(&self, pin: &Pin, now: Timestamp) -> Result<bool, Error> {
        self.index.add_pin(pin, now).await
    }

    /// Takes a pin by command back. False when there is none.
    pub async fn remove_pin(&self, pin: &Pin) -> Result<bool, Error> {
        self.index.remove_pin(pin).await
    }

    /// The pins, those of the configuration first.
    pub fn pins(&self) -> Vec<(Pin, Source)> {
        self.index.held().pins()
    }

    /// How many stored blobs the pin holds now, and their bytes.
    pub async fn weigh_pin(&self, pin: &Pin) -> Result<(u64, u64), Error> {
        let mut held = HashSet::new();
        let mut add = |digests: Vec<Digest>| digests.into_iter().filter(|digest| held.insert(*digest)).collect();
        follow(&self.index, pin, &mut add).await?;
        let (mut blobs, mut bytes) = (0, 0);
        let held: Vec<Digest> = held.into_iter().collect();
        for step in held.chunks(STEP) {
            let weight = self.index.weight_of(step.to_vec()).await?;
            (blobs, bytes) = (blobs + weight.0, bytes + weight.1);
        }
        Ok((blobs, bytes))
    }
}

/// Follows what has changed: afterwards `index.held()` knows what is pinned.
pub(in crate::store) async fn settle(index: &Index) -> Result<(), Error> {
    let held = index.held();
    let _turn = held.turn().await;
    while let Some(work) = held.work() {
        match work {
            Work::All(pins) => {
                let began = Instant::now();
                for pin in &pins {
                    follow(index, pin, &mut |digests| held.add(digests, true)).await?;
                }
                held.end_all(began.elapsed());
            }
            Work::More(digests) => {
                held.add(digests.clone(), false);
                walk(index, digests, &mut |digests| held.add(digests, false)).await?;
                held.end_more();
            }
        }
    }
    Ok(())
}

/// What of the pinned is counted by the budget, in bytes on the disk; as of a second ago at most.
pub(in crate::store) async fn counted(index: &Index) -> Result<u64, Error> {
    settle(index).await?;
    let held = index.held();
    if let Some(counted) = held.counted(LOOK) {
        return Ok(counted);
    }
    let mut bytes = 0;
    for step in held.all().chunks(STEP) {
        bytes += index.weigh(step.to_vec()).await?;
    }
    held.set_counted(bytes);
    Ok(bytes)
}

/// `add` notes digests and gives back those that are new.
async fn follow(
    index: &Index,
    pin: &Pin,
    add: &mut (impl FnMut(Vec<Digest>) -> Vec<Digest> + Send),
) -> Result<(), Error> {
    if let Some(digest) = pin.digest() {
        let new = add(vec![*digest]);
        return walk(index, new, add).await;
    }
    let (first, mut behind) = (pin.first_name(), String::new());
    loop {
        let page = index.repositories_behind(first.as_deref(), &behind).await?;
        let Some((_, last)) = page.last() else { return Ok(()) };
        behind = last.to_string();
        for (id, repo) in page.iter().filter(|(_, repo)| pin.concerns(repo)) {
            follow_tags(index, pin, (*id, repo), add).await?;
            if pin.holds_all_of(repo) {
                follow_links(index, *id, add).await?;
            }
        }
    }
}

async fn follow_tags(
    index: &Index,
    pin: &Pin,
    (id, repo): (i64, &RepoKey),
    add: &mut (impl FnMut(Vec<Digest>) -> Vec<Digest> + Send),
) -> Result<(), Error> {
    let mut behind = String::new();
    loop {
        let page = index.tags_behind(id, &behind).await?;
        let Some((last, _)) = page.last() else { return Ok(()) };
        behind = last.to_string();
        let held = page.iter().filter(|(tag, _)| pin.holds(repo, tag));
        let new = add(held.map(|(_, digest)| *digest).collect());
        walk(index, new, add).await?;
    }
}

async fn follow_links(
    index: &Index,
    id: i64,
    add: &mut (impl FnMut(Vec<Digest>) -> Vec<Digest> + Send),
) -> Result<(), Error> {
    let mut behind = String::new();
    loop {
        let page = index.links_behind(id, &behind).await?;
        let Some(last) = page.last() else { return Ok(()) };
        behind = last.to_string();
        let new = add(page);
        walk(index, new, add).await?;
    }
}

/// What these digests name, and what that names.
async fn walk(
    index: &Index,
    mut todo: Vec<Digest>,
    add: &mut (impl FnMut(Vec<Digest>) -> Vec<Digest> + Send),
) -> Result<(), Error> {
    while !todo.is_empty() {
        let step = todo.split_off(todo.len().saturating_sub(STEP));
        let named = index.named_by(step).await?;
        todo.extend(add(named));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
