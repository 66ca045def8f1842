use super::*;
use crate::store::index::tests::{MIRROR, beside, digest, fresh, open, repo};

fn listing(lines: &str, second: i64) -> Listing {
    Listing {
        lines: lines.into(),
        checked_at: Timestamp::from_second(second).unwrap(),
    }
}

async fn put(index: &Index, name: &str, list: &List, listing: Listing) {
    index.put_listing(&repo(name), MIRROR, list, listing).await.unwrap();
}

#[tokio::test]
async fn a_list_is_replaced_whole_and_survives_a_reopen() {
    let (dir, index) = fresh();
    let (name, about) = (repo("docker.io/a"), List::Referrers(digest("x")));
    assert_eq!(index.listing(&name, &List::Tags).await.unwrap(), None);
    put(&index, "docker.io/a", &List::Tags, listing("v1\nv2", 1)).await;
    put(&index, "docker.io/a", &about, listing("{}", 2)).await;
    put(&index, "docker.io/b", &List::Tags, listing("v9", 3)).await;
    assert_eq!(
        index.listing(&name, &List::Tags).await.unwrap(),
        Some(listing("v1\nv2", 1))
    );
    put(&index, "docker.io/a", &List::Tags, listing("v2", 4)).await;
    assert_eq!(index.listing(&name, &List::Tags).await.unwrap(), Some(listing("v2", 4)));
    index.close().await.unwrap();

    let index = open(&dir);
    assert_eq!(index.listing(&name, &List::Tags).await.unwrap(), Some(listing("v2", 4)));
    assert_eq!(index.listing(&name, &about).await.unwrap(), Some(listing("{}", 2)));
    let other = List::Referrers(digest("y"));
    assert_eq!(index.listing(&name, &other).await.unwrap(), None);
}

#[tokio::test]
async fn an_empty_list_takes_the_older_one_away_and_leaves_no_trace() {
    let (dir, index) = fresh();
    put(&index, "docker.io/a", &List::Tags, listing("v1", 1)).await;
    put(&index, "docker.io/a", &List::Tags, listing("", 2)).await;
    assert_eq!(index.listing(&repo("docker.io/a"), &List::Tags).await.unwrap(), None);
    put(&index, "docker.io/never-heard-of", &List::Tags, listing("", 2)).await;
    let rows: i64 = beside(&dir)
        .query_row("SELECT count(*) FROM listing, repository", [], |row| row.get(0))
        .unwrap();
    assert_eq!(rows, 0);
}

fn kept(dir: &tempfile::TempDir) -> Vec<String> {
    let connection = beside(dir);
    let mut read = connection
        .prepare("SELECT repository.key FROM listing JOIN repository ON repository.id = repository ORDER BY checked_at")
        .unwrap();
    let keys = read.query_map([], |row| row.get(0)).unwrap();
    keys.collect::<rusqlite::Result<_>>().unwrap()
}

#[tokio::test]
async fn the_lists_that_were_checked_longest_ago_make_room() {
    let (dir, index) = fresh();
    let large = "x".repeat(24 * 1024 * 1024);
    for (name, second) in [("docker.io/b", 2), ("docker.io/a", 1), ("docker.io/c", 3)] {
        put(&index, name, &List::Tags, listing(&large, second)).await;
    }
    assert_eq!(kept(&dir), ["docker.io/b", "docker.io/c"], "72 MiB are too many");
    put(&index, "docker.io/b", &List::Tags, listing(&large, 4)).await;
    put(&index, "docker.io/d", &List::Tags, listing(&large, 5)).await;
    assert_eq!(kept(&dir), ["docker.io/b", "docker.io/d"]);
}

#[tokio::test]
async fn there_are_no_more_than_so_many() {
    let (dir, index) = fresh();
    put(&index, "docker.io/first", &List::Tags, listing("v1", 1)).await;
    let many = "
        WITH RECURSIVE number (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM number WHERE n < 4095)
        INSERT INTO listing (repository, subject, checked_at, size, lines)
        SELECT 1, n, 2000000 + n, 1, 'x' FROM number";
    beside(&dir).execute_batch(many).unwrap();
    put(&index, "docker.io/last", &List::Tags, listing("v1", 9)).await;
    let kept = kept(&dir);
    assert_eq!(
        (kept.len(), kept.last().map(String::as_str)),
        (4096, Some("docker.io/last"))
    );
    assert!(
        index
            .listing(&repo("docker.io/first"), &List::Tags)
            .await
            .unwrap()
            .is_none()
    );
}
