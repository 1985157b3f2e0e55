//! Subsets of one Service by labels of its pods, as a VirtualService alone defines them: half of the requests go to each of two, one of which
//! has a pod without a sidecar; a pod that gets another label moves over; bytes are sent to a subset as well; by its trafficPolicy the pods of
//! one take turns. A subset without pods fails its share and says so.
//!
//! Fails when: labels do not reach the proxies, a request meets a pod of another subset, an edit of weights and subsets takes effect in
//! parts, or a policy is not kept to.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};
use tulle_conformance::metrics::Metrics;
use tulle_conformance::{Context, Plan, Site};
use tulle_e2e::http::{self, Machine, Request};
use tulle_e2e::{shares, wait};

const PORT: u16 = 8080;
/// A pod that answered slowly is asked again once that is a few times ten seconds ago.
const LIMIT: Duration = Duration::from_secs(60);
/// Requests a look: at 50 % the standard deviation is 2.5 points.
const REQUESTS: u64 = 400;
const CONNECTIONS: u32 = 20;
/// Pods of the one app, each with its sidecar or not, and its version at first.
const PODS: [(&str, bool, &str); 4] =
    [("web-a-1", true, "v1"), ("web-a-2", true, "v1"), ("web-b-1", true, "v2"), ("web-b-2", false, "v2")];

pub(crate) fn run(context: &Context<'_>) -> Result<()> {
    let plan = Plan::new().meshed("client").service("web", "web", &[(PORT, Some("http"))]);
    let plan = plan.service("bytes", "web", &[(PORT, Some("tcp"))]);
    let plan = PODS.iter().fold(plan, |plan, (name, meshed, _)| plan.pod(name, "web", *meshed));
    let site = context.site(&plan)?;
    for (pod, _, version) in PODS {
        let mut serve = Command::new(context.app());
        serve.args(["serve", "--name", pod, "--port", &PORT.to_string()]);
        site.pod(pod)?.serve("app", serve, PORT)?;
        label(&site, pod, version)?;
    }

    // Labels and rules are written at once; which of them a proxy hears of first is open.
    site.apply(&canary(["v1", "v2"], [1, 1]))?;
    settled(&site, &["web-a-1", "web-a-2"], &["web-b-1", "web-b-2"])?;
    label(&site, "web-a-2", "v2")?;
    site.apply(&canary(["v1", "v2"], [0, 1]))?;
    settled(&site, &["web-a-2", "web-b-1", "web-b-2"], &[])?;

    // Names, labels and weights at once: in no moment is there a v1 without pods, or one of both at 50 %.
    site.apply(&canary(["v2", "v1"], [0, 1]))?;
    settled(&site, &["web-a-1"], &[])?;
    // Bytes go to the subset that is called v1 now.
    for _ in 0..CONNECTIONS {
        ensure!(ask(&site, "bytes")? != "web-a-1", "bytes were sent to another subset");
    }
    let metrics = Metrics::of(site.pod("client")?)?;
    for backend in ["web/v1", "web/v2"] {
        ensure!(
            metrics.sum("tulle_http_client_requests_total", &[("backend", backend)]) > 0.0,
            "none counted for {backend}"
        );
    }
    let counted = metrics.sum("tulle_tcp_connections_total", &[("backend", "web/v1")]);
    ensure!(counted == f64::from(CONNECTIONS), "{counted} of {CONNECTIONS} connections are counted for web/v1");

    turns(&site)?;
    nobody(&site)
}

/// The three pods of a subset take turns, whatever they take for an answer, from the first request that one edit sends them.
fn turns(site: &Site<'_>) -> Result<()> {
    let mut rules = canary(["v1", "v2"], [0, 1]);
    rules["spec"]["trafficPolicy"] = json!({"loadBalancer": {"simple": "RANDOM"}});
    rules["spec"]["subsets"][1]["trafficPolicy"] = json!({"loadBalancer": {"simple": "ROUND_ROBIN"}});
    site.apply(&rules)?;
    wait::until(LIMIT, "the other subset to answer", || Ok((ask(site, "web")? != "web-a-1").then_some(())))?;
    let mut met = BTreeMap::new();
    for _ in 0..3 * REQUESTS {
        *met.entry(ask(site, "web")?).or_insert(0_u64) += 1;
    }
    // Each thread begins with any of them. At random a pod would have 400 with a standard deviation of 16.
    ensure!(met.len() == 3 && met.values().all(|count| count.abs_diff(REQUESTS) <= 2), "no turns: {met:?}");
    Ok(())
}

/// A subset without pods: 503 for its requests, with the reason, and a condition that names it.
fn nobody(site: &Site<'_>) -> Result<()> {
    site.apply(&canary(["v3", "v1"], [1, 0]))?;
    wait::until(LIMIT, "requests to fail for a subset without pods", || {
        let answer = fetch(site, "web")?;
        let error = answer.header("tulle-error").unwrap_or_default();
        Ok((answer.status == 503 && error.contains("no-endpoints")).then_some(()))
    })?;
    wait::until(LIMIT, "the status to name the subset", || {
        let object = site.kubectl(|kubectl| kubectl.get("virtualservice/web"))?;
        let conditions = object["status"]["conditions"].as_array().context("no conditions")?;
        let said = "TUL2002: spec.http[0].route[0].destination.subset: subset v1 of";
        let of_refs = |condition: &&Value| condition["type"] == "ResolvedRefs";
        let named = |condition: &Value| condition["message"].as_str().is_some_and(|text| text.starts_with(said));
        Ok(conditions.iter().find(of_refs).is_some_and(named).then_some(()))
    })
}

/// `v1` and `v2` are the pods of these versions, with these weights.
fn canary([first, second]: [&str; 2], weights: [u32; 2]) -> Value {
    let to = |subset: &str, weight: u32| json!({"destination": {"host": "web", "subset": subset}, "weight": weight});
    json!({
        "apiVersion": "tulle.dev/v1alpha1", "kind": "VirtualService", "metadata": {"name": "web"},
        "spec": {
            "hosts": ["web", "bytes"],
            "subsets": [
                {"name": "v1", "labels": {"version": first}}, {"name": "v2", "labels": {"version": second}},
            ],
            "http": [{"route": [to("v1", weights[0]), to("v2", weights[1])]}],
            "tcp": [{"route": [{"destination": {"host": "web", "subset": "v1"}}]}],
        },
    })
}

fn label(site: &Site<'_>, pod: &str, version: &str) -> Result<()> {
    let label = format!("version={version}");
    site.kubectl(|kubectl| kubectl.run(["label", "pod", pod, &label, "--overwrite"]).map(drop))
}

/// Waits until requests are answered by these pods, each at times and no other ever, and `first` and `second` have half of them each where
/// there are both. How a subset's share is divided inside it is the balancer's, which prefers the faster pod.
fn settled(site: &Site<'_>, first: &[&str], second: &[&str]) -> Result<()> {
    let expected = if second.is_empty() { 1.0 } else { 0.5 };
    let mut met = BTreeSet::new();
    let what = format!("requests to be shared by {first:?} and {second:?}");
    wait::until(LIMIT, &what, || {
        let mut look = Vec::new();
        for _ in 0..REQUESTS {
            look.push(ask(site, "web")?);
        }
        let of = |pods: &[&str]| look.iter().filter(|pod| pods.contains(&pod.as_str())).count() as u64;
        if of(first) + of(second) < REQUESTS {
            // Not there yet: what was met until now does not count.
            met.clear();
            return Ok(None);
        }
        let share = of(first) as f64 / REQUESTS as f64;
        ensure!(shares::is_plausible(expected, share, REQUESTS), "{first:?} have {share} of the requests");
        met.extend(look);
        Ok((met.len() == first.len() + second.len()).then_some(()))
    })
}

/// Who answers.
fn ask(site: &Site<'_>, service: &str) -> Result<String> {
    let answer = fetch(site, service)?;
    ensure!(answer.status == 200, "{} answered", answer.status);
    let said: Value = serde_json::from_slice(&answer.body)?;
    Ok(said["name"].as_str().context("no name in the answer")?.to_owned())
}

fn fetch(site: &Site<'_>, service: &str) -> Result<http::Answer> {
    let address = site.service(service, PORT)?;
    site.pod("client")?.run(|| http::exchange(&Machine, address, &Request::new("GET", "/")))
}
