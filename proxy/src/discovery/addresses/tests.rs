use super::*;

const A: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 96, 0, 1));

fn at(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn service() -> Binding {
    Binding::Service(ServiceRef::new("shop", "web"))
}

fn touch(addresses: &Addresses, now: u64) {
    addresses.known[&A].usage.open(at(now));
    addresses.known[&A].usage.close(at(now));
}

#[test]
fn a_service_with_an_open_connection_is_not_forgotten() {
    let mut addresses = Addresses::default();
    addresses.bind(A, service(), true, at(0));
    let usage = Arc::clone(&addresses.known[&A].usage);
    usage.open(at(5));
    addresses.sweep(at(100_000));
    assert_eq!(addresses.get(A), Some(&service()));
    usage.close(at(100_000));
    addresses.sweep(at(100_600));
    assert_eq!(addresses.get(A), Some(&service()));
    addresses.sweep(at(100_601));
    assert_eq!(addresses.get(A), None);
}

#[test]
fn unknown_addresses_of_the_cluster_are_asked_for_again_ever_more_rarely_while_in_use() {
    let mut addresses = Addresses::default();
    let mut now = 0;
    addresses.bind(A, Binding::Outside, true, at(now));
    for wait in [1, 2, 4, 8, 16, 32, 60, 60] {
        touch(&addresses, now + wait - 1);
        assert!(addresses.sweep(at(now + wait) - Duration::from_millis(1)).is_empty(), "after {wait} s");
        assert_eq!(addresses.sweep(at(now + wait)), [A], "after {wait} s");
        now += wait;
        addresses.bind(A, Binding::Outside, true, at(now));
    }
}

#[test]
fn an_unanswered_question_is_repeated_after_the_same_wait() {
    let mut addresses = Addresses::default();
    addresses.bind(A, Binding::Outside, true, at(0));
    assert_eq!(addresses.sweep(at(1)), [A]);
    touch(&addresses, 1);
    assert!(addresses.sweep(at(1)).is_empty());
    assert_eq!(addresses.sweep(at(2)), [A]);
}

#[test]
fn an_address_outside_the_cluster_is_asked_for_once_a_minute() {
    let mut addresses = Addresses::default();
    addresses.bind(A, Binding::Outside, false, at(0));
    touch(&addresses, 59);
    assert!(addresses.sweep(at(59)).is_empty());
    assert_eq!(addresses.sweep(at(60)), [A]);
}

#[test]
fn an_unknown_address_nobody_used_is_forgotten() {
    let mut addresses = Addresses::default();
    addresses.bind(A, Binding::Outside, true, at(5));
    assert_eq!(addresses.sweep(at(6)), [A], "its first use was at 5 s");
    addresses.bind(A, Binding::Outside, true, at(6));
    assert!(addresses.sweep(at(8)).is_empty());
    assert_eq!(addresses.len(), 0);
}

#[test]
fn a_service_is_forgotten_after_ten_minutes_without_use() {
    let mut addresses = Addresses::default();
    addresses.bind(A, service(), true, at(0));
    touch(&addresses, 100);
    assert!(addresses.sweep(at(700)).is_empty());
    assert_eq!(addresses.get(A), Some(&service()));
    addresses.sweep(at(701));
    assert_eq!(addresses.get(A), None);
}

#[test]
fn a_full_table_gives_up_unknown_addresses_first() {
    let mut addresses = Addresses::default();
    addresses.bind(A, service(), true, at(0));
    for n in 1..MAX_ADDRESSES {
        addresses.bind(IpAddr::from(u32::try_from(n).unwrap().to_be_bytes()), Binding::Outside, false, at(n as u64));
    }
    assert_eq!(addresses.len(), MAX_ADDRESSES);
    addresses.bind("192.0.2.1".parse().unwrap(), Binding::Outside, false, at(9999));
    assert_eq!(addresses.len(), MAX_ADDRESSES);
    assert_eq!(addresses.get(A), Some(&service()), "the Service stays, although it is the least recently used");
    assert_eq!(addresses.get("0.0.0.1".parse().unwrap()), None);
}

#[test]
fn what_was_assumed_while_the_api_server_was_away_is_asked_for_when_it_is_back() {
    let mut addresses = Addresses::default();
    addresses.bind(A, Binding::Outside, false, at(0));
    addresses.distrust(at(10));
    touch(&addresses, 10);
    assert_eq!(addresses.sweep(at(11)), [A]);
}
