//! Each request through two sidecars is two spans at a collector, in one line of descent with what the caller said and what the
//! application is told: in both versions of HTTP, in the words of W3C and of B3, and where the caller says nothing.
//!
//! Fails when: a collector cannot read what the sidecars send, a span is missing or has the wrong parent, or the application is told of
//! another span than the last.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use tulle_conformance::metrics::Metrics;
use tulle_conformance::{Context, Plan, Pod};
use tulle_core::sidecar::env;
use tulle_e2e::components::COLLECTOR;
use tulle_e2e::{host, wait};

const PORT: u16 = 8080;
const OTLP: u16 = 4318;
const LIMIT: Duration = Duration::from_secs(30);
/// The caller's span.
const PARENT: &str = "00f067aa0ba902b7";

/// How a caller speaks of its trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Words {
    W3c,
    B3,
    None,
}

pub(crate) fn run(context: &Context<'_>) -> Result<()> {
    host::ensure(host::STOCK)?;
    let plan = Plan::new()
        .meshed("client")
        .meshed("server")
        .unmeshed("collector")
        .service("web", "server", &[(PORT, Some("http"))])
        .url(env::TRACING_ENDPOINT, "collector", OTLP)
        .variable(env::TRACING_SAMPLING, "100");
    let collector = COLLECTOR.ensure()?.join("collector");
    let site = context.site(&plan)?;
    let folder = context.folder().join("collector");
    fs::create_dir_all(&folder)?;
    let file = folder.join("spans");
    let mut collect = Command::new(collector);
    collect.arg(format!(":{OTLP}")).arg(&file);
    site.pod("collector")?.serve("collector", collect, OTLP)?;
    let mut serve = Command::new(context.app());
    serve.args(["serve", "--port", &PORT.to_string()]);
    site.pod("server")?.serve("app", serve, PORT)?;
    let (client, url) = (site.pod("client")?, format!("http://{}/headers", site.service("web", PORT)?));
    let mut number = 0;
    for version in ["--http1.1", "--http2-prior-knowledge"] {
        for words in [Words::W3c, Words::B3, Words::None] {
            number += 1;
            trace(client, &url, version, words, number, &file).with_context(|| format!("{version}, {words:?}"))?;
        }
    }
    for pod in ["client", "server"] {
        let metrics = Metrics::of(site.pod(pod)?)?;
        let counts = ["tulle_spans_exported_total", "tulle_spans_dropped_total"].map(|name| metrics.plain(name));
        ensure!(counts == [Some(f64::from(number)), Some(0.0)], "{pod} counted {counts:?} of {number} spans");
    }
    Ok(())
}

/// One request and its spans.
fn trace(client: &Pod, url: &str, version: &str, words: Words, number: u32, file: &Path) -> Result<()> {
    let trace = format!("{number:032x}");
    let mut curl = Command::new("curl");
    curl.args(["--silent", "--show-error", "--fail", "--max-time", "20", version, url]);
    match words {
        Words::W3c => curl.args(["--header", &format!("traceparent: 00-{trace}-{PARENT}-01")]),
        Words::B3 => curl.args(["--header", &format!("b3: {trace}-{PARENT}-1")]),
        Words::None => &mut curl,
    };
    let said = client.finish(curl, LIMIT)?.success()?;
    let headers: Vec<(String, String)> = serde_json::from_str(&said).with_context(|| format!("no headers: {said}"))?;
    let header = |name: &str| headers.iter().find(|(own, _)| own == name).map(|(_, value)| value.as_str());
    let name = if words == Words::B3 { "b3" } else { "traceparent" };
    let told = header(name).with_context(|| format!("the application is told no {name}: {headers:?}"))?;
    let mut parts = told.trim_start_matches("00-").split('-');
    let (told_trace, told_span) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    ensure!(words == Words::None || told_trace == trace, "the application is told another trace: {told}");
    let [first, second] = wait::until(LIMIT, "two spans", || {
        let text = fs::read_to_string(file).unwrap_or_default();
        let spans = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let mut ours: Vec<_> = spans.filter(|span| span["trace"] == told_trace).collect();
        ours.sort_by_key(|span| span["kind"] != "SPAN_KIND_CLIENT");
        Ok(<[Value; 2]>::try_from(ours).ok())
    })?;
    let caller = if words == Words::None { "" } else { PARENT };
    ensure!(first["parent"] == caller, "the first span is not the caller's child: {first}");
    ensure!(second["parent"] == first["span"] && second["span"] == told_span, "a gap: {first} {second} {told}");
    for (span, kind, service) in [(&first, "CLIENT", "client"), (&second, "SERVER", "server")] {
        let attributes = &span["attributes"];
        let as_expected = span["kind"] == format!("SPAN_KIND_{kind}")
            && span["resource"]["service.name"] == service
            && span["status"] == "STATUS_CODE_UNSET"
            && span["nanos"].as_i64().is_some_and(|nanos| nanos > 0)
            && attributes["http.request.method"] == "GET"
            && attributes["url.path"] == "/headers"
            && attributes["http.response.status_code"] == 200
            && attributes["tulle.mtls"] == true;
        ensure!(as_expected, "not what a {kind} span of {service} says: {span}");
    }
    Ok(())
}
