//! What one file may say: its header, length, imports, attributes and `unsafe`.

use super::scan::{attributes, blank_literals, blank_tests, imports, is_word, leading_word, module_folder, roots};

/// Who may import what inside the crate: whole layers, or single items of one. Everything else is refused.
pub(crate) const MAY_IMPORT: &[(&str, &str)] = &[
    ("main", "cli"),
    ("cli", "config app admin oci::Pin"),
    ("app", "*"),
    (
        "config",
        "server::Config store::Config access::Config push::Config upstream::Config upstream::Environment upstream::MirrorConfig upstream::ProxyUrl upstream::builtin",
    ),
    ("admin", "pull store oci metrics clock tasks"),
    ("server", "http metrics clock tasks"),
    (
        "http",
        "access namespaces pull push store::Attempt store::Blob store::Error store::Extent oci metrics clock",
    ),
    ("pull", "access namespaces upstream store oci metrics clock tasks"),
    ("push", "access namespaces store oci metrics clock tasks"),
    ("namespaces", "upstream::Mirror oci"),
    ("access", "namespaces::Repo upstream::Mirror oci"),
    ("upstream", "oci metrics clock tasks"),
    ("store", "oci metrics clock tasks"),
    ("oci", ""),
    ("metrics", ""),
    ("telemetry", ""),
    ("clock", ""),
    ("tasks", ""),
];
/// The layers that may speak HTTP: the edge towards clients and the edge towards upstreams.
const SPEAK_HTTP: &[&str] = &["server", "http", "upstream"];
const HTTP_CRATES: &[&str] = &["http", "http_body", "http_body_util", "hyper", "hyper_util", "reqwest"];
/// The one file that may hold `unsafe`, each with its `#[expect(unsafe_code, reason)]`.
pub(crate) const MAY_BE_UNSAFE: &str = "src/store/content/disk.rs";
const LONGEST_FILE: usize = 400;
const LONGEST_HEADER: usize = 12;

pub(crate) struct Source<'a> {
    path: &'a str,
    raw: &'a str,
    /// As `raw`, line for line, with comments and literals blanked.
    code: String,
}

impl<'a> Source<'a> {
    pub(crate) fn new(path: &'a str, raw: &'a str) -> Self {
        Self {
            path,
            raw,
            code: blank_literals(raw),
        }
    }

    pub(crate) fn check_attributes(&self, found: &mut Vec<String>) {
        for (at, attribute) in attributes(&self.code) {
            let mut words = attribute.split(|c: char| !is_word(c));
            if words.clone().any(|word| word == "allow") {
                self.say(found, at, "`allow`: say `#[expect(…, reason = \"…\")]`");
            }
            // Benches borrow modules from the tests; the product has no need to.
            if self.path.starts_with("src/") && words.find(|word| !word.is_empty()) == Some("path") {
                self.say(found, at, "`path`: a module lives where its name says");
            }
        }
    }

    pub(crate) fn check_length(&self, found: &mut Vec<String>) {
        let lines = self.raw.lines().count();
        if lines > LONGEST_FILE {
            found.push(format!("{}: {lines} lines, {LONGEST_FILE} at most", self.path));
        }
    }

    pub(crate) fn check_product(&self, found: &mut Vec<String>) {
        let code = blank_tests(&self.code);
        self.check_header(found);
        self.check_imports(&code, found);
        self.check_http(&code, found);
        self.check_unsafe(&code, found);
    }

    fn check_header(&self, found: &mut Vec<String>) {
        let lines = self.raw.lines().take_while(|line| line.starts_with("//!")).count();
        if lines == 0 {
            found.push(format!("{}: begins with a `//!` header", self.path));
        } else if lines > LONGEST_HEADER && self.path != "src/lib.rs" {
            found.push(format!(
                "{}: a header of {lines} lines, {LONGEST_HEADER} at most",
                self.path
            ));
        }
    }

    fn check_imports(&self, code: &str, found: &mut Vec<String>) {
        let layer = self.layer();
        if layer == "lib" {
            return;
        }
        let Some((_, allowed)) = MAY_IMPORT.iter().find(|(name, _)| *name == layer) else {
            found.push(format!("{}: `{layer}` is not in the import table", self.path));
            return;
        };
        let root = if layer == "main" { "wharf" } else { "crate" };
        for at in roots(code, root) {
            let path = code[at + root.len()..].strip_prefix("::");
            let imports = path.into_iter().flat_map(imports);
            for complaint in imports.filter_map(|import| refusal(layer, allowed, &import)) {
                self.say(found, at, &complaint);
            }
        }
        for at in roots(code, "super").filter(|at| self.climbs_out(&code[*at..])) {
            self.say(found, at, "`super` reaches the crate's root: say `crate::…`");
        }
    }

    fn check_http(&self, code: &str, found: &mut Vec<String>) {
        if SPEAK_HTTP.contains(&self.layer()) {
            return;
        }
        for name in HTTP_CRATES {
            let used = |at: &usize| code[at + name.len()..].starts_with("::") || code[..*at].ends_with("use ");
            for at in roots(code, name).filter(used) {
                self.say(
                    found,
                    at,
                    &format!("`{name}` is spoken only in {}", SPEAK_HTTP.join(", ")),
                );
            }
        }
    }

    fn check_unsafe(&self, code: &str, found: &mut Vec<String>) {
        let expected = attributes(code).any(|(_, text)| text.contains("expect") && text.contains("unsafe_code"));
        for at in roots(code, "unsafe") {
            if self.path != MAY_BE_UNSAFE {
                self.say(found, at, &format!("`unsafe` belongs in {MAY_BE_UNSAFE}, if anywhere"));
            } else if !expected {
                self.say(
                    found,
                    at,
                    "`unsafe` without its `#[expect(unsafe_code, reason = \"…\")]`",
                );
            }
        }
    }

    fn layer(&self) -> &str {
        let inside = self.path.trim_start_matches("src/");
        inside.split('/').next().unwrap_or(inside).trim_end_matches(".rs")
    }

    /// Whether this path's leading `super`s leave the layer; inside an inline module one fewer would.
    fn climbs_out(&self, path: &str) -> bool {
        let climbed = path.split("::").take_while(|part| *part == "super").count();
        let folder = module_folder(self.path);
        climbed >= folder.trim_start_matches("src").matches('/').count()
    }

    fn say(&self, found: &mut Vec<String>, at: usize, complaint: &str) {
        let line = 1 + self.code[..at].matches('\n').count();
        found.push(format!("{}:{line}: {complaint}", self.path));
    }
}

/// What the import table says against one import, such as `store::Blob`.
fn refusal(layer: &str, allowed: &str, import: &str) -> Option<String> {
    let target = leading_word(import);
    let mut allowed = allowed.split(' ');
    let fits = |item: &str| {
        item == "*"
            || item == target
            || import
                .strip_prefix(item)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
    };
    if target == layer || allowed.clone().any(fits) {
        return None;
    }
    let in_part = allowed.any(|item| leading_word(item) == target);
    let whole = if in_part && target == import {
        "the whole of "
    } else {
        ""
    };
    let refused = if in_part { import } else { target };
    Some(format!("`{layer}` may not import {whole}`{refused}`"))
}
