//! What a site puts between its machines and the world: an HTTP proxy (CONNECT for https, absolute URLs for http) or a SOCKS5
//! proxy. Whatever name it is asked for it takes for its one target's, so that no test needs DNS. It keeps a record of who was
//! asked for, and by whom. Dropping it closes the port and every connection.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, Mutex};

use base64::engine::Engine as _;
use base64::engine::general_purpose::STANDARD;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt, copy, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::leaks;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Speaks {
    Http,
    Socks,
}

/// What it was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Asked {
    /// `CONNECT` or a method; for SOCKS `name` or `address`, as the client gave it.
    pub(crate) how: String,
    /// `host:port`.
    pub(crate) target: String,
}

#[derive(Debug)]
pub(crate) struct Gateway {
    address: SocketAddr,
    asked: Arc<Mutex<Vec<Asked>>>,
    _stop: DropGuard,
}

/// Who may come, and where all of it leads.
#[derive(Clone, Debug)]
struct Rules {
    speaks: Speaks,
    /// `user:password`; none for everybody.
    login: Option<&'static str>,
    target: SocketAddr,
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl Gateway {
    pub(crate) async fn open(speaks: Speaks, target: SocketAddr) -> Self {
        Self::start(speaks, None, target).await
    }

    /// Only for those who say `user:password`.
    pub(crate) async fn locked(speaks: Speaks, login: &'static str, target: SocketAddr) -> Self {
        Self::start(speaks, Some(login), target).await
    }

    async fn start(speaks: Speaks, login: Option<&'static str>, target: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let asked = Arc::default();
        if let Some((user, password)) = login.and_then(|login| login.split_once(':')) {
            leaks::login(user, password, &[]);
        }
        let rules = Rules {
            speaks,
            login,
            target,
            asked: Arc::clone(&asked),
        };
        let stop = CancellationToken::new();
        let stopped = stop.clone();
        let accepting = async move {
            while let Ok((client, _)) = listener.accept().await {
                let (rules, stopped) = (rules.clone(), stopped.clone());
                tokio::spawn(async move { stopped.run_until_cancelled(rules.serve(client)).await });
            }
        };
        let stopped = stop.clone();
        tokio::spawn(async move { stopped.run_until_cancelled(accepting).await });
        Self {
            address,
            asked,
            _stop: stop.drop_guard(),
        }
    }

    /// `host:port`, to put a scheme and perhaps a user in front of.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }

    /// The targets, each once.
    pub(crate) fn targets(&self) -> Vec<String> {
        let mut targets: Vec<String> = self.asked().into_iter().map(|asked| asked.target).collect();
        targets.sort_unstable();
        targets.dedup();
        targets
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        let carries = |asked: &Asked| asked.how != "CONNECT" && asked.how.starts_with("CONNECT");
        let leaked: Vec<_> = self.asked().into_iter().filter(carries).collect();
        assert!(
            leaked.is_empty() || std::thread::panicking(),
            "not for the proxy: {leaked:?}"
        );
    }
}

impl Rules {
    async fn serve(self, client: TcpStream) {
        // A client that breaks off in the middle has nothing more to hear.
        drop(match self.speaks {
            Speaks::Http => self.http(client).await,
            Speaks::Socks => self.socks(client).await,
        });
    }

    fn note(&self, how: &str, target: String) {
        let how = how.to_owned();
        self.asked.lock().unwrap().push(Asked { how, target });
    }

    /// A tunnel, or one request after the other; they have no bodies.
    async fn http(&self, mut client: TcpStream) -> std::io::Result<()> {
        let mut head = Head::read(&mut client).await?;
        if head.login != self.login.map(basic) {
            let refusal = "HTTP/1.1 407 Who are you\r\nProxy-Authenticate: Basic\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
            return client.write_all(refusal.as_bytes()).await;
        }
        let mut to = TcpStream::connect(self.target).await?;
        if head.method == "CONNECT" {
            let lines = head.kept.iter().map(|line| line.to_ascii_lowercase());
            let carried: String = lines
                .filter(|line| line.starts_with("authorization:") || line.starts_with("cookie:"))
                .collect();
            self.note(&(head.method + &carried), head.target);
            client.write_all(b"HTTP/1.1 200 Connected\r\n\r\n").await?;
            return copy_bidirectional(&mut client, &mut to).await.map(drop);
        }
        let (mut from_client, mut to_client) = client.split();
        let (mut from_server, mut to_server) = to.split();
        let requests = async {
            loop {
                let (host, path) = head.target.strip_prefix("http://").unwrap().split_once('/').unwrap();
                self.note(&head.method, host.to_owned());
                let request = format!("{} /{path} HTTP/1.1\r\n{}\r\n\r\n", head.method, head.kept.join("\r\n"));
                to_server.write_all(request.as_bytes()).await?;
                head = Head::read(&mut from_client).await?;
            }
        };
        tokio::select! {
            broken = requests => broken,
            answers = copy(&mut from_server, &mut to_client) => answers.map(drop),
        }
    }

    /// RFC 1928 and RFC 1929, the client's half taken for granted.
    async fn socks(&self, mut client: TcpStream) -> std::io::Result<()> {
        assert_eq!(client.read_u8().await?, 5);
        let methods = text(&mut client).await?;
        let wanted = if self.login.is_some() { 2 } else { 0 };
        if !methods.contains(&wanted) {
            return client.write_all(&[5, 0xff]).await;
        }
        client.write_all(&[5, wanted]).await?;
        if let Some(login) = self.login {
            assert_eq!(client.read_u8().await?, 1);
            let told = [text(&mut client).await?, text(&mut client).await?].join(&b':');
            let verdict = u8::from(told != login.as_bytes());
            client.write_all(&[1, verdict]).await?;
        }
        let mut request = [0; 4];
        client.read_exact(&mut request).await?;
        let (how, host) = match request[3] {
            1 => (
                "address",
                IpAddr::from(client.read_u32().await?.to_be_bytes()).to_string(),
            ),
            4 => ("address", Ipv6Addr::from(client.read_u128().await?).to_string()),
            _ => ("name", String::from_utf8(text(&mut client).await?).unwrap()),
        };
        let port = client.read_u16().await?;
        self.note(how, format!("{host}:{port}"));
        let mut to = TcpStream::connect(self.target).await?;
        client.write_all(&[5, 0, 0, 1, 0, 0, 0, 0, 0, 0]).await?;
        copy_bidirectional(&mut client, &mut to).await.map(drop)
    }
}

struct Head {
    method: String,
    target: String,
    /// The value of `Proxy-Authorization`, which goes no further.
    login: Option<String>,
    kept: Vec<String>,
}

impl Head {
    async fn read(client: &mut (impl AsyncRead + Unpin)) -> std::io::Result<Self> {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(client.read_u8().await?);
        }
        let head = String::from_utf8(head).unwrap();
        let mut lines = head.trim_end().split("\r\n").map(str::to_owned);
        let line = lines.next().unwrap();
        let mut words = line.split(' ').map(str::to_owned);
        let told = |line: &String| line.to_ascii_lowercase().starts_with("proxy-authorization: ");
        let (login, kept): (Vec<_>, _) = lines.partition(told);
        let login = login.first().and_then(|line| line.split_once(": "));
        Ok(Self {
            method: words.next().unwrap(),
            target: words.next().unwrap(),
            login: login.map(|(_, value)| value.to_owned()),
            kept,
        })
    }
}

/// A length in one byte, and so many bytes.
async fn text(client: &mut TcpStream) -> std::io::Result<Vec<u8>> {
    let mut text = vec![0; client.read_u8().await?.into()];
    client.read_exact(&mut text).await?;
    Ok(text)
}

/// The header's value.
fn basic(login: &str) -> String {
    format!("Basic {}", STANDARD.encode(login))
}
