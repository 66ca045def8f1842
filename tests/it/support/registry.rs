//! What the fake upstream truthfully holds, and its truthful answer to a request: manifests, tags and blobs per repository,
//! ranges, anonymous bearer tokens the way Docker Hub and GHCR hand them out, and a CDN that rejects `Authorization`.

use std::collections::{HashMap, HashSet};
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};

use url::form_urlencoded;

use super::image::Content;
use super::leaks;
use super::reply::Reply;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Ping,
    Manifest,
    Blob,
    Tags,
    Referrers,
    Token,
    Cdn,
    Other,
}

/// One request as it arrived.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) query: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) kind: Kind,
    pub(crate) repository: String,
    pub(crate) reference: String,
}

impl Request {
    /// Parses a request head; `None` for what is not HTTP/1.
    pub(crate) fn parse(head: &str) -> Option<Self> {
        let mut lines = head.split("\r\n");
        let mut first = lines.next()?.split(' ');
        let (method, target) = (first.next()?.to_owned(), first.next()?);
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let headers = lines
            .filter_map(|line| line.split_once(':'))
            .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
            .collect();
        let (kind, repository, reference) = classify(path);
        Some(Self {
            method,
            path: path.to_owned(),
            query: query.to_owned(),
            headers,
            kind,
            repository: repository.to_owned(),
            reference: reference.to_owned(),
        })
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.as_str())
    }

    /// All values of a query parameter, decoded.
    pub(crate) fn query(&self, name: &str) -> Vec<String> {
        form_urlencoded::parse(self.query.as_bytes())
            .filter(|(key, _)| key == name)
            .map(|(_, value)| value.into_owned())
            .collect()
    }

    /// The single range asked for, within `len`.
    pub(crate) fn range(&self, len: u64) -> Option<Range<u64>> {
        let (from, to) = self.header("range")?.strip_prefix("bytes=")?.split_once('-')?;
        let from = from.parse().ok()?;
        let end = if to.is_empty() {
            len
        } else {
            to.parse::<u64>().ok()? + 1
        };
        Some(from..end.min(len))
    }
}

fn classify(path: &str) -> (Kind, &str, &str) {
    if let Some(digest) = path.strip_prefix("/cdn/") {
        return (Kind::Cdn, "", digest);
    }
    match path {
        "/token" => return (Kind::Token, "", ""),
        "/v2/" => return (Kind::Ping, "", ""),
        _ => {}
    }
    // From the right: a repository may itself be called `foo/manifests`.
    let mut parts = path.strip_prefix("/v2/").unwrap_or_default().rsplitn(3, '/');
    match (parts.next(), parts.next(), parts.next()) {
        (Some(reference), Some("manifests"), Some(name)) => (Kind::Manifest, name, reference),
        (Some(reference), Some("blobs"), Some(name)) => (Kind::Blob, name, reference),
        (Some("list"), Some("tags"), Some(name)) => (Kind::Tags, name, ""),
        (Some(reference), Some("referrers"), Some(name)) => (Kind::Referrers, name, reference),
        _ => (Kind::Other, "", ""),
    }
}

/// How anonymous clients get in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Door {
    /// No token needed.
    Open,
    /// A token for everybody; an unknown repository is a 404.
    Bearer,
    /// Docker Hub: a token for everybody; an unknown repository is a 401 all the same.
    Hub,
    /// GHCR: the token endpoint refuses an unknown repository with 403.
    Ghcr,
}

/// No two tokens are equal, whoever issued them.
static ISSUED: AtomicU64 = AtomicU64::new(1);

#[derive(Debug, Default)]
pub(super) struct Repository {
    blobs: HashMap<String, Content>,
    pub(super) manifests: HashMap<String, (String, Content)>,
    pub(super) tags: HashMap<String, String>,
}

#[derive(Debug)]
pub(crate) struct Registry {
    pub(super) repositories: HashMap<String, Repository>,
    pub(crate) door: Door,
    /// Entries on one page of a list.
    pub(crate) page: usize,
    /// Where the challenge sends clients; by default to our own `/token`.
    pub(crate) realm: Option<String>,
    pub(crate) expires_in: u64,
    /// Whether tokens open anything.
    pub(crate) welcomes: bool,
    tokens: HashMap<String, Vec<String>>,
    /// Tokens are for whom is asked on this port.
    port: u16,
    signatures: HashSet<String>,
    expired: HashSet<String>,
}

impl Registry {
    pub(crate) fn new(door: Door, port: u16) -> Self {
        Self {
            repositories: HashMap::new(),
            door,
            page: usize::MAX,
            realm: None,
            expires_in: 300,
            welcomes: true,
            tokens: HashMap::new(),
            port,
            signatures: HashSet::new(),
            expired: HashSet::new(),
        }
    }

    pub(crate) fn put_blob(&mut self, name: &str, digest: &str, blob: &Content) {
        self.repository(name).blobs.insert(digest.to_owned(), blob.clone());
    }

    pub(crate) fn put_manifest(&mut self, name: &str, digest: &str, media_type: &str, manifest: &Content) {
        self.repository(name)
            .manifests
            .insert(digest.to_owned(), (media_type.to_owned(), manifest.clone()));
    }

    pub(crate) fn put_tag(&mut self, name: &str, tag: &str, digest: &str) {
        self.repository(name).tags.insert(tag.to_owned(), digest.to_owned());
    }

    pub(crate) fn forget(&mut self, name: &str, reference: &str) {
        let repository = self.repository(name);
        repository.blobs.remove(reference);
        repository.manifests.remove(reference);
        repository.tags.remove(reference);
    }

    pub(crate) fn revoke_tokens(&mut self) {
        self.tokens.clear();
    }

    /// CDN addresses used so far are refused from now on.
    pub(crate) fn expire_signatures(&mut self) {
        self.expired.extend(self.signatures.drain());
    }

    fn repository(&mut self, name: &str) -> &mut Repository {
        self.repositories.entry(name.to_owned()).or_default()
    }

    /// A refusal that comes before any script: the wrong door key. `None`: come in.
    pub(crate) fn refusal(&self, request: &Request, base: &str) -> Option<Reply> {
        let unguarded = matches!(request.kind, Kind::Token | Kind::Cdn);
        if self.door == Door::Open || unguarded {
            return None;
        }
        let token = request
            .header("authorization")
            .and_then(|value| value.strip_prefix("Bearer "));
        let scopes = token.and_then(|token| self.tokens.get(token));
        let wanted = format!("repository:{}:pull", request.repository);
        let granted = scopes.is_some_and(|scopes| request.kind == Kind::Ping || scopes.contains(&wanted));
        let hidden = self.door == Door::Hub && !self.repositories.contains_key(&request.repository);
        if self.welcomes && granted && !(hidden && request.kind != Kind::Ping) {
            return None;
        }
        let realm = self.realm.clone().unwrap_or_else(|| format!("{base}/token"));
        let challenge = format!(r#"Bearer realm="{realm}",service="fake",scope="{wanted}""#);
        Some(Reply::error(401, "UNAUTHORIZED").with("www-authenticate", &challenge))
    }

    /// The truth.
    pub(crate) fn answer(&mut self, request: &Request) -> Reply {
        match request.kind {
            Kind::Ping => Reply::ok("application/json", &Content::of("{}")),
            Kind::Token => self.grant(request),
            Kind::Cdn => self.deliver(request),
            Kind::Manifest => self.manifest(request),
            Kind::Blob => match self.repositories.get(&request.repository) {
                None => Reply::error(404, "NAME_UNKNOWN"),
                Some(repository) => blob(repository.blobs.get(&request.reference), request),
            },
            Kind::Tags => self.tag_list(request),
            Kind::Referrers => self.referrer_list(request),
            Kind::Other => Reply::error(404, "NOT_FOUND"),
        }
    }

    fn grant(&mut self, request: &Request) -> Reply {
        let scopes: Vec<String> = request
            .query("scope")
            .iter()
            .flat_map(|scope| scope.split(' '))
            .map(str::to_owned)
            .collect();
        let unknown = |scope: &String| {
            let name = scope.trim_start_matches("repository:").trim_end_matches(":pull");
            !self.repositories.contains_key(name)
        };
        if self.door == Door::Ghcr && scopes.iter().any(unknown) {
            return Reply::error(403, "DENIED");
        }
        let token = format!("token-{}", ISSUED.fetch_add(1, Ordering::Relaxed));
        leaks::secret(&token, [self.port]);
        self.tokens.insert(token.clone(), scopes);
        let body = serde_json::json!({ "token": token, "expires_in": self.expires_in });
        Reply::ok("application/json", &Content::of(body.to_string()))
    }

    fn deliver(&mut self, request: &Request) -> Reply {
        if request.header("authorization").is_some() {
            return Reply::error(400, "ONLY_ONE_AUTH_MECHANISM");
        }
        let signature = request.query.clone();
        if self.expired.contains(&signature) {
            return Reply::error(403, "EXPIRED");
        }
        self.signatures.insert(signature);
        let held = self
            .repositories
            .values()
            .find_map(|repository| repository.blobs.get(&request.reference));
        blob(held, request)
    }

    fn manifest(&self, request: &Request) -> Reply {
        let Some(repository) = self.repositories.get(&request.repository) else {
            return Reply::error(404, "NAME_UNKNOWN");
        };
        let digest = repository.tags.get(&request.reference).unwrap_or(&request.reference);
        match repository.manifests.get(digest) {
            None => Reply::error(404, "MANIFEST_UNKNOWN"),
            Some((media_type, manifest)) => Reply::ok(media_type, manifest).with("docker-content-digest", digest),
        }
    }
}

fn blob(held: Option<&Content>, request: &Request) -> Reply {
    let Some(blob) = held else {
        return Reply::error(404, "BLOB_UNKNOWN");
    };
    let whole = Reply::ok("application/octet-stream", blob)
        .with("docker-content-digest", &request.reference)
        .with("accept-ranges", "bytes");
    match request.range(blob.len()) {
        None => whole,
        Some(range) if range.is_empty() => {
            Reply::error(416, "RANGE_INVALID").with("content-range", &format!("bytes */{}", blob.len()))
        }
        Some(range) => whole.part(range),
    }
}
