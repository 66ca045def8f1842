//! Owns: [`Lane`], how many bodies a mirror's upstreams send us at a time, and who is next where more are wanted.
//!
//! Promises: first come, first served among those for whom somebody waits; those for whom nobody does come after them.
//! Never: holds up anything but bodies; a question with a small answer takes no slot.
//! Dropped: who waits leaves the line, and a slot is free again.

use std::collections::BTreeMap;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

/// The bodies of one mirror.
#[derive(Debug)]
pub struct Lane {
    most: usize,
    line: Mutex<Line>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct Line {
    taken: usize,
    next_ticket: u64,
    /// By ticket: whether somebody waits for this body.
    waiting: BTreeMap<u64, bool>,
}

/// The right to receive one body. Dropping it lets the next one in.
#[derive(Debug)]
#[must_use = "dropping the slot lets somebody else in"]
pub struct Slot {
    lane: Arc<Lane>,
    /// Not while it has let others in.
    held: bool,
}

impl Slot {
    fn of(lane: &Arc<Lane>) -> Self {
        let lane = Arc::clone(lane);
        Self { lane, held: true }
    }

    /// Lets others in first, and waits for another slot. Dropped while it waits: there is none.
    pub async fn give_way(&mut self, is_awaited: impl Fn() -> bool) {
        self.release();
        *self = self.lane.enter(is_awaited).await;
    }

    fn release(&mut self) {
        if std::mem::take(&mut self.held) {
            self.lane.lock().taken -= 1;
            self.lane.changed.notify_waiters();
        }
    }
}

struct Ticket<'a> {
    lane: &'a Arc<Lane>,
    number: u64,
}

impl Lane {
    /// For `most` bodies at a time.
    pub(super) fn new(most: usize) -> Arc<Self> {
        Arc::new(Self {
            most,
            line: Mutex::default(),
            changed: Notify::new(),
        })
    }

    /// Waits for a slot. `is_awaited`: whether anybody waits for the body, now.
    pub async fn enter(self: &Arc<Self>, is_awaited: impl Fn() -> bool) -> Slot {
        let ticket = Ticket::draw(self);
        loop {
            let mut changed = pin!(self.changed.notified());
            changed.as_mut().enable();
            if let Some(slot) = ticket.try_take(is_awaited()) {
                return slot;
            }
            changed.await;
        }
    }

    /// A slot that nobody else wants.
    pub fn try_enter(self: &Arc<Self>) -> Option<Slot> {
        let mut line = self.lock();
        let free = line.taken < self.most && line.waiting.is_empty();
        free.then(|| {
            line.taken += 1;
            Slot::of(self)
        })
    }

    /// Whether a body is held up that somebody waits for, for want of a slot: one for which nobody waits should make way.
    pub fn is_wanted(&self) -> bool {
        let line = self.lock();
        let awaited = line.waiting.values().filter(|awaited| **awaited).count();
        awaited > self.most.saturating_sub(line.taken)
    }

    /// Somebody has begun to wait for a body that is in line.
    pub fn look_again(&self) {
        self.changed.notify_waiters();
    }

    fn lock(&self) -> MutexGuard<'_, Line> {
        self.line.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<'a> Ticket<'a> {
    fn draw(lane: &'a Arc<Lane>) -> Self {
        let mut waiting = lane.lock();
        let number = waiting.next_ticket;
        waiting.next_ticket += 1;
        Self { lane, number }
    }

    fn try_take(&self, awaited: bool) -> Option<Slot> {
        let mut line = self.lane.lock();
        let before = line.waiting.insert(self.number, awaited);
        let awaited_first = line.waiting.iter().find(|(_, awaited)| **awaited);
        let next = awaited_first.or_else(|| line.waiting.iter().next());
        if line.taken < self.lane.most && next.is_some_and(|(number, _)| *number == self.number) {
            line.waiting.remove(&self.number);
            line.taken += 1;
            return Some(Slot::of(self.lane));
        }
        if before.is_some_and(|before| before != awaited) {
            // Another may be next now.
            self.lane.changed.notify_waiters();
        }
        None
    }
}

impl Drop for Ticket<'_> {
    fn drop(&mut self) {
        self.lane.lock().waiting.remove(&self.number);
        self.lane.changed.notify_waiters();
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.release();
    }
}

#[cfg(test)]
mod tests {
    use std::future::Future;
    use std::pin::Pin;
    use std::sync::atomic::{AtomicBool, Ordering};

    use futures_util::poll;

    use super::*;

    type Entering = Pin<Box<dyn Future<Output = Slot>>>;

    /// In line, perhaps awaited.
    async fn comes(lane: &Arc<Lane>, awaited: &Arc<AtomicBool>) -> Entering {
        let (lane, awaited) = (Arc::clone(lane), Arc::clone(awaited));
        let mut entering: Entering = Box::pin(async move { lane.enter(|| awaited.load(Ordering::SeqCst)).await });
        assert!(poll!(entering.as_mut()).is_pending());
        entering
    }

    fn awaited(is: bool) -> Arc<AtomicBool> {
        Arc::new(AtomicBool::new(is))
    }

    #[tokio::test]
    async fn so_many_at_a_time_and_then_in_line() {
        let lane = Lane::new(2);
        let (first, second) = (lane.enter(|| true).await, lane.enter(|| true).await);
        assert!(lane.try_enter().is_none());
        let (mut third, mut fourth) = (comes(&lane, &awaited(true)).await, comes(&lane, &awaited(true)).await);
        assert!(lane.is_wanted());
        drop(first);
        assert!(poll!(fourth.as_mut()).is_pending());
        let third = third.as_mut().await;
        drop(second);
        let fourth = fourth.await;
        assert!(!lane.is_wanted() && lane.try_enter().is_none());
        drop((third, fourth));
        assert!(lane.try_enter().is_some());
    }

    #[tokio::test]
    async fn who_is_awaited_comes_before_who_is_not() {
        let lane = Lane::new(1);
        let slot = lane.enter(|| true).await;
        let (unread, read) = (awaited(false), awaited(true));
        let mut idle = comes(&lane, &unread).await;
        let mut busy = comes(&lane, &read).await;
        drop(slot);
        assert!(poll!(idle.as_mut()).is_pending());
        let slot = busy.as_mut().await;
        let mut other = comes(&lane, &read).await;
        // Somebody wants the first one after all: it was there before.
        unread.store(true, Ordering::SeqCst);
        lane.look_again();
        assert!(poll!(idle.as_mut()).is_pending());
        drop(slot);
        assert!(poll!(other.as_mut()).is_pending());
        let slot = idle.await;
        drop((slot, other));
        assert!(lane.try_enter().is_some());
    }

    #[tokio::test]
    async fn who_leaves_the_line_holds_up_nobody() {
        let lane = Lane::new(1);
        let slot = lane.enter(|| true).await;
        let gone = comes(&lane, &awaited(true)).await;
        let mut idle = comes(&lane, &awaited(false)).await;
        drop(gone);
        assert!(!lane.is_wanted());
        drop(slot);
        drop(idle.as_mut().await);
    }
}
