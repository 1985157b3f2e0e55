//! With two values of the chart, each request is two spans at a collector: the caller's proxy's and the callee's, of one trace.
//!
//! Fails when: the chart does not tell proxies where the collector is or how many traces to record, a span is missing or of another
//! trace, or the share a pod asks for by annotation does not count for it.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result};
use serde_json::Value;
use tulle_e2e::app::{self, App};
use tulle_e2e::components::COLLECTOR;
use tulle_e2e::{mesh, wait};

use crate::beside::Beside;
use crate::context::{Context, ensure};

const OTLP: u16 = 4318;
const SOON: Duration = Duration::from_secs(30);

pub(crate) fn run(context: &Context) -> Result<()> {
    let beside = Beside::new(context)?;
    let file = beside.folder().join("spans");
    let mut collector = Command::new(COLLECTOR.ensure()?.join("collector"));
    collector.arg(format!(":{OTLP}")).arg(&file);
    let _collector = beside.serve(&beside.node(context)?, "collector", collector, OTLP)?;
    let (helm, mut values) = (context.cluster().helm(), mesh::values(context.cluster()));
    let restored = values.clone();
    let endpoint = format!("http://{}:{OTLP}", context.cluster().first_node().address());
    values.extend([format!("proxy.tracing.endpoint={endpoint}"), "proxy.tracing.sampling=100".to_owned()]);
    mesh::install(&helm, &values)?;
    let outcome = spans(context, &file);
    mesh::install(&helm, &restored).context("cannot put the chart's values back")?;
    outcome
}

fn spans(context: &Context, file: &Path) -> Result<()> {
    context.apply(&app::service("server", &[("app", "server")]))?;
    let quiet = App::idle("quiet").annotation("proxy.tulle.dev/tracing-sampling", "0");
    context.deploy(&[("server", App::server("server")), ("web", App::idle("web")), ("quiet", quiet)])?;
    // The quiet one first: its callee's span would be sent before that of the other request.
    let [silent, spoken] = ["quiet", "web"].map(|client| told(context, client));
    let (silent, spoken) = (silent?, spoken?);
    ensure(silent.ends_with("-00") && spoken.ends_with("-01"), || format!("told {silent:?} and {spoken:?}"))?;
    let trace = spoken.split('-').nth(1).context("a traceparent names a trace")?;
    let found = wait::until(SOON, "two spans", || {
        let text = fs::read_to_string(file).unwrap_or_default();
        let mut spans: Vec<Value> = text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
        spans.sort_by_key(|span| span["kind"] != "SPAN_KIND_CLIENT");
        Ok((spans.len() > 1).then_some(spans))
    })?;
    let described: Vec<_> = found
        .iter()
        .map(|span| {
            [&span["trace"], &span["kind"], &span["resource"]["service.name"], &span["resource"]["k8s.namespace.name"]]
        })
        .collect();
    let span = |kind: &str, service: &str| [trace, kind, service, context.namespace()].map(Value::from);
    let wanted = [span("SPAN_KIND_CLIENT", "web"), span("SPAN_KIND_SERVER", "server")];
    ensure(described == wanted.each_ref().map(|span| span.each_ref()), || format!("{found:?} instead of {wanted:?}"))?;
    ensure(found[1]["parent"] == found[0]["span"], || format!("the second is not the child of the first: {found:?}"))
}

/// What the server is told of the trace of a request.
fn told(context: &Context, client: &str) -> Result<String> {
    let answer = context.fetch_one(client, &["http://server/headers"])?;
    let headers: Vec<(String, String)> = serde_json::from_str(&answer.body).with_context(|| format!("{answer:?}"))?;
    let header = headers.into_iter().find(|(name, _)| name == "traceparent");
    Ok(header.with_context(|| format!("the application is told of no trace: {}", answer.body))?.1)
}
