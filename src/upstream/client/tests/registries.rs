//! Registries as they are: each answers as its real one does, as far as credentials go, and is pulled from both by a
//! user and, where that is possible, by nobody in particular.

use super::*;

/// What sets a registry apart.
struct Oddity {
    name: &'static str,
    /// `{own}` is its address.
    challenge: &'static str,
    /// Where tokens are to be had; nowhere for a registry that wants Basic.
    tokens: &'static str,
    /// The token endpoint's answer.
    answer: &'static str,
    /// A status with which it refuses what it does not know.
    refuses: u16,
    /// Whether its public images can be had without credentials.
    public: bool,
}

const USER: &str = "AWS";

const ODDITIES: [Oddity; 9] = [
    Oddity {
        name: "Docker Hub",
        challenge: "Bearer realm=\"{own}/token\",service=\"registry.docker.io\",scope=\"repository:org/app:pull\"",
        tokens: "/token",
        answer: r#"{"token":"T","access_token":"T","expires_in":300,"issued_at":"2001-01-01T00:00:00Z"}"#,
        refuses: 401,
        public: true,
    },
    Oddity {
        name: "GHCR",
        challenge: "Bearer realm=\"{own}/token\",service=\"ghcr.io\",scope=\"repository:org/app:pull\"",
        tokens: "/token",
        answer: r#"{"token":"T"}"#,
        refuses: 403,
        public: true,
    },
    Oddity {
        name: "Quay",
        challenge: "Bearer realm=\"{own}/v2/auth\",service=\"quay.io\",scope=\"repository:org/app:pull\"",
        tokens: "/v2/auth",
        answer: r#"{"token":"T"}"#,
        refuses: 401,
        public: true,
    },
    Oddity {
        name: "ECR",
        challenge: "Basic realm=\"{own}/\",service=\"ecr.amazonaws.com\"",
        tokens: "",
        answer: "",
        refuses: 401,
        public: false,
    },
    Oddity {
        name: "GitLab",
        challenge: "Bearer realm=\"{own}/jwt/auth\",service=\"container_registry\",scope=\"repository:org/app:pull\",error=\"invalid_token\"",
        tokens: "/jwt/auth",
        answer: r#"{"token":"T"}"#,
        refuses: 403,
        public: true,
    },
    Oddity {
        name: "Harbor",
        challenge: "Bearer realm=\"{own}/service/token\",service=\"harbor-registry\",scope=\"repository:org/app:pull\"",
        tokens: "/service/token",
        answer: r#"{"token":"T","access_token":"","expires_in":1800,"issued_at":"2026-01-01T00:00:00Z"}"#,
        refuses: 401,
        public: true,
    },
    Oddity {
        name: "ACR",
        challenge: "Bearer realm=\"{own}/oauth2/token\",service=\"x.azurecr.io\",scope=\"repository:org/app:pull\",error=\"invalid_token\"",
        tokens: "/oauth2/token",
        answer: r#"{"access_token":"T"}"#,
        refuses: 401,
        public: false,
    },
    Oddity {
        name: "zot",
        challenge: "bearer realm={own}/zot/auth/token,service=zot,scope=repository:org/app:pull",
        tokens: "/zot/auth/token",
        answer: r#"{"token":"T","expires_in":0}"#,
        refuses: 401,
        public: true,
    },
    Oddity {
        name: "gcr.io, without a scope",
        challenge: "Bearer realm=\"{own}/v2/token\",service=\"gcr.io\"",
        tokens: "/v2/token",
        answer: r#"{"token":"T","expires_in":43200}"#,
        refuses: 401,
        public: true,
    },
];

impl Oddity {
    async fn start(&'static self) -> Fake {
        Fake::start(|seen| {
            let presented = seen.header("authorization");
            let known = presented.is_none_or(|value| value == basic("AWS:s3cret"));
            let a_token = seen.target().split('?').next() == Some(self.tokens);
            match presented {
                _ if a_token && seen.method() == "POST" => Reply::new(404, &[], b""),
                None if a_token && !self.public => Reply::new(401, &[], b"{}"),
                _ if a_token && known => ok(self.answer.as_bytes()),
                _ if a_token => Reply::new(self.refuses, &[], b"{}"),
                Some("Bearer T") if !self.tokens.is_empty() => ok(BLOB),
                Some(_) if self.tokens.is_empty() && known => ok(BLOB),
                _ => {
                    let own = format!("http://{}", seen.header("host").unwrap());
                    let challenge = self.challenge.replace("{own}", &own);
                    Reply::new(401, &[("WWW-Authenticate", &challenge)], b"{}")
                }
            }
        })
        .await
    }

    /// How many requests a first pull costs.
    fn requests(&self) -> usize {
        if self.tokens.is_empty() { 2 } else { 3 }
    }
}

#[tokio::test]
async fn a_user_pulls_from_every_one() {
    for oddity in &ODDITIES {
        let fake = oddity.start().await;
        let (mirror, asker) = (fake.mirror(login(USER, "s3cret")), asker());
        assert_eq!(asker.whole(&mirror).await.unwrap(), BLOB, "{}", oddity.name);
        assert_eq!(fake.seen().len(), oddity.requests(), "{}", oddity.name);
        assert_eq!(asker.whole(&mirror).await.unwrap(), BLOB, "{}", oddity.name);
        assert_eq!(fake.seen().len(), oddity.requests() + 1, "{}", oddity.name);
        let scope = "scope=repository%3Aorg%2Fapp%3Apull";
        let errand = fake
            .seen()
            .into_iter()
            .find(|seen| !oddity.tokens.is_empty() && seen.target().starts_with(oddity.tokens));
        assert!(
            errand.is_none_or(|seen| seen.target().ends_with(scope)),
            "{}",
            oddity.name
        );
    }
}

#[tokio::test]
async fn nobody_in_particular_pulls_what_is_public() {
    for oddity in &ODDITIES {
        let fake = oddity.start().await;
        let pulled = asker().whole(&fake.mirror(|_| {})).await;
        assert!(
            fake.seen()
                .iter()
                .all(|seen| seen.header("authorization").is_none_or(|value| value == "Bearer T"))
        );
        match pulled {
            Ok(bytes) => assert!(oddity.public && bytes == BLOB, "{}", oddity.name),
            Err(error) => {
                assert!(!oddity.public, "{}: {error}", oddity.name);
                assert!(
                    error.to_string().contains("it demands credentials, and wharf has none"),
                    "{error}"
                );
            }
        }
    }
}

#[tokio::test]
async fn a_wrong_password_is_told_by_every_one() {
    for oddity in &ODDITIES {
        let fake = oddity.start().await;
        let error = asker().whole(&fake.mirror(login(USER, "wr0ng"))).await.unwrap_err();
        let told = error.to_string();
        assert!(
            told.ends_with("the credentials of mirror \"hub\" (user \"AWS\")"),
            "{}: {told}",
            oddity.name
        );
        assert!(keeps(&error, &["wr0ng"]), "{}: {error:?}", oddity.name);
        // Where the registry itself refuses a login, that may be about the repository only.
        let verdict = match oddity.refuses {
            401 if !oddity.tokens.is_empty() => Verdict::Broken,
            _ => Verdict::RepositoryRefused,
        };
        assert_eq!(error.verdict(), verdict, "{}", oddity.name);
    }
}

#[tokio::test]
async fn an_image_that_docker_hub_does_not_have_is_absent_for_nobody_and_denied_to_a_user() {
    let start = || token_registry(|_| false);
    let error = asker().whole(&start().await.mirror(|_| {})).await.unwrap_err();
    assert_eq!(error.verdict(), Verdict::RepositoryAbsent);
    let error = asker()
        .whole(&start().await.mirror(login("site", "s3cret")))
        .await
        .unwrap_err();
    assert_eq!(error.verdict(), Verdict::RepositoryRefused);
}

#[tokio::test]
async fn ecr_public_says_400_to_an_old_token() {
    let revoked = Arc::new(AtomicU32::new(0));
    let until = Arc::clone(&revoked);
    let minted = AtomicU32::new(0);
    let fake = Fake::start(move |seen| {
        if seen.target().starts_with("/token") {
            let token = minted.fetch_add(1, Ordering::SeqCst) + 1;
            return ok(format!("{{\"token\":\"{token}\"}}").as_bytes());
        }
        let token = seen
            .header("authorization")
            .and_then(|value| value.strip_prefix("Bearer "));
        match token.map(|token| token.parse::<u32>().unwrap()) {
            None => challenge(seen),
            Some(token) if token > until.load(Ordering::SeqCst) => ok(BLOB),
            Some(_) => Reply::new(400, &[], b"{\"errors\":[{\"code\":\"DENIED\"}]}"),
        }
    })
    .await;
    let (mirror, asker) = (fake.mirror(|_| {}), asker());
    asker.whole(&mirror).await.unwrap();
    revoked.store(1, Ordering::SeqCst);
    assert_eq!(asker.whole(&mirror).await.unwrap(), BLOB);
    // To a fresh one it is no word about tokens.
    revoked.store(u32::MAX, Ordering::SeqCst);
    let error = asker.whole(&mirror).await.unwrap_err();
    assert!(matches!(error, Error::Unusable { status: Some(400), .. }), "{error}");
    assert_eq!(fake.asked("/token"), 3);
}

#[tokio::test]
async fn acr_takes_the_identity_token_that_az_acr_login_left() {
    let fake = Fake::start(|seen| match (seen.method(), seen.header("authorization")) {
        ("POST", _) if seen.body.contains("refresh_token=r3fresh") => ok(b"{\"access_token\":\"T\"}"),
        ("POST", _) => Reply::new(400, &[], b"{\"errors\":[{\"code\":\"UNAUTHORIZED\"}]}"),
        (_, Some("Bearer T")) => ok(BLOB),
        _ => challenge(seen),
    })
    .await;
    let safe = Safe::new();
    let auth = STANDARD.encode("00000000-0000-0000-0000-000000000000:");
    let entry = format!("{{\"auth\":\"{auth}\",\"identitytoken\":\"r3fresh\"}}");
    let path = safe.put(
        "config.json",
        &format!("{{\"auths\":{{\"{}\":{entry}}}}}", fake.authority()),
    );
    let mirror = fake.mirror(|config| config.docker_config = Some(path));
    assert_eq!(asker().whole(&mirror).await.unwrap(), BLOB);
    assert_eq!(fake.seen().len(), 3);
}
