//! Our stream against rustls' own, over loopback and in memory, in both roles.

mod bounds;
mod echo;
mod faults;
mod shape;

use std::future::{Future, poll_fn};
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use rustls::{ClientConfig, ServerConfig};
use rustls_pki_types::ServerName;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::net::TcpListener;
use tokio_rustls::{TlsAcceptor, TlsConnector, client, server};

use super::*;
use crate::tls::MeshProtocol;
use crate::tls::testing::TestCa;

const WEB: &str = "spiffe://cluster.local/ns/shop/sa/web";
const CART: &str = "spiffe://cluster.local/ns/shop/sa/cart";

/// What a test needs of a connection.
trait Wire: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Wire for T {}

/// Which end is ours; the other one is rustls' own.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Ours {
    Client,
    Server,
    Both,
}

const ALL: [Ours; 3] = [Ours::Client, Ours::Server, Ours::Both];

fn configs() -> (Arc<ClientConfig>, Arc<ServerConfig>) {
    let ca = TestCa::new("root");
    (ca.context(WEB).client(MeshProtocol::Tcp).unwrap(), ca.context(CART).server().unwrap())
}

fn name() -> ServerName<'static> {
    ServerName::IpAddress(Ipv4Addr::LOCALHOST.into())
}

/// A client's and a server's end.
async fn pair<IO: Wire + 'static>(ours: Ours, (near, far): (IO, IO)) -> (Box<dyn Wire>, Box<dyn Wire>) {
    let (client, server) = configs();
    let client = async {
        match ours {
            Ours::Server => Box::new(TlsConnector::from(client).connect(name(), near).await.unwrap()) as Box<dyn Wire>,
            Ours::Client | Ours::Both => Box::new(connect(client, name(), near).await.unwrap()),
        }
    };
    let server = async {
        match ours {
            Ours::Client => Box::new(TlsAcceptor::from(server).accept(far).await.unwrap()) as Box<dyn Wire>,
            Ours::Server | Ours::Both => Box::new(accept(server, far).await.unwrap()),
        }
    };
    soon(async { tokio::join!(client, server) }).await
}

/// Our client and rustls' server.
async fn our_client<IO: Wire>((near, far): (IO, IO)) -> (TlsStream<IO>, server::TlsStream<IO>) {
    let (client, server) = configs();
    let both = soon(async { tokio::join!(connect(client, name(), near), TlsAcceptor::from(server).accept(far)) }).await;
    (both.0.unwrap(), both.1.unwrap())
}

/// rustls' client and our server.
async fn our_server<IO: Wire>((near, far): (IO, IO)) -> (client::TlsStream<IO>, TlsStream<IO>) {
    let (client, server) = configs();
    let both =
        soon(async { tokio::join!(TlsConnector::from(client).connect(name(), near), accept(server, far)) }).await;
    (both.0.unwrap(), both.1.unwrap())
}

async fn loopback() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let (near, far) = tokio::join!(TcpStream::connect(address), listener.accept());
    (near.unwrap(), far.unwrap().0)
}

fn memory() -> (DuplexStream, DuplexStream) {
    duplex(64 * 1024)
}

async fn soon<F: Future>(future: F) -> F::Output {
    tokio::time::timeout(Duration::from_secs(20), future).await.expect("within the deadline")
}

/// One poll of our own.
async fn once<T>(mut poll: impl FnMut(&mut Context<'_>) -> Poll<T>) -> Poll<T> {
    poll_fn(|cx| Poll::Ready(poll(cx))).await
}

/// Bytes that show where they came from.
fn pattern(length: usize) -> Vec<u8> {
    (0..length).map(|at| (at % 251) as u8 ^ (at >> 12) as u8).collect()
}

impl<IO> TlsStream<IO> {
    /// Bytes of any kind it holds.
    fn held(&self) -> usize {
        self.records.incoming.bytes.len() + self.records.plaintext().len() + self.records.outgoing().len()
    }

    fn has_block(&self) -> bool {
        self.records.has_block()
    }
}

#[tokio::test]
async fn both_sides_know_each_other() {
    let (ours, theirs) = our_client(loopback().await).await;
    assert_eq!(ours.alpn_protocol(), Some(MeshProtocol::Tcp.alpn()));
    assert_eq!(crate::tls::peer_identity(ours.peer_certificates().unwrap()).unwrap().to_string(), CART);
    assert!(theirs.get_ref().1.peer_certificates().is_some());
    let (_, ours) = our_server(loopback().await).await;
    assert_eq!(ours.alpn_protocol(), Some(MeshProtocol::Tcp.alpn()));
    assert_eq!(crate::tls::peer_identity(ours.peer_certificates().unwrap()).unwrap().to_string(), WEB);
}
