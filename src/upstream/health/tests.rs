use url::Url;

use super::super::fault::Cause;
use super::super::place::Place;
use super::*;

struct Patient {
    health: Health,
    host: Host,
    now: Timestamp,
}

impl Patient {
    fn new() -> Self {
        Self {
            health: Health::default(),
            host: host("https://r.example", Part::Itself),
            now: Timestamp::UNIX_EPOCH,
        }
    }

    fn fails(&self, error: &Error) {
        self.fails_at(&self.host, error);
    }

    fn fails_at(&self, host: &Host, error: &Error) {
        self.health.failed(host, error, Instant::now(), self.now);
    }

    fn is_mended(&self) {
        self.health.is_mended(&self.host, Instant::now());
    }

    fn rests(&self) -> bool {
        match self.health.admit(&self.host, self.now) {
            Ok(()) => false,
            Err((Error::Resting { probe: None, .. }, None)) => true,
            other => panic!("{other:?}"),
        }
    }

    /// The errand of a probe that is due.
    fn errand(&self) -> Errand {
        let (error, errand) = self.health.admit(&self.host, self.now).unwrap_err();
        assert!(matches!(error, Error::Resting { probe: Some(_), .. }), "{error:?}");
        errand.unwrap()
    }

    fn later(&mut self, millis: i64) {
        self.now += jiff::SignedDuration::from_millis(millis);
    }
}

fn host(url: &str, part: Part) -> Host {
    let origin = Url::parse(url).unwrap().origin();
    Host { origin, part }
}

fn at() -> Place {
    Place::endpoint("r.example".into())
}

fn unreachable() -> Error {
    Error::Unreachable {
        at: at(),
        step: Step::Connect,
        cause: Cause::new(std::io::Error::other("no route")),
    }
}

fn answered(status: u16) -> Error {
    Error::Failed {
        at: at(),
        status,
        retry_after: None,
    }
}

fn slow(phase: Phase) -> Error {
    Error::Timeout {
        at: at(),
        phase,
        within: REST,
    }
}

#[test]
fn who_cannot_be_reached_is_left_alone_at_once() {
    for error in [unreachable(), slow(Phase::Connect)] {
        let patient = Patient::new();
        assert!(!patient.rests());
        patient.fails(&error);
        assert!(patient.rests());
        let trouble = patient.health.trouble(patient.now).unwrap();
        assert_eq!(trouble.to_string(), error.to_string());
    }
}

#[test]
fn who_answers_and_fails_is_left_alone_after_three_in_a_row() {
    let patient = Patient::new();
    for good_word in [true, false] {
        patient.fails(&answered(503));
        patient.fails(&answered(502));
        assert!(!patient.rests());
        if good_word {
            patient.health.is_well(&patient.host);
        }
    }
    patient.fails(&answered(500));
    assert!(patient.rests());
}

#[test]
fn one_at_a_time_probes_every_five_seconds() {
    let mut patient = Patient::new();
    patient.fails(&unreachable());
    patient.later(4_999);
    assert!(patient.rests());
    patient.later(1);
    let errand = patient.errand();
    // As long as that takes.
    patient.later(60_000);
    let (_, second) = patient.health.admit(&patient.host, patient.now).unwrap_err();
    assert!(second.is_none());
    patient.health.still_ill(&patient.host, &unreachable(), patient.now);
    drop(errand);
    assert!(patient.rests());
    patient.later(5_000);
    let _errand = patient.errand();
    patient.health.is_well(&patient.host);
    assert!(!patient.rests());
}

#[test]
fn a_probe_that_was_given_up_is_made_by_another() {
    let mut patient = Patient::new();
    patient.fails(&unreachable());
    patient.later(5_000);
    drop(patient.errand());
    drop(patient.errand());
}

#[test]
fn who_was_slow_once_is_probed_at_once() {
    let patient = Patient::new();
    patient.fails(&slow(Phase::FirstByte));
    let _errand = patient.errand();
}

#[test]
fn who_answers_probes_only_is_left_alone_for_twice_as_long_each_time() {
    for (error, rests) in [
        (slow(Phase::FirstByte), [0, 5, 10, 20, 40, 60, 60]),
        (unreachable(), [5, 10, 20, 40, 60, 60, 60]),
    ] {
        let mut patient = Patient::new();
        for rest in rests {
            patient.fails(&error);
            if rest > 0 {
                patient.later(rest * 1000 - 1);
                assert!(patient.rests(), "{rest}");
                patient.later(1);
            }
            let _errand = patient.errand();
            patient.is_mended();
            assert!(patient.health.trouble(patient.now).is_none());
            assert!(!patient.rests(), "everybody is let through");
        }
        patient.health.is_well(&patient.host);
        patient.fails(&slow(Phase::FirstByte));
        let _errand = patient.errand();
    }
}

#[test]
fn a_question_of_before_says_nothing_of_one_who_is_mended() {
    let patient = Patient::new();
    let before = Instant::now();
    patient.fails(&slow(Phase::FirstByte));
    let _errand = patient.errand();
    patient.is_mended();
    patient
        .health
        .failed(&patient.host, &slow(Phase::FirstByte), before, patient.now);
    assert!(!patient.rests());
}

#[test]
fn a_realm_that_nobody_asks_for_is_no_trouble() {
    let (mut patient, realm) = (Patient::new(), host("https://r.example", Part::Realm));
    patient.fails_at(&realm, &unreachable());
    assert!(!patient.rests(), "half of a host may be well");
    patient.later(9_999);
    assert!(
        patient.health.trouble(patient.now).is_some(),
        "it is asked for until then"
    );
    patient.later(1);
    assert!(patient.health.trouble(patient.now).is_none());
    let (_, errand) = patient.health.admit(&realm, patient.now).unwrap_err();
    assert!(patient.health.trouble(patient.now).is_some(), "it is probed");
    drop(errand);
}

#[test]
fn a_clock_that_was_set_back_is_no_reason_to_wait() {
    let mut patient = Patient::new();
    patient.fails(&unreachable());
    patient.later(-120_000);
    let _errand = patient.errand();
}

#[test]
fn each_host_has_its_own_health_and_a_redirects_target_is_not_needed() {
    let (patient, cdn) = (Patient::new(), host("https://cdn.example", Part::Elsewhere));
    patient.fails_at(&cdn, &unreachable());
    assert!(patient.health.admit(&cdn, patient.now).is_err());
    assert!(!patient.rests());
    assert!(patient.health.trouble(patient.now).is_none());
}

#[test]
fn a_host_that_redirects_everywhere_fills_no_memory() {
    let patient = Patient::new();
    for n in 0..2 * HOSTS {
        let part = if n % 2 == 0 { Part::Elsewhere } else { Part::Realm };
        patient.fails_at(&host(&format!("https://cdn{n}.example"), part), &unreachable());
    }
    assert_eq!(patient.health.lock().len(), HOSTS);
    patient.fails(&unreachable());
    assert!(patient.rests(), "the endpoint itself is known by its name");
    patient.fails_at(&host("https://last.example", Part::Elsewhere), &unreachable());
    assert!(patient.rests());
    assert_eq!(patient.health.lock().len(), HOSTS);
}

#[tokio::test]
async fn who_waits_for_a_probe_waits_until_it_ends() {
    let mut patient = Patient::new();
    patient.fails(&unreachable());
    patient.later(5_000);
    let errand = patient.errand();
    let (error, _) = patient.health.admit(&patient.host, patient.now).unwrap_err();
    let Error::Resting { probe: Some(probe), .. } = error else {
        panic!("{error:?}")
    };
    let mut ended = std::pin::pin!(probe.ended());
    assert!(futures_util::poll!(ended.as_mut()).is_pending());
    drop(errand);
    ended.await;
}

#[tokio::test]
async fn nobody_waits_for_a_probe_that_takes_long() {
    let patient = Patient::new();
    patient.fails(&slow(Phase::FirstByte));
    let errand = patient.errand();
    errand.takes_long();
    // Neither those who waited, nor those who come now.
    for _ in 0..2 {
        let (error, second) = patient.health.admit(&patient.host, patient.now).unwrap_err();
        let Error::Resting { probe: Some(probe), .. } = error else {
            panic!("{error:?}")
        };
        assert!(second.is_none());
        probe.ended().await;
    }
}
