use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use proptest::prelude::*;

use super::*;
use crate::oci::{Algorithm, Digest};
use crate::store::content::reader::{Reader, Stopped};

const MIB: u64 = 1024 * 1024;

fn arriving(length: Option<u64>) -> (Arc<Arriving>, tempfile::TempDir) {
    let dir = tempfile::tempdir().unwrap();
    let file = OpenFile::create(dir.path().join("1")).unwrap();
    let arriving = Arriving::new(file, Algorithm::Sha256, Pieces::default(), length, Tasks::new());
    (Arc::new(arriving), dir)
}

fn noise(length: usize) -> Vec<u8> {
    (0..length as u64)
        .map(|at| (at.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56) as u8)
        .collect()
}

async fn read(extent: &Extent) -> Vec<u8> {
    let room = vec![0; usize::try_from(extent.len()).unwrap()].into_boxed_slice();
    let (bytes, read) = extent.read(0, room).await.unwrap();
    bytes[..read].to_vec()
}

fn poll_run(reader: &mut Reader, span: Range<u64>) -> Poll<Result<Extent, Stopped>> {
    reader.poll_run(&mut Context::from_waker(Waker::noop()), span, true)
}

/// Bytes that come in any order, also twice, are read as they are meant and hashed once, in order.
#[test]
fn any_order_of_writes_gives_the_content_and_its_digest() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .build()
        .unwrap();
    let orders = prop::collection::vec(any::<prop::sample::Index>(), 40);
    proptest!(ProptestConfig::with_cases(40), |(order in orders, step in 1_usize..900)| {
        runtime.block_on(async {
            let content = noise(10_000);
            let (arriving, _dir) = arriving(Some(10_000));
            let mut reader = Reader::of(&arriving);
            let reading = arriving.tasks.spawn({
                let expected = content.clone();
                async move {
                    let mut at = 0;
                    while at < 10_000 {
                        let extent = poll_fn(|cx| reader.poll_run(cx, at..10_000, false)).await.unwrap();
                        let bytes = read(&extent).await;
                        let from = usize::try_from(at).unwrap();
                        assert_eq!(bytes, expected[from..from + bytes.len()]);
                        at += bytes.len() as u64;
                    }
                }
            });
            let chunks: Vec<(usize, &[u8])> = content.chunks(step).enumerate().collect();
            let rest = chunks.iter().copied();
            let shuffled = order.iter().map(|index| chunks[index.index(chunks.len())]).chain(rest);
            for (index, chunk) in shuffled {
                let offset = (index * step) as u64;
                arriving.write(offset, vec![Bytes::copy_from_slice(chunk)]).await.unwrap();
            }
            reading.await.unwrap();
            prop_assert_eq!(arriving.gap(), Gap::None);
            let (digest, size) = arriving.digest().await.unwrap();
            prop_assert_eq!((digest, size), (Digest::of(Algorithm::Sha256, &content), 10_000));
            Ok(())
        })?;
    });
}

#[tokio::test]
async fn with_the_length_unknown_the_last_byte_present_is_held_back() {
    let (arriving, _dir) = arriving(None);
    let mut reader = Reader::of(&arriving);
    arriving.write(0, vec![Bytes::from_static(b"a")]).await.unwrap();
    assert!(
        poll_run(&mut reader, 0..u64::MAX).is_pending(),
        "the only byte could be the last one"
    );
    arriving.write(1, vec![Bytes::from_static(b"bcd")]).await.unwrap();
    let Poll::Ready(Ok(extent)) = poll_run(&mut reader, 0..u64::MAX) else {
        panic!("three bytes may leave")
    };
    assert_eq!(extent.len(), 3);
    arriving.set_length(4);
    arriving.end(Ending::Proven);
    let Poll::Ready(Ok(extent)) = poll_run(&mut reader, 3..u64::MAX) else {
        panic!("the proof frees the last one")
    };
    assert_eq!(read(&extent).await, b"d");
}

#[tokio::test]
async fn a_reader_is_woken_by_its_own_byte_and_by_the_ending() {
    let (arriving, _dir) = arriving(Some(100));
    let mut far = Reader::of(&arriving);
    let mut near = Reader::of(&arriving);
    let mut near = std::pin::pin!(poll_fn(|cx| near.poll_run(cx, 0..100, false)));
    let mut far = std::pin::pin!(poll_fn(|cx| far.poll_run(cx, 50..100, false)));
    tokio::select! { biased; _ = &mut near => panic!("nothing is here"), _ = &mut far => panic!("nothing is here"), () = async {} => {} }
    arriving.write(0, vec![Bytes::from(noise(10))]).await.unwrap();
    assert_eq!(near.await.unwrap().len(), 10);
    tokio::select! { biased; _ = &mut far => panic!("its byte is not here"), () = async {} => {} }
    arriving.end(Ending::Cut);
    assert_eq!(far.await.unwrap_err(), Stopped::Cut);
}

#[tokio::test]
async fn the_first_ending_counts() {
    let (arriving, _dir) = arriving(Some(0));
    arriving.end(Ending::Proven);
    arriving.end(Ending::Cut);
    assert_eq!(arriving.ending(), Some(Ending::Proven));
}

#[tokio::test]
async fn the_main_stream_goes_round_claims_and_takes_over_what_is_given_up() {
    let (arriving, _dir) = arriving(Some(10 * MIB));
    let claim = arriving.claim(0..4 * MIB);
    assert_eq!(arriving.gap(), Gap::From(4 * MIB));
    assert_eq!(arriving.taken_until(MIB), 4 * MIB);
    let rest = arriving.claim(4 * MIB..10 * MIB);
    assert_eq!(arriving.gap(), Gap::Claimed);
    drop(claim);
    assert_eq!(arriving.gap(), Gap::From(0));
    drop(rest);
    assert_eq!(arriving.taken_until(5 * MIB), 5 * MIB);
}

/// What is hashed is what is in the file: bytes that another stream brought first count, not those that came later.
#[tokio::test]
async fn wrong_bytes_that_were_there_first_are_not_hidden_by_right_ones() {
    for ends in [vec![100], vec![40, 70, 100], vec![55, 100]] {
        let content = noise(100);
        let (arriving, _dir) = arriving(Some(100));
        arriving.write(50, vec![Bytes::from_static(&[0xEE; 10])]).await.unwrap();
        let mut start = 0;
        for end in ends {
            let chunk = Bytes::copy_from_slice(&content[start..end]);
            arriving.write(start as u64, vec![chunk]).await.unwrap();
            start = end;
        }
        let (digest, size) = arriving.digest().await.unwrap();
        assert_eq!(size, 100);
        assert_ne!(
            digest,
            Digest::of(Algorithm::Sha256, &content),
            "the file does not hold this"
        );
    }
}

/// Whoever waits for the hasher holds no thread that the one who has it may need.
#[test]
fn one_thread_for_blocking_work_is_enough_to_end_what_was_resumed() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .max_blocking_threads(1)
        .build()
        .unwrap();
    let content = noise(10_000);
    let ended = runtime.block_on(async {
        let (arriving, _dir) = arriving(None);
        arriving.file.write_at([&content[..]].into_iter(), 0).unwrap();
        arriving.state().pieces.insert(0..10_000);
        arriving.catch_up();
        tokio::time::timeout(Duration::from_secs(30), arriving.digest()).await
    });
    // A thread that waits for ever would otherwise be waited for.
    runtime.shutdown_background();
    let digest = Digest::of(Algorithm::Sha256, &content);
    assert_eq!(ended.unwrap().unwrap(), (digest, 10_000));
}
