//! The next token, before the life of one is over: aside, and at nobody's expense. Tokens live 300 s, of which 85 % are 255.

use super::*;

/// A registry whose n-th token endpoint's answer is the n-th of these; tokens are `t1`, `t2`... by their number there.
async fn registry(answers: impl Fn(u32) -> Reply + Send + Sync + 'static) -> Fake {
    let asked = AtomicU32::new(0);
    Fake::start(move |seen| match seen.header("authorization") {
        _ if seen.target().starts_with("/token") => answers(asked.fetch_add(1, Ordering::SeqCst) + 1),
        Some(_) => ok(BLOB),
        None => challenge(seen),
    })
    .await
}

fn token(number: u32) -> Reply {
    ok(format!("{{\"token\":\"t{number}\",\"expires_in\":300}}").as_bytes())
}

/// With which token the last question was asked.
fn shown(fake: &Fake) -> String {
    let seen = fake.seen().into_iter();
    let mut shown = seen.filter_map(|seen| seen.header("authorization").map(str::to_owned));
    shown.next_back().unwrap()
}

async fn pulls_with(asker: &Asker, mirror: &Arc<Mirror>, fake: &Fake, token: &str) {
    assert_eq!(soon(asker.whole(mirror)).await.unwrap(), BLOB);
    assert_eq!(shown(fake), format!("Bearer {token}"));
}

#[tokio::test]
async fn the_next_token_is_asked_for_once_and_used_when_it_is_there() {
    let fake = registry(token).await;
    let (mirror, asker) = (fake.mirror(|_| {}), asker());
    pulls_with(&asker, &mirror, &fake, "t1").await;
    asker.clock.advance(Duration::from_secs(254));
    pulls_with(&asker, &mirror, &fake, "t1").await;
    assert_eq!(fake.asked("/token"), 1);

    asker.clock.advance(Duration::from_secs(1));
    pulls_with(&asker, &mirror, &fake, "t1").await;
    until("the next token", async || {
        asker.whole(&mirror).await.unwrap();
        shown(&fake) == "Bearer t2"
    })
    .await;
    assert_eq!(fake.asked("/token"), 2);
    asker.clock.advance(Duration::from_secs(254));
    pulls_with(&asker, &mirror, &fake, "t2").await;
    assert_eq!(fake.asked("/token"), 2, "the life of a token begins with it");
}

#[tokio::test]
async fn a_token_endpoint_that_hangs_holds_up_nobody_before_the_end() {
    let fake = registry(|number| if number == 2 { Reply::silence() } else { token(number) }).await;
    let mirror = fake.mirror(|config| config.first_byte = Duration::from_hours(1));
    let asker = asker();
    pulls_with(&asker, &mirror, &fake, "t1").await;
    asker.clock.advance(Duration::from_secs(255));
    for _ in 0..11 {
        pulls_with(&asker, &mirror, &fake, "t1").await;
        asker.clock.advance(Duration::from_secs(4));
    }
    until("the question", async || fake.asked("/token") == 2).await;
    asker.clock.advance(Duration::from_millis(999));
    pulls_with(&asker, &mirror, &fake, "t1").await;
    assert_eq!(fake.asked("/token"), 2, "one asks for all");
    asker.clock.advance(Duration::from_millis(1));
    pulls_with(&asker, &mirror, &fake, "t3").await;
}

#[tokio::test]
async fn a_token_endpoint_that_gives_none_is_left_alone_for_a_while() {
    for (wait, pause) in [(None, 10), (Some("15"), 15)] {
        let fake = registry(move |number| match (number, wait) {
            (1, _) => token(1),
            (_, None) => Reply::new(404, &[], b""),
            (_, Some(wait)) => Reply::new(429, &[("Retry-After", wait)], b""),
        })
        .await;
        let (mirror, asker) = (fake.mirror(|_| {}), asker());
        pulls_with(&asker, &mirror, &fake, "t1").await;
        asker.clock.advance(Duration::from_secs(255));
        let began = asker.clock.now();
        until("the question", async || {
            asker.whole(&mirror).await.unwrap();
            fake.asked("/token") == 2
        })
        .await;
        for _ in 0..20 {
            pulls_with(&asker, &mirror, &fake, "t1").await;
        }
        assert_eq!(fake.asked("/token"), 2);
        until("the next question", async || {
            asker.clock.advance(Duration::from_secs(1));
            pulls_with(&asker, &mirror, &fake, "t1").await;
            fake.asked("/token") == 3
        })
        .await;
        let waited = asker.clock.now().duration_since(began).as_secs();
        assert!(waited >= pause, "{waited}");
    }
}
