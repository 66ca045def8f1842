use std::sync::Mutex;
use std::sync::mpsc;

use tokio::time::timeout;

use super::*;

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn ips(texts: &[&str]) -> Vec<IpAddr> {
    texts.iter().map(|text| ip(text)).collect()
}

#[test]
fn a_name_in_our_own_network_is_forbidden_to_public_upstreams() {
    let (inner, public) = (ip("10.0.0.1"), ip("1.1.1.1"));
    let forbidden = admitted("h", &[inner], Targets::Public);
    assert!(matches!(forbidden, Err(NoAddress::Forbidden { .. })));
    assert_eq!(admitted("h", &[inner, public], Targets::Public).unwrap(), [public]);
    assert_eq!(admitted("h", &[inner, public], Targets::Any).unwrap(), [inner, public]);
}

#[test]
fn the_address_that_answered_comes_first_and_of_each_family_come_three() {
    let found = ips(&[
        "2001:db8::1",
        "10.0.0.1",
        "10.0.0.2",
        "10.0.0.3",
        "10.0.0.4",
        "2001:db8::2",
    ]);
    let first_three = ips(&["2001:db8::1", "10.0.0.1", "10.0.0.2", "10.0.0.3", "2001:db8::2"]);
    assert_eq!(in_order(found.clone(), None), first_three);
    assert_eq!(in_order(found.clone(), Some(ip("10.9.9.9"))), first_three);
    let fourth_first = ips(&["10.0.0.4", "2001:db8::1", "10.0.0.1", "10.0.0.2", "2001:db8::2"]);
    assert_eq!(in_order(found, Some(ip("10.0.0.4"))), fourth_first);
}

#[tokio::test]
async fn a_name_is_looked_up_once_for_all() {
    let lookups = Lookups::new(Tasks::new());
    let both = tokio::join!(lookups.addresses("localhost"), lookups.addresses("localhost"));
    let (first, second) = (both.0.unwrap(), both.1.unwrap());
    assert!(Arc::ptr_eq(&first, &second) && first.iter().all(IpAddr::is_loopback));
    assert_eq!(lookups.slots.available_permits(), AT_ONCE);
}

#[tokio::test]
async fn a_name_that_does_not_exist_is_an_error() {
    let lookups = Lookups::new(Tasks::new());
    let error = lookups.addresses("nowhere.invalid").await.unwrap_err();
    assert!(
        matches!(&error, NoAddress::Lookup { host, .. } if host == "nowhere.invalid"),
        "{error}"
    );
}

#[tokio::test]
async fn a_domain_whose_servers_are_dead_takes_nothing_from_others() {
    let (asked, asking) = mpsc::channel();
    let (release, stuck) = mpsc::channel::<()>();
    let stuck = Mutex::new(stuck);
    let ask = move |name: &str| {
        if name.ends_with(".dead.example") {
            asked.send(()).unwrap();
            // Until the test ends.
            let _ = stuck.lock().unwrap().recv();
        }
        Ok(vec![ip("1.1.1.1")])
    };
    let lookups = Lookups::by(ask, Tasks::new());
    for n in 0..2 * AT_ONCE {
        let lookups = lookups.clone();
        lookups
            .tasks
            .clone()
            .spawn(async move { lookups.addresses(&format!("r{n}.dead.example")).await });
    }
    let stands = lookups.tasks.blocking(move || asking.recv());
    stands.await.unwrap().unwrap();
    let others = (0..2 * AT_ONCE).map(|n| format!("r{n}.live.example"));
    for name in others {
        let found = timeout(Duration::from_secs(20), lookups.addresses(&name)).await;
        assert_eq!(*found.expect("held up").unwrap(), [ip("1.1.1.1")]);
    }
    assert!(lookups.slots.available_permits() >= AT_ONCE - OF_A_DOMAIN);
    drop(release);
}

#[tokio::test]
async fn a_proxy_may_be_in_our_own_network_and_what_it_is_asked_for_may_not() {
    let lookups = Lookups::by(|_| Ok(vec![ip("10.0.0.1")]), Tasks::new());
    let resolver = lookups.resolver(Targets::Public, Some("proxy.corp.example"));
    let name = |name: &str| name.parse::<Name>().unwrap();
    assert!(resolver.resolve(name("proxy.corp.example")).await.is_ok());
    assert!(resolver.resolve(name("inside.example")).await.is_err());
}
