//! Listening sockets of the data threads, and what a redirected connection tells about itself.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use socket2::{Domain, Protocol, SockRef, Socket, Type};
use tokio::net::{TcpListener, TcpStream};

use crate::config::Capture;

/// Pending connections a listener holds while its thread is busy: the kernel's own default maximum (`somaxconn`).
const BACKLOG: i32 = 4096;

/// Listens on `port` of every address, both families where the kernel has IPv6. Several threads may listen on the same port:
/// the kernel spreads connections over them (`SO_REUSEPORT`, socket(7)).
pub(crate) fn listen(port: u16) -> io::Result<TcpListener> {
    match bind(Domain::IPV6, SocketAddr::from((Ipv6Addr::UNSPECIFIED, port))) {
        Err(error) if no_ipv6(&error) => bind(Domain::IPV4, SocketAddr::from((Ipv4Addr::UNSPECIFIED, port))),
        bound => bound,
    }
}

fn no_ipv6(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::AddrNotAvailable | io::ErrorKind::Unsupported)
        || error.raw_os_error() == Some(rustix::io::Errno::AFNOSUPPORT.raw_os_error())
}

fn bind(domain: Domain, address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(domain, Type::STREAM, Some(Protocol::TCP))?;
    if domain == Domain::IPV6 {
        socket.set_only_v6(false)?;
    }
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    TcpListener::from_std(socket.into())
}

/// Listens on exactly these addresses.
pub(crate) fn listen_at<'a>(addresses: impl IntoIterator<Item = &'a SocketAddr>) -> io::Result<Vec<TcpListener>> {
    let bind = |address: &SocketAddr| {
        bind(Domain::for_address(*address), *address)
            .map_err(|error| io::Error::new(error.kind(), format!("{address}: {error}")))
    };
    addresses.into_iter().map(bind).collect()
}

/// Where the caller of this connection wanted to go: its local address where the proxy listens there, else what the redirect remembers.
pub(crate) fn destination(capture: &Capture, stream: &TcpStream) -> io::Result<SocketAddr> {
    match capture {
        Capture::Listen { .. } => stream.local_addr(),
        Capture::Redirect => original_destination(stream),
    }
}

/// Where the connection was going before the redirect turned it here. A connection that was not redirected (somebody dialled the
/// capture port itself) is an error: it would make the proxy call itself or serve as an open relay.
fn original_destination(stream: &TcpStream) -> io::Result<SocketAddr> {
    let local = stream.local_addr()?;
    let socket = SockRef::from(stream);
    let original = match local.ip().to_canonical() {
        IpAddr::V4(_) => socket.original_dst_v4()?,
        IpAddr::V6(_) => socket.original_dst_v6()?,
    };
    let original = original.as_socket().ok_or_else(|| io::Error::other("original destination has no IP address"))?;
    let local = SocketAddr::new(local.ip().to_canonical(), local.port());
    if original == local {
        return Err(io::Error::other("the capture port was dialled directly"));
    }
    Ok(SocketAddr::new(original.ip().to_canonical(), original.port()))
}

/// Settings of every connection of the data path: no Nagle delay, and keep-alive probes that find a vanished peer in 30 s.
pub(crate) fn tune(stream: &TcpStream) {
    let keepalive = socket2::TcpKeepalive::new()
        .with_time(std::time::Duration::from_secs(15))
        .with_interval(std::time::Duration::from_secs(5))
        .with_retries(3);
    // A connection that ended in the meantime refuses these; the next read or write reports it.
    let _ = stream.set_nodelay(true);
    let _ = SockRef::from(stream).set_tcp_keepalive(&keepalive);
}

/// The next connection. An accept error (out of file descriptors, connection already gone) is no reason to stop: it is logged and
/// the next attempt waits a little, so that a lasting error does not spin.
pub(crate) async fn accept(listener: &TcpListener) -> TcpStream {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => return stream,
            Err(error) => {
                tracing::warn!(%error, "accept failed; retrying");
                tokio::time::sleep(std::time::Duration::from_millis(10)).await;
            }
        }
    }
}
