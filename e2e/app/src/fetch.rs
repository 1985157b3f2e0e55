//! `fetch` and `job`: a curl for containers without a shell.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use http_body_util::{BodyExt, Limited};
use serde::Serialize;

use crate::client::{self, Http, Target, Unanswered};
use crate::echo::{Deframer, Message};
use crate::output;

/// Largest answer kept; answers of the echo server have a kilobyte.
const BODY_BYTES_MAX: usize = 1024 * 1024;

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// What to ask, `http://host[:port]/path`.
    url: Target,
    /// A header, `name: value`; may be repeated. `host` replaces the authority.
    #[arg(short = 'H', long = "header")]
    headers: Vec<String>,
    /// HTTP/2 with prior knowledge.
    #[arg(long)]
    h2: bool,
    /// A gRPC call with one echo message; implies --h2 and POST.
    #[arg(long)]
    grpc: bool,
    /// Method.
    #[arg(long, default_value = "GET")]
    method: http::Method,
    /// Body.
    #[arg(long, default_value = "")]
    body: String,
    /// Requests, one after the other on one connection.
    #[arg(long, default_value_t = 1)]
    count: u32,
    /// Longest wait for one answer in milliseconds.
    #[arg(long, default_value_t = 10_000)]
    timeout_ms: u64,
}

#[derive(Serialize)]
struct Answer {
    status: u16,
    headers: Vec<(String, String)>,
    /// Trailers, where gRPC has its status.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    trailers: Vec<(String, String)>,
    body: String,
    /// The echo messages of a gRPC answer.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    messages: Vec<Message>,
    milliseconds: f64,
}

pub(crate) async fn run(arguments: Arguments) -> Result<()> {
    let mut connection = None;
    for _ in 0..arguments.count {
        output::json(&exchange(&arguments, &mut connection).await?)?;
    }
    Ok(())
}

pub(crate) async fn job(arguments: Arguments) -> Result<()> {
    let answer = exchange(&arguments, &mut None).await?;
    output::json(&answer)?;
    if answer.status >= 400 {
        bail!("the job's request was answered with status {}", answer.status);
    }
    Ok(())
}

async fn exchange(arguments: &Arguments, connection: &mut Option<Http>) -> Result<Answer> {
    let start = Instant::now();
    let limit = Duration::from_millis(arguments.timeout_ms);
    let mut answer = tokio::time::timeout(limit, ask(arguments, connection))
        .await
        .with_context(|| format!("no answer in {limit:?}"))??;
    answer.milliseconds = start.elapsed().as_secs_f64() * 1e3;
    Ok(answer)
}

async fn ask(arguments: &Arguments, connection: &mut Option<Http>) -> Result<Answer> {
    let reusable = match connection {
        Some(open) => open.ready().await,
        None => false,
    };
    if !reusable {
        *connection = Some(open(arguments).await?);
    }
    let http = connection.as_mut().context("opened above")?;
    let response = match http.send(request(arguments, http)?).await {
        Ok(response) => response,
        Err(Unanswered::Unsent) => bail!("the connection was closed before the request was sent"),
        Err(Unanswered::Failed(error)) => bail!("{}", client::root_cause(&error)),
    };
    read(response, arguments.grpc).await
}

async fn open(arguments: &Arguments) -> Result<Http> {
    if arguments.h2 || arguments.grpc { Http::two(&arguments.url).await } else { Http::one(&arguments.url).await }
}

fn request(arguments: &Arguments, http: &Http) -> Result<http::Request<client::Body>> {
    let mut target = arguments.url.clone();
    let mut headers = http::HeaderMap::new();
    for line in &arguments.headers {
        let (name, value) = line.split_once(':').with_context(|| format!("{line:?} is no `name: value`"))?;
        if name.eq_ignore_ascii_case("host") {
            target.authority = value.trim().to_owned();
        } else {
            headers.append(http::HeaderName::try_from(name)?, value.trim().try_into()?);
        }
    }
    let mut builder = http.request(&target, &target.path);
    if let Some(map) = builder.headers_mut() {
        map.extend(headers);
    }
    if !arguments.grpc {
        return Ok(builder.method(&arguments.method).body(client::full(arguments.body.clone()))?);
    }
    let message = Message { id: arguments.body.clone(), ..Message::default() };
    Ok(builder
        .method(http::Method::POST)
        .header(http::header::CONTENT_TYPE, "application/grpc")
        .header(http::header::TE, "trailers")
        .body(client::full(message.frame()))?)
}

async fn read(response: http::Response<hyper::body::Incoming>, grpc: bool) -> Result<Answer> {
    let (head, body) = response.into_parts();
    let collected = Limited::new(body, BODY_BYTES_MAX)
        .collect()
        .await
        .map_err(|error| anyhow::anyhow!("reading the body: {error}"))?;
    let trailers = collected.trailers().map(pairs).unwrap_or_default();
    let bytes = collected.to_bytes();
    let mut messages = Vec::new();
    if grpc {
        let mut deframer = Deframer::default();
        deframer.push(&bytes);
        while let Ok(Some(message)) = deframer.next() {
            messages.push(message);
        }
    }
    Ok(Answer {
        status: head.status.as_u16(),
        headers: pairs(&head.headers),
        trailers,
        body: if grpc { String::new() } else { String::from_utf8_lossy(&bytes).into_owned() },
        messages,
        milliseconds: 0.0, // set by the caller, who holds the clock
    })
}

fn pairs(headers: &http::HeaderMap) -> Vec<(String, String)> {
    headers
        .iter()
        .map(|(name, value)| (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into_owned()))
        .collect()
}
