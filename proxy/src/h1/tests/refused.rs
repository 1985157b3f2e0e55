//! A share of a connection that its peer never took.

use std::cell::RefCell;
use std::rc::Rc;

use tokio::net::{TcpListener, TcpStream};

use crate::buffer::Buffer;
use crate::drain::Drain;
use crate::h1::attempt::{AttemptError, Exchange};
use crate::h1::body::Message;
use crate::h1::head::{Framing, RequestFacts, Switch};
use crate::h1::testing::soon;
use crate::h1::wire::Wire;
use crate::io::Stream;
use crate::mux::{self, Opener};

const FACTS: RequestFacts = RequestFacts {
    framing: Framing::Length(0),
    keep_alive: true,
    old: false,
    head_only: false,
    switch: Switch::No,
    expects_continue: false,
    idempotent: false,
    grpc: false,
};

/// A caller's connection that says nothing, and its far end.
async fn caller() -> (Wire, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (near, far) = tokio::join!(TcpStream::connect(listener.local_addr().unwrap()), listener.accept());
    (Wire::new(Stream::Plain(near.unwrap())), far.unwrap().0)
}

#[tokio::test(flavor = "local")]
async fn a_request_that_was_not_taken_did_not_touch_anything() {
    soon(async {
        let (client, server) = mux::testing::pair().await;
        let taken = Rc::new(RefCell::new(Vec::new()));
        tokio::task::spawn_local({
            let taken = Rc::clone(&taken);
            async move { mux::serve(server, &Drain::default(), |stream| taken.borrow_mut().push(stream)).await }
        });
        let opener = Opener::start(client);
        for number in 1..=2 * mux::STREAMS {
            drop(opener.open().unwrap());
            while taken.borrow().len() < number {
                tokio::task::yield_now().await;
            }
        }
        let (mut wire, _far) = caller().await;
        let mut head = Buffer::new();
        head.extend(b"POST / HTTP/1.1\r\nhost: web\r\n\r\n");
        let request = Message::new(head, Framing::Length(0), false, true);
        let mut exchange = Exchange::new(&mut wire, request, FACTS, false);
        let mut upstream = Wire::new(Stream::Mux(opener.open().unwrap()));
        let error = exchange.attempt(&mut upstream).await.expect_err("there is no room");
        assert!(matches!(error, AttemptError::Upstream { touched: false, .. }), "{error:?}");
    })
    .await;
}
