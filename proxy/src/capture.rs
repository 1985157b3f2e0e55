//! Proof that capture works: the proxy dials an address that is routed nowhere and must reach its own outbound listener.
//!
//! Without this proof a pod whose redirect was never installed, or was removed, would send plaintext past the mesh and look healthy
//! (design rule: not ready without capture). The redirect sends this one destination to the proxy even from the proxy's own user.

use std::collections::BTreeSet;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tulle_core::sidecar::{CAPTURE_PROBE_PORT, REDIRECT_CONTAINER};

use crate::redirect::rules::probe_addresses;

/// What the outbound listener writes, before it closes, to a connection whose original destination is the capture probe.
pub(crate) const GREETING: &[u8] = b"tulle-capture-ok\n";

/// Loopback answers within microseconds; a second bears a starved processor.
const LIMIT: Duration = Duration::from_secs(1);

/// An IP family.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Family {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

impl std::fmt::Display for Family {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Family::V4 => "IPv4",
            Family::V6 => "IPv6",
        })
    }
}

/// Why capture is not proven.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CaptureError {
    /// Nobody answered in time, or somebody refused.
    #[error(
        "TUL1001: {family} traffic of this pod is not captured: {address} must lead to the proxy, but {source}; \
         see the log of the init container {REDIRECT_CONTAINER}, and whether the pod has a default route"
    )]
    Unreached {
        /// The family tried.
        family: Family,
        /// The address dialled.
        address: SocketAddr,
        /// What happened.
        source: io::Error,
    },
    /// Somebody else answered.
    #[error(
        "TUL1001: {family} traffic of this pod is not captured: something else than the proxy answered at {address}; \
         see the log of the init container {REDIRECT_CONTAINER}"
    )]
    Stranger {
        /// The family tried.
        family: Family,
        /// The address dialled.
        address: SocketAddr,
    },
}

/// Whether the original destination of a captured connection is one of the probe addresses; the port is [`CAPTURE_PROBE_PORT`].
pub(crate) fn is_probe(original: IpAddr) -> bool {
    probe_addresses().contains(&original.to_canonical())
}

/// The families a pod with these addresses has, each of which must be proven.
pub(crate) fn families(pod_ips: &[IpAddr]) -> BTreeSet<Family> {
    pod_ips.iter().map(|ip| if ip.is_ipv4() { Family::V4 } else { Family::V6 }).collect()
}

/// Dials the probe address of each family once.
///
/// # Errors
/// The first family without proof. Try again: another container may still be starting the network.
pub(crate) async fn prove(families: &BTreeSet<Family>) -> Result<(), CaptureError> {
    for &family in families {
        let [v4, v6] = probe_addresses();
        let address = SocketAddr::new(if family == Family::V4 { v4 } else { v6 }, CAPTURE_PROBE_PORT);
        match timeout(LIMIT, greeting(address)).await {
            Ok(Ok(true)) => {}
            Ok(Ok(false)) => return Err(CaptureError::Stranger { family, address }),
            Ok(Err(source)) => return Err(CaptureError::Unreached { family, address, source }),
            Err(_) => {
                let source = io::Error::new(io::ErrorKind::TimedOut, "nothing answered within a second");
                return Err(CaptureError::Unreached { family, address, source });
            }
        }
    }
    Ok(())
}

async fn greeting(address: SocketAddr) -> io::Result<bool> {
    let mut stream = TcpStream::connect(address).await?;
    let mut bytes = [0; GREETING.len()];
    match stream.read_exact(&mut bytes).await {
        Ok(_) => Ok(bytes == GREETING),
        Err(cause) if cause.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        Err(cause) => Err(cause),
    }
}

#[cfg(test)]
mod tests;
