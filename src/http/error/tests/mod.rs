mod pulls;
mod pushes;

use std::io;
use std::net::Ipv4Addr;
use std::sync::Arc;

use http::HeaderMap;
use http::Method;
use http_body::Body as _;

use super::*;
use crate::access::Action;
use crate::access::Principal;
use crate::access::Ruled;
use crate::oci::Algorithm;
use crate::oci::Digest;
use crate::oci::InvalidDigest;
use crate::oci::InvalidManifest;
use crate::oci::Reference;
use crate::oci::RepoName;
use crate::oci::Tag;
use crate::push;
use crate::store;

#[test]
fn every_malformed_request_has_its_answer() {
    check([
        (Malformed::TargetTooLong, "414 UNSUPPORTED"),
        (Malformed::HeadersTooLarge, "431 UNSUPPORTED"),
        (Malformed::Host, "400 UNSUPPORTED"),
    ]);
}

#[test]
fn every_wrong_request_line_has_its_answer() {
    use route::Error;
    let name = "A".parse::<RepoName>().unwrap_err();
    let tag = "-".parse::<Tag>().unwrap_err();
    let (why, writing) = (InvalidDigest::Malformed, true);
    let cases = [
        (Error::NotFound, "404 UNSUPPORTED"),
        (
            Error::MethodNotAllowed { allow: "GET, HEAD" },
            "405 UNSUPPORTED allow: GET, HEAD",
        ),
        (Error::Encoding, "400 NAME_INVALID"),
        (Error::RepeatedNs, "400 NAME_INVALID"),
        (Error::Name { writing, why: name }, "400 NAME_INVALID"),
        (
            Error::Name {
                writing: false,
                why: name,
            },
            "404 NAME_INVALID",
        ),
        (Error::Tag { writing, why: tag }, "400 MANIFEST_INVALID"),
        (
            Error::Tag {
                writing: false,
                why: tag,
            },
            "404 MANIFEST_UNKNOWN",
        ),
        (Error::Digest { why }, "400 DIGEST_INVALID"),
    ];
    check(cases);
}

#[test]
fn every_name_that_leads_nowhere_is_a_404() {
    let (ns, host, mirror) = ("x".to_owned(), "x.y".to_owned(), "quay.io".to_owned());
    let name = "a/b".parse().unwrap();
    check([
        (NotServed::UnknownNs { ns }, "404 NAME_UNKNOWN"),
        (NotServed::UnknownRegistry { host }, "404 NAME_UNKNOWN"),
        (NotServed::NoRepository { mirror }, "404 NAME_UNKNOWN"),
        (NotServed::Unclaimed { name }, "404 NAME_UNKNOWN"),
    ]);
}

#[test]
fn a_denied_caller_gets_a_403() {
    let repository = "a/b".parse().unwrap();
    let caller = Denied::Caller {
        principal: Principal::Anonymous,
        action: Action::Pull,
        repository,
    };
    let (what, mirror) = ("quay.io/a/b".to_owned(), "quay.io".to_owned());
    let ruled = Denied::Ruled(Ruled::Unlisted { what, mirror });
    check([(caller, "403 DENIED"), (ruled, "403 DENIED")]);
}

fn closed() -> store::Error {
    let fact = Box::new(store::Fact::Loose);
    store::Error::Closed { fact }
}

fn store_error(kind: io::ErrorKind) -> store::Error {
    store::Error::Disk {
        verb: "open",
        path: "/srv/secret".into(),
        source: io::Error::new(kind, "it burns"),
    }
}

#[test]
fn refusals_of_our_own() {
    assert_eq!(shown(&Refusal::read_only("x")), "405 UNSUPPORTED allow: GET, HEAD");
    assert_eq!(shown(&Refusal::takes_nothing()), "405 UNSUPPORTED allow: GET, HEAD");
    assert_eq!(shown(&Refusal::no_such_repository(&"x")), "404 NAME_UNKNOWN");
    assert_eq!(
        shown(&Refusal::unsatisfiable(7)),
        "416 SIZE_INVALID content-range: bytes */7"
    );
}

#[test]
fn a_body_has_the_form_of_the_specification_and_a_head_none() {
    let record = record();
    let denied = || Refusal::read_only("quay.io");
    let response = denied().respond(&record, false);
    assert_eq!(response.headers()[CONTENT_TYPE], "application/json");
    let body = denied().body(&record);
    assert_eq!(body["errors"][0]["code"], "UNSUPPORTED");
    assert_eq!(body["errors"][0]["detail"], json!({ "request_id": record.id() }));
    let head = denied().respond(&record, true);
    assert_eq!(head.status(), response.status());
    assert!(head.body().is_end_stream());
}

#[test]
fn a_client_learns_no_path_of_this_machine_and_the_log_all() {
    for refusal in [
        Refusal::from(pull::Error::Store(Arc::new(store_error(io::ErrorKind::Other)))),
        Refusal::from(push::Error::Store(store_error(io::ErrorKind::Other))),
    ] {
        assert!(!body_of(&refusal).to_string().contains("secret"));
        let log = refusal.for_the_log();
        assert!(log.contains("/srv/secret"), "{log}");
    }
}

fn check<E: Into<Refusal> + std::fmt::Debug>(cases: impl IntoIterator<Item = (E, &'static str)>) {
    for (error, expected) in cases {
        let shown_error = format!("{error:?}");
        assert_eq!(shown(&error.into()), expected, "{shown_error}");
    }
}

/// Status, code and the special headers.
fn shown(refusal: &Refusal) -> String {
    let headers = refusal.with.iter().flat_map(With::headers);
    let headers = headers.fold(String::new(), |told, (name, value)| {
        format!("{told} {name}: {}", value.to_str().unwrap())
    });
    format!("{} {}{headers}", refusal.status.as_u16(), refusal.code)
}

fn record() -> Record {
    let mut record = Record::new(Ipv4Addr::LOCALHOST.into(), &Method::GET, "/v2/", &HeaderMap::new());
    record.leads_to(Some("quay.io"));
    record
}

fn body_of(refusal: &Refusal) -> Value {
    refusal.body(&record())
}
