//! Two ends of a TLS connection whose peers agreed to share it.

use std::net::Ipv4Addr;

use rustls_pki_types::ServerName;
use tokio::net::{TcpListener, TcpStream};

use crate::tls::testing::TestCa;
use crate::tls::{self, MeshProtocol, TlsStream};

const WEB: &str = "spiffe://cluster.local/ns/shop/sa/web";
const CART: &str = "spiffe://cluster.local/ns/shop/sa/cart";

/// The dialling end and the accepting one.
pub(crate) async fn pair() -> (Box<TlsStream>, Box<TlsStream>) {
    let ca = TestCa::new("root");
    let (web, cart) = (ca.context(WEB), ca.context(CART));
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let (near, far) = tokio::join!(TcpStream::connect(listener.local_addr().unwrap()), listener.accept());
    let name = ServerName::IpAddress(Ipv4Addr::LOCALHOST.into());
    let client = tls::connect(web.client(MeshProtocol::H1Shared).unwrap(), name, near.unwrap());
    let (client, server) = tokio::join!(client, tls::accept(cart.server().unwrap(), far.unwrap().0));
    let server = server.unwrap();
    assert_eq!(server.alpn_protocol().and_then(MeshProtocol::from_alpn), Some(MeshProtocol::H1Shared));
    (Box::new(client.unwrap()), Box::new(server))
}
