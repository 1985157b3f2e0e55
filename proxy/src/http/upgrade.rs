//! After a 101 both connections are byte streams (RFC 9110 §7.8): join them.

use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;

use crate::drain::Open;

/// Bytes read at once in each direction.
const BUFFER_BYTES: usize = 16 * 1024;

/// Joins caller and upstream once both have upgraded. Runs as a task of its own, because the connections' tasks hand the streams
/// over only after the 101 was written; `open` keeps the connection counted.
pub(crate) fn join(caller: OnUpgrade, upstream: OnUpgrade, open: Open) {
    tokio::task::spawn_local(async move {
        let _open = open;
        let (caller, upstream) = match tokio::try_join!(caller, upstream) {
            Ok(both) => both,
            Err(error) => return tracing::debug!(%error, "upgrade was not completed"),
        };
        let (mut caller, mut upstream) = (TokioIo::new(caller), TokioIo::new(upstream));
        let copied =
            tokio::io::copy_bidirectional_with_sizes(&mut caller, &mut upstream, BUFFER_BYTES, BUFFER_BYTES).await;
        if let Err(error) = copied {
            tracing::debug!(%error, "upgraded connection ended");
        }
    });
}
