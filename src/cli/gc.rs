//! `wharf gc`: frees what nobody can reach, now; by the wharf that runs on the store, or where none does, by itself.

use std::io::{self, Write};

use bytesize::ByteSize;
use clap::Args;

use crate::admin::{self, Answer, Command, Grace};
use crate::app::{self, Plan};

use super::{ConfigFile, Failure, runtime};

#[derive(Debug, Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    file: ConfigFile,
    /// Only print what the next collection would free.
    #[arg(long)]
    dry_run: bool,
    /// As if `hosted.grace` were this, such as 0s: then also what a push that is under way has sent and not yet named.
    #[arg(long, value_name = "DURATION")]
    grace: Option<Grace>,
}

pub(super) fn run(arguments: Arguments) -> Result<(), Failure> {
    let Arguments { file, dry_run, grace } = arguments;
    let plan = Plan::load(file.path)?;
    let command = Command::Gc { dry_run, grace };
    let mut sum = Sum::default();
    if !admin::ask(&plan.config().store, &command, |answer| sum.add(answer))? {
        runtime()?.block_on(app::collect(&plan, dry_run, grace, |answer| sum.add(answer)))?;
    }
    sum.end(dry_run)
}

/// What was printed so far, and whether it could be.
#[derive(Debug, Default)]
struct Sum {
    blobs: u64,
    bytes: u64,
    failed: Option<io::Error>,
}

impl Sum {
    fn add(&mut self, answer: Answer) {
        let Answer::Content { digest, bytes } = answer else {
            return;
        };
        self.blobs += 1;
        self.bytes += bytes;
        if let Err(error) = writeln!(io::stdout(), "{digest} {bytes}") {
            self.failed.get_or_insert(error);
        }
    }

    fn end(self, dry_run: bool) -> Result<(), Failure> {
        self.failed.map_or(Ok(()), Err)?;
        let (blobs, bytes) = (self.blobs, self.bytes);
        let would = if dry_run { "would be freed" } else { "freed" };
        writeln!(
            io::stdout(),
            "{blobs} blobs, {bytes} bytes ({}) {would}",
            ByteSize(bytes)
        )?;
        Ok(())
    }
}
