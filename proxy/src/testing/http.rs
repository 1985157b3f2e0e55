//! A caller and an application, each with HTTP/1 and HTTP/2. Both are hyper: readers of their own.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

use super::Mesh;

/// Longer than anything here takes.
const DEADLINE: Duration = Duration::from_secs(20);

/// What ends with the deadline at the latest.
pub(crate) async fn soon<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(DEADLINE, what).await.expect("within the deadline")
}

/// What an application was asked.
pub(crate) type Asked = Request<Bytes>;

/// An application that answers 200 with its name, and what it was asked.
pub(crate) struct Application {
    pub(crate) address: SocketAddr,
    asked: mpsc::UnboundedReceiver<Asked>,
}

impl Application {
    /// An application whose answers carry these headers as well.
    pub(crate) async fn start(name: &'static str, headers: &'static [(&'static str, &'static str)]) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let (sender, asked) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let sender = sender.clone();
                let service = service_fn(move |request: Request<Incoming>| {
                    let sender = sender.clone();
                    async move {
                        let (head, body) = request.into_parts();
                        let body = body.collect().await.map(|body| body.to_bytes()).unwrap_or_default();
                        let _ = sender.send(Request::from_parts(head, body));
                        let mut answer = Response::builder();
                        for (name, value) in headers {
                            answer = answer.header(*name, *value);
                        }
                        Ok::<_, Infallible>(answer.body(Full::new(Bytes::from_static(name.as_bytes()))).unwrap())
                    }
                });
                tokio::spawn(async move {
                    let _ =
                        auto::Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(stream), service).await;
                });
            }
        });
        Self { address, asked }
    }

    /// The next request that arrived.
    pub(crate) async fn asked(&mut self) -> Asked {
        soon(self.asked.recv()).await.expect("the application runs")
    }

    /// Whether nothing more arrived.
    pub(crate) fn was_not_asked(&mut self) -> bool {
        self.asked.try_recv().is_err()
    }
}

/// A version of HTTP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Speaks {
    Http1,
    Http2,
}

pub(crate) const BOTH: [Speaks; 2] = [Speaks::Http1, Speaks::Http2];

/// A caller's connection.
pub(crate) enum Caller {
    Http1(hyper::client::conn::http1::SendRequest<Full<Bytes>>),
    Http2(hyper::client::conn::http2::SendRequest<Full<Bytes>>),
}

impl Caller {
    pub(crate) async fn new(mesh: &Mesh, speaks: Speaks) -> Self {
        let stream = TokioIo::new(TcpStream::connect(mesh.service).await.unwrap());
        match speaks {
            Speaks::Http1 => {
                let (sender, connection) = hyper::client::conn::http1::handshake(stream).await.unwrap();
                tokio::spawn(connection);
                Self::Http1(sender)
            }
            Speaks::Http2 => {
                let (sender, connection) =
                    hyper::client::conn::http2::handshake(TokioExecutor::new(), stream).await.unwrap();
                tokio::spawn(connection);
                Self::Http2(sender)
            }
        }
    }

    /// The answer to a request whose authority is `web.shop`.
    pub(crate) async fn send(
        &mut self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Response<Bytes> {
        let mut request = Request::builder().method(method);
        request = match self {
            Self::Http1(_) => request.uri(path).header("host", "web.shop"),
            Self::Http2(_) => request.uri(format!("http://web.shop{path}")),
        };
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Full::new(Bytes::copy_from_slice(body))).unwrap();
        let answer = match self {
            Self::Http1(sender) => {
                soon(sender.ready()).await.unwrap();
                soon(sender.send_request(request)).await
            }
            Self::Http2(sender) => {
                soon(sender.ready()).await.unwrap();
                soon(sender.send_request(request)).await
            }
        };
        let (head, body) = answer.unwrap().into_parts();
        Response::from_parts(head, soon(body.collect()).await.unwrap().to_bytes())
    }

    /// The answer to a GET.
    pub(crate) async fn get(&mut self, path: &str) -> Response<Bytes> {
        self.send(Method::GET, path, &[], b"").await
    }
}
