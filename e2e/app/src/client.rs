//! What load and one-shot client share: targets and HTTP connections.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use bytes::Bytes;
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::net::TcpStream;

/// Longest wait for a TCP connection: a meshed pod's proxy answers at once, and a lost SYN is sent again after 1 s and 3 s.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Body of every request and answer here.
pub(crate) type Body = BoxBody<Bytes, hyper::Error>;

/// Where requests go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Target {
    /// Name or address, without the brackets of IPv6.
    pub(crate) host: String,
    /// TCP port.
    pub(crate) port: u16,
    /// `Host` and `:authority`, as written in the URL.
    pub(crate) authority: String,
    /// Path with query, from `/`.
    pub(crate) path: String,
}

impl std::str::FromStr for Target {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        let uri: http::Uri = text.parse().with_context(|| format!("{text} is no URL"))?;
        if uri.scheme_str() != Some("http") {
            bail!("{text}: only http:// is spoken here; the mesh adds the encryption");
        }
        let authority = uri.authority().with_context(|| format!("{text} names no host"))?;
        Ok(Self {
            host: authority.host().trim_matches(['[', ']']).to_owned(),
            port: authority.port_u16().unwrap_or(80),
            authority: authority.to_string(),
            path: uri.path_and_query().map_or_else(|| "/".to_owned(), ToString::to_string),
        })
    }
}

impl Target {
    /// Opens a TCP connection, without Nagle's delay.
    pub(crate) async fn connect(&self) -> Result<TcpStream> {
        let connecting = TcpStream::connect((self.host.as_str(), self.port));
        let stream = tokio::time::timeout(CONNECT_TIMEOUT, connecting)
            .await
            .with_context(|| format!("connect to {}:{}: no answer in {CONNECT_TIMEOUT:?}", self.host, self.port))?
            .with_context(|| format!("connect to {}:{}", self.host, self.port))?;
        stream.set_nodelay(true)?;
        Ok(stream)
    }
}

/// One HTTP connection of either version.
pub(crate) enum Http {
    /// HTTP/1.1, one request at a time.
    One(http1::SendRequest<Body>),
    /// HTTP/2 with prior knowledge (RFC 9113 §3.3).
    Two(http2::SendRequest<Body>),
}

/// A request that got no answer.
pub(crate) enum Unanswered {
    /// Not a byte of it was sent: it may go out on another connection.
    Unsent,
    /// The server may have seen it.
    Failed(hyper::Error),
}

impl Http {
    /// Opens an HTTP/1.1 connection that can be upgraded.
    pub(crate) async fn one(target: &Target) -> Result<Self> {
        let (sender, connection) = http1::handshake(TokioIo::new(target.connect().await?)).await?;
        // The task ends with the connection: when the sender is dropped and nothing is in flight.
        tokio::spawn(connection.with_upgrades());
        Ok(Self::One(sender))
    }

    /// Opens an HTTP/2 connection.
    pub(crate) async fn two(target: &Target) -> Result<Self> {
        let io = TokioIo::new(target.connect().await?);
        let (sender, connection) =
            http2::Builder::new(TokioExecutor::new()).timer(TokioTimer::new()).handshake(io).await?;
        tokio::spawn(connection);
        Ok(Self::Two(sender))
    }

    /// Whether the connection can take a request now. A connection the server announced to close cannot.
    pub(crate) async fn ready(&mut self) -> bool {
        match self {
            Self::One(sender) => sender.ready().await.is_ok(),
            Self::Two(sender) => sender.ready().await.is_ok(),
        }
    }

    /// Sends one request.
    pub(crate) async fn send(
        &mut self,
        request: http::Request<Body>,
    ) -> Result<http::Response<hyper::body::Incoming>, Unanswered> {
        let sent = match self {
            Self::One(sender) => sender.try_send_request(request).await,
            Self::Two(sender) => sender.try_send_request(request).await,
        };
        sent.map_err(|mut error| match error.take_message() {
            Some(_) => Unanswered::Unsent,
            None => Unanswered::Failed(error.into_error()),
        })
    }

    /// A request builder in the form this version wants: HTTP/1.1 names the host in a header, HTTP/2 in the URI.
    pub(crate) fn request(&self, target: &Target, path: &str) -> http::request::Builder {
        match self {
            Self::One(_) => http::Request::builder().uri(path).header(http::header::HOST, &target.authority),
            Self::Two(_) => http::Request::builder()
                .version(http::Version::HTTP_2)
                .uri(format!("http://{}{path}", target.authority)),
        }
    }
}

/// A body of known bytes.
pub(crate) fn full(bytes: impl Into<Bytes>) -> Body {
    Full::new(bytes.into()).map_err(|never| match never {}).boxed()
}

/// The cause of a hyper error at its root, which is where the sense is.
pub(crate) fn root_cause(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_from_urls() {
        let parse =
            |url: &str| url.parse::<Target>().map(|target| (target.host, target.port, target.authority, target.path));
        let owned = |host: &str, port, authority: &str, path: &str| (host.into(), port, authority.into(), path.into());
        assert_eq!(parse("http://checkout").expect("valid"), owned("checkout", 80, "checkout", "/"));
        assert_eq!(parse("http://c.ns:8080/a?b=c").expect("valid"), owned("c.ns", 8080, "c.ns:8080", "/a?b=c"));
        assert_eq!(parse("http://[fd00::1]:81/").expect("valid"), owned("fd00::1", 81, "[fd00::1]:81", "/"));
        assert!(parse("https://checkout/").is_err());
        assert!(parse("checkout").is_err());
    }
}
