//! The architecture as a test: who may import whom, how long a file is, what a module says of itself.
//!
//! [`Tree::violations`] is a function of a source tree. The first test runs it over this crate; the
//! others plant one violation each in a tree in memory and see it found.

#![expect(
    clippy::disallowed_methods,
    reason = "the sources are read by a test, not by the product"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use tidy::source::{MAY_BE_UNSAFE, MAY_IMPORT};
use tidy::tree::Tree;

mod tidy {
    pub(crate) mod scan;
    pub(crate) mod source;
    pub(crate) mod tree;
}

#[test]
fn the_crate_is_tidy() {
    let violations = Tree::read(Path::new(env!("CARGO_MANIFEST_DIR"))).unwrap().violations();
    assert!(violations.is_empty(), "\n{}\n", violations.join("\n"));
}

#[test]
fn imports_point_one_way() {
    let layers: BTreeMap<_, _> = MAY_IMPORT.iter().copied().collect();
    let below = |layer: &str| -> BTreeSet<&str> {
        let mut seen = BTreeSet::new();
        let mut next: Vec<&str> = layers[layer].split_whitespace().collect();
        while let Some(target) = next.pop() {
            let target = target.split("::").next().unwrap_or(target);
            if let Some(targets) = layers.get(target).filter(|_| seen.insert(target)) {
                next.extend(targets.split_whitespace());
            }
        }
        seen
    };
    for layer in layers.keys() {
        assert!(!below(layer).contains(layer), "{layer} reaches itself");
    }
    assert!(!below("upstream").contains("store") && !below("store").contains("upstream"));
    assert!(!below("pull").contains("push") && !below("push").contains("pull"));
}

#[test]
fn an_upward_import_is_found() {
    finds(
        "src/store/mod.rs",
        "//! x\nuse crate::pull::Pull;\n",
        "src/store/mod.rs:2: `store` may not import `pull`",
    );
    finds(
        "src/store/mod.rs",
        "//! x\nfn f(a: crate::upstream::Error) {}\n",
        "`store` may not import `upstream`",
    );
    finds(
        "src/oci/mod.rs",
        "//! x\npub use crate::clock;\n",
        "`oci` may not import `clock`",
    );
    finds(
        "src/http/mod.rs",
        "//! x\nuse crate::store::{Blob, Store};\n",
        "`http` may not import `store::Store`",
    );
    finds(
        "src/http/mod.rs",
        "//! x\nuse crate::store::*;\n",
        "`http` may not import `store::*`",
    );
    finds(
        "src/http/mod.rs",
        "//! x\nuse crate::store;\n",
        "`http` may not import the whole of `store`",
    );
    finds(
        "src/oci/mod.rs",
        "//! x\nuse crate::{oci, pull::{self, Pull}};\n",
        "`oci` may not import `pull`",
    );
    finds(
        "src/http/mod.rs",
        "//! x\nuse crate::{oci, store::{index::Index, Blob}};\n",
        "`http` may not import `store::index::Index`",
    );
    finds(
        "src/oci/mod.rs",
        "//! x\nuse super::pull::Pull;\n",
        "`super` reaches the crate's root",
    );
    finds(
        "src/store/index/mod.rs",
        "//! x\nuse super::super::pull::Pull;\n",
        "`super` reaches the crate's root",
    );
    finds("src/novelty.rs", "//! x\n", "`novelty` is not in the import table");
    finds(
        "src/main.rs",
        "//! x\nuse wharf::store::Store;\n",
        "`main` may not import `store`",
    );
}

#[test]
fn what_is_allowed_is_not_found() {
    clean(
        "src/http/mod.rs",
        "//! x\nuse crate::store::{Blob, Extent};\nuse http::StatusCode;\nuse crate::http::body;\n",
    );
    clean(
        "src/http/mod.rs",
        "//! x\n// use crate::store::Store;\nconst S: &str = \"use crate::store::Store\";\n",
    );
    clean(
        "src/oci/mod.rs",
        "//! x\n#[cfg(test)]\nmod tests {\n    use crate::pull::Pull;\n    const B: char = '{';\n}\n",
    );
    clean(
        "src/oci/mod.rs",
        "//! x\nfn f<'a>(x: &'a str) -> &'a str { r#\"crate::pull \" \"# }\n",
    );
    clean(
        "src/store/mod.rs",
        "//! x\npub(crate) fn f() {}\npub(in crate::store) struct S;\n",
    );
    clean(
        "src/store/mod.rs",
        "//! x\nmod index;\nuse self::index::Index;\nfn f(http: u8) { let x = http; }\n",
    );
    clean(
        "src/app.rs",
        "//! x\nuse crate::store::Store;\nuse crate::upstream::Client;\n",
    );
}

#[test]
fn http_below_http_is_found() {
    finds(
        "src/pull/mod.rs",
        "//! x\nuse http::StatusCode;\n",
        "src/pull/mod.rs:2: `http` is spoken only in",
    );
    finds(
        "src/store/mod.rs",
        "//! x\nfn f(b: hyper::body::Bytes) {}\n",
        "`hyper` is spoken only in",
    );
    finds(
        "src/namespaces.rs",
        "//! x\nuse reqwest as r;\n",
        "`reqwest` is spoken only in",
    );
}

#[test]
fn a_long_file_is_found_be_it_of_tests_or_not() {
    let lines = |count: usize| format!("//! x\n{}", "const A: u8 = 0;\n".repeat(count - 1));
    clean("src/oci/mod.rs", &lines(400));
    for path in ["src/oci/mod.rs", "tests/it/main.rs", "benches/push.rs"] {
        finds(path, &lines(401), &format!("{path}: 401 lines, 400 at most"));
    }
    let tests = "    const A: u8 = 0;\n\n    // Why.\n".repeat(200);
    let inside = format!("//! x\n#[cfg(test)]\nmod tests {{\n{tests}}}\n");
    finds("src/oci/mod.rs", &inside, "604 lines, 400 at most");
}

#[test]
fn a_module_without_a_short_header_is_found() {
    finds("src/oci/mod.rs", "use std::fmt;\n//! x\n", "begins with a `//!` header");
    finds("src/oci/mod.rs", &"//! x\n".repeat(13), "a header of 13 lines");
}

#[test]
fn silenced_lints_and_unsafe_are_found() {
    finds(
        "src/oci/mod.rs",
        "//! x\n#[allow(dead_code)]\nfn f() {}\n",
        "`allow`: say `#[expect(…, reason = \"…\")]`",
    );
    finds(
        "src/oci/mod.rs",
        "//! x\n#![cfg_attr(test, allow(dead_code))]\n",
        "`allow`: say",
    );
    finds("tests/it/main.rs", "#![allow(dead_code)]\n", "`allow`: say");
    finds(
        "src/oci/mod.rs",
        "//! x\nfn f() { unsafe { g() } }\n",
        "`unsafe` belongs in src/store/content/disk.rs",
    );
    let fenced = "//! x\n#[expect(unsafe_code, reason = \"r\")]\nfn f() { unsafe { g() } }\n";
    finds("src/oci/mod.rs", fenced, "`unsafe` belongs in");
    let disk = |text: &str| {
        tidy()
            .with("src/store/mod.rs", "//! x\nmod content;\n")
            .with(MAY_BE_UNSAFE, text)
    };
    let disk = |text| {
        disk(text)
            .with("src/store/content/mod.rs", "//! x\nmod disk;\n")
            .violations()
    };
    assert_eq!(disk(fenced), [""; 0]);
    assert!(
        disk("//! x\nfn f() { unsafe { g() } }\n")
            .join("\n")
            .contains("`unsafe` without its")
    );
}

#[test]
fn stray_files_are_found() {
    finds("notes.md", "", "notes.md: does not belong at the top");
    finds("docs/plan.md", "", "docs: does not belong at the top");
    finds(
        "src/oci/orphan.rs",
        "//! x\n",
        "src/oci/orphan.rs: no module declares it",
    );
    finds(
        "src/oci/mod.rs",
        "//! x\n#[path = \"../pull/mod.rs\"]\nmod pull;\n",
        "`path`: a module lives where its name says",
    );
    clean("src/oci/mod.rs", "//! x\n");
    clean(".ci/run", "");
}

fn tidy() -> Tree {
    let layers = ["app", "http", "namespaces", "oci", "pull", "store"];
    let map = layers.map(|layer| format!("pub mod {layer};\n")).concat();
    let tree = Tree::new()
        .with("src/lib.rs", &format!("//! map\n{map}"))
        .with("src/main.rs", "//! x\nuse wharf::cli;\n");
    let path = |layer: &str| match layer {
        "app" | "namespaces" => format!("src/{layer}.rs"),
        folder => format!("src/{folder}/mod.rs"),
    };
    layers
        .iter()
        .fold(tree, |tree, layer| tree.with(&path(layer), "//! x\n"))
}

fn finds(path: &str, text: &str, message: &str) {
    let found = tidy().with(path, text).violations().join("\n");
    assert!(
        found.contains(message),
        "planted in {path}, expected {message:?}, found:\n{found}"
    );
}

fn clean(path: &str, text: &str) {
    let extra = text
        .lines()
        .filter(|line| line.starts_with("mod ") && line.ends_with(';'));
    let folder = path.trim_end_matches("mod.rs");
    let extra: Vec<String> = extra
        .map(|line| format!("{folder}{}.rs", line[4..].trim_end_matches(';')))
        .collect();
    let tree = extra
        .iter()
        .fold(tidy().with(path, text), |tree, path| tree.with(path, "//! x\n"));
    assert_eq!(tree.violations(), [""; 0]);
}
