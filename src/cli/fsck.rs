//! `wharf fsck`: whether the store is well, and what is not.
//!
//! Prints each finding when it is found, and how far it is: a bar on a terminal, a line now and then elsewhere. Owns the
//! runtime. Ends with 1 where anything is wrong, mended or not, and where it could not look at everything.

use std::io::{self, IsTerminal, Write};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytesize::ByteSize;
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};

use crate::app::{self, Event, Fsck, Outcome, Plan};

use super::{ConfigFile, Failure, runtime};

/// How often a line says how far it is.
const LINE_EVERY: Duration = Duration::from_secs(10);

#[derive(Debug, Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    file: ConfigFile,
    /// Mend what can be mended; without it nothing is changed.
    #[arg(long)]
    repair: bool,
    /// Begin at the beginning, although a check was broken off.
    #[arg(long)]
    anew: bool,
    /// Content to read in a second, like 100MiB; as much as the disk gives when not said.
    #[arg(long, value_name = "BYTES")]
    rate: Option<ByteSize>,
}

pub(super) fn run(arguments: Arguments) -> Result<(), Failure> {
    let Arguments {
        file,
        repair,
        anew,
        rate,
    } = arguments;
    let plan = Plan::load(file.path)?;
    let how = Fsck {
        repair,
        anew,
        rate: rate.map(|rate| rate.as_u64()),
    };
    let printer = Arc::new(Mutex::new(Printer::new()));
    let shared = Arc::clone(&printer);
    let watch = move |event: Event<'_>| shared.lock().unwrap_or_else(PoisonError::into_inner).hear(event);
    let report = runtime()?.block_on(app::fsck(&plan, how, Arc::new(watch)));
    printer.lock().unwrap_or_else(PoisonError::into_inner).end();
    let report = report?;
    writeln!(
        io::stdout(),
        "{} blobs with {} read, {} troubles found, {} mended.",
        report.blobs,
        ByteSize(report.bytes).display().iec(),
        report.troubles,
        report.mended
    )?;
    if report.troubles > 0 {
        return Err(Failure::Trouble);
    }
    if report.finished {
        Ok(())
    } else {
        Err(Failure::BrokenOff)
    }
}

/// What is on the screen.
struct Printer {
    bar: Option<ProgressBar>,
    total: u64,
    /// What an earlier check had read.
    before: u64,
    read: u64,
    began: Instant,
    said: Instant,
}

impl Printer {
    fn new() -> Self {
        let bar = io::stderr().is_terminal().then(|| {
            let style = ProgressStyle::with_template("{bar:30} {bytes} of {total_bytes}, {bytes_per_sec}, {eta} left");
            ProgressBar::new(0).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
        });
        Self {
            bar,
            total: 0,
            before: 0,
            read: 0,
            began: Instant::now(),
            said: Instant::now(),
        }
    }

    fn hear(&mut self, event: Event<'_>) {
        match event {
            Event::Looks(what) => self.line(&format!("looking at {what}")),
            Event::GoesOn(bytes) => {
                self.before = bytes;
                self.line("going on where the last check was broken off");
                if let Some(bar) = &self.bar {
                    bar.set_position(bytes);
                    bar.reset_eta();
                }
            }
            Event::Total(bytes) => {
                (self.total, self.read, self.began) = (bytes, 0, Instant::now());
                if let Some(bar) = &self.bar {
                    bar.set_length(bytes);
                }
            }
            Event::Read(bytes) => self.read(bytes),
            Event::Found(finding, outcome) => {
                let kind = if finding.is_trouble() { "trouble" } else { "note" };
                let done = match outcome {
                    Outcome::Left => String::new(),
                    Outcome::Mended(how) => format!(": {how}"),
                };
                self.line(&format!("{kind}: {finding}{done}"));
            }
        }
    }

    fn read(&mut self, bytes: u64) {
        self.read += bytes;
        match &self.bar {
            Some(bar) => bar.inc(bytes),
            None if self.said.elapsed() >= LINE_EVERY => {
                self.said = Instant::now();
                let (done, took) = (self.before + self.read, self.began.elapsed());
                #[expect(clippy::cast_precision_loss, reason = "people do not count it")]
                let left = took.mul_f64(self.total.saturating_sub(done) as f64 / self.read.max(1) as f64);
                let rate = self.read / took.as_secs().max(1);
                let [done, total, rate] = [done, self.total, rate].map(|bytes| ByteSize(bytes).display().iec());
                self.line(&format!("{done} of {total}, {rate}/s, {} s left", left.as_secs()));
            }
            None => {}
        }
    }

    /// Whoever closes the pipe has read enough: the exit code tells the rest.
    fn line(&self, line: &str) {
        let print = || drop(writeln!(io::stdout(), "{line}"));
        match &self.bar {
            Some(bar) => bar.suspend(print),
            None => print(),
        }
    }

    fn end(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
