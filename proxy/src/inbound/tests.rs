use super::*;
use crate::testing::future_bytes;

#[test]
fn an_idle_connection_costs_little_memory() {
    // The future of a connection lies in its task for as long as the caller keeps it open.
    let bytes = future_bytes(|worker: &'static Rc<Worker>, stream| connection(worker, stream));
    assert!(bytes <= 4096, "{bytes} bytes");
}
