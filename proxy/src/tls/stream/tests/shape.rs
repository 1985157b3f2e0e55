//! How many records and system calls a write becomes, and how many reads a transfer takes.

use std::sync::Mutex;

use super::*;

/// Notes the calls made to the connection below.
struct Spy {
    io: DuplexStream,
    calls: Arc<Mutex<Calls>>,
}

#[derive(Default)]
struct Calls {
    /// Bytes of each write.
    writes: Vec<Vec<u8>>,
    /// Lengths of reads that brought something.
    reads: Vec<usize>,
}

impl AsyncRead for Spy {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.io).poll_read(cx, buf))?;
        self.calls.lock().unwrap().reads.push(buf.filled().len() - before);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Spy {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let count = ready!(Pin::new(&mut self.io).poll_write(cx, buf))?;
        self.calls.lock().unwrap().writes.push(buf[..count].to_vec());
        Poll::Ready(Ok(count))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

/// Our client over a spy, rustls' server, and what the spy notes from now on.
async fn spied() -> (TlsStream<Spy>, server::TlsStream<Spy>, Arc<Mutex<Calls>>) {
    let (near, far) = duplex(1 << 20);
    let calls = Arc::new(Mutex::new(Calls::default()));
    let spy = |io, calls: &Arc<Mutex<Calls>>| Spy { io, calls: Arc::clone(calls) };
    let (ours, theirs) = our_client((spy(near, &calls), spy(far, &Arc::default()))).await;
    *calls.lock().unwrap() = Calls::default();
    (ours, theirs, calls)
}

/// Plaintext lengths of the records in `wire`.
fn records(mut wire: &[u8]) -> Vec<usize> {
    let mut lengths = Vec::new();
    while let [23, 3, 3, high, low, rest @ ..] = wire {
        let length = usize::from(u16::from_be_bytes([*high, *low]));
        lengths.push(length - 17);
        wire = &rest[length..];
    }
    assert!(wire.is_empty(), "whole records of application data only");
    lengths
}

#[tokio::test]
async fn a_write_is_one_system_call_of_few_records() {
    let full = 16_384;
    let table: [(&str, &[usize], &[usize], usize); 8] = [
        ("a head and a body", &[200, 1000], &[1200], 1200),
        ("what just fits a record", &[200, 0, full - 200], &[full], full),
        ("a head and a large body", &[200, full], &[200, full], full + 200),
        ("bulk", &[4 * full], &[full, full, full, full], 4 * full),
        ("more than is taken at once", &[10 * full], &[full, full, full, full], 4 * full),
        ("many small pieces", &[100; 300], &[full, 30_000 - full], 30_000),
        ("small behind large", &[20_000, 300, 300], &[full, 20_000 - full + 600], 20_600),
        ("nothing", &[0, 0], &[], 0),
    ];
    for (case, pieces, expected, taken) in table {
        let (mut ours, mut theirs, calls) = spied().await;
        let bytes: Vec<Vec<u8>> = pieces.iter().map(|length| pattern(*length)).collect();
        let slices: Vec<IoSlice<'_>> = bytes.iter().map(|piece| IoSlice::new(piece)).collect();
        let count = soon(poll_fn(|cx| Pin::new(&mut ours).poll_write_vectored(cx, &slices))).await.unwrap();
        assert_eq!(count, taken, "{case}");
        soon(ours.flush()).await.unwrap();
        let writes = std::mem::take(&mut calls.lock().unwrap().writes);
        assert_eq!(writes.len(), usize::from(taken > 0), "{case}: system calls");
        assert_eq!(records(&writes.concat()), expected, "{case}");
        let mut arrived = vec![0; taken];
        soon(theirs.read_exact(&mut arrived)).await.unwrap();
        assert!(arrived == bytes.concat()[..taken], "{case}");
    }
}

#[tokio::test]
async fn bulk_is_read_in_whole_records_four_at_once() {
    let (mut ours, mut theirs, calls) = spied().await;
    let bytes = pattern(40 * 16_384);
    soon(theirs.write_all(&bytes)).await.unwrap();
    soon(theirs.flush()).await.unwrap();
    let mut arrived = Vec::new();
    while arrived.len() < bytes.len() {
        let filled = soon(poll_fn(|cx| ours.poll_fill(cx).map_ok(<[u8]>::to_vec))).await.unwrap();
        ours.consume(filled.len());
        arrived.extend_from_slice(&filled);
    }
    assert!(arrived == bytes);
    let reads = &calls.lock().unwrap().reads;
    assert!(reads.len() <= 12, "{reads:?}");
    assert_eq!(reads[2], 4 * (16_384 + 22), "{reads:?}");
}

#[tokio::test]
async fn many_small_vectored_writes_arrive_in_order() {
    let (mut ours, mut theirs) = our_client(loopback().await).await;
    let bytes = pattern(300_000);
    let mut arrived = vec![0; bytes.len()];
    let write = async {
        let (mut at, mut length) = (0, 1);
        while at < bytes.len() {
            let rest = &bytes[at..];
            let (first, rest) = rest.split_at(rest.len().min(length));
            let (second, _) = rest.split_at(rest.len().min(length / 2));
            at += ours.write_vectored(&[IoSlice::new(first), IoSlice::new(second)]).await.unwrap();
            length = length % 611 + 7;
        }
        ours.flush().await.unwrap();
    };
    soon(async { tokio::join!(write, async { theirs.read_exact(&mut arrived).await.unwrap() }) }).await;
    assert!(arrived == bytes);
}
