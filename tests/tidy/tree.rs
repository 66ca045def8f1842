//! What lies where: the top of the repository, and which files the modules declare.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::Path;

use super::scan::{blank_literals, blank_tests, declared, module_folder};
use super::source::Source;

const TOP_LEVEL: &str = "Cargo.toml Cargo.lock src config tests benches Dockerfile README.md LICENSE rustfmt.toml";
/// Made by building and by running; git ignores them.
const MADE: &str = "target wharf-data";

/// The text of every Rust file by its path from the root, and the names of what lies at the root.
pub(crate) struct Tree {
    files: BTreeMap<String, String>,
    entries: BTreeSet<String>,
}

impl Tree {
    pub(crate) fn new() -> Self {
        Self {
            files: BTreeMap::new(),
            entries: BTreeSet::new(),
        }
    }

    pub(crate) fn read(root: &Path) -> io::Result<Self> {
        let mut tree = Self::new();
        for entry in fs::read_dir(root)? {
            let name = entry?.file_name().to_string_lossy().into_owned();
            if ["src", "tests", "benches"].contains(&name.as_str()) {
                tree.read_folder(&root.join(&name), &name)?;
            }
            tree.entries.insert(name);
        }
        Ok(tree)
    }

    fn read_folder(&mut self, folder: &Path, name: &str) -> io::Result<()> {
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            let path = format!("{name}/{}", entry.file_name().to_string_lossy());
            if entry.file_type()?.is_dir() {
                self.read_folder(&entry.path(), &path)?;
            } else if is_rust(&path) {
                self.files.insert(path, fs::read_to_string(entry.path())?);
            }
        }
        Ok(())
    }

    /// The same tree with one file more, or with another text in it.
    pub(crate) fn with(mut self, path: &str, text: &str) -> Self {
        let top = path.split('/').next().unwrap_or(path);
        self.entries.insert(top.to_owned());
        if is_rust(path) {
            self.files.insert(path.to_owned(), text.to_owned());
        }
        self
    }

    pub(crate) fn violations(&self) -> Vec<String> {
        let mut found = Vec::new();
        for entry in self.entries.iter().filter(|entry| !entry.starts_with('.')) {
            if !listed(TOP_LEVEL, entry) && !listed(MADE, entry) {
                found.push(format!("{entry}: does not belong at the top, which holds {TOP_LEVEL}"));
            }
        }
        let (product, tests) = self.reachable();
        for (path, text) in &self.files {
            let source = Source::new(path, text);
            source.check_attributes(&mut found);
            source.check_length(&mut found);
            if product.contains(path) {
                source.check_product(&mut found);
            } else if path.starts_with("src/") && !tests.contains(path) {
                found.push(format!("{path}: no module declares it"));
                source.check_product(&mut found);
            }
        }
        found
    }

    /// The files that modules declare, from the two crate roots down: those of the product, and those only tests have.
    fn reachable(&self) -> (BTreeSet<String>, BTreeSet<String>) {
        let (mut product, mut tests) = (BTreeSet::new(), BTreeSet::new());
        let mut next: Vec<(String, bool)> = ["src/lib.rs", "src/main.rs"]
            .map(|root| (root.to_owned(), false))
            .into();
        while let Some((path, testing)) = next.pop() {
            let Some(text) = self.files.get(&path) else {
                continue;
            };
            let (whole, stripped) = (blank_literals(text), blank_tests(&blank_literals(text)));
            let folder = module_folder(&path);
            let shipped: BTreeSet<&str> = declared(&stripped).collect();
            for name in declared(&whole) {
                let candidates = [format!("{folder}/{name}.rs"), format!("{folder}/{name}/mod.rs")];
                let testing = testing || !shipped.contains(name);
                next.extend(candidates.into_iter().map(|candidate| (candidate, testing)));
            }
            let _ = if testing {
                tests.insert(path)
            } else {
                product.insert(path)
            };
        }
        (product, tests)
    }
}

fn listed(list: &str, name: &str) -> bool {
    list.split(' ').any(|listed| listed == name)
}

fn is_rust(path: &str) -> bool {
    Path::new(path).extension().is_some_and(|extension| extension == "rs")
}
