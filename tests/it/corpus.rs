//! The corpus of each fuzz target, run through its parser: `good-…` must be accepted, `bad-…` refused, and nothing may
//! panic.

use std::path::Path;

#[expect(unreachable_pub, reason = "the fuzz targets are crates of their own")]
#[path = "../fuzz/parsers.rs"]
mod parsers;

type Parser = fn(&[u8]) -> bool;

const PARSERS: [(&str, Parser); 8] = [
    ("challenge", parsers::challenge),
    ("content_range", parsers::content_range),
    ("digest", parsers::digest),
    ("manifest", parsers::manifest),
    ("name", parsers::name),
    ("range", parsers::range),
    ("reference", parsers::reference),
    ("route", parsers::route),
];

#[test]
fn every_input_of_the_corpus_is_taken_or_refused_as_its_name_says() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz/corpus");
    for (target, parse) in PARSERS {
        let (mut good, mut bad) = (0, 0);
        for entry in std::fs::read_dir(corpus.join(target)).unwrap() {
            let file = entry.unwrap().path();
            let accepted = parse(&std::fs::read(&file).unwrap());
            let name = file.file_name().unwrap().to_str().unwrap();
            match name.split('-').next() {
                Some("good") => good += usize::from(accepted),
                Some("bad") => bad += usize::from(!accepted),
                _ => continue,
            }
            assert_eq!(accepted, name.starts_with("good"), "{target}/{name}");
        }
        assert!(good > 0 && bad > 0, "{target} has inputs of both kinds");
    }
}

#[test]
fn every_fuzz_target_has_its_corpus_here() {
    let targets = std::fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz/targets")).unwrap();
    let mut targets: Vec<String> = targets
        .map(|entry| entry.unwrap().path().file_stem().unwrap().to_str().unwrap().to_owned())
        .collect();
    targets.sort();
    assert_eq!(targets, PARSERS.map(|(target, _)| target));
}
