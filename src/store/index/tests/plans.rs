//! How SQLite goes about each statement, as it stands in the sources.

use std::path::{Path, PathBuf};

use rusqlite::Connection;
use rusqlite::config::DbConfig;

use crate::store::index::schema;

/// Tables that grow with what is stored, however little of it is under way.
const GROWING: [&str; 10] = [
    "blob",
    "link",
    "loose",
    "manifest",
    "names",
    "origin",
    "pushed",
    "repository",
    "tag",
    "unlinked",
];

/// What is there to look at everything, by file and by how it begins: it makes the tables, restores, or is asked for by
/// `wharf fsck` or by a scrub, which nobody waits for.
const THOROUGH: [(&str, &str); 6] = [
    ("schema/steps.rs", ""),
    ("copy/restore.rs", ""),
    ("check/books.rs", ""),
    ("check/mod.rs", "SELECT count(*)"),
    ("check/mod.rs", "SELECT repository.key"),
    ("check/mod.rs", "SELECT digest, size, modified FROM blob WHERE modified"),
];

/// A new index, and what SQLite says of a statement on it and on what triggers do after it.
struct Planner {
    _dir: tempfile::TempDir,
    connection: Connection,
}

impl Planner {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let connection = schema::open_writer(&dir.path().join("index.sqlite3")).unwrap();
        connection
            .set_db_config(DbConfig::SQLITE_DBCONFIG_TRIGGER_EQP, true)
            .unwrap();
        Self { _dir: dir, connection }
    }

    fn plan(&self, statement: &str) -> rusqlite::Result<Vec<String>> {
        let mut explain = self.connection.prepare(&format!("EXPLAIN QUERY PLAN {statement}"))?;
        // What its parameters are is all the same.
        let mut rows = explain.raw_query();
        let mut plan = Vec::new();
        while let Some(row) = rows.next()? {
            plan.push(row.get("detail")?);
        }
        Ok(plan)
    }

    /// What of the plan takes longer in a larger store.
    fn slow(&self, statement: &str) -> Vec<String> {
        let plan = self.plan(statement);
        let plan = plan.unwrap_or_else(|error| panic!("{error}: {statement}"));
        let slow = |step: &String| {
            let scanned = step.strip_prefix("SCAN ").and_then(|rest| rest.split(' ').next());
            scanned.is_some_and(|table| GROWING.contains(&table))
                // Of all that there is, to give a few.
                || step.contains("TEMP B-TREE FOR ORDER BY") && statement.contains(" LIMIT ")
                || step.contains("AUTOMATIC")
        };
        plan.into_iter().filter(slow).collect()
    }
}

/// The statements in a source file, each in a line: no other texts begin like this.
fn statements(source: &str) -> Vec<String> {
    let verbs = ["SELECT ", "INSERT ", "UPDATE ", "DELETE ", "WITH "];
    let source = source.replace("\\\"", "`");
    let texts = source
        .split('"')
        .map(|text| text.split_whitespace().collect::<Vec<_>>().join(" "));
    texts
        .filter(|text| verbs.iter().any(|verb| text.starts_with(verb)))
        .collect()
}

fn is_thorough(file: &Path, statement: &str) -> bool {
    THOROUGH
        .iter()
        .any(|(name, begin)| file.ends_with(name) && statement.starts_with(begin))
}

#[expect(clippy::disallowed_methods, reason = "the sources are read by a test")]
fn sources(of: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(of).unwrap() {
        let path = entry.unwrap().path();
        let is_test = path.ends_with("tests") || path.ends_with("tests.rs");
        if path.is_dir() && !is_test {
            sources(&path, found);
        } else if path.extension().is_some_and(|kind| kind == "rs") && !is_test {
            found.push(path);
        }
    }
}

#[test]
fn an_index_leads_every_statement_to_what_it_looks_for() {
    let (planner, mut files) = (Planner::new(), Vec::new());
    let index = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/store/index");
    sources(&index, &mut files);
    let (mut seen, mut slow) = (0, Vec::new());
    for file in files {
        let statements = statements(&std::fs::read_to_string(&file).unwrap());
        for statement in statements.iter().filter(|statement| !is_thorough(&file, statement)) {
            seen += 1;
            let found = planner.slow(statement);
            slow.extend(
                found
                    .into_iter()
                    .map(|step| format!("{}: {step}: {statement}", file.display())),
            );
        }
    }
    assert!(seen > 80, "only {seen} statements are found");
    assert!(slow.is_empty(), "\n{}\n", slow.join("\n"));
}

#[test]
fn a_search_through_everything_is_found_also_where_a_trigger_does_it() {
    let planner = Planner::new();
    assert_eq!(planner.slow("DELETE FROM blob WHERE digest = ?1"), [""; 0]);
    assert_eq!(planner.slow("SELECT digest FROM blob WHERE size = ?1").len(), 1);
    assert_eq!(
        planner
            .slow("SELECT digest FROM blob WHERE hosted = 0 AND used <= ?1 ORDER BY size LIMIT 64")
            .len(),
        1
    );
    let careless = "
        CREATE TRIGGER careless AFTER DELETE ON blob BEGIN DELETE FROM tag WHERE media_type = OLD.digest; END";
    planner.connection.execute_batch(careless).unwrap();
    assert_eq!(planner.slow("DELETE FROM blob WHERE digest = ?1").len(), 1);
}

#[test]
fn every_table_is_known_to_grow_or_not() {
    const BOUNDED: [&str; 6] = ["counted", "listing", "meta", "pin", "staged", "upload"];
    let planner = Planner::new();
    let mut read = planner
        .connection
        .prepare("SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite%'")
        .unwrap();
    let names: Vec<String> = read
        .query_map([], |row| row.get(0))
        .unwrap()
        .map(Result::unwrap)
        .collect();
    for name in names {
        let known = GROWING.contains(&name.as_str()) || BOUNDED.contains(&name.as_str());
        assert!(known, "does {name} grow with what is stored?");
    }
}
