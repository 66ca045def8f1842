use proptest::prelude::*;
use rusqlite::params;

use super::*;
use crate::store::index::tests::{MIRROR, beside, digest, fresh, image, landing, put, repo, row, tag};

/// Rows as a push makes them.
struct Rows(Connection);

impl Rows {
    fn repository(&self, name: &str) -> i64 {
        let add = "INSERT INTO repository (key) VALUES (?1) ON CONFLICT DO NOTHING";
        self.0.execute(add, [name]).unwrap();
        let id = "SELECT id FROM repository WHERE key = ?1";
        self.0.query_row(id, [name], |row| row.get(0)).unwrap()
    }

    fn pushed(&self, name: &str, of: &str, about: Option<(&str, &str, &str)>) -> Digest {
        let (repository, manifest) = (self.repository(name), digest(of));
        let bytes = "INSERT INTO manifest VALUES (?1, 'a/b', x'') ON CONFLICT DO NOTHING";
        self.0.execute(bytes, [manifest.to_string()]).unwrap();
        let add = "INSERT INTO pushed VALUES (?1, ?2, 'a/b', ?3, ?4, ?5)";
        let subject = about.map(|(subject, ..)| digest(subject).to_string());
        let (kind, descriptor) = (about.map(|(_, kind, _)| kind), about.map(|(.., descriptor)| descriptor));
        let row = params![repository, manifest.to_string(), subject, kind, descriptor];
        self.0.execute(add, row).unwrap();
        manifest
    }

    fn tag(&self, name: &str, tag: &str, of: &str) {
        let add = "INSERT INTO tag (repository, name, digest, checked_at) VALUES (?1, ?2, ?3, 0)";
        let row = params![self.repository(name), tag, digest(of).to_string()];
        self.0.execute(add, row).unwrap();
    }

    fn unpush(&self, name: &str) {
        let gone = "DELETE FROM pushed WHERE repository = ?1";
        self.0.execute(gone, [self.repository(name)]).unwrap();
    }
}

fn names(part: &Part<Tag>) -> Vec<String> {
    part.entries.iter().map(ToString::to_string).collect()
}

fn keys(part: &Part<Kept>) -> (Vec<&str>, bool) {
    (part.entries.iter().map(|kept| kept.key.as_str()).collect(), part.more)
}

async fn listed(index: &Index, after: Option<&str>, limit: usize) -> (Vec<String>, bool) {
    let part = index.tags(&repo("team/app"), after, limit).await.unwrap().unwrap();
    (names(&part), part.more)
}

#[tokio::test]
async fn tags_are_sorted_by_their_bytes_and_read_on_from_anywhere() {
    let (dir, index) = fresh();
    let rows = Rows(beside(&dir));
    rows.pushed("team/app", "m", None);
    rows.pushed("team/b", "m", None);
    rows.tag("team/b", "other", "m");
    for name in ["b", "_a", "B", "a.1", "a-1", "10", "9"] {
        rows.tag("team/app", name, "m");
    }
    let all = ["10", "9", "B", "_a", "a-1", "a.1", "b"];
    let owned = |names: &[&str]| names.iter().map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!(listed(&index, None, 7).await, (owned(&all), false), "none follow");
    assert_eq!(listed(&index, None, 6).await, (owned(&all[..6]), true));
    assert_eq!(listed(&index, Some("B"), 2).await, (owned(&all[3..5]), true));
    assert_eq!(
        listed(&index, Some("C"), 9).await,
        (owned(&all[3..]), false),
        "C is no tag"
    );
    assert_eq!(listed(&index, Some("b"), 9).await, (vec![], false));
    assert_eq!(listed(&index, None, 0).await, (vec![], true));
}

#[tokio::test]
async fn a_repository_is_known_while_it_holds_a_manifest() {
    let (dir, index) = fresh();
    let rows = Rows(beside(&dir));
    let known = async || {
        index
            .tags(&repo("team/app"), None, 9)
            .await
            .unwrap()
            .map(|part| names(&part))
    };
    assert_eq!(known().await, None, "never heard of");
    rows.repository("team/app");
    assert_eq!(known().await, None, "only blobs");
    rows.pushed("team/app", "m", None);
    assert_eq!(known().await, Some(vec![]), "no tag");
    rows.unpush("team/app");
    assert_eq!(known().await, None, "its last manifest is gone");
}

#[tokio::test]
async fn a_name_that_was_a_mirrors_lists_only_what_was_pushed_to_it() {
    let (dir, index) = fresh();
    let (rows, name) = (Rows(beside(&dir)), repo("hub/app"));
    let cached = image([]);
    index
        .put_manifest(put("hub/app", &cached, Some("cached")))
        .await
        .unwrap();
    assert_eq!(index.tags(&name, None, 9).await.unwrap(), None);
    let hosted = async || index.repositories(None, 9).await.unwrap().entries[0].hosted;
    assert!(!hosted().await);

    rows.pushed("hub/app", "m", None);
    rows.tag("hub/app", "pushed", "m");
    let tags = index.tags(&name, None, 9).await.unwrap().unwrap();
    assert_eq!(names(&tags), ["pushed"]);
    assert!(hosted().await);
}

#[tokio::test]
async fn repositories_are_those_that_hold_something() {
    let (dir, index) = fresh();
    let rows = Rows(beside(&dir));
    rows.repository("team/only-blobs");
    rows.pushed("team/app", "m", None);
    rows.pushed("a", "m", None);
    let manifest = image([(digest("layer"), 5)]);
    index
        .put_manifest(put("docker.io/with-manifest", &manifest, None))
        .await
        .unwrap();
    index
        .land(landing(1, digest("blob"), 5, "docker.io/with-blob"))
        .await
        .unwrap();
    // What an upstream said without sending anything.
    let told = repo("docker.io/only-a-tag");
    index.put_tag(&told, Some(MIRROR), &tag("v1"), row(3)).await.unwrap();
    let proven = repo("docker.io/only-a-head");
    index
        .link(&proven, Some(MIRROR), &digest("absent"), true, None)
        .await
        .unwrap();

    let all = ["a", "docker.io/with-blob", "docker.io/with-manifest", "team/app"];
    let part = index.repositories(None, 9).await.unwrap();
    assert_eq!(keys(&part), (all.to_vec(), false));
    let hosted: Vec<_> = part.entries.iter().map(|kept| kept.hosted).collect();
    assert_eq!(hosted, [true, false, false, true]);
    let part = index.repositories(Some("a"), 2).await.unwrap();
    assert_eq!(keys(&part), (all[1..3].to_vec(), true));
    let part = index.repositories(Some("docker.io/with-manifest"), 1).await.unwrap();
    assert_eq!(keys(&part), (vec!["team/app"], false));
}

async fn about(index: &Index, kind: Option<&str>, after: Option<&Digest>, max_bytes: usize) -> Part<Referrer> {
    let name = repo("team/app");
    index
        .referrers(&name, &digest("subject"), kind, after, max_bytes)
        .await
        .unwrap()
}

#[tokio::test]
async fn referrers_are_those_of_the_subject_in_this_repository() {
    let (dir, index) = fresh();
    let rows = Rows(beside(&dir));
    let (sig, sbom) = (("subject", "a/sig", "{\"s\":1}"), ("subject", "a/sbom", "{\"s\":2}"));
    let one = rows.pushed("team/app", "one", Some(sig));
    let two = rows.pushed("team/app", "two", Some(sbom));
    rows.pushed("team/app", "three", Some(("another", "a/sig", "{}")));
    rows.pushed("team/app", "four", None);
    rows.pushed("team/b", "five", Some(sig));
    let digests = |part: Part<Referrer>| part.entries.into_iter().map(|it| it.digest).collect::<Vec<_>>();
    let mut both = vec![one, two];
    both.sort_by_key(ToString::to_string);
    assert_eq!(digests(about(&index, None, None, 99).await), both);
    let signature = about(&index, Some("a/sig"), None, 99).await;
    assert_eq!(signature.entries[0].descriptor, "{\"s\":1}");
    assert_eq!(digests(signature), [one]);
    assert_eq!(digests(about(&index, Some("a/si"), None, 99).await), []);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]
    #[test]
    fn pages_of_referrers_together_are_the_list_and_none_is_too_large(
        sizes in prop::collection::vec(2..60_usize, 0..20), max_bytes in 1..100_usize
    ) {
        let (dir, index) = fresh();
        let rows = Rows(beside(&dir));
        rows.repository("team/app");
        let mut all: Vec<_> = sizes.iter().enumerate().map(|(number, size)| {
            rows.pushed("team/app", &number.to_string(), Some(("subject", "a/b", &"x".repeat(*size))))
        }).collect();
        all.sort_by_key(ToString::to_string);
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let mut paged = Vec::new();
            loop {
                let part = about(&index, None, paged.last(), max_bytes).await;
                let bytes: usize = part.entries.iter().map(|it| it.descriptor.len() + 1).sum();
                assert!(bytes <= max_bytes || part.entries.len() == 1);
                paged.extend(part.entries.iter().map(|it| it.digest));
                if !part.more {
                    break;
                }
            }
            assert_eq!(paged, all);
        });
    }
}
