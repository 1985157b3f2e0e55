//! One rustls connection of either role, turned from its "what next" states into three verbs: open, seal, close.
//!
//! rustls 0.23's unbuffered interface decrypts in place but hands out a copy of each record in a `Vec` of its own, and builds each
//! outgoing record in a `Vec` before it copies that out: an allocation and a copy per record and direction.

use std::sync::Arc;

use rustls::client::UnbufferedClientConnection;
use rustls::server::UnbufferedServerConnection;
use rustls::unbuffered::{ConnectionState, EncodeError, EncodeTlsData, EncryptError, UnbufferedStatus, WriteTraffic};
use rustls::{ClientConfig, CommonState, Error, ServerConfig};
use rustls_pki_types::ServerName;
use tokio::io::ReadBuf;

use crate::buffer::Buffer;

/// What a record adds to its plaintext: header, content type and tag (RFC 8446 §5.2).
const OVERHEAD: usize = 5 + 1 + 16;

/// A rustls connection.
pub(super) enum Session {
    /// We dialled.
    Client(UnbufferedClientConnection),
    /// We accepted.
    Server(UnbufferedServerConnection),
}

/// The bytes a session works on.
pub(super) struct Buffers<'a> {
    /// Ciphertext that arrived; used up from the front.
    pub(super) incoming: &'a mut Buffer,
    /// Plaintext; appended to.
    pub(super) plain: &'a mut Buffer,
    /// Ciphertext to send; appended to.
    pub(super) outgoing: &'a mut Buffer,
    /// Set once the peer said that nothing follows.
    pub(super) ended: &'a mut bool,
}

/// How far a session got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Plaintext was put out.
    Plaintext,
    /// A handshake message was put out or noted.
    Message,
    /// The peer said that nothing follows.
    Ended,
    /// So did both sides.
    Closed,
    /// More ciphertext is needed to go on reading; the handshake is not over.
    Handshaking,
    /// More ciphertext is needed to go on reading.
    Idle,
}

impl Session {
    /// A client that expects `name` to answer.
    ///
    /// # Errors
    /// When rustls refuses the configuration.
    pub(super) fn client(config: Arc<ClientConfig>, name: ServerName<'static>) -> Result<Self, Error> {
        UnbufferedClientConnection::new(config, name).map(Session::Client)
    }

    /// A server.
    ///
    /// # Errors
    /// When rustls refuses the configuration.
    pub(super) fn server(config: Arc<ServerConfig>) -> Result<Self, Error> {
        UnbufferedServerConnection::new(config).map(Session::Server)
    }

    /// What rustls knows about the connection and its peer.
    pub(super) fn state(&self) -> &CommonState {
        match self {
            Session::Client(connection) => connection,
            Session::Server(connection) => connection,
        }
    }

    /// Goes on by one record or message. Plaintext goes to `direct` first; what finds no room there is appended to the buffers.
    ///
    /// # Errors
    /// When the peer broke the protocol, was not accepted, or refused us; final, call [`last_words`](Self::last_words) next.
    pub(super) fn open(&mut self, buffers: &mut Buffers<'_>, direct: &mut ReadBuf<'_>) -> Result<Step, Error> {
        match self {
            Session::Client(connection) => step(connection, buffers, direct, |_, _| Ok(())),
            Session::Server(connection) => step(connection, buffers, direct, |_, _| Ok(())),
        }
    }

    /// Encrypts `plaintext`, at most a record, behind what is to be sent. Records that wait complete in `incoming` are decrypted first.
    ///
    /// # Errors
    /// As [`open`](Self::open), and when the handshake is not over.
    pub(super) fn seal(&mut self, buffers: &mut Buffers<'_>, plaintext: &[u8]) -> Result<(), Error> {
        match self {
            Session::Client(connection) => until_idle(connection, buffers, |traffic, outgoing| {
                put(outgoing, plaintext.len() + OVERHEAD, |space| traffic.encrypt(plaintext, space))
            }),
            Session::Server(connection) => until_idle(connection, buffers, |traffic, outgoing| {
                put(outgoing, plaintext.len() + OVERHEAD, |space| traffic.encrypt(plaintext, space))
            }),
        }
    }

    /// Says that nothing follows (RFC 8446 §6.1).
    ///
    /// # Errors
    /// As [`seal`](Self::seal).
    pub(super) fn close(&mut self, buffers: &mut Buffers<'_>) -> Result<(), Error> {
        match self {
            Session::Client(connection) => until_idle(connection, buffers, |traffic, outgoing| {
                put(outgoing, 2 + OVERHEAD, |space| traffic.queue_close_notify(space))
            }),
            Session::Server(connection) => until_idle(connection, buffers, |traffic, outgoing| {
                put(outgoing, 2 + OVERHEAD, |space| traffic.queue_close_notify(space))
            }),
        }
    }

    /// After an error: puts out the alert that tells the peer, if there is one.
    pub(super) fn last_words(&mut self, outgoing: &mut Buffer) {
        match self {
            Session::Client(connection) => last_words(connection, outgoing),
            Session::Server(connection) => last_words(connection, outgoing),
        }
    }
}

/// What both roles offer under the same name without a trait in rustls.
trait Connection: std::ops::Deref<Target: std::ops::Deref<Target = CommonState>> {
    type Data;

    fn process<'c, 'i>(&'c mut self, incoming: &'i mut [u8]) -> UnbufferedStatus<'c, 'i, Self::Data>;
}

impl Connection for UnbufferedClientConnection {
    type Data = rustls::client::ClientConnectionData;

    fn process<'c, 'i>(&'c mut self, incoming: &'i mut [u8]) -> UnbufferedStatus<'c, 'i, Self::Data> {
        self.process_tls_records(incoming)
    }
}

impl Connection for UnbufferedServerConnection {
    type Data = rustls::server::ServerConnectionData;

    fn process<'c, 'i>(&'c mut self, incoming: &'i mut [u8]) -> UnbufferedStatus<'c, 'i, Self::Data> {
        self.process_tls_records(incoming)
    }
}

/// Takes one state from rustls and answers it. `write` is given the chance to encrypt when nothing else is to be done.
fn step<C: Connection>(
    connection: &mut C,
    buffers: &mut Buffers<'_>,
    direct: &mut ReadBuf<'_>,
    write: impl FnOnce(&mut WriteTraffic<'_, C::Data>, &mut Buffer) -> Result<(), Error>,
) -> Result<Step, Error> {
    let UnbufferedStatus { discard, state } = connection.process(buffers.incoming.filled_mut());
    let outcome = state.and_then(|state| match state {
        ConnectionState::ReadTraffic(mut traffic) => {
            while let Some(record) = traffic.next_record() {
                let payload = record?.payload;
                let (first, rest) = payload.split_at(payload.len().min(direct.remaining()));
                direct.put_slice(first);
                buffers.plain.extend(rest);
            }
            Ok(Step::Plaintext)
        }
        ConnectionState::EncodeTlsData(mut data) => encode(&mut data, buffers.outgoing).map(|()| Step::Message),
        ConnectionState::TransmitTlsData(data) => {
            data.done(); // it is in `outgoing`, which is sent in order
            Ok(Step::Message)
        }
        ConnectionState::WriteTraffic(mut traffic) => write(&mut traffic, buffers.outgoing).map(|()| Step::Idle),
        ConnectionState::BlockedHandshake => Ok(Step::Handshaking),
        ConnectionState::PeerClosed => {
            *buffers.ended = true; // rustls tells it once, whatever was being done
            Ok(Step::Ended)
        }
        ConnectionState::Closed => Ok(Step::Closed),
        other => Err(Error::General(format!("unexpected state of the TLS connection: {other:?}"))),
    });
    buffers.incoming.consume(discard);
    outcome
}

/// Steps until there was the chance to encrypt.
fn until_idle<C: Connection>(
    connection: &mut C,
    buffers: &mut Buffers<'_>,
    mut write: impl FnMut(&mut WriteTraffic<'_, C::Data>, &mut Buffer) -> Result<(), Error>,
) -> Result<(), Error> {
    loop {
        match step(connection, buffers, &mut ReadBuf::new(&mut []), &mut write)? {
            Step::Idle => return Ok(()),
            Step::Handshaking => return Err(Error::HandshakeNotComplete),
            Step::Closed => return Err(Error::General("the TLS connection is closed".to_owned())),
            Step::Plaintext | Step::Message | Step::Ended => {}
        }
    }
}

fn last_words<C: Connection>(connection: &mut C, outgoing: &mut Buffer) {
    // rustls gives out what is queued before it looks at input, of which it gets none here.
    while connection.wants_write() {
        let Ok(ConnectionState::EncodeTlsData(mut data)) = connection.process(&mut []).state else { return };
        if encode(&mut data, outgoing).is_err() {
            return;
        }
    }
}

fn encode<D>(data: &mut EncodeTlsData<'_, D>, outgoing: &mut Buffer) -> Result<(), Error> {
    let mut room = 0;
    loop {
        match data.encode(outgoing.space(room)) {
            Ok(count) => {
                outgoing.advance(count);
                return Ok(());
            }
            Err(EncodeError::InsufficientSize(size)) => room = size.required_size,
            Err(error @ EncodeError::AlreadyEncoded) => return Err(Error::General(error.to_string())),
        }
    }
}

/// Lets `encrypt` fill free room of `outgoing`: `room` bytes, or as many as it then asks for.
fn put(
    outgoing: &mut Buffer,
    mut room: usize,
    mut encrypt: impl FnMut(&mut [u8]) -> Result<usize, EncryptError>,
) -> Result<(), Error> {
    loop {
        match encrypt(outgoing.space(room)) {
            Ok(count) => {
                outgoing.advance(count);
                return Ok(());
            }
            Err(EncryptError::InsufficientSize(size)) => room = size.required_size,
            Err(EncryptError::EncryptExhausted) => return Err(Error::EncryptError),
        }
    }
}
