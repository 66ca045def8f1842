use proptest::prelude::*;

use super::*;

const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";

fn parse(text: &str) -> Result<Manifest, InvalidManifest> {
    parse_as(text, None)
}

fn parse_as(text: &str, content_type: Option<&MediaType>) -> Result<Manifest, InvalidManifest> {
    Manifest::parse(Bytes::copy_from_slice(text.as_bytes()), content_type, Algorithm::Sha256)
}

fn descriptor(media_type: &str, content: &str, more: &str) -> String {
    let digest = Digest::of(Algorithm::Sha256, content.as_bytes());
    format!(
        r#"{{"mediaType":"{media_type}","digest":"{digest}","size":{}{more}}}"#,
        content.len()
    )
}

fn image(layers: &str) -> String {
    let config = descriptor("application/vnd.oci.image.config.v1+json", "{}", "");
    format!(r#"{{"schemaVersion":2,"mediaType":"{OCI_MANIFEST}","config":{config},"layers":[{layers}]}}"#)
}

#[test]
fn keeps_the_bytes_and_reads_the_view() {
    let layer = descriptor(
        "made/up",
        "layer",
        r#","annotations":{"a":"b"},"data":"bGF5ZXI=","unknown":[]"#,
    );
    let text = format!(" {} \n", image(&layer).replace(',', " ,\t"));
    let manifest = parse(&text).unwrap();
    assert_eq!(manifest.bytes(), text.as_bytes());
    assert_eq!(manifest.digest(), Digest::of(Algorithm::Sha256, text.as_bytes()));
    assert_eq!(
        (manifest.kind(), manifest.media_type()),
        (Kind::Image, &MediaType::OCI_MANIFEST)
    );
    assert_eq!(manifest.blobs().iter().map(|it| it.size).collect::<Vec<_>>(), [2, 5]);
    assert_eq!(manifest.blobs()[1].media_type.as_str(), "made/up");
    assert!(manifest.manifests().is_empty() && manifest.subject().is_none());
}

#[test]
fn an_index_names_manifests_and_indexes() {
    let text = format!(
        r#"{{"schemaVersion":2,"mediaType":"{OCI_INDEX}","manifests":[{},{}],"subject":{}}}"#,
        descriptor(
            OCI_MANIFEST,
            "a",
            r#","platform":{"architecture":"arm64","os":"linux"}"#
        ),
        descriptor(OCI_INDEX, "nested", ""),
        descriptor(OCI_MANIFEST, "subject", ""),
    );
    let index = parse(&text).unwrap();
    assert_eq!(index.kind(), Kind::Index);
    assert_eq!(
        (index.blobs().len(), index.manifests().len(), index.named().count()),
        (0, 2, 2)
    );
    assert_eq!(index.subject().unwrap().size, 7);
}

#[test]
fn foreign_layers_make_no_named_link() {
    let foreign = "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip";
    let layers = [
        descriptor("a/plain", "1", r#","urls":[]"#),
        descriptor("a/plain", "2", r#","urls":null"#),
        descriptor("a/plain", "3", r#","urls":["https://elsewhere.example/x"]"#),
        descriptor(foreign, "4", ""),
    ];
    let manifest = parse(&image(&layers.join(","))).unwrap();
    assert_eq!((manifest.blobs().len(), manifest.named().count()), (5, 3));
}

#[test]
fn the_body_tells_the_type_then_the_header_then_the_content() {
    let typed = image("");
    let untyped = typed.replace(&format!(r#""mediaType":"{OCI_MANIFEST}","#), "");
    let list = r#"{"schemaVersion":2,"manifests":[]}"#;
    let json: MediaType = "application/json".parse().unwrap();
    for (text, told, expected) in [
        (
            typed.as_str(),
            Some(&MediaType::DOCKER_MANIFEST),
            MediaType::OCI_MANIFEST,
        ),
        (typed.as_str(), Some(&MediaType::OCI_INDEX), MediaType::OCI_MANIFEST),
        (
            untyped.as_str(),
            Some(&MediaType::DOCKER_MANIFEST),
            MediaType::DOCKER_MANIFEST,
        ),
        (untyped.as_str(), Some(&json), MediaType::OCI_MANIFEST),
        (untyped.as_str(), None, MediaType::OCI_MANIFEST),
        (list, None, MediaType::OCI_INDEX),
        (list, Some(&MediaType::DOCKER_LIST), MediaType::DOCKER_LIST),
        (
            r#"{"schemaVersion":2,"mediaType":"","layers":[]}"#,
            None,
            MediaType::OCI_MANIFEST,
        ),
    ] {
        assert_eq!(
            parse_as(text, told).unwrap().media_type(),
            &expected,
            "{text} as {told:?}"
        );
    }
}

#[test]
fn accepts_what_old_and_odd_tools_write() {
    for text in [
        format!(r#"{{"schemaVersion":2,"mediaType":"{OCI_INDEX}","manifests":null}}"#),
        format!(
            r#"{{"schemaVersion":2,"mediaType":"{OCI_MANIFEST}","manifests":null,"config":{},"layers":null}}"#,
            descriptor("", "", "")
        ),
        format!(
            r#"{{"schemaVersion":2,"config":{}}}"#,
            descriptor("no media type", "", "")
        ),
        image(&format!(
            r#"{{"digest":"{}","size":18446744073709551615}}"#,
            Digest::of(Algorithm::Sha512, b"")
        )),
    ] {
        assert!(parse(&text).is_ok(), "{text}: {:?}", parse(&text));
    }
}

#[test]
fn a_child_by_an_unknown_algorithm_leaves_the_others_usable() {
    let blake = r#"{"mediaType":"a/b","digest":"blake3:00","size":1}"#;
    let manifest = parse(&image(&[blake.to_owned(), descriptor("a/b", "x", "")].join(","))).unwrap();
    assert_eq!(manifest.blobs().len(), 2);
    assert_eq!(manifest.unprovable(), ["blake3:00"]);
    let foreign = r#"{"digest":"blake3:00","size":1,"urls":["https://elsewhere.example/x"]}"#;
    assert!(parse(&image(foreign)).unwrap().unprovable().is_empty());
}

#[test]
fn an_artifact_manifest_names_its_blobs_and_nothing_else_does() {
    let blob = descriptor("a/b", "x", "");
    let artifact = |more: &str| {
        let kind = MediaType::OCI_ARTIFACT;
        format!(r#"{{"mediaType":"{kind}","artifactType":"a/b","blobs":[{blob}]{more}}}"#)
    };
    let manifest = parse(&artifact("")).unwrap();
    assert_eq!((manifest.kind(), manifest.blobs().len()), (Kind::Image, 1));
    for more in [r#","layers":[]"#, r#","manifests":[]"#, &format!(r#","config":{blob}"#)] {
        assert!(
            matches!(parse(&artifact(more)), Err(InvalidManifest::Ambiguous { .. })),
            "{more}"
        );
    }
    assert!(matches!(
        parse(&artifact(r#","schemaVersion":1"#)),
        Err(InvalidManifest::SchemaVersion)
    ));

    let image = r#"{"schemaVersion":2,"layers":[],"blobs":"whatever"}"#;
    let told = parse_as(image, Some(&MediaType::OCI_ARTIFACT)).unwrap();
    assert_eq!((told.media_type(), told.blobs().len()), (&MediaType::OCI_MANIFEST, 0));
}

#[test]
fn refuses_what_can_be_read_as_two_things() {
    let config = descriptor("a/b", "", "");
    for text in [
        r#"{"schemaVersion":2,"manifests":[],"layers":[]}"#.to_owned(),
        format!(r#"{{"schemaVersion":2,"manifests":[],"config":{config}}}"#),
        format!(r#"{{"schemaVersion":2,"mediaType":"{OCI_INDEX}","layers":[]}}"#),
        format!(r#"{{"schemaVersion":2,"mediaType":"{OCI_MANIFEST}","manifests":[]}}"#),
    ] {
        assert!(matches!(parse(&text), Err(InvalidManifest::Ambiguous { .. })), "{text}");
    }
    let told = parse_as(r#"{"schemaVersion":2,"layers":[]}"#, Some(&MediaType::OCI_INDEX));
    assert!(matches!(told, Err(InvalidManifest::Ambiguous { field: "layers", .. })));
}

#[test]
fn refuses_what_is_not_json_of_its_shape() {
    let twice = r#"{"schemaVersion":2,"layers":[],"layers":[]}"#;
    for text in [
        "",
        "<html></html>",
        "[2]",
        "{}x",
        twice,
        r#"{"schemaVersion":"2"}"#,
        r#"{"schemaVersion":2,"layers":{}}"#,
        r#"{"schemaVersion":2,"config":[]}"#,
        r#"{"schemaVersion":2,"manifests":"x"}"#,
        &image(r#"["a/b","sha256:00",1,null]"#),
        &image(r#"{"digest":"blake3:00"}"#),
        &image(r#"{"digest":"blake3:00","size":-1}"#),
    ] {
        assert!(
            matches!(parse(text), Err(InvalidManifest::Json(InvalidJson::Unreadable(_)))),
            "{text}"
        );
    }
}

#[test]
fn refuses_json_that_is_no_manifest() {
    let deep = format!(r#"{{"schemaVersion":2,"x":{}"#, "[".repeat(1 << 20));
    assert!(matches!(parse(&deep), Err(InvalidManifest::Json(InvalidJson::TooDeep))));
    for text in [
        "{}",
        r#"{"schemaVersion":1,"name":"x","fsLayers":[]}"#,
        r#"{"schemaVersion":3}"#,
        r#"{"errors":[]}"#,
    ] {
        assert!(matches!(parse(text), Err(InvalidManifest::SchemaVersion)), "{text}");
    }
    assert!(matches!(parse(r#"{"schemaVersion":2}"#), Err(InvalidManifest::Untyped)));
    assert!(matches!(
        parse(r#"{"schemaVersion":2,"mediaType":"x"}"#),
        Err(InvalidManifest::MalformedType(_))
    ));
    assert!(matches!(
        parse(r#"{"schemaVersion":2,"mediaType":"application/vnd.docker.distribution.manifest.v1+prettyjws"}"#),
        Err(InvalidManifest::UnknownType { .. })
    ));
    let bad = image(
        &[
            descriptor("a/b", "x", ""),
            r#"{"digest":"sha256:x","size":1}"#.to_owned(),
        ]
        .join(","),
    );
    assert!(matches!(
        parse(&bad),
        Err(InvalidManifest::Digest {
            field: "layers",
            number: 2,
            ..
        })
    ));
}

#[test]
fn ends_at_its_limits() {
    let layers = |count: usize| image(&vec![descriptor("a/b", "x", ""); count].join(","));
    assert_eq!(
        parse(&layers(Manifest::MAX_DESCRIPTORS - 1)).unwrap().blobs().len(),
        Manifest::MAX_DESCRIPTORS
    );
    assert!(matches!(
        parse(&layers(Manifest::MAX_DESCRIPTORS)),
        Err(InvalidManifest::TooManyDescriptors { .. })
    ));
    let padded = |length: usize| image("") + &" ".repeat(length - image("").len());
    assert!(parse(&padded(Manifest::MAX_BYTES)).is_ok());
    assert!(matches!(
        parse(&padded(Manifest::MAX_BYTES + 1)),
        Err(InvalidManifest::TooLarge { .. })
    ));
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes in any::<Vec<u8>>()) {
        let _ = Manifest::parse(bytes.into(), None, Algorithm::Sha256);
    }

    #[test]
    fn no_mutilation_makes_it_panic(at in 0..400_usize, byte in any::<u8>(), cut in any::<bool>()) {
        let mut bytes = image(&descriptor("a/b", "x", "")).into_bytes();
        let at = at % bytes.len();
        bytes[at] = byte;
        if cut {
            bytes.truncate(at);
        }
        let _ = Manifest::parse(bytes.into(), None, Algorithm::Sha256);
    }
}
