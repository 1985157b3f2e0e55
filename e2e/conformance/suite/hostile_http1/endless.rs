//! A server whose answers do not end while anybody takes them.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};

use anyhow::Result;
use tulle_conformance::Pod;

/// Says its length, so that it is passed on without chunks.
const HEAD: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 1000000000000\r\n\r\n";

/// Serves for as long as this process runs; a connection for as long as the sidecar keeps it.
pub(super) fn serve(pod: &Pod, port: u16) -> Result<()> {
    let listener = pod.run(|| Ok(TcpListener::bind((Ipv4Addr::UNSPECIFIED, port))?))?;
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            std::thread::spawn(move || answer(stream));
        }
    });
    Ok(())
}

fn answer(mut stream: TcpStream) -> std::io::Result<()> {
    stream.read_exact(&mut [0; 16])?;
    stream.write_all(HEAD)?;
    loop {
        stream.write_all(&[b'x'; 64 * 1024])?;
    }
}
