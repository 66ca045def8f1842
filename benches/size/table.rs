//! Figures by name, of two stores side by side.

use std::time::Duration;

/// What one store costs.
#[derive(Debug)]
pub(crate) struct Figures {
    blobs: u64,
    rows: Vec<(String, f64)>,
}

impl Figures {
    pub(crate) fn of(blobs: u64) -> Self {
        Self {
            blobs,
            rows: Vec::new(),
        }
    }

    pub(crate) fn add(&mut self, what: impl Into<String>, value: f64) {
        let what = what.into();
        println!("  {what}: {}", shown(value));
        self.rows.push((what, value));
    }

    /// In microseconds: the median, and what one of a hundred exceeds.
    pub(crate) fn add_times(&mut self, what: &str, mut times: Vec<Duration>) {
        times.sort_unstable();
        for share in [50, 99] {
            let time = times[(times.len() - 1) * share / 100];
            self.add(format!("{what}, p{share}, µs"), time.as_secs_f64() * 1e6);
        }
    }
}

/// The shortest of some runs, in milliseconds: noise only adds.
pub(crate) fn shortest(runs: impl IntoIterator<Item = Duration>) -> f64 {
    let shortest = runs.into_iter().min().unwrap();
    shortest.as_secs_f64() * 1e3
}

/// Of some runs of which the shortest had less to do.
pub(crate) fn median(mut runs: Vec<Duration>) -> f64 {
    runs.sort_unstable();
    runs[runs.len() / 2].as_secs_f64() * 1e3
}

pub(crate) fn print([few, many]: &[Figures; 2]) {
    println!("\n{:<58} {:>12} {:>12} {:>8}", "blobs", few.blobs, many.blobs, "ratio");
    for ((what, one), (_, other)) in few.rows.iter().zip(&many.rows) {
        // Too little to be measured.
        let ratio = if *one > 0.0 {
            format!("{:.2}", other / one)
        } else {
            "-".to_owned()
        };
        println!("{what:<58} {:>12} {:>12} {ratio:>8}", shown(*one), shown(*other));
    }
}

fn shown(value: f64) -> String {
    if value < 10.0 {
        format!("{value:.2}")
    } else {
        format!("{value:.0}")
    }
}
