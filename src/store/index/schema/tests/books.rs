//! The books that the triggers keep, against what the rows say.

use proptest::prelude::*;

use super::*;

/// Digests and repositories in a history.
const FEW: i64 = 4;

/// What happens to the rows, by whatever way.
#[derive(Debug, Clone)]
enum Step {
    Comes { blob: i64, allocated: i64 },
    Grows { blob: i64, allocated: i64 },
    IsPulled { blob: i64 },
    Goes { blob: i64 },
    IsLinked { repository: i64, blob: i64, proven: bool },
    IsUnlinked { repository: i64, blob: i64 },
    IsPushedTo { repository: i64 },
}

impl Step {
    fn run(&self, index: &Connection) {
        match *self {
            Self::Comes { blob, allocated } => index.execute(
                "INSERT INTO blob (digest, size, modified, allocated) VALUES (?1, 1, 1, ?2)
                 ON CONFLICT (digest) DO UPDATE SET allocated = excluded.allocated",
                (blob.to_string(), allocated),
            ),
            Self::Grows { blob, allocated } => index.execute(
                "UPDATE blob SET allocated = ?2 WHERE digest = ?1",
                (blob.to_string(), allocated),
            ),
            Self::IsPulled { blob } => index.execute(
                "UPDATE blob SET used = 1 + (SELECT max(used) FROM blob) WHERE digest = ?1",
                [blob.to_string()],
            ),
            Self::Goes { blob } => index.execute("DELETE FROM blob WHERE digest = ?1", [blob.to_string()]),
            Self::IsLinked {
                repository,
                blob,
                proven,
            } => index.execute(
                "INSERT INTO link (repository, digest, proven) VALUES (?1, ?2, ?3)
                 ON CONFLICT (repository, digest) DO UPDATE SET proven = max(proven, excluded.proven)",
                (repository, blob.to_string(), proven),
            ),
            Self::IsUnlinked { repository, blob } => index.execute(
                "DELETE FROM link WHERE repository = ?1 AND digest = ?2",
                (repository, blob.to_string()),
            ),
            Self::IsPushedTo { repository } => index.execute(
                "INSERT INTO repository (id, key, mirror) VALUES (?1, ?1, NULL)
                 ON CONFLICT (key) DO UPDATE SET mirror = NULL WHERE mirror IS NOT NULL",
                [repository],
            ),
        }
        .unwrap();
    }
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let (blob, repository, allocated) = (0..FEW, 0..FEW, 0..100_i64);
    let step = prop_oneof![
        (blob.clone(), allocated.clone()).prop_map(|(blob, allocated)| Step::Comes { blob, allocated }),
        (blob.clone(), allocated).prop_map(|(blob, allocated)| Step::Grows { blob, allocated }),
        blob.clone().prop_map(|blob| Step::IsPulled { blob }),
        blob.clone().prop_map(|blob| Step::Goes { blob }),
        (repository.clone(), blob.clone(), any::<bool>()).prop_map(|(repository, blob, proven)| Step::IsLinked {
            repository,
            blob,
            proven,
        }),
        (repository.clone(), blob).prop_map(|(repository, blob)| Step::IsUnlinked { repository, blob }),
        repository.prop_map(|repository| Step::IsPushedTo { repository }),
    ];
    prop::collection::vec(step, 0..60)
}

/// Half of the repositories are a mirror's.
fn index() -> Connection {
    let index = Connection::open_in_memory().unwrap();
    for step in STEPS {
        index.execute_batch(step).unwrap();
    }
    for repository in 0..FEW {
        let mirror = (repository % 2 == 0).then_some("docker.io");
        let add = "INSERT INTO repository (id, key, mirror) VALUES (?1, ?1, ?2)";
        index.execute(add, (repository, mirror)).unwrap();
    }
    index
}

/// Rows that say something else than the rows that decide it, and the sum: as kept, and as it should be.
fn books(index: &Connection) -> (i64, i64, i64) {
    const WRONG: &str = "
        SELECT count(*) FROM blob
        WHERE hosted != EXISTS (SELECT 1 FROM link JOIN repository ON repository.id = link.repository
                                WHERE link.digest = blob.digest AND link.proven AND repository.mirror IS NULL)";
    const COUNTED: &str = "SELECT bytes FROM counted";
    const SUM: &str = "SELECT coalesce(sum(allocated), 0) FROM blob WHERE NOT hosted";
    let one = |read| index.query_row(read, [], |row| row.get(0)).unwrap();
    (one(WRONG), one(COUNTED), one(SUM))
}

proptest! {
    #[test]
    fn the_books_are_what_the_rows_say_after_each_step(steps in steps()) {
        let index = index();
        for step in steps {
            step.run(&index);
            let (wrong, kept, sum) = books(&index);
            prop_assert_eq!((wrong, kept), (0, sum), "after {:?}", step);
        }
    }
}

#[test]
fn the_last_hosted_link_decides_and_a_mirrors_link_never() {
    let index = index();
    let counted = || books(&index).1;
    Step::Comes { blob: 1, allocated: 7 }.run(&index);
    let linked = |repository| Step::IsLinked {
        repository,
        blob: 1,
        proven: true,
    };
    let unlinked = |repository| Step::IsUnlinked { repository, blob: 1 };
    linked(0).run(&index);
    assert_eq!(counted(), 7, "a mirror's");
    linked(1).run(&index);
    linked(3).run(&index);
    assert_eq!(counted(), 0);
    unlinked(1).run(&index);
    assert_eq!(counted(), 0, "another one has it");
    unlinked(3).run(&index);
    assert_eq!(counted(), 7);
    Step::IsPushedTo { repository: 0 }.run(&index);
    assert_eq!(counted(), 0, "its name is a hosted repository's by now");
}

#[test]
fn an_index_of_before_is_counted_once() {
    let index = Connection::open_in_memory().unwrap();
    for step in &STEPS[..4] {
        index.execute_batch(step).unwrap();
    }
    let stored = "
        INSERT INTO repository (id, key, mirror) VALUES (1, 'docker.io/a', 'docker.io'), (2, 'team/a', NULL);
        INSERT INTO blob (digest, size, modified) VALUES ('cached', 4097, 1), ('pushed', 5, 1), ('named', 0, 1);
        INSERT INTO link (repository, digest, proven) VALUES (1, 'cached', 1), (2, 'pushed', 1), (2, 'named', 0);";
    index.execute_batch(stored).unwrap();
    index.execute_batch(STEPS[4]).unwrap();
    assert_eq!(books(&index), (0, 8192, 8192), "whole pages");
}

#[test]
fn the_least_recently_pulled_is_found_without_a_search() {
    let index = index();
    for (asked, by) in [
        (
            "SELECT digest FROM blob WHERE hosted = 0 AND used <= 7 ORDER BY used LIMIT 64",
            "SEARCH blob USING COVERING INDEX blob_by_use (hosted=? AND used<?)",
        ),
        (
            "SELECT max(used) FROM blob WHERE hosted = 1",
            "SEARCH blob USING COVERING INDEX blob_by_use (hosted=?)",
        ),
    ] {
        let explained = format!("EXPLAIN QUERY PLAN {asked}");
        let plan: String = index.query_row(&explained, [], |row| row.get(3)).unwrap();
        assert_eq!(plan, by, "and nothing is sorted");
    }
}
