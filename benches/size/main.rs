//! A store of a million tiny blobs and a tenth as many tags beside one of a thousand: what grows, and how much. Prints a
//! table; its last column, how many times as much the large one costs, is what counts.
//!
//! `WHARF_BENCH_BLOBS` says another number than a million. `WHARF_BENCH_DIR` says where the stores are made, and kept for
//! the next run; without it they are in memory where there is room for that, and go at the end.

#![expect(clippy::unwrap_used, reason = "a bench that cannot be set up must fail loudly")]
#![expect(clippy::print_stdout, reason = "what it has to say")]
#![expect(clippy::cast_precision_loss, reason = "two digits are shown")]
#![expect(
    clippy::disallowed_methods,
    reason = "the fences are wharf's: a bench owns its files and processes"
)]

use std::path::{Path, PathBuf};

use rustix::fs::statfs;
use tempfile::TempDir;
use tokio::runtime::Runtime;

use fill::Filled;
use served::Served;
use table::Figures;

mod fill;
mod inside;
mod served;
#[path = "../../tests/it/support/mod.rs"]
#[expect(dead_code, reason = "the behaviour tests use the rest")]
mod support;
mod table;
#[path = "../wire/mod.rs"]
mod wire;

/// In the store that the other one is compared with.
const FEW: u64 = 1000;
const MANY: u64 = 1_000_000;

fn main() {
    // `cargo test` runs it too: then only to see that it works.
    let many = if std::env::args().any(|argument| argument == "--bench") {
        MANY
    } else {
        2 * FEW
    };
    let many = std::env::var("WHARF_BENCH_BLOBS").map_or(many, |said| said.parse().unwrap());
    let (_made, place) = place();
    println!("stores in {}{}", place.display(), remark(&place));
    let runtime = Runtime::new().unwrap();
    let measured = [FEW, many].map(|blobs| runtime.block_on(measure(&place, blobs)));
    table::print(&measured);
}

/// Where the stores are made; the first goes with its owner.
fn place() -> (Option<TempDir>, PathBuf) {
    if let Some(kept) = std::env::var_os("WHARF_BENCH_DIR") {
        return (None, kept.into());
    }
    let memory = Path::new("/dev/shm");
    let made = if memory.is_dir() {
        TempDir::new_in(memory)
    } else {
        TempDir::new()
    };
    let made = made.unwrap();
    let path = made.path().to_owned();
    (Some(made), path)
}

fn remark(place: &Path) -> &'static str {
    const TMPFS: u64 = 0x0102_1994;
    std::fs::create_dir_all(place).unwrap();
    let is_memory = statfs(place).is_ok_and(|found| u64::try_from(found.f_type) == Ok(TMPFS));
    if is_memory {
        ": memory, so that nothing waits for a disk"
    } else {
        ""
    }
}

async fn measure(place: &Path, blobs: u64) -> Figures {
    let mut figures = Figures::of(blobs);
    let filled = Filled::make(&place.join(blobs.to_string()), blobs).await;
    inside::upkeep(&filled, &mut figures).await;
    inside::starts(&filled, &mut figures).await;
    inside::reads(&filled, &mut figures).await;
    let served = Served::of(&filled);
    served.starts(&mut figures).await;
    served.evictions(&mut figures).await;
    figures
}
