//! Owns: [`Lane`], how many bodies a mirror's upstreams send us at a time, and who is next where more are wanted.
//!
//! Promises: first come, first served among those for whom somebody waits; those for whom nobody does come after them. Only
//! who is next is woken.
//! Never: holds up anything but bodies; a question with a small answer takes no slot.
//! Dropped: who waits leaves the line, and a slot is free again.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

/// The bodies of one mirror.
#[derive(Debug)]
pub struct Lane(Mutex<Line>);

#[derive(Debug)]
struct Line {
    most: usize,
    taken: usize,
    next_number: u64,
    /// By number. Nobody waits while there is room.
    waiting: BTreeMap<u64, Waiting>,
}

struct Waiting {
    is_awaited: Box<dyn Fn() -> bool + Send>,
    called: Arc<Notify>,
}

/// The right to receive one body. Dropping it lets the next one in.
#[derive(Debug)]
#[must_use = "dropping the slot lets somebody else in"]
pub struct Slot {
    lane: Arc<Lane>,
    /// Its number in line, before and after it is called; none while it has let others in.
    number: Option<u64>,
}

impl Slot {
    /// Lets others in first, and waits for another slot. Dropped while it waits: there is none.
    pub async fn give_way(&mut self, is_awaited: impl Fn() -> bool + Send + 'static) {
        self.leave();
        *self = self.lane.enter(is_awaited).await;
    }

    fn leave(&mut self) {
        if let Some(number) = self.number.take() {
            self.lane.lock().leave(number);
        }
    }
}

impl Lane {
    /// For `most` bodies at a time.
    pub(super) fn new(most: usize) -> Arc<Self> {
        Arc::new(Self(Mutex::new(Line {
            most,
            taken: 0,
            next_number: 0,
            waiting: BTreeMap::new(),
        })))
    }

    /// From now on for `most` bodies at a time; who is in keeps the slot.
    pub(super) fn adjust(&self, most: usize) {
        let mut line = self.lock();
        line.most = most;
        line.call();
    }

    /// Waits for a slot. `is_awaited`: whether anybody waits for the body, then; it is asked in passing, and does not block.
    pub async fn enter(self: &Arc<Self>, is_awaited: impl Fn() -> bool + Send + 'static) -> Slot {
        let called = Arc::new(Notify::new());
        let slot = {
            let mut line = self.lock();
            let number = line.draw();
            let waiting = Waiting {
                is_awaited: Box::new(is_awaited),
                called: Arc::clone(&called),
            };
            line.waiting.insert(number, waiting);
            line.call();
            self.slot(number)
        };
        called.notified().await;
        slot
    }

    /// A slot that nobody else wants.
    pub fn try_enter(self: &Arc<Self>) -> Option<Slot> {
        let mut line = self.lock();
        (line.taken < line.most).then(|| {
            line.taken += 1;
            self.slot(line.draw())
        })
    }

    /// Whether a body is held up that somebody waits for, for want of a slot: one for which nobody waits should make way.
    pub fn is_wanted(&self) -> bool {
        self.lock().waiting.values().any(|it| (it.is_awaited)())
    }

    fn slot(self: &Arc<Self>, number: u64) -> Slot {
        Slot {
            lane: Arc::clone(self),
            number: Some(number),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Line> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Line {
    fn draw(&mut self) -> u64 {
        self.next_number += 1;
        self.next_number
    }

    /// Calls who is next, while there is room.
    fn call(&mut self) {
        while self.taken < self.most
            && let Some(next) = self.next()
        {
            self.taken += 1;
            next.called.notify_one();
        }
    }

    fn next(&mut self) -> Option<Waiting> {
        let awaited = self.waiting.iter().find(|(_, it)| (it.is_awaited)());
        let number = *awaited.or_else(|| self.waiting.first_key_value())?.0;
        self.waiting.remove(&number)
    }

    /// Whoever does not wait has been called.
    fn leave(&mut self, number: u64) {
        if self.waiting.remove(&number).is_none() {
            self.taken -= 1;
            self.call();
        }
    }
}

impl fmt::Debug for Waiting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Waiting").finish_non_exhaustive()
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.leave();
    }
}

#[cfg(test)]
mod tests {
    use std::future::Future;
    use std::pin::Pin;
    use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
    use std::task::{Context, Wake, Waker};

    use futures_util::{FutureExt, poll};

    use super::*;

    type Entering = Pin<Box<dyn Future<Output = Slot>>>;

    /// In line, perhaps awaited.
    async fn comes(lane: &Arc<Lane>, awaited: &Arc<AtomicBool>) -> Entering {
        let (lane, awaited) = (Arc::clone(lane), Arc::clone(awaited));
        let mut entering: Entering = Box::pin(async move { lane.enter(move || awaited.load(Ordering::SeqCst)).await });
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
        drop(slot);
        assert!(poll!(other.as_mut()).is_pending());
        let slot = idle.await;
        drop(slot);
        drop(other);
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

    #[tokio::test]
    async fn who_leaves_when_called_lets_the_next_one_in() {
        let lane = Lane::new(1);
        let slot = lane.enter(|| true).await;
        let called = comes(&lane, &awaited(true)).await;
        let next = comes(&lane, &awaited(true)).await;
        drop(slot);
        drop(called);
        drop(next.now_or_never().unwrap());
        assert!(lane.try_enter().is_some());
    }

    #[tokio::test]
    async fn a_free_slot_wakes_one_however_many_wait() {
        let (lane, woken) = (Lane::new(1), Arc::new(Wakes::default()));
        let mut slot = lane.enter(|| true).await;
        let mut others = Vec::new();
        for _ in 0..100 {
            let (lane, waker) = (Arc::clone(&lane), Waker::from(Arc::clone(&woken)));
            let mut entering = Box::pin(async move { lane.enter(|| true).await });
            assert!(entering.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
            others.push(entering);
        }
        for (nth, next) in others.into_iter().enumerate() {
            assert_eq!(woken.0.load(Ordering::SeqCst), nth);
            drop(slot);
            slot = next.now_or_never().unwrap();
        }
    }

    #[tokio::test]
    async fn a_limit_that_changes_holds_for_who_is_in_line() {
        let lane = Lane::new(1);
        let first = lane.enter(|| true).await;
        let (mut second, mut third) = (comes(&lane, &awaited(true)).await, comes(&lane, &awaited(true)).await);
        lane.adjust(2);
        let second = second.as_mut().now_or_never().unwrap();
        assert!(poll!(third.as_mut()).is_pending());
        lane.adjust(1);
        drop(first);
        assert!(poll!(third.as_mut()).is_pending() && lane.is_wanted());
        drop(second);
        drop(third.now_or_never().unwrap());
    }

    #[derive(Default)]
    struct Wakes(AtomicUsize);

    impl Wake for Wakes {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }
}
