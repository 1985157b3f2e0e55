//! A caller that says nothing at first: the application is dialled meanwhile, and whichever side speaks first decides.

use std::net::SocketAddr;
use std::rc::Rc;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::{Connection, Opening, authorize, first_bytes, first_bytes_in_time, open};
use crate::error::Failure;
use crate::http::sniff::Guess;
use crate::io::Stream;
use crate::metrics::Side;
use crate::metrics::detection::Detected;
use crate::tcp;
use crate::upstream::Way;
use crate::upstream::dial::Terms;
use crate::worker::Worker;

/// A server's first words: a greeting fits.
const GREETING_BYTES: usize = 4096;

/// See the module.
pub(super) async fn silent(
    worker: &Rc<Worker>,
    dialled: SocketAddr,
    caller: SocketAddr,
    mut stream: TcpStream,
) -> Result<(), Failure> {
    let connection = Connection::new(worker, dialled, caller, None);
    if authorize::connection(&connection).is_err() {
        // Bytes are not allowed; a meshed hello or an HTTP request may still be.
        return match first_bytes_in_time(worker, &stream, caller).await? {
            Some(opening) => open(worker, dialled, caller, stream, opening).await,
            None => Ok(()),
        };
    }
    let mut application = worker.upstream(dialled, Way::Local).tcp(&worker.shared.tls, Terms::default()).await?;
    let mut greeting = [0; GREETING_BYTES];
    let cells = worker.metrics.tcp(connection.labels());
    let detected = |detected| worker.metrics.detections.count(Side::Server, detected);
    tokio::select! {
        biased;
        first = first_bytes(&stream) => match first {
            // The connection opened for bytes is of no use.
            Ok(Some(opening @ (Opening::Mesh | Opening::Plain(Guess::Http(_))))) => {
                drop(application);
                return open(worker, dialled, caller, stream, opening).await;
            }
            Ok(other) => detected(other.map_or(Detected::Silent, Detected::from)),
            Err(_) => return Ok(()),
        },
        read = application.read(&mut greeting) => match read {
            Ok(length) if length > 0 => {
                detected(Detected::ServerFirst);
                if stream.write_all(&greeting[..length]).await.is_err() {
                    return Ok(());
                }
                cells.received_bytes.add(length as u64);
            }
            Ok(_) | Err(_) => {
                detected(Detected::Silent);
                return Ok(());
            }
        },
    }
    tcp::join(Stream::Plain(stream), application, cells, connection.line()).await;
    Ok(())
}
