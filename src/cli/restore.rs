//! `wharf restore`: goes back to the last copy of the index, when the index is damaged or gone.
//!
//! Says what came back, what is lost, and where the index is now that was there.

use std::io::{self, Write};
use std::path::PathBuf;

use clap::Args;
use jiff::{SignedDuration, Timestamp};

use crate::app::{self, Plan};

use super::{ConfigFile, Failure};

#[derive(Debug, Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    file: ConfigFile,
    /// The copy; when not said, the one that wharf makes every day below `store.path`.
    #[arg(long, value_name = "FILE")]
    from: Option<PathBuf>,
}

/// Whole seconds are enough.
fn when(made_at: Option<Timestamp>, age: Option<SignedDuration>) -> String {
    let told = made_at.zip(age).map(|(then, age)| {
        let age = SignedDuration::from_secs(age.as_secs());
        format!("made at {then:.0}, {age:#} ago")
    });
    told.unwrap_or_else(|| "made at an unknown time".to_owned())
}

pub(super) fn run(arguments: Arguments) -> Result<(), Failure> {
    let Arguments { file, from } = arguments;
    let plan = Plan::load(file.path)?;
    let restored = app::restore(&plan, from.as_deref())?;
    let mut out = io::stdout();
    writeln!(
        out,
        "The index is now the copy {}, {}: {} repositories, {} manifests, {} tags.",
        restored.from.display(),
        when(restored.made_at, restored.age),
        restored.repositories,
        restored.manifests,
        restored.tags,
    )?;
    writeln!(
        out,
        "What was pushed since, and where tags were moved to, is lost: push it again. What was deleted since is back."
    )?;
    if restored.gone > 0 {
        writeln!(
            out,
            "{} blobs that it names have been deleted or damaged: push them again, or delete the images that need them.",
            restored.gone
        )?;
    }
    if restored.taken_in > 0 {
        writeln!(
            out,
            "{} blobs that it does not know go after hosted.grace, unless they are pushed or pulled again before.",
            restored.taken_in
        )?;
    }
    if let Some(aside) = restored.aside {
        writeln!(out, "The index that was there is now {}.", aside.display())?;
    }
    Ok(())
}
