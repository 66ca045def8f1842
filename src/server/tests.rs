use std::collections::VecDeque;
use std::net::Ipv4Addr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Context;
use std::task::Poll;

use bytes::Bytes;
use http_body::Frame;
use http_body::SizeHint;
use tokio::io::AsyncReadExt;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpSocket;
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::interval;

use super::*;

struct Running {
    address: SocketAddr,
    stop: mpsc::UnboundedSender<()>,
    run: JoinHandle<()>,
    /// Says that a request has come to `/hang`.
    hanging: mpsc::UnboundedReceiver<()>,
    /// Says that a body was dropped.
    gone: mpsc::UnboundedReceiver<()>,
    /// Lets the answers to `/hang` go.
    release: Arc<tokio::sync::Notify>,
}

const SHORT: Duration = Duration::from_millis(200);
const LONG: Duration = Duration::from_mins(1);

#[derive(Clone, Copy)]
struct Given {
    header: Duration,
    client_silence: Duration,
    drain: Duration,
}

const ORDINARY: Given = Given {
    header: LONG,
    client_silence: LONG,
    drain: LONG,
};

fn start(given: Given) -> Running {
    let config = Config {
        listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
        client_silence: given.client_silence,
        drain: given.drain,
        ..Config::default()
    };
    let mut server = Server::bind(&config, Tasks::new()).unwrap();
    server.limits.header = given.header;
    let address = server.address();
    let (dropped, gone) = mpsc::unbounded_channel();
    let (hangs, hanging) = mpsc::unbounded_channel();
    let (stop, mut stopped) = mpsc::unbounded_channel();
    let release = Arc::new(tokio::sync::Notify::new());
    let held = Arc::clone(&release);
    let answer = move |request: Request<Incoming>, _| {
        let (dropped, hangs, held) = (dropped.clone(), hangs.clone(), Arc::clone(&held));
        async move {
            let script = Script::of(request.uri().path(), dropped);
            if request.uri().path() == "/hang" {
                hangs.send(()).unwrap();
                held.notified().await;
            }
            Response::new(script)
        }
    };
    let tasks = Tasks::new();
    let run = tasks.spawn(server.run(answer, async move || stopped.recv().await.unwrap()));
    Running {
        address,
        stop,
        run,
        hanging,
        gone,
        release,
    }
}

impl Running {
    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    /// Sends `request` on a new connection, and gives all that comes back until the connection ends, and how it ends.
    async fn exchange(&self, request: &[u8]) -> (String, std::io::Result<()>) {
        let mut client = self.connect().await;
        client.write_all(request).await.unwrap();
        read_to_end(&mut client).await
    }

    fn stop(&mut self) {
        self.stop.send(()).unwrap();
    }
}

async fn read_to_end(client: &mut TcpStream) -> (String, std::io::Result<()>) {
    let mut received = Vec::new();
    let ended = client.read_to_end(&mut received).await.map(|_| ());
    (String::from_utf8_lossy(&received).into_owned(), ended)
}

async fn read_head(client: &mut TcpStream) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(client.read_u8().await.unwrap());
    }
    String::from_utf8(head).unwrap()
}

/// A body that plays a script.
struct Script {
    frames: VecDeque<Result<Bytes, std::io::Error>>,
    endless: bool,
    length: Option<u64>,
    dropped: Option<mpsc::UnboundedSender<()>>,
}

impl Script {
    fn of(path: &str, dropped: mpsc::UnboundedSender<()>) -> Self {
        let broken = || Err(std::io::Error::other("on purpose"));
        let hello = || Ok(Bytes::from_static(b"hello"));
        let (frames, length) = match path {
            "/broken" => (vec![hello(), broken()], Some(10)),
            "/broken-chunked" => (vec![hello(), broken()], None),
            "/endless" => (vec![], None),
            _ => (vec![hello()], Some(5)),
        };
        Self {
            frames: frames.into(),
            endless: path == "/endless",
            length,
            dropped: Some(dropped),
        }
    }
}

impl Body for Script {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, std::io::Error>>> {
        const ZEROS: &[u8] = &[0; 64 * 1024];
        if self.endless {
            return Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(ZEROS)))));
        }
        Poll::Ready(self.frames.pop_front().map(|frame| frame.map(Frame::data)))
    }

    fn size_hint(&self) -> SizeHint {
        self.length.map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}

impl Drop for Script {
    fn drop(&mut self) {
        if let Some(dropped) = self.dropped.take() {
            let _ = dropped.send(());
        }
    }
}

#[tokio::test]
async fn a_connection_serves_one_request_after_the_other() {
    let server = start(ORDINARY);
    let (answers, ended) = server
        .exchange(b"GET / HTTP/1.1\r\n\r\nGET / HTTP/1.1\r\nConnection: close\r\n\r\n")
        .await;
    assert_eq!(answers.matches("hello").count(), 2);
    assert!(ended.is_ok());
}

#[tokio::test]
async fn a_client_that_has_closed_its_sending_side_gets_its_answer() {
    let mut server = start(ORDINARY);
    let mut client = server.connect().await;
    client
        .write_all(b"GET /hang HTTP/1.1\r\nConnection: close\r\n\r\n")
        .await
        .unwrap();
    server.hanging.recv().await.unwrap();
    client.shutdown().await.unwrap();
    // Turns of the event loop, in which the server sees the end of its input.
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    server.release.notify_one();
    let (answer, ended) = read_to_end(&mut client).await;
    assert!(answer.ends_with("hello") && ended.is_ok(), "{answer} {ended:?}");
}

#[tokio::test]
async fn a_client_that_is_gone_is_noticed_although_there_is_nothing_to_send() {
    let mut server = start(ORDINARY);
    let mut client = server.connect().await;
    client.write_all(b"GET /hang HTTP/1.1\r\n\r\n").await.unwrap();
    server.hanging.recv().await.unwrap();
    drop(client);
    server.gone.recv().await.unwrap();
}

#[tokio::test]
async fn a_broken_body_is_reset_with_a_length_without_one_and_for_http_1_0() {
    let server = start(ORDINARY);
    for request in [
        &b"GET /broken HTTP/1.1\r\n\r\n"[..],
        b"GET /broken-chunked HTTP/1.1\r\n\r\n",
        b"GET /broken-chunked HTTP/1.0\r\n\r\n",
    ] {
        let (answer, ended) = server.exchange(request).await;
        assert!(!answer.ends_with("0\r\n\r\n"), "{answer}");
        let error = ended.expect_err("a clean end");
        assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
    }
}

#[tokio::test]
async fn a_slow_header_and_an_idle_connection_are_closed() {
    let server = start(Given {
        header: SHORT,
        ..ORDINARY
    });
    for sent in [&b""[..], b"GET / HTTP/1.1\r\nHo"] {
        let (answer, ended) = server.exchange(sent).await;
        assert!(answer.is_empty() && ended.is_ok(), "{answer} {ended:?}");
    }
}

#[tokio::test]
async fn a_client_that_takes_nothing_is_cut() {
    let mut server = start(Given {
        client_silence: SHORT,
        ..ORDINARY
    });
    let mut client = server.connect().await;
    client.write_all(b"GET /endless HTTP/1.1\r\n\r\n").await.unwrap();
    server.gone.recv().await.unwrap();
    let (_, ended) = read_to_end(&mut client).await;
    assert_eq!(ended.unwrap_err().kind(), std::io::ErrorKind::ConnectionReset);
}

#[tokio::test]
async fn a_slow_client_is_not_cut_as_long_as_it_takes_something() {
    let mut server = start(Given {
        client_silence: SHORT,
        ..ORDINARY
    });
    let mut client = server.connect().await;
    client.write_all(b"GET /endless HTTP/1.1\r\n\r\n").await.unwrap();
    let mut ticks = interval(SHORT / 10);
    let mut room = vec![0; 64 * 1024];
    for _ in 0..50 {
        ticks.tick().await;
        client.read_exact(&mut room).await.unwrap();
    }
    assert!(server.gone.try_recv().is_err());
}

#[tokio::test]
async fn an_upload_refused_early_can_read_why() {
    let server = start(ORDINARY);
    let socket = TcpSocket::new_v4().unwrap();
    // More than fits into the kernel's buffers: writing goes on only as long as somebody reads.
    socket.set_send_buffer_size(16 * 1024).unwrap();
    let mut client = socket.connect(server.address).await.unwrap();
    client
        .write_all(b"PUT / HTTP/1.1\r\nContent-Length: 1000000\r\n\r\n")
        .await
        .unwrap();
    client.write_all(&vec![0; 1_000_000]).await.unwrap();
    let (answer, ended) = read_to_end(&mut client).await;
    assert!(answer.ends_with("hello") && ended.is_ok(), "{answer} {ended:?}");
}

#[tokio::test]
async fn an_upload_that_asks_first_is_answered_without_a_100() {
    let server = start(ORDINARY);
    let request = b"PUT / HTTP/1.1\r\nContent-Length: 1000000\r\nExpect: 100-continue\r\n\r\n";
    let mut client = server.connect().await;
    client.write_all(request).await.unwrap();
    assert!(read_head(&mut client).await.starts_with("HTTP/1.1 200"));
}

#[tokio::test]
async fn what_is_not_http_or_too_much_of_it_is_refused_and_closed() {
    let server = start(ORDINARY);
    let many = format!("GET / HTTP/1.1\r\n{}\r\n", "a: b\r\n".repeat(101));
    let large = format!("GET / HTTP/1.1\r\na: {}\r\n\r\n", "b".repeat(200_000));
    let cases: [(&[u8], &str); 6] = [
        (
            b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 not http\r\n\r\n",
            "HTTP/1.1 400 ",
        ),
        (b"SSH-2.0-OpenSSH_9.2\r\n\r\n", "HTTP/1.1 400 "),
        (b"GET / HTTP/3.7\r\n\r\n", "HTTP/1.1 400 "),
        (
            b"GET / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
            "HTTP/1.1 400 ",
        ),
        (many.as_bytes(), "HTTP/1.1 431 "),
        (large.as_bytes(), "HTTP/1.1 431 "),
    ];
    for (request, expected) in cases {
        let (answer, ended) = server.exchange(request).await;
        assert!(answer.starts_with(expected), "{answer}");
        assert!(ended.is_ok(), "{expected}: {ended:?}");
    }
}

#[tokio::test]
async fn a_drain_closes_idle_connections_and_lets_the_others_end() {
    let mut server = start(ORDINARY);
    let mut idle = server.connect().await;
    idle.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
    read_head(&mut idle).await;
    let mut busy = server.connect().await;
    busy.write_all(b"GET /hang HTTP/1.1\r\n\r\nGET / HTTP/1.1\r\n\r\n")
        .await
        .unwrap();
    server.hanging.recv().await.unwrap();
    server.stop();
    let (_, ended) = read_to_end(&mut idle).await;
    assert!(ended.is_ok());
    drop(idle);
    server.release.notify_one();
    let (answer, ended) = read_to_end(&mut busy).await;
    assert!(answer.ends_with("hello") && ended.is_ok(), "{answer} {ended:?}");
    drop(busy);
    server.run.await.unwrap();
    assert!(TcpStream::connect(server.address).await.is_err());
}

#[tokio::test]
async fn a_drain_cuts_what_does_not_end_in_time() {
    let mut server = start(Given {
        drain: SHORT,
        ..ORDINARY
    });
    cuts_all(&mut server, 1).await;
}

#[tokio::test]
async fn a_drain_cuts_all_at_once_when_asked_once_more() {
    let cut = tokio::time::timeout(LONG / 2, async { cuts_all(&mut start(ORDINARY), 2).await });
    cut.await.unwrap();
}

async fn cuts_all(server: &mut Running, asked: usize) {
    let mut endless = server.connect().await;
    endless.write_all(b"GET /endless HTTP/1.1\r\n\r\n").await.unwrap();
    let mut hanging = server.connect().await;
    hanging.write_all(b"GET /hang HTTP/1.1\r\n\r\n").await.unwrap();
    read_head(&mut endless).await;
    server.hanging.recv().await.unwrap();
    (0..asked).for_each(|_| server.stop());
    (&mut server.run).await.unwrap();
    for mut client in [endless, hanging] {
        let (_, ended) = read_to_end(&mut client).await;
        assert_eq!(ended.unwrap_err().kind(), std::io::ErrorKind::ConnectionReset);
    }
}

#[tokio::test]
async fn an_address_that_is_taken_is_named() {
    let taken = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let listen = taken.local_addr().unwrap();
    let error = Server::bind(
        &Config {
            listen,
            ..Config::default()
        },
        Tasks::new(),
    )
    .unwrap_err();
    assert!(error.to_string().contains(&listen.to_string()));
}
