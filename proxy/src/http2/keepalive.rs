//! Finds a peer that vanished: it is asked for a sign of life, and answers or is given up.

use h2::{Ping, PingPong};
use tokio::time::{sleep, timeout};

use super::{PING_INTERVAL, PING_TIMEOUT};

/// Resolves when the peer owes an answer for too long, or its connection has ended.
pub(super) async fn silence(mut pings: PingPong) {
    loop {
        sleep(PING_INTERVAL).await;
        match timeout(PING_TIMEOUT, pings.ping(Ping::opaque())).await {
            Ok(Ok(_)) => {}
            Ok(Err(_)) | Err(_) => return,
        }
    }
}
