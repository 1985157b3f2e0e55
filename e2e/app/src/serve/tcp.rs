//! Plain TCP: an echo that notices request ids passing by, and a server that speaks first.

use std::sync::Arc;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::Server;
use crate::ledger;

/// Longest line that may be an id; longer ones are data.
const LINE_BYTES_MAX: usize = 128;

/// Sends back every byte; lines that are ids are recorded.
pub(super) async fn echo(mut stream: TcpStream, server: Arc<Server>) {
    let mut buffer = vec![0; 16 * 1024];
    let mut line = Vec::with_capacity(LINE_BYTES_MAX);
    while let Some(Ok(length @ 1..)) = server.closing.run_until_cancelled(stream.read(&mut buffer)).await {
        record_lines(&buffer[..length], &mut line, &server);
        if stream.write_all(&buffer[..length]).await.is_err() {
            return;
        }
    }
    // A half-closed peer still reads: end our direction properly (RFC 9293 §3.6).
    let _ = stream.shutdown().await;
}

fn record_lines(bytes: &[u8], line: &mut Vec<u8>, server: &Server) {
    for &byte in bytes {
        if byte == b'\n' {
            let id = std::str::from_utf8(line).ok().filter(|id| ledger::parse(id).is_some());
            if id.is_some() {
                server.ledger().record(id);
            }
            line.clear();
        } else if line.len() < LINE_BYTES_MAX {
            line.push(byte);
        }
    }
}

/// Greets at once and then echoes, as mail and database servers do.
pub(super) async fn banner(mut stream: TcpStream, server: Arc<Server>) {
    let greeting = format!("220 {} {} ready\r\n", server.name, server.id);
    if stream.write_all(greeting.as_bytes()).await.is_ok() {
        echo(stream, server).await;
    }
}
