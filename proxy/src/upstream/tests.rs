//! Whole proxies: which connections they open for how many requests, and what becomes of them.

use std::cell::Cell;
use std::net::{Ipv4Addr, SocketAddr};
use std::rc::Rc;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::task::spawn_local;
use tulle_core::authz::PolicySet;
use tulle_core::route::{Balance, RouteTable, TrafficPolicy};
use tulle_core::snapshot::{Endpoint, Transport};

use crate::testing::{CALLEE, Mesh, called, snapshot};

const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nhost: web\r\n\r\n";
const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello";

/// What a test and its applications share.
#[derive(Default)]
struct Gate {
    /// Whether requests are answered.
    open: Cell<bool>,
    /// Requests that were received.
    received: Cell<u32>,
}

/// An application behind a gate.
async fn application(gate: Rc<Gate>) -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    spawn_local(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            spawn_local(answer(stream, Rc::clone(&gate)));
        }
    });
    address
}

async fn answer(mut stream: TcpStream, gate: Rc<Gate>) {
    let (mut head, mut block) = (Vec::new(), [0; 1024]);
    while let Ok(count) = stream.read(&mut block).await {
        if count == 0 {
            return;
        }
        head.extend_from_slice(&block[..count]);
        if head.ends_with(b"\r\n\r\n") {
            gate.received.set(gate.received.get() + 1);
            until(|| gate.open.get()).await;
            head.clear();
            if stream.write_all(ANSWER).await.is_err() {
                return;
            }
        }
    }
}

/// One request on an open connection; whether its answer is the application's, and whether the connection goes on.
async fn ask(stream: &mut TcpStream) -> (bool, bool) {
    if stream.write_all(REQUEST).await.is_err() {
        return (false, false);
    }
    let (mut answer, mut block) = (Vec::new(), [0; 1024]);
    while !answer.ends_with(b"hello") {
        match stream.read(&mut block).await {
            Ok(count) if count > 0 => answer.extend_from_slice(&block[..count]),
            _ => return (false, false),
        }
        if answer.ends_with(b"\r\n\r\n") && !answer.starts_with(b"HTTP/1.1 200") {
            return (false, true);
        }
    }
    let close = answer.windows(17).any(|bytes| bytes.eq_ignore_ascii_case(b"connection: close"));
    (answer.starts_with(b"HTTP/1.1 200"), !close)
}

async fn until(mut condition: impl FnMut() -> bool) {
    let condition = async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), condition).await.expect("within the deadline");
}

#[tokio::test(flavor = "local")]
async fn many_requests_at_once_share_connections_to_the_peer() {
    let gate = Rc::<Gate>::default();
    let mesh = Mesh::new(&[application(Rc::clone(&gate)).await], None);
    let asking: Vec<_> = (0..40)
        .map(|_| {
            let service = mesh.service;
            spawn_local(async move { ask(&mut TcpStream::connect(service).await.unwrap()).await })
        })
        .collect();
    let upstream = &mesh.callees[0].shared.drain;
    until(|| gate.received.get() == 40).await;
    // One of its own, the others on two shared ones.
    assert_eq!(upstream.open_connections(), 3);
    gate.open.set(true);
    for asked in asking {
        assert!(asked.await.unwrap().0);
    }
}

#[tokio::test(flavor = "local")]
async fn a_peer_that_drains_loses_no_request_of_shared_connections() {
    let gate = Rc::<Gate>::default();
    gate.open.set(true);
    let (one, other) = (application(Rc::clone(&gate)).await, application(gate).await);
    let mesh = Mesh::new(&[one, other], None);
    let (done, stop) = (Rc::new(Cell::new(0_u32)), Rc::new(Cell::new(false)));
    let asking: Vec<_> = (0..24)
        .map(|_| {
            let (service, done, stop) = (mesh.service, Rc::clone(&done), Rc::clone(&stop));
            spawn_local(async move {
                let mut stream = TcpStream::connect(service).await.unwrap();
                while !stop.get() {
                    let (right, goes_on) = ask(&mut stream).await;
                    assert!(right, "a request was lost");
                    done.set(done.get() + 1);
                    if !goes_on {
                        stream = TcpStream::connect(service).await.unwrap();
                    }
                }
            })
        })
        .collect();
    until(|| done.get() > 500).await;
    mesh.callees[0].shared.drain.start();
    let drained = done.get();
    until(|| done.get() > drained + 2_000).await;
    stop.set(true);
    for asked in asking {
        asked.await.unwrap();
    }
}

/// An application that accepts nothing yet, as many connections as its backlog has room for, and one that has to wait.
async fn crowded() -> (TcpListener, [TcpStream; 2]) {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind((Ipv4Addr::LOCALHOST, 0).into()).unwrap();
    let listener = socket.listen(1).unwrap();
    let address = listener.local_addr().unwrap();
    // Linux lets in one more than it was told.
    let waiting = [TcpStream::connect(address).await.unwrap(), TcpStream::connect(address).await.unwrap()];
    let further = tokio::time::timeout(Duration::from_millis(200), TcpStream::connect(address)).await;
    assert!(further.is_err(), "the backlog still has room");
    (listener, waiting)
}

#[tokio::test(flavor = "local")]
async fn callers_that_give_up_while_the_application_is_dialled_leave_room_for_others() {
    let (listener, _waiting) = crowded().await;
    let mesh = Mesh::new(&[listener.local_addr().unwrap()], None);
    let service = mesh.service;
    let patient = || spawn_local(async move { ask(&mut TcpStream::connect(service).await.unwrap()).await });
    let mut asking: Vec<_> = (0..3).map(|_| patient()).collect();
    let connections = || mesh.callees[0].shared.drain.open_connections();
    until(|| connections() == 2).await;
    for _ in 0..100 {
        let mut stream = TcpStream::connect(service).await.unwrap();
        let upload = b"POST / HTTP/1.1\r\nhost: web\r\ntransfer-encoding: chunked\r\n\r\nffff\r\nx";
        stream.write_all(upload).await.unwrap();
        stream.shutdown().await.unwrap();
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer).await;
        assert!(answer.is_empty(), "{:?}", String::from_utf8_lossy(&answer));
    }
    asking.push(patient());
    let gate = Rc::<Gate>::default();
    gate.open.set(true);
    spawn_local(async move {
        while let Ok((stream, _)) = listener.accept().await {
            spawn_local(answer(stream, Rc::clone(&gate)));
        }
    });
    for asked in asking {
        assert!(asked.await.unwrap().0, "a request was lost");
    }
    assert_eq!(connections(), 2, "none had to go elsewhere");
}

/// For a connection: far more than the one that opens takes, and far less than is granted where no rule speaks.
const LIMIT: Duration = Duration::from_millis(500);

/// How long two requests take while one of two endpoints lets nobody in.
async fn beside(address: SocketAddr, transport: Transport) -> Duration {
    let gate = Rc::<Gate>::default();
    gate.open.set(true);
    let good = application(gate).await;
    let mesh = Mesh::in_world(&[good], PolicySet::default(), |service, mut endpoints| {
        endpoints.push(Endpoint { address, transport });
        let policy = TrafficPolicy { balance: Balance::RoundRobin, connect_timeout: Some(LIMIT) };
        snapshot(service, RouteTable::default(), called(service, endpoints, CALLEE, policy))
    });
    let began = Instant::now();
    for _ in 0..2 {
        assert!(ask(&mut TcpStream::connect(mesh.service).await.unwrap()).await.0, "a request was lost");
    }
    began.elapsed()
}

/// One of the two has its turn at it, and without a limit would wait for 3 s.
#[tokio::test(flavor = "local")]
async fn an_endpoint_that_does_not_open_a_connection_in_time_is_passed_over() {
    let (listener, _waiting) = crowded().await;
    let elapsed = beside(listener.local_addr().unwrap(), Transport::Plain).await;
    assert!(elapsed >= LIMIT && elapsed < 5 * LIMIT, "TCP: {elapsed:?}");
    // The kernel accepts, and nobody says a word of TLS.
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let elapsed = beside(listener.local_addr().unwrap(), Transport::Mesh).await;
    assert!(elapsed >= LIMIT && elapsed < 5 * LIMIT, "TLS: {elapsed:?}");
}
