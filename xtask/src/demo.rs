//! `cargo xtask demo`: a canary moves on a real Kubernetes, under load, with mutual TLS on every hop and nothing lost.

mod place;
mod report;
mod screen;
mod steps;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use clap::Args;
use tulle_e2e::api::Api;
use tulle_e2e::edits::{Edits, quantile};
use tulle_e2e::ledger::{self, Verdict};
use tulle_e2e::load::Load;
use tulle_e2e::plaintext::PlaintextWatch;
use tulle_e2e::progress::Step;
use tulle_e2e::{Kubectl, interrupt, mesh, paths, wait};

use place::Place;
use report::{Propagation, Report};
use screen::Screen;

/// Namespace of the examples.
const NAMESPACE: &str = "shop";
/// All pods of both versions.
const SERVERS: &str = "app=checkout";
/// Name of the client's Deployment and its `app` label.
const CLIENT: &str = "web";
/// Edits measured.
const EDITS: usize = 50;
/// Pods with a sidecar start in seconds; images are present.
const ROLLOUT: Duration = Duration::from_secs(180);

/// Options of the demo.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Use the cluster of this kubectl context instead of starting one; it must be able to run the images
    #[arg(long)]
    context: Option<String>,
    /// Registry and path of the images on that cluster
    #[arg(long, default_value = "localhost", requires = "context")]
    registry: String,
    /// Leave everything up at the end, and say what to try next
    #[arg(long)]
    keep: bool,
    /// Write the figures to this file as JSON
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
    /// Requests a second
    #[arg(long, default_value_t = 1000)]
    rps: u32,
    /// Requests a step
    #[arg(long, default_value_t = 10_000)]
    requests: u64,
    /// Watch the demo that was left up with --keep: shares follow your edits, until Ctrl-C
    #[arg(long, conflicts_with_all = ["keep", "report"])]
    follow: bool,
}

/// Runs the demo.
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    interrupt::listen();
    if arguments.follow {
        return steps::follow(&Place::kept(arguments.context.as_deref())?);
    }
    let start = Instant::now();
    let mut report = Report::default();
    let place = Place::prepare(arguments.context.as_deref(), &arguments.registry, &mut report)?;
    let installed = install(&place, &mut report)?;
    let watch = place.cluster().map(PlaintextWatch::start).transpose()?;
    let load = first_request(&place, arguments, installed, &mut report)?;
    if let Some(cluster) = place.cluster() {
        report.rss_mib = report::by_component(mesh::resident_mib(cluster)?);
    }
    show(&place, &load, arguments, &mut report)?;
    let verdict = settle(&place, &load, &mut report)?;
    if let Some(watch) = &watch {
        watch.expect_none()?;
    }
    if let Some(cluster) = place.cluster() {
        report.rss_mib_proxy_after_load = report::by_component(mesh::resident_mib(cluster)?).get("proxy").copied();
    }
    report.seconds.total = start.elapsed().as_secs_f64();
    report.summary(&verdict, watch.is_some());
    if let Some(file) = &arguments.report {
        report.write(file)?;
    }
    // A demo that is left up keeps its client calling, so that there is something to watch.
    if arguments.keep {
        load.start(arguments.rps.min(100), None, "kept")?;
        place.keep()?;
    }
    verdict.expect_clean()?;
    report.expect_good()
}

/// Installs the chart, and answers with the moment it began.
fn install(place: &Place, report: &mut Report) -> Result<Instant> {
    let step = Step::start("installing the mesh with Helm", Some(Duration::from_secs(15)));
    let start = Instant::now();
    mesh::install(place.helm(), &place.values())?;
    report.seconds.install = start.elapsed().as_secs_f64();
    step.done();
    Ok(start)
}

/// Applies the example and waits for the first answer through two proxies.
fn first_request(place: &Place, arguments: &Arguments, installed: Instant, report: &mut Report) -> Result<Load> {
    let step =
        Step::start("starting the example: two versions of checkout, and a client", Some(Duration::from_secs(15)));
    let kubectl = place.kubectl().namespaced(NAMESPACE);
    apply_examples(place)?;
    roll_out(&kubectl)?;
    let load = Load::find(place.reach(), &kubectl, CLIENT)?;
    load.start(arguments.rps, None, "warm-up")?;
    wait::until(ROLLOUT, "the first answer", || Ok((load.stats()?.total.ok > 0).then_some(())))?;
    report.seconds.first_meshed_request = installed.elapsed().as_secs_f64();
    let pods = kubectl.get_with(&["pods"])?;
    let outside = pods["items"].as_array().into_iter().flatten().filter(|pod| !mesh::is_meshed(pod)).count();
    if outside > 0 {
        bail!("{outside} pods of the example started without a proxy; see kubectl describe pods -n {NAMESPACE}");
    }
    step.done();
    Ok(load)
}

/// In the order of their names: the namespace comes first.
fn apply_examples(place: &Place) -> Result<()> {
    let folder = paths::repository().join("examples/canary");
    let mut files: Vec<PathBuf> = std::fs::read_dir(&folder)
        .with_context(|| format!("cannot read {}", folder.display()))?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.extension().is_some_and(|extension| extension == "yaml"))
        .collect();
    files.sort();
    for file in files {
        let text =
            std::fs::read_to_string(&file)?.replace("image: localhost/", &format!("image: {}/", place.registry()));
        place.kubectl().apply(&text).with_context(|| format!("cannot apply {}", file.display()))?;
    }
    Ok(())
}

fn roll_out(kubectl: &Kubectl) -> Result<()> {
    let deployments = kubectl.get_with(&["deployments"])?;
    for deployment in deployments["items"].as_array().into_iter().flatten() {
        let name = deployment["metadata"]["name"].as_str().unwrap_or_default();
        kubectl.rolled_out(&format!("deployment/{name}"), ROLLOUT)?;
    }
    Ok(())
}

/// The canary itself, then the measurement of edits.
fn show(place: &Place, load: &Load, arguments: &Arguments, report: &mut Report) -> Result<()> {
    let api = Api::start(&place.kubectl().namespaced(NAMESPACE))?;
    let mut screen = Screen::new();
    for (number, weights) in steps::WEIGHTS.into_iter().enumerate() {
        let step = steps::Step { number: number + 1, weights, requests: arguments.requests };
        report.steps.push(step.run(&api, load, &mut screen)?);
    }
    let edits = Edits { api: &api, namespace: NAMESPACE, loads: std::slice::from_ref(load), rps: arguments.rps };
    let times = edits.measure(EDITS, |edit, time| screen.edit(edit, EDITS, time))?;
    screen.end();
    let millis = |share| quantile(&times, share).as_secs_f64() * 1000.0;
    report.propagation_ms =
        Propagation { p50: millis(0.5), p99: millis(0.99), resolution: 1000.0 / f64::from(arguments.rps) };
    Ok(())
}

/// Stops the load and compares both ends of it.
fn settle(place: &Place, load: &Load, report: &mut Report) -> Result<Verdict> {
    let total = load.stop()?.total;
    (report.requests, report.failed) = (total.sent, total.failed + total.mismatched);
    report.failures = total.failures.iter().map(|(reason, kind)| (reason.clone(), kind.count)).collect();
    let servers = ledger::of_pods(place.reach(), &place.kubectl().namespaced(NAMESPACE), SERVERS)?;
    Ok(Verdict::over(&load.ids()?, &servers))
}
