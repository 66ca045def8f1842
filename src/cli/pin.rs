//! `wharf pin`: what the running wharf never evicts.

use std::io::{self, Write};

use bytesize::ByteSize;
use clap::Subcommand;

use crate::admin::{self, Answer, Command as Asked};
use crate::app::Plan;
use crate::oci::Pin;

use super::{ConfigFile, Failure};

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Pin what PATTERN names, from now on and over restarts.
    Add(Pattern),
    /// Take back what `wharf pin add` did.
    Remove(Pattern),
    /// Print each pin, where it comes from, and how much of it is stored.
    List(ConfigFile),
}

#[derive(Debug, clap::Args)]
pub(super) struct Pattern {
    #[command(flatten)]
    file: ConfigFile,
    /// Names with their mirror's key in front, perhaps with tags or a digest: "docker.io/library/alpine:3*".
    #[arg(value_name = "PATTERN")]
    pin: Pin,
}

pub(super) fn run(command: Command) -> Result<(), Failure> {
    let (file, asked) = match command {
        Command::Add(Pattern { file, pin }) => (file, Asked::PinAdd { pin }),
        Command::Remove(Pattern { file, pin }) => (file, Asked::PinRemove { pin }),
        Command::List(file) => (file, Asked::PinList {}),
    };
    let plan = Plan::load(file.path)?;
    let mut pins = Vec::new();
    if !admin::ask(&plan.config().store, &asked, |answer| pins.push(answer))? {
        return Err(Failure::NobodyServes(plan.config().store.path.clone()));
    }
    for pin in pins {
        print(&pin)?;
    }
    Ok(())
}

fn print(answer: &Answer) -> io::Result<()> {
    let Answer::Pin {
        pin,
        source,
        blobs,
        bytes,
    } = answer
    else {
        return Ok(());
    };
    writeln!(
        io::stdout(),
        "{pin} by {source}: {blobs} blobs, {bytes} bytes ({})",
        ByteSize(*bytes)
    )
}
