//! The table in README. With `WHARF_WRITE_README` set, the test writes it instead of comparing.

use std::fmt;

use super::table::{Again, Cached, Heard, Row, TABLE};

const README: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/README.md");
const BEGIN: &str = "<!-- The test `faults::readme` writes this table. -->\n\n";
const END: &str = "\n<!-- End of the table. -->";

#[test]
fn readme_shows_the_table() {
    let readme = std::fs::read_to_string(README).unwrap();
    let (before, rest) = readme.split_once(BEGIN).expect("where the table begins");
    let (shown, after) = rest.split_once(END).expect("where the table ends");
    if std::env::var_os("WHARF_WRITE_README").is_some() {
        std::fs::write(README, [before, BEGIN, &table(), END, after].concat()).unwrap();
        return;
    }
    assert!(
        shown == table(),
        "run this test with WHARF_WRITE_README=1, and read what has changed:\n{}",
        table()
    );
}

fn table() -> String {
    let head = "| the registry | a tag in the cache | a tag that is not | a blob that is not | a blob on its way | asked again |\n|---|---|---|---|---|---|\n";
    TABLE
        .iter()
        .fold(head.to_owned(), |table, row| table + &row.to_string())
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            registry,
            cached_tag,
            uncached_tag,
            uncached_blob,
            under_way,
            again,
            ..
        } = self;
        writeln!(
            f,
            "| {registry} | {cached_tag} | {uncached_tag} | {uncached_blob} | {under_way} | {again} |"
        )
    }
}

impl fmt::Display for Cached {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::News => "up to date",
            Self::Stale => "served as it was",
            Self::StaleInTime => "served as it was, after `revalidate`",
        })
    }
}

impl fmt::Display for Heard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nothing => f.write_str("comes whole"),
            Self::Told(429, _) => f.write_str("429 with `Retry-After`"),
            Self::Told(status, "UNAVAILABLE") => write!(f, "{status}"),
            Self::Told(status, code) => write!(f, "{status} `{code}`"),
            Self::Cut => f.write_str("cut, and kept so far"),
            Self::CutWrong => f.write_str("cut before its last byte, and not kept"),
        }
    }
}

impl fmt::Display for Again {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Served => Ok(()),
            Self::Asked => f.write_str("each time"),
            Self::Remembered => f.write_str("not for 10 s"),
            Self::LeftAlone(1) => f.write_str("once a probe finds it well"),
            Self::LeftAlone(times) => write!(f, "after {times} questions, once a probe finds it well"),
            Self::Held => f.write_str("not before the time it names, or 5 s"),
            Self::Blamed => f.write_str("for other content; for this after 5 s, then twice as long"),
        }
    }
}
