use super::*;
use crate::store::index::tests::landing;

async fn mount(index: &Index, from: &str, to: &str) -> bool {
    index.mount(&digest("a"), &repo(from), &repo(to), at(7)).await.unwrap()
}

#[tokio::test]
async fn what_a_hosted_repository_has_becomes_another_ones_too() {
    let (_dir, index) = fresh();
    upload(&index, APP, "a", 1).await;
    assert!(!mount(&index, "nobody/knows", OTHER).await);
    assert!(!mount(&index, OTHER, "team/third").await);
    assert!(
        !index.knows(&repo(OTHER)).await.unwrap(),
        "a mount that is not possible leaves nothing"
    );
    assert!(mount(&index, APP, OTHER).await);
    let sight = index.sight(&repo(OTHER), &digest("a")).await.unwrap();
    assert!(sight.visible() && sight.blob.is_some());
    assert_eq!(sight.link.unwrap().size, Some(5));
    assert_eq!(loose(&index, OTHER, "a").await, Some(7));
    assert!(mount(&index, APP, APP).await, "what is there is there");
    assert_eq!(loose(&index, APP, "a").await, Some(7), "and has all its grace again");
}

#[tokio::test]
async fn a_mirrored_repository_gives_what_it_may_see() {
    let (_dir, index) = fresh();
    index.land(landing(1, digest("a"), 5, "docker.io/a")).await.unwrap();
    let link = async |name: &str, mirror: &str| {
        index
            .link(&repo(name), Some(mirror), &digest("a"), false, None)
            .await
            .unwrap();
    };
    link("docker.io/names", "docker.io").await;
    link("quay.io/names", "quay.io").await;
    for (from, expected) in [
        ("docker.io/a", true),
        ("docker.io/names", true),
        ("quay.io/names", false),
        ("docker.io/b", false),
    ] {
        let to = format!("{APP}/{}", from.replace('.', "-"));
        assert_eq!(mount(&index, from, &to).await, expected, "{from}");
        assert_eq!(
            index.sight(&repo(&to), &digest("a")).await.unwrap().visible(),
            expected,
            "{from}"
        );
    }
}

#[tokio::test]
async fn what_is_not_stored_cannot_be_mounted_and_has_no_home() {
    let (dir, index) = fresh();
    upload(&index, APP, "a", 1).await;
    beside(&dir).execute("DELETE FROM blob", []).unwrap();
    assert!(!mount(&index, APP, OTHER).await);
    assert!(index.homes(&digest("a")).await.unwrap().is_empty());
}

#[tokio::test]
async fn homes_are_those_that_see_the_blob_and_not_too_many() {
    let (_dir, index) = fresh();
    index.land(landing(1, digest("a"), 5, "docker.io/a")).await.unwrap();
    for (name, mirror) in [("docker.io/b", "docker.io"), ("quay.io/a", "quay.io")] {
        index
            .link(&repo(name), Some(mirror), &digest("a"), false, None)
            .await
            .unwrap();
    }
    upload(&index, APP, "a", 1).await;
    upload(&index, APP, "b", 1).await;
    let homes = index.homes(&digest("a")).await.unwrap();
    let mut told: Vec<_> = homes.iter().map(|home| (home.key.as_str(), home.hosted)).collect();
    told.sort_unstable();
    assert_eq!(told, [("docker.io/a", false), ("docker.io/b", false), (APP, true)]);
    for n in 0..200 {
        upload(&index, &format!("many/r{n}"), "b", 1).await;
    }
    assert_eq!(index.homes(&digest("b")).await.unwrap().len(), 100);
}

#[tokio::test]
async fn grace_is_given_anew_only_to_what_is_loose() {
    let (_dir, index) = fresh();
    push_image(&index, APP, &["a"], "v1").await;
    upload(&index, APP, "b", 10).await;
    let refresh = async |of: &str, second| index.refresh(&repo(APP), &digest(of), at(second)).await.unwrap();
    assert!(refresh("b", 20).await);
    assert_eq!(loose(&index, APP, "b").await, Some(20));
    assert!(refresh("b", 15).await, "a clock that goes back takes nothing");
    assert_eq!(loose(&index, APP, "b").await, Some(20));
    assert!(!refresh("a", 20).await && !refresh("nothing", 20).await);
    assert_eq!(loose(&index, APP, "a").await, None);
}
