use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::*;
use crate::testing::{future_bytes, strict};

#[test]
fn an_idle_connection_costs_little_memory() {
    // The future of a connection lies in its task for as long as the caller keeps it open.
    let bytes = future_bytes(|worker: &'static Rc<Worker>, stream| connection(worker, stream));
    assert!(bytes <= 4096, "{bytes} bytes");
}

#[tokio::test(flavor = "local")]
async fn a_silent_caller_under_strict_is_closed_in_the_end_and_counted_unless_it_closes_first() {
    for closes in [true, false] {
        let (worker, address) = strict();
        let mut caller = TcpStream::connect(address).await.unwrap();
        if closes {
            caller.shutdown().await.unwrap();
        }
        let ended = timeout(2 * HANDSHAKE, caller.read(&mut [0; 1])).await.expect("within the deadline");
        assert_eq!(ended.unwrap(), 0);
        assert_eq!(worker.metrics.lock().refusals.len(), usize::from(!closes));
    }
}
