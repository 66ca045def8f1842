//! Credentials from a Docker credential helper, and from Docker's `config.json`.

use super::*;

const ANSWER: &str = r#"echo '{"ServerURL":"x","Username":"AWS","Secret":"s3cret"}'"#;

/// A registry that lets in whom `accepts` likes the password of.
async fn registry(accepts: impl Fn(&str) -> bool + Send + Sync + 'static) -> Fake {
    Fake::start(move |seen| {
        let pair = seen
            .header("authorization")
            .and_then(|value| value.strip_prefix("Basic "));
        let pair = pair.map(|pair| String::from_utf8(STANDARD.decode(pair).unwrap()).unwrap());
        match pair.as_deref().and_then(|pair| pair.strip_prefix("AWS:")) {
            Some(password) if accepts(password) => ok(BLOB),
            Some(_) => Reply::new(403, &[], b"Your Authorization Token has expired."),
            None => Reply::new(
                401,
                &[("WWW-Authenticate", "Basic realm=\"x\",service=\"ecr.amazonaws.com\"")],
                b"",
            ),
        }
    })
    .await
}

fn helped(command: &str) -> impl FnOnce(&mut MirrorConfig) {
    move |config| config.credential_helper = Some(command.to_owned())
}

#[tokio::test]
async fn a_helper_is_asked_once_for_a_herd_and_once_in_a_lifetime() {
    let (safe, fake) = (Safe::new(), registry(|password| password == "s3cret").await);
    let (mirror, asker) = (fake.mirror(helped(&safe.helper(ANSWER))), asker());
    let herd = (0..16).map(|_| asker.whole(&mirror));
    for result in futures_util::future::join_all(herd).await {
        assert_eq!(result.unwrap(), BLOB);
    }
    assert_eq!(safe.read("calls"), format!("get {}\n", fake.authority()));

    asker.clock.advance(Duration::from_mins(50));
    asker.whole(&mirror).await.unwrap();
    assert_eq!(safe.calls(), 1, "85 % of an hour are 51 minutes");
    asker.clock.advance(Duration::from_mins(1));
    asker.whole(&mirror).await.unwrap();
    until("the second call", async || safe.calls() == 2).await;
}

#[tokio::test]
async fn nobody_waits_for_a_helper_while_there_are_credentials() {
    let (safe, fake) = (Safe::new(), registry(|password| password == "s3cret").await);
    let (command, asker) = (safe.helper(ANSWER), asker());
    let mirror = fake.mirror(|config| {
        config.first_byte = Duration::from_hours(1);
        config.credential_helper = Some(command);
    });
    asker.whole(&mirror).await.unwrap();
    safe.helper("sleep 1000");
    asker.clock.advance(Duration::from_hours(1));
    for _ in 0..5 {
        assert_eq!(soon(asker.whole(&mirror)).await.unwrap(), BLOB);
    }
    until("the second call", async || safe.calls() == 2).await;
}

#[tokio::test]
async fn a_helper_that_fails_later_on_changes_nothing() {
    let (safe, fake) = (Safe::new(), registry(|password| password == "s3cret").await);
    let (mirror, asker) = (fake.mirror(helped(&safe.helper(ANSWER))), asker());
    asker.whole(&mirror).await.unwrap();
    safe.helper("exit 1");
    asker.clock.advance(Duration::from_hours(1));
    // The third call is made after the second has failed.
    until("the third call", async || {
        asker.clock.advance(Duration::from_secs(10));
        assert_eq!(asker.whole(&mirror).await.unwrap(), BLOB);
        safe.calls() == 3
    })
    .await;
}

#[tokio::test]
async fn an_answer_that_has_expired_is_replaced_in_the_same_pull() {
    let expired = Arc::new(AtomicU32::new(0));
    let until = Arc::clone(&expired);
    let accepts = move |password: &str| password.parse::<u32>().unwrap() > until.load(Ordering::SeqCst);
    let (safe, fake) = (Safe::new(), registry(accepts).await);
    let count = r#"echo "{\"Username\":\"AWS\",\"Secret\":\"$(wc -l < "${0%/*}/calls")\"}""#;
    let (mirror, asker) = (fake.mirror(helped(&safe.helper(count))), asker());
    asker.whole(&mirror).await.unwrap();
    expired.store(1, Ordering::SeqCst);
    asker.clock.advance(Duration::from_secs(10));
    assert_eq!(asker.whole(&mirror).await.unwrap(), BLOB);
    assert_eq!((fake.seen().len(), safe.calls()), (4, 2), "bare, known; expired, known");

    // Refused what it has just said, a helper is left alone: the repository may be forbidden, again and again.
    expired.store(u32::MAX, Ordering::SeqCst);
    for _ in 0..3 {
        let error = asker.whole(&mirror).await.unwrap_err();
        assert!(matches!(error, Error::Denied { status: 403, .. }), "{error}");
    }
    assert_eq!(safe.calls(), 2);
    asker.clock.advance(Duration::from_secs(10));
    asker.whole(&mirror).await.unwrap_err();
    assert_eq!(safe.calls(), 3);
}

#[tokio::test]
async fn a_helper_that_does_not_help_is_named() {
    let fake = registry(|_| true).await;
    let server = fake.authority();
    let cases = [
        (
            "echo credentials not found; exit 1",
            "exit status: 1: credentials not found",
        ),
        ("exit 3", "exit status: 3: no message"),
        (
            "echo '{\"Secret\":\"s3cret\"}'; exit 1",
            "a message that may hold a secret",
        ),
        ("kill -9 $$", "signal: 9 (SIGKILL): no message"),
        ("echo s3cret", "did not answer with a Username and a Secret in JSON"),
        (
            "echo '{\"Username\":\"AWS\",\"Secret\":\"\"}'",
            "did not answer with a Username and a Secret in JSON",
        ),
        ("yes s3cret", "did not answer with a Username and a Secret in JSON"),
        ("echo s3cret >&2; sleep 1000", "did not end within 300ms"),
    ];
    for (lines, expected) in cases {
        let safe = Safe::new();
        let command = safe.helper(lines);
        let mirror = fake.mirror(|config| {
            quick(config);
            if !expected.contains("300ms") {
                config.first_byte = Duration::from_secs(20);
            }
            config.credential_helper = Some(command.clone());
        });
        let asker = asker();
        for _ in 0..2 {
            let error = soon(asker.whole(&mirror)).await.unwrap_err();
            assert!(
                error
                    .to_string()
                    .contains("mirror.\"hub\".credential_helper gives no credentials"),
                "{error}"
            );
            let cause = std::error::Error::source(&error).unwrap().to_string();
            assert!(cause.starts_with(&format!("`{command} get` for {server} ")), "{cause}");
            assert!(cause.ends_with(expected), "{cause}");
            assert!(keeps(&error, &["s3cret"]), "{cause}");
        }
        assert!(safe.calls() <= 1, "it is left alone for a while: {lines}");
    }
}

#[tokio::test]
async fn a_helper_that_is_not_there_is_named() {
    let fake = registry(|_| true).await;
    let error = asker().whole(&fake.mirror(helped("no-such-helper"))).await.unwrap_err();
    let cause = std::error::Error::source(&error).unwrap().to_string();
    assert!(
        cause.starts_with("docker-credential-no-such-helper cannot be run: No such file"),
        "{cause}"
    );
}

#[tokio::test]
async fn a_helper_that_takes_too_long_leaves_nothing_behind() {
    let (safe, fake) = (Safe::new(), registry(|_| true).await);
    let command = safe.helper("sleep 1000 & echo $! > \"${0%/*}/child\"; wait");
    let mirror = fake.mirror(|config| {
        quick(config);
        config.first_byte = Duration::from_secs(2);
        config.credential_helper = Some(command);
    });
    soon(asker().whole(&mirror)).await.unwrap_err();
    let child = safe.read("child");
    assert!(child.ends_with('\n'), "the helper came to nothing");
    let stat = format!("/proc/{}/stat", child.trim());
    until("the end of the helper's child", async || {
        // Gone, or dead and not yet buried by whoever inherited it.
        fs::read_to_string(&stat).map_or(true, |stat| stat.contains(") Z "))
    })
    .await;
}

#[tokio::test]
async fn a_docker_config_has_logins_and_names_helpers() {
    let (safe, fake) = (Safe::new(), registry(|password| password == "s3cret").await);
    let authority = fake.authority();
    let auth = STANDARD.encode("AWS:s3cret");
    let path = safe.put(
        "config.json",
        &format!("{{\"auths\":{{\"{authority}\":{{\"auth\":\"{auth}\"}}}}}}"),
    );
    let (asker, mirror) = (asker(), fake.mirror(|config| config.docker_config = Some(path.clone())));
    assert_eq!(asker.whole(&mirror).await.unwrap(), BLOB);

    // From now on a helper of that name is to be asked; it is not on the path.
    safe.put(
        "config.json",
        &format!("{{\"credHelpers\":{{\"{authority}\":\"no-such\"}}}}"),
    );
    asker.clock.advance(Duration::from_secs(1));
    until("the helper to be missed", async || {
        let pulled = asker.whole(&mirror).await;
        let cause = pulled
            .err()
            .and_then(|error| Some(std::error::Error::source(&error)?.to_string()));
        cause.is_some_and(|cause| cause.starts_with("docker-credential-no-such cannot be run"))
    })
    .await;

    safe.put("config.json", "{\"auths\":{}}");
    let anew = super::asker();
    let error = anew.whole(&mirror).await.unwrap_err();
    let cause = std::error::Error::source(&error).unwrap().to_string();
    assert!(
        cause.ends_with(&format!("has neither credentials nor a helper for {authority}")),
        "{cause}"
    );
}
