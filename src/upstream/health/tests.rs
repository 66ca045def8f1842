use url::Url;

use super::super::fault::Cause;
use super::super::place::Place;
use super::*;

struct Patient {
    health: Health,
    host: Origin,
    now: Timestamp,
}

impl Patient {
    fn new() -> Self {
        Self {
            health: Health::default(),
            host: host("https://r.example"),
            now: Timestamp::UNIX_EPOCH,
        }
    }

    fn fails(&self, error: &Error) {
        self.health.failed(&self.host, true, error, self.now);
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

fn host(url: &str) -> Origin {
    Url::parse(url).unwrap().origin()
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
        let trouble = patient.health.trouble().unwrap();
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
fn a_clock_that_was_set_back_is_no_reason_to_wait() {
    let mut patient = Patient::new();
    patient.fails(&unreachable());
    patient.later(-60_000);
    let _errand = patient.errand();
}

#[test]
fn each_host_has_its_own_health_and_a_redirects_target_is_not_needed() {
    let (patient, cdn) = (Patient::new(), host("https://cdn.example"));
    patient.health.failed(&cdn, false, &unreachable(), patient.now);
    assert!(patient.health.admit(&cdn, patient.now).is_err());
    assert!(!patient.rests());
    assert!(patient.health.trouble().is_none());
}

#[test]
fn a_host_that_redirects_everywhere_fills_no_memory() {
    let patient = Patient::new();
    for n in 0..2 * HOSTS {
        let target = host(&format!("https://cdn{n}.example"));
        patient.health.failed(&target, false, &unreachable(), patient.now);
    }
    assert_eq!(patient.health.lock().len(), HOSTS);
    patient.fails(&unreachable());
    assert!(patient.rests(), "the endpoint itself is known by its name");
    patient
        .health
        .failed(&host("https://last.example"), false, &unreachable(), patient.now);
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
