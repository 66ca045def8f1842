//! Names with addresses that lead nowhere.

use std::net::IpAddr;
use std::time::Instant;

use tokio::net::{TcpListener, TcpSocket, TcpStream};

use super::super::fake::{Fake, Reply};
use super::super::{Mirror, MirrorConfig};
use super::*;

/// An address that answers nothing: its listener's queue is full and nobody accepts.
struct Hole {
    _listener: TcpListener,
    _waiting: Vec<TcpStream>,
}

impl Hole {
    async fn at(address: SocketAddr) -> Self {
        let socket = if address.is_ipv4() {
            TcpSocket::new_v4()
        } else {
            TcpSocket::new_v6()
        }
        .unwrap();
        socket.bind(address).unwrap();
        let listener = socket.listen(1).unwrap();
        let mut waiting = Vec::new();
        while let Ok(connected) = timeout(Duration::from_millis(100), TcpStream::connect(address)).await {
            waiting.push(connected.unwrap());
        }
        Self {
            _listener: listener,
            _waiting: waiting,
        }
    }
}

fn mirror(adjust: impl FnOnce(&mut MirrorConfig)) -> Mirror {
    let mut config = MirrorConfig {
        endpoints: vec!["http://r.example".to_owned()],
        connect: Duration::from_secs(4),
        ..MirrorConfig::default()
    };
    adjust(&mut config);
    Mirror::new("hub", &config).unwrap()
}

async fn send(wire: &Wire, mirror: &Mirror, url: &str, targets: Targets) -> Result<Heard, Error> {
    let url = Url::parse(url).unwrap();
    let hop = Hop {
        method: &Method::GET,
        url: &url,
        headers: &HeaderMap::new(),
        body: None,
        targets,
        endpoint: mirror.endpoint(),
        part: Part::Itself,
        counts: true,
    };
    let at = mirror.endpoint().place();
    wire.send(hop, &at, &Tally::default()).await
}

/// How long it took to ask `r.example`.
async fn ask(wire: &Wire, port: u16) -> Duration {
    let began = Instant::now();
    let url = format!("http://r.example:{port}/");
    send(wire, &mirror(|_| {}), &url, Targets::Any).await.unwrap();
    began.elapsed()
}

fn wire(addresses: &[&str]) -> Wire {
    Wire::finding(addresses, Tasks::new())
}

impl Wire {
    /// One for which every name has these addresses.
    pub(in crate::upstream) fn finding(addresses: &[&str], tasks: Tasks) -> Self {
        let addresses: Vec<IpAddr> = addresses.iter().map(|address| address.parse().unwrap()).collect();
        Self {
            lookups: Lookups::by(move |_| Ok(addresses.clone()), tasks.clone()),
            ..Self::new(&Config::default(), tasks, Clock::system())
        }
    }
}

async fn fake() -> (Fake, u16) {
    let fake = Fake::start(|_| Reply::new(200, &[], b"")).await;
    let address: SocketAddr = fake.authority().parse().unwrap();
    (fake, address.port())
}

#[tokio::test]
async fn a_dead_first_address_costs_the_first_connection_a_moment_and_no_other() {
    // Of the other family: hyper waits 300 ms. Of the same: an equal share of the deadline.
    for (dead, moment) in [("::1", 300), ("127.0.0.2", 2000)] {
        let (_fake, port) = fake().await;
        let dead_address: IpAddr = dead.parse().unwrap();
        let _hole = Hole::at(SocketAddr::new(dead_address, port)).await;
        let wire = wire(&[dead, "127.0.0.1"]);
        let moment = Duration::from_millis(moment);
        let first = ask(&wire, port).await;
        assert!(first >= moment && first < moment * 2, "{dead}: {first:?}");
        // The fake closes each connection.
        let second = ask(&wire, port).await;
        assert!(second < moment, "{dead}: {second:?}");
    }
}

#[tokio::test]
async fn many_addresses_leave_each_the_time_that_a_handshake_takes() {
    let (_fake, port) = fake().await;
    let mut holes = Vec::new();
    for last in 2..4 {
        holes.push(Hole::at(SocketAddr::from(([127, 0, 0, last], port))).await);
    }
    let all = [
        "127.0.0.2",
        "127.0.0.3",
        "127.0.0.1",
        "127.0.0.4",
        "127.0.0.5",
        "127.0.0.6",
    ];
    let third = ask(&wire(&all), port).await;
    let share = Duration::from_secs(4) / 3;
    assert!(third >= 2 * share && third < 3 * share, "{third:?}");
}

#[tokio::test]
async fn a_proxy_inside_is_no_way_for_public_upstreams_to_its_own_host() {
    let (proxy, port) = fake().await;
    let wire = wire(&["127.0.0.1"]);
    for scheme in ["http", "socks5"] {
        let url = format!("{scheme}://proxy.example:{port}");
        let mirror = mirror(|it| it.proxy = Some(url.parse().unwrap()));
        let error = send(&wire, &mirror, "http://proxy.example:9000/", Targets::Public)
            .await
            .err()
            .unwrap();
        let private = |error: &Error| {
            matches!(
                error,
                Error::Unusable {
                    fault: Fault::PrivateTarget { .. },
                    ..
                }
            )
        };
        assert!(private(&error), "{error}");
        if scheme == "socks5" {
            // Names that are looked up here are judged here.
            let error = send(&wire, &mirror, "http://inside.example/", Targets::Public)
                .await
                .err()
                .unwrap();
            assert!(private(&error), "{error}");
        }
    }
    assert_eq!(proxy.seen().len(), 0);
    let mirror = mirror(|it| it.proxy = Some(format!("http://proxy.example:{port}").parse().unwrap()));
    let heard = send(&wire, &mirror, "http://elsewhere.example/x", Targets::Public)
        .await
        .unwrap();
    assert_eq!(
        (heard.peer, proxy.seen()[0].target()),
        (None, "http://elsewhere.example/x")
    );
    send(&wire, &mirror, "http://proxy.example:9000/", Targets::Any)
        .await
        .unwrap();
}
