//! What an operator on this machine tells a running wharf: one line of JSON asks, lines of JSON answer, the last of which
//! says that it is done, or why not.
//!
//! Owns the language and both ends of the control socket. Promises that a caller who says too much, or nothing for too
//! long, is cut, and that one from another version hears so. Never knows how a command is typed or printed. Dropping
//! [`Admin::run`] ends what callers asked for between two steps; what was done stays done.

mod client;
mod collection;
mod conversation;
mod error;
mod language;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::time::sleep;
use tracing::warn;

use crate::clock::Clock;
use crate::oci::Pin;
use crate::store::{self, Control, Source, Store};
use crate::tasks::Tasks;

pub use client::ask;
pub use collection::Collection;
use conversation::{Conversation, Words};
pub use error::Error;
pub use language::{Answer, Command, Grace};

/// Callers at a time; more wait in the kernel's queue.
const CALLERS: usize = 8;
/// How long a caller may take for its line, and to make room for each answer.
const WITHIN: Duration = Duration::from_secs(10);
/// How long to wait after an `accept` that failed for want of descriptors or memory.
const PAUSE: Duration = Duration::from_millis(100);

/// What commands work on.
#[derive(Debug, Clone)]
pub struct Admin {
    store: Store,
    clock: Clock,
    tasks: Tasks,
    /// `hosted.grace`.
    grace: Duration,
}

impl Admin {
    /// Over a store whose collections go by `grace`.
    pub fn new(store: Store, clock: Clock, tasks: Tasks, grace: Duration) -> Self {
        Self {
            store,
            clock,
            tasks,
            grace,
        }
    }

    /// Makes the socket. Where there can be none, wharf serves without one, and the log says so.
    pub async fn listen(&self) -> Option<Control> {
        let control = self.store.control().await;
        let tell = |error: &store::Error| {
            let cause = std::error::Error::source(error);
            warn!(
                %error,
                ?cause,
                "commands like `wharf pin` cannot reach this process, which serves all the same: store.path has to be on \
                 a file system with sockets, and to have room for wharf.sock"
            );
        };
        control.inspect_err(tell).ok()
    }

    /// Does what callers ask for, until wharf winds down.
    pub async fn run(self, control: Control) {
        let closing = self.tasks.closing();
        closing.run_until_cancelled(self.accept(&control)).await;
        if let Err(error) = control.close().await {
            warn!(%error, "the control socket is left to the next start");
        }
    }

    async fn accept(&self, control: &Control) {
        let seats = Arc::new(Semaphore::new(CALLERS));
        // An error would say that the semaphore was closed, which nobody does.
        while let Ok(seat) = Arc::clone(&seats).acquire_owned().await {
            let Ok(stream) = control.accept().await else {
                sleep(PAUSE).await;
                continue;
            };
            let (admin, closing) = (self.clone(), self.tasks.closing());
            self.tasks.spawn(async move {
                closing
                    .run_until_cancelled(admin.talk(Conversation::with(stream, WITHIN)))
                    .await;
                drop(seat);
            });
        }
    }

    /// One command and its answers. A caller that is gone needs none.
    async fn talk<S: Words>(&self, mut with: Conversation<S>) {
        let last = match with.listen().await {
            Ok(command) => self.obey(command, &mut with).await,
            Err(error) => Err(error),
        };
        let last = last.map_or_else(|error| Answer::Error(error.in_full()), |()| Answer::Ok(()));
        let _ = with.say(&last).await;
    }

    async fn obey<S: Words>(&self, command: Command, with: &mut Conversation<S>) -> Result<(), Error> {
        match command {
            Command::Gc { dry_run, grace } => {
                let collection = Collection::new(dry_run, grace, self.grace);
                collection.run_for(with, &self.store, &self.clock).await
            }
            Command::PinAdd { pin } => {
                self.store.add_pin(&pin, self.clock.now()).await?;
                self.tell_pin(pin, Source::Command, with).await
            }
            Command::PinRemove { pin } => self.remove_pin(pin).await,
            Command::PinList {} => {
                for (pin, source) in self.store.pins() {
                    self.tell_pin(pin, source, with).await?;
                }
                Ok(())
            }
        }
    }

    async fn remove_pin(&self, pin: Pin) -> Result<(), Error> {
        if self.store.remove_pin(&pin).await? {
            return Ok(());
        }
        let is_configured = self.store.pins().iter().any(|(other, _)| *other == pin);
        Err(Error::NotPinned { pin, is_configured })
    }

    async fn tell_pin<S: Words>(&self, pin: Pin, source: Source, with: &mut Conversation<S>) -> Result<(), Error> {
        let (blobs, bytes) = self.store.weigh_pin(&pin).await?;
        let told = Answer::Pin {
            pin,
            source,
            blobs,
            bytes,
        };
        with.say(&told).await
    }
}
