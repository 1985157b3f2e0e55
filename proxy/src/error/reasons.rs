//! Each reason of the closed list, produced by a real exchange: a new one does not compile here before somebody has shown how it comes
//! about.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tulle_core::authz::{self, PolicySet};
use tulle_core::codes::Reason;
use tulle_core::name::ServiceRef;
use tulle_core::route::filter::fault::{Abort, Fault};
use tulle_core::route::filter::percent::Percent;
use tulle_core::route::{Action, Filters, Match, RouteTable, Rule, StringMatch};
use tulle_core::sidecar::CONNECTIONS_MAX_DEFAULT;
use tulle_core::snapshot::{Destination, Endpoint, Snapshot, Transport};

use crate::config::Capture;
use crate::h1::testing::{End, application, echo_paths, ok};
use crate::metrics::Side;
use crate::testing::{Mesh, Proxy, Rules, authorized, direct, snapshot};

const GET: &str = "GET /a HTTP/1.1\r\nHost: web\r\n\r\n";

/// What a caller saw, and the proxies that can tell of it.
struct Seen {
    /// All that came back before the connection's end, or the first head.
    answer: String,
    proxies: Vec<Proxy>,
}

/// Makes the mesh fail for this reason.
async fn produce(reason: Reason) -> Seen {
    let app = application(echo_paths).await;
    match reason {
        Reason::NoRoute => ask(Mesh::routed(&[app], vec![elsewhere()]), GET).await,
        Reason::NoEndpoints => ask(world_of(app, |service, _| without_endpoints(service)), GET).await,
        Reason::ConnectFailed => ask(Mesh::new(&[closed().await], None), GET).await,
        Reason::Timeout => {
            let rules = Rules { timeout: Some(Duration::from_millis(50)), ..Rules::default() };
            ask(Mesh::new(&[silent().await], Some(rules)), GET).await
        }
        Reason::Denied => ask(Mesh::guarded(&[app], None, authorized(authz::Action::Allow, vec![])), GET).await,
        Reason::Overloaded => overloaded(Mesh::new(&[app], None)).await,
        Reason::BadRequest => {
            let request = "GET /a HTTP/1.1\r\nHost: web\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n";
            ask(Mesh::new(&[app], None), request).await
        }
        Reason::UpstreamReset => {
            let app = application(async |mut end: End| drop(end.next_head().await)).await;
            ask(Mesh::new(&[app], None), "POST /a HTTP/1.1\r\nHost: web\r\nContent-Length: 1\r\n\r\nx").await
        }
        Reason::DiscoveryUnavailable => {
            let nothing = |_, _| Snapshot { generation: 1, targets: HashMap::default(), policies: Arc::default() };
            ask(world_of(app, nothing), GET).await
        }
        Reason::PeerIdentity => {
            let mesh = world_of(app, |service, endpoints| {
                behind(service, endpoints, "spiffe://cluster.local/ns/shop/sa/else")
            });
            ask(mesh, GET).await
        }
        Reason::HeadTooLarge => {
            let request = format!("GET /a HTTP/1.1\r\nHost: web\r\nX: {}\r\n\r\n", "x".repeat(70_000));
            ask(Mesh::new(&[app], None), &request).await
        }
        Reason::HeadTimeout => {
            // The pod's own application may take any time.
            let mesh = Mesh::new(&[app], None);
            let callee = inbound_address(&mesh.callees[0]);
            Seen { answer: exchange(callee, "GET /a HTTP/1.1\r\nHost: ").await, proxies: parts(mesh) }
        }
        Reason::BadResponse => {
            let app = application(async |mut end: End| {
                end.next_head().await;
                end.send("HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n").await;
            });
            ask(Mesh::new(&[app.await], None), GET).await
        }
        Reason::CallerGone => gone(Mesh::new(&[silent().await], None)).await,
        Reason::HandshakeFailed => {
            let plain = Endpoint { address: app, transport: Transport::Mesh };
            let mesh =
                world_of(app, |service, _| behind(service, vec![plain], "spiffe://cluster.local/ns/shop/sa/web"));
            ask(mesh, GET).await
        }
        Reason::NoCertificate => ask(Mesh::without_certificate(app), GET).await,
        Reason::Misdirected => {
            let (address, proxy) = Proxy::astray();
            Seen { answer: exchange(address, GET).await, proxies: vec![proxy] }
        }
        Reason::Fault => {
            let abort = Some((Abort::Http(503), Percent::ALL));
            let filters = Filters { fault: Some(Fault { delay: None, abort }), ..Filters::default() };
            ask(Mesh::routed(&[app], vec![for_all(Action::to(0), filters)]), GET).await
        }
        Reason::InvalidRule => ask(Mesh::routed(&[app], unreadable()), GET).await,
    }
}

/// Whether a caller can be told: the others have nobody to tell, or no HTTP to tell it by.
fn is_told(reason: Reason) -> bool {
    !matches!(reason, Reason::Overloaded | Reason::DiscoveryUnavailable | Reason::CallerGone | Reason::Misdirected)
}

async fn check(reason: Reason) {
    let Seen { answer, proxies } = produce(reason).await;
    if is_told(reason) {
        let told = format!("tulle-error: {}; code={}; id=", reason.as_str(), reason.code());
        let status = format!("HTTP/1.1 {} ", reason.status());
        // A denial has a code of its own kind.
        let told = if reason == Reason::Denied { "tulle-error: denied; code=TUL400".to_owned() } else { told };
        assert!(answer.starts_with(&status) && answer.contains(&told), "{reason:?}: {answer:?}");
    } else {
        assert_eq!(answer, "", "{reason:?}");
    }
    let deadline = Instant::now() + Duration::from_secs(10);
    while !proxies.iter().any(|proxy| counted(proxy, reason)) {
        assert!(Instant::now() < deadline, "{reason:?} was not counted");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

#[tokio::test]
async fn every_reason_can_be_produced() {
    for reason in Reason::ALL.iter().copied().filter(|reason| *reason != Reason::HeadTimeout) {
        check(reason).await;
    }
}

#[tokio::test]
async fn a_head_that_does_not_end_can_be_produced() {
    check(Reason::HeadTimeout).await;
}

/// Whether a proxy has counted a request or connection for this reason.
fn counted(proxy: &Proxy, reason: Reason) -> bool {
    let series = proxy.metrics.lock();
    let of_requests = series.http.values().any(|cells| {
        cells.outcomes().chain(cells.aborts()).any(|(outcome, count)| outcome.reason == Some(reason) && count > 0)
    });
    of_requests || series.refusals.iter().any(|(labels, cells)| labels.reason == reason.as_str() && cells.get() > 0)
}

async fn ask(mesh: Mesh, request: &str) -> Seen {
    Seen { answer: exchange(mesh.service, request).await, proxies: parts(mesh) }
}

/// The first head, or nothing where the connection ends before.
async fn exchange(address: SocketAddr, request: &str) -> String {
    let mut caller = End::dial(address).await;
    // What is refused as a connection may be gone before all of it was sent.
    let _ = caller.stream.write_all(request.as_bytes()).await;
    caller.next_head().await.unwrap_or_default()
}

/// All places are taken, and somebody comes.
async fn overloaded(mesh: Mesh) -> Seen {
    let drain = &mesh.caller.shared.drain;
    let taken: Vec<_> = (0..CONNECTIONS_MAX_DEFAULT).map(|_| drain.open(Side::Client, usize::MAX)).collect();
    // The reset may come before connect(2) is done, or after.
    let mut answer = Vec::new();
    if let Ok(mut stream) = TcpStream::connect(mesh.service).await {
        let _ = stream.read_to_end(&mut answer).await;
    }
    drop(taken);
    // A place is free again.
    let mut caller = End::dial(mesh.service).await;
    caller.send(GET).await;
    caller.expect(&ok("/a")).await;
    Seen { answer: String::from_utf8(answer).unwrap(), proxies: parts(mesh) }
}

/// A caller that does not wait for its answer.
async fn gone(mesh: Mesh) -> Seen {
    let mut caller = End::dial(mesh.service).await;
    caller.send(GET).await;
    tokio::task::yield_now().await;
    // With a reset, as a program that was killed leaves.
    socket2::SockRef::from(&caller.stream).set_linger(Some(Duration::ZERO)).unwrap();
    drop(caller);
    Seen { answer: String::new(), proxies: parts(mesh) }
}

/// Where peers dial a callee.
fn inbound_address(proxy: &Proxy) -> SocketAddr {
    let Capture::Listen { inbound, .. } = &proxy.shared.config.capture else { unreachable!("tests redirect nothing") };
    inbound[0].0
}

fn parts(mesh: Mesh) -> Vec<Proxy> {
    std::iter::once(mesh.caller).chain(mesh.callees).collect()
}

fn world_of(app: SocketAddr, world: impl FnOnce(SocketAddr, Vec<Endpoint>) -> Snapshot) -> Mesh {
    Mesh::in_world(&[app], PolicySet::default(), world)
}

/// A rule that cannot be read, and one behind it that would take the request.
fn unreadable() -> Vec<Rule<usize>> {
    [Action::Invalid, Action::to(0)].map(|action| for_all(action, Filters::default())).into()
}

/// A rule that every request fits.
fn for_all(action: Action<usize>, filters: Filters<usize>) -> Rule<usize> {
    Rule { name: "all".into(), matches: vec![], within: vec![], action, filters }
}

/// A rule that no request of these tests fits.
fn elsewhere() -> Rule<usize> {
    let uri = Some(StringMatch::Exact("/elsewhere".into()));
    let matches = vec![Match { uri, ..Match::default() }];
    Rule { name: "elsewhere".into(), matches, within: vec![], action: Action::to(0), filters: Filters::default() }
}

fn without_endpoints(service: SocketAddr) -> Snapshot {
    let nowhere = Destination { service: ServiceRef::new("shop", "web"), subset: None, backends: None, only: None };
    snapshot(service, RouteTable::default(), Arc::new(nowhere))
}

/// A Service of these endpoints, all of which must be `identity`.
fn behind(service: SocketAddr, endpoints: Vec<Endpoint>, identity: &str) -> Snapshot {
    snapshot(service, RouteTable::default(), direct(service, endpoints, identity))
}

/// An address where nobody listens.
async fn closed() -> SocketAddr {
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    listener.local_addr().unwrap()
}

/// An application that reads requests and never answers.
async fn silent() -> SocketAddr {
    application(async |mut end: End| drop(end.rest().await)).await
}
