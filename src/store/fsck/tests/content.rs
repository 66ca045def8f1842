//! Blobs that are not what they should be, and a check that does not get to all of them.

use super::*;

#[tokio::test]
async fn a_damaged_cached_blob_is_put_aside_and_fetched_again() {
    let damages: [(Harm, Damage); 4] = [
        (flip, Damage::Content),
        (|path| fs::write(path, "short").unwrap(), Damage::Length),
        (|path| fs::remove_file(path).unwrap(), Damage::Gone),
        (
            |path| {
                fs::remove_file(path).unwrap();
                fs::create_dir(path).unwrap();
                fs::write(path.join("somebody's"), "").unwrap();
            },
            Damage::NoFile,
        ),
    ];
    for (harm, damage) in damages {
        let dir = Dir::new();
        let [cached, _] = filled(&dir).await;
        harm(&dir.blob(&cached));
        let [found, mended, after] = mend(&dir).await;
        let finding = blob(cached, damage, &[]);
        assert_eq!(found, [(finding.clone(), false)]);
        assert_eq!(mended, [(finding, true)]);
        let kept = usize::from(damage != Damage::Gone);
        assert_eq!((after.len(), dir.files("quarantine").len()), (kept, kept), "{after:?}");
        let store = dir.open().await;
        assert_eq!(get(&store, &cached).await, None);
        let bytes = content(BIG).0;
        put(&store, &bytes, &cached).await;
        assert_eq!(get(&store, &cached).await, Some(bytes));
    }
}

#[tokio::test]
async fn a_damaged_pushed_blob_is_told_until_it_is_pushed_again_and_never_deleted() {
    let dir = Dir::new();
    let [_, pushed] = filled(&dir).await;
    flip(&dir.blob(&pushed));
    let left = fs::read(dir.blob(&pushed)).unwrap();
    let [found, mended, after] = mend(&dir).await;
    let finding = blob(pushed, Damage::Content, &[app()]);
    assert_eq!(
        (found, mended),
        (vec![(finding.clone(), false)], vec![(finding, false)])
    );
    assert_eq!(fs::read(&dir.files("quarantine")[0]).unwrap(), left);
    let (repo, digest) = (app(), pushed);
    assert!(after.contains(&(Finding::Lost { repo, digest }, false)), "{after:?}");
    let store = dir.open().await;
    let bytes = content(7).0;
    push(&store, &bytes, &pushed).await;
    store.close().await.unwrap();
    drop(store);
    assert_eq!(check(&dir, Fsck::default()).await.1.troubles, 0);
}

#[tokio::test]
async fn what_is_put_aside_replaces_nothing() {
    let dir = Dir::new();
    let [_, pushed] = filled(&dir).await;
    for times in 1..=3 {
        fs::write(dir.blob(&pushed), "short").unwrap();
        check(&dir, REPAIR).await;
        assert_eq!(dir.files("quarantine").len(), times);
        let store = dir.open().await;
        push(&store, &content(7).0, &pushed).await;
        store.close().await.unwrap();
    }
}

#[tokio::test]
async fn a_check_that_is_broken_off_is_gone_on_with() {
    let dir = Dir::new();
    let store = dir.open().await;
    for length in 1..=20 {
        let (bytes, digest) = content(length);
        put(&store, &bytes, &digest).await;
    }
    store.back_up(now()).await.unwrap();
    store.close().await.unwrap();
    drop(store);
    let mut in_order: Vec<_> = (1..=20).map(|length| content(length).1).collect();
    in_order.sort_by_key(ToString::to_string);
    flip(&dir.blob(&in_order[0]));
    // Ends when the seventh has been read.
    let (tasks, reads) = (Tasks::new(), Mutex::new(0));
    let (ends, found) = (tasks.clone(), Arc::new(Mutex::new(0)));
    let heard = Arc::clone(&found);
    let watch = move |event: Event<'_>| match event {
        Event::Read(_) => {
            *reads.lock().unwrap() += 1;
            if *reads.lock().unwrap() == 7 {
                futures_util::FutureExt::now_or_never(ends.close(Duration::ZERO));
            }
        }
        Event::Found(..) => *heard.lock().unwrap() += 1,
        Event::GoesOn(_) | Event::Looks(_) | Event::Total(_) => {}
    };
    let how = Fsck::default();
    let report = fsck(&config(&dir), how, tasks, now(), Arc::new(watch)).await.unwrap();
    assert_eq!((report.finished, *found.lock().unwrap()), (false, 1));
    assert_eq!(report.blobs, 6, "{report:?}");

    // What lies behind it is not read again, what was found is told again, and what lies before it is looked at.
    flip(&dir.blob(&in_order[1]));
    flip(&dir.blob(&in_order[19]));
    let (found, report) = check(&dir, how).await;
    let damaged = |n: usize| (blob(in_order[n], Damage::Content, &[]), false);
    assert_eq!(found, [damaged(0), damaged(19)]);
    assert_eq!((report.blobs, report.finished), (20, true));
    assert_eq!(check(&dir, how).await.0.len(), 3, "the next one begins anew");
}
