use super::*;

/// Bytes of the future a function gives.
fn size<A, B, F: Future>(_: impl Fn(A, B) -> F) -> usize {
    size_of::<F>()
}

#[test]
fn an_idle_connection_costs_little_memory() {
    // The future of a connection lies in its task for as long as the caller keeps it open.
    let bytes = size(|worker: &'static Rc<Worker>, stream| connection(worker, stream));
    assert!(bytes <= 4096, "{bytes} bytes");
}
