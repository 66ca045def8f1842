//! The configuration that a wharf is started with.

use std::fmt::Write as _;
use std::path::Path;

use super::leaks;
use super::upstream::Upstream;
use super::wharf::Wharf;

/// A mirror in the configuration: its key and its lines.
#[derive(Clone, Debug)]
pub(crate) struct Mirror {
    key: String,
    lines: Vec<String>,
}

impl Mirror {
    pub(crate) fn of(key: &str, upstream: &Upstream) -> Self {
        Self::at(key, upstream.url())
    }

    pub(crate) fn at(key: &str, endpoint: &str) -> Self {
        let mirror = Self {
            key: key.to_owned(),
            lines: Vec::new(),
        };
        mirror
            .set("endpoints", &format!("[\"{endpoint}\"]"))
            .set("fresh_for", "\"1h\"")
            .set("first_byte", "\"25s\"")
    }

    /// A line of TOML; the last one for a key counts.
    pub(crate) fn set(mut self, key: &str, value: &str) -> Self {
        self.lines.retain(|line| !line.starts_with(&format!("{key} = ")));
        self.lines.push(format!("{key} = {value}"));
        self
    }
}

#[derive(Debug, Default)]
pub(crate) struct Setup {
    server: Vec<String>,
    store: Vec<String>,
    tables: Vec<String>,
    mirrors: Vec<Mirror>,
    pub(super) environment: Vec<(String, String)>,
    /// The size of a file system of the store's own, in MiB.
    pub(super) disk: Option<u64>,
}

impl Setup {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    pub(crate) fn mirror(mut self, mirror: Mirror) -> Self {
        self.mirrors.push(mirror);
        self
    }

    pub(crate) fn server(mut self, key: &str, value: &str) -> Self {
        self.server.push(format!("{key} = {value}"));
        self
    }

    pub(crate) fn store(mut self, key: &str, value: &str) -> Self {
        self.store.push(format!("{key} = {value}"));
        self
    }

    /// Lines of TOML in a table other than `server`, `store` and the mirrors.
    pub(crate) fn table(mut self, name: &str, lines: &str) -> Self {
        self.tables.push(format!("[{name}]\n{lines}"));
        self
    }

    /// Gives the store a file system of its own, of so many MiB, where the machine can.
    pub(crate) fn disk(self, mib: u64) -> Self {
        let disk = Some(mib);
        Self { disk, ..self }
    }

    /// Makes wharf trust an upstream's certificate.
    pub(crate) fn trusting(mut self, upstream: &Upstream) -> Self {
        self.environment
            .push(("SSL_CERT_FILE".to_owned(), upstream.certificate().to_owned()));
        self
    }

    /// Sets an environment variable of the process.
    pub(crate) fn variable(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    pub(crate) async fn start(self) -> Wharf {
        Wharf::start(self).await
    }

    pub(super) fn write(&self, home: &Path) {
        self.mirrors.iter().for_each(|mirror| leaks::declare(&mirror.lines));
        std::fs::write(home.join("wharf.toml"), self.toml(&home.join("store"))).unwrap();
    }

    fn toml(&self, store: &Path) -> String {
        let mut text = "[server]\nlisten = \"127.0.0.1:0\"\n".to_owned();
        self.server.iter().for_each(|line| writeln!(text, "{line}").unwrap());
        writeln!(text, "\n[store]\npath = \"{}\"", store.display()).unwrap();
        self.store.iter().for_each(|line| writeln!(text, "{line}").unwrap());
        self.tables
            .iter()
            .for_each(|table| writeln!(text, "\n{table}").unwrap());
        for mirror in &self.mirrors {
            writeln!(text, "\n[mirror.\"{}\"]\n{}", mirror.key, mirror.lines.join("\n")).unwrap();
        }
        text
    }
}
