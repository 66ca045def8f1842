//! Real TLS listeners, real files.

#![expect(clippy::disallowed_methods, reason = "the tests own the files that they change")]

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tempfile::TempDir;

use super::super::fake::{Fake, Reply, Seen};
use super::super::fake_tls::{Authority, Clients, Issued, Terminator};
use super::super::{Client, Error, Mirror, MirrorConfig, Step, Tally};
use super::*;
use crate::clock::Clock;
use crate::tasks::Tasks;

/// A directory with certificate files.
struct Files(TempDir);

impl Files {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.path().join(name);
        fs::write(&path, text).unwrap();
        path
    }
}

fn mirror(url: &str, adjust: impl FnOnce(&mut MirrorConfig)) -> Result<Arc<Mirror>, InvalidMirror> {
    let mut config = MirrorConfig {
        endpoints: vec![url.to_owned()],
        ..MirrorConfig::default()
    };
    adjust(&mut config);
    Mirror::new("hub", &config).map(Arc::new)
}

fn client() -> Client {
    Client::new(&Config::default(), Tasks::new(), Clock::system())
}

async fn pull(client: &Client, mirror: &Arc<Mirror>) -> Result<(), Error> {
    let (remote, latest) = ("org/app".parse().unwrap(), "latest".parse().unwrap());
    let tally = Tally::default();
    let manifest = client.get_manifest(mirror.endpoints(), &remote, &latest, &tally).await;
    manifest.map(|manifest| assert_eq!(*manifest.bytes, *b"{}"))
}

fn fails_at_tls(pulled: Result<(), Error>) -> String {
    let error = pulled.unwrap_err();
    assert!(matches!(error, Error::Unreachable { step: Step::Tls, .. }), "{error}");
    error.to_string()
}

async fn fake() -> Fake {
    Fake::start(|_| Reply::new(200, &[], b"{}")).await
}

#[tokio::test]
async fn an_authority_of_ones_own_is_believed_beside_the_systems() {
    let (fake, files) = (fake().await, Files::new());
    let (ours, other) = (Authority::new(), Authority::new());
    let server = Terminator::start(&ours.issue(), Clients::Anybody, fake.authority()).await;
    let client = client();
    // The second of the two, with a word before them, as bundles have it.
    let bundle = files.write("ca.pem", &format!("# site\n{}\n# and\n{}", other.pem(), ours.pem()));
    let believing = mirror(&server.url(), |it| it.ca_file = Some(bundle)).unwrap();
    pull(&client, &believing).await.unwrap();
    let wrong = files.write("other.pem", &other.pem());
    let doubting = mirror(&server.url(), |it| it.ca_file = Some(wrong)).unwrap();
    let said = fails_at_tls(pull(&client, &doubting).await);
    assert!(said.contains("no TLS session"), "{said}");
    assert_eq!(fake.seen().len(), 1);
}

#[tokio::test]
async fn without_verification_anybody_is_believed_by_that_mirror_alone() {
    let (fake, client) = (fake().await, client());
    let server = Terminator::start(&Authority::new().issue(), Clients::Anybody, fake.authority()).await;
    let trusting = mirror(&server.url(), |it| it.skip_verify = true).unwrap();
    pull(&client, &trusting).await.unwrap();
    fails_at_tls(pull(&client, &mirror(&server.url(), |_| {}).unwrap()).await);
}

#[tokio::test]
async fn an_authority_that_changes_is_believed_in_a_moment_and_nonsense_is_not() {
    let (fake, files, clock) = (fake().await, Files::new(), Clock::manual(Timestamp::UNIX_EPOCH));
    let client = Client::new(&Config::default(), Tasks::new(), clock.clone());
    let (old, new) = (Authority::new(), Authority::new());
    let before = Terminator::start(&old.issue(), Clients::Anybody, fake.authority()).await;
    let after = Terminator::start(&new.issue(), Clients::Anybody, fake.authority()).await;
    let path = files.write("ca.pem", &old.pem());
    let table = |url: String| mirror(&url, |it| it.ca_file = Some(path.clone())).unwrap();
    let (before, after) = (table(before.url()), table(after.url()));
    pull(&client, &before).await.unwrap();
    fails_at_tls(pull(&client, &after).await);
    files.write("ca.pem", "nonsense");
    before.endpoint().network().certificates.expire();
    pull(&client, &before).await.unwrap();
    files.write("ca.pem", &new.pem());
    for mirror in [&before, &after] {
        mirror.endpoint().network().certificates.expire();
    }
    // It was left alone since.
    clock.advance(Duration::from_secs(5));
    pull(&client, &after).await.unwrap();
    fails_at_tls(pull(&client, &before).await);
}

#[tokio::test]
async fn a_certificate_is_shown_to_the_endpoint_and_its_realm_and_to_nobody_else() {
    let (files, authority, server) = (Files::new(), Authority::new(), Authority::new());
    let Issued { certificate, key } = authority.issue();
    let cdn_behind = fake().await;
    let ours = || Authority::new();
    let cdn = Terminator::start(&server.issue(), Clients::Noted(ours()), cdn_behind.authority()).await;
    let to = format!("{}/cdn", cdn.url());
    let registry = Fake::start(move |seen: &Seen| {
        if seen.target().starts_with("/token") {
            return Reply::new(200, &[], b"{\"token\":\"t\"}");
        }
        if seen.header("authorization").is_some() {
            return Reply::new(307, &[("Location", &to)], b"");
        }
        let realm = format!("Bearer realm=\"https://{}/token\"", seen.header("host").unwrap());
        Reply::new(401, &[("WWW-Authenticate", &realm)], b"")
    })
    .await;
    let front = Terminator::start(&server.issue(), Clients::Known(authority), registry.authority()).await;
    let ca_file = Some(files.write("ca.pem", &server.pem()));
    let (certificate, key) = (files.write("crt.pem", &certificate), files.write("key.pem", &key));
    let both = fs::read_to_string(&certificate).unwrap() + &fs::read_to_string(&key).unwrap();
    let both = files.write("both.pem", &both);
    for (certificate, key) in [(certificate, Some(key)), (both, None)] {
        let known = mirror(&front.url(), |it| {
            it.ca_file.clone_from(&ca_file);
            it.client_cert = Some(certificate);
            it.client_key = key;
        });
        pull(&client(), &known.unwrap()).await.unwrap();
    }
    assert_eq!(registry.asked("/token"), 2);
    assert_eq!(cdn.known(), [false, false]);
    let nobody = mirror(&front.url(), |it| it.ca_file.clone_from(&ca_file)).unwrap();
    assert!(pull(&client(), &nobody).await.is_err());
}

#[test]
fn files_that_cannot_be_used_are_named_with_the_reason() {
    let files = Files::new();
    let Issued { certificate, key } = Authority::new().issue();
    let other = Authority::new().issue();
    let refusal = |adjust: &dyn Fn(&mut MirrorConfig)| mirror("https://h", adjust).unwrap_err().to_string();
    let missing = files.0.path().join("none.pem");
    let said = refusal(&|it| it.ca_file = Some(missing.clone()));
    let expected = format!("mirror.\"hub\".ca_file = {missing:?}: it cannot be read: entity not found");
    assert_eq!(said, expected);
    let nonsense = files.write("nonsense.pem", "nonsense");
    let said = refusal(&|it| it.ca_file = Some(nonsense.clone()));
    assert!(
        said.ends_with("nonsense.pem\": it holds no certificate in PEM"),
        "{said}"
    );
    let broken = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    let broken = files.write("broken.pem", &(certificate.clone() + broken));
    let said = refusal(&|it| it.ca_file = Some(broken.clone()));
    assert!(
        said.contains("not everything in it is the certificate of an authority"),
        "{said}"
    );

    let certificate = files.write("crt.pem", &certificate);
    let said = refusal(&|it| it.client_cert = Some(certificate.clone()));
    assert!(
        said.starts_with("mirror.\"hub\".client_cert = ") && said.contains("no certificate and private key"),
        "{said}"
    );
    let other = files.write("other.pem", &other.key);
    let said = refusal(&|it| {
        it.client_cert = Some(certificate.clone());
        it.client_key = Some(other.clone());
    });
    assert!(said.ends_with("the key is not that of the certificate"), "{said}");
    let key = files.write("key.pem", &key);
    let said = refusal(&|it| it.client_key = Some(key.clone()));
    assert_eq!(said, "mirror.\"hub\".client_key says nothing without client_cert");
}

#[test]
fn nothing_shows_a_key() {
    let files = Files::new();
    let Issued { certificate, key } = Authority::new().issue();
    let both = files.write("both.pem", &(certificate + &key));
    let mirror = mirror("https://h", |it| it.client_cert = Some(both)).unwrap();
    let secret = key.lines().nth(1).unwrap();
    assert!(!format!("{mirror:?}").contains(secret));
    // Nor as bytes.
    assert!(!format!("{mirror:?}").contains("45, 45, 45"));
}

#[tokio::test]
async fn files_are_looked_at_once_a_second() {
    let files = Files::new();
    let (old, new) = (Authority::new(), Authority::new());
    let path = files.write("ca.pem", &old.pem());
    let mirror = mirror("https://h", |it| it.ca_file = Some(path)).unwrap();
    let (network, tasks) = (mirror.endpoint().network(), Tasks::new());
    let before = network.certificates.current(&tasks).await;
    files.write("ca.pem", &new.pem());
    let mut steps = tokio::time::interval(Duration::from_millis(20));
    let changed = async {
        while network.certificates.current(&tasks).await == before {
            steps.tick().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), changed).await.unwrap();
}
