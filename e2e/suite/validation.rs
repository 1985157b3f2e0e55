//! A mistake is refused where it is made, and where it gets past that, it is named and changes nothing.
//!
//! Fails when an invalid object is accepted silently, when the refusal does not say where and why, or when a mistake
//! takes a working configuration away.

use std::time::Duration;

use anyhow::{Context as _, Result};
use serde_json::{Value, json};
use tulle_e2e::app::{self, App};
use tulle_e2e::wait;

use crate::context::{Context, ensure};

const SOON: Duration = Duration::from_secs(20);
const RPS: u32 = 100;
const WEBHOOK: &str = "validatingwebhookconfiguration/tulle-webhook";

/// An invalid object of a kind.
struct Mistake {
    what: &'static str,
    object: Value,
    /// What the refusal says: the field, or the field's sentence.
    field: &'static str,
    /// Whether the schema alone can see it.
    by_schema: bool,
}

pub(crate) fn run(context: &Context) -> Result<()> {
    context.canary([100, 0])?;
    context.deploy(&[("web", App::load("web", "http://checkout/", "http1"))])?;
    let load = context.load("web")?;
    load.start(RPS, None, "mistakes")?;
    load.wait_for(20, Duration::from_secs(30))?;
    for mistake in mistakes() {
        let said = context.kubectl().refused(&mistake.object.to_string()).context(mistake.what)?;
        ensure(said.contains(mistake.field), || {
            format!("{}: the refusal does not name {}: {said}", mistake.what, mistake.field)
        })?;
    }
    without_webhook(context)?;
    load.phase("afterwards")?;
    let phase = load.wait_for(50, Duration::from_secs(30))?.phase;
    ensure(phase.of("v1") == phase.ok, || format!("a mistake moved traffic: {:?}", phase.by_name))?;
    context.settle(&load, "role=checkout").map(drop)
}

/// The same with nobody to ask: the schema refuses, or the status says it.
fn without_webhook(context: &Context) -> Result<()> {
    let kubectl = context.cluster().kubectl();
    let mut configuration = kubectl.get(WEBHOOK)?;
    for field in ["resourceVersion", "uid", "managedFields", "creationTimestamp", "generation"] {
        configuration["metadata"].as_object_mut().context("an object has metadata")?.remove(field);
    }
    let _restored = Restored { context, configuration };
    kubectl.delete(WEBHOOK)?;
    for mistake in mistakes() {
        if mistake.by_schema {
            let said = context.kubectl().refused(&mistake.object.to_string()).context(mistake.what)?;
            ensure(said.contains(mistake.field), || {
                format!("{}: the schema does not name {}: {said}", mistake.what, mistake.field)
            })?;
        } else {
            context.apply(&mistake.object).context(mistake.what)?;
            named_in_status(context, &mistake)?;
        }
    }
    isolated(context)
}

/// A rule that only the parser finds wrong answers for what it fits, the one after it serves, and the status names it.
fn isolated(context: &Context) -> Result<()> {
    let to_v2 = json!([{"destination": {"host": "checkout-v2"}}]);
    let retries = json!({"attempts": 1, "retryOn": "monday"});
    let wrong = json!({"match": [{"uri": {"prefix": "/wrong"}}], "route": to_v2, "retries": retries});
    let rules = json!({"hosts": ["checkout-v2"], "http": [wrong, {"route": to_v2}]});
    context.apply(&of_virtual_service("isolated", rules))?;
    wait::until(SOON, "the rule to be isolated", || {
        let answer = context.fetch_one("web", &["http://checkout-v2/wrong"])?;
        let told = answer.header("tulle-error").unwrap_or_default();
        Ok((answer.status == 500 && told.starts_with("invalid-rule; code=TUL2020")).then_some(()))
    })?;
    let right = context.fetch_one("web", &["http://checkout-v2/right"])?;
    ensure(right.status == 200 && right.body.contains("\"v2\""), || {
        format!("the other rule does not serve: {right:?}")
    })?;
    wait::until(SOON, "the status to name the isolated rule", || {
        let object = context.kubectl().get("virtualservices.tulle.dev/isolated")?;
        let conditions = object["status"]["conditions"].as_array().cloned().unwrap_or_default();
        let named = |condition: &Value| {
            condition["type"] == "PartiallyInvalid"
                && condition["status"] == "True"
                && condition["message"].as_str().is_some_and(|text| text.contains("spec.http[0].retries.retryOn"))
        };
        Ok(conditions.iter().any(named).then_some(()))
    })
}

fn named_in_status(context: &Context, mistake: &Mistake) -> Result<()> {
    let name = mistake.object["metadata"]["name"].as_str().unwrap_or_default();
    let kind = mistake.object["kind"].as_str().unwrap_or_default().to_lowercase();
    wait::until(SOON, &format!("the status to name the mistake: {}", mistake.what), || {
        let object = context.kubectl().get(&format!("{kind}s.tulle.dev/{name}").replace("ys.", "ies."))?;
        let conditions = object["status"]["conditions"].as_array().cloned().unwrap_or_default();
        let generation = &object["metadata"]["generation"];
        Ok(conditions
            .iter()
            .any(|condition| {
                condition["status"] == "False"
                    && condition["observedGeneration"] == *generation
                    && condition["message"].as_str().is_some_and(|message| message.contains(mistake.field))
            })
            .then_some(()))
    })
}

/// Puts the webhook's configuration back when dropped, whatever happened in between.
struct Restored<'a> {
    context: &'a Context,
    configuration: Value,
}

impl Drop for Restored<'_> {
    fn drop(&mut self) {
        if let Err(error) = self.context.cluster().kubectl().apply(&self.configuration.to_string()) {
            eprintln!("  the validating webhook is not back: {error:#}");
        }
    }
}

fn mistakes() -> Vec<Mistake> {
    let mut split = app::traffic_split("checkout", &[("checkout-v1", 100), ("checkout-v2", -5)]);
    split["spec"]["backends"][0]["weight"] = json!(0);
    let virtual_service =
        |name: &str, rule: Value| of_virtual_service(name, json!({"hosts": ["checkout"], "http": [rule]}));
    let to_v2 = json!([{"destination": {"host": "checkout-v2"}}]);
    let policy = |name: &str, spec: Value| json!({"apiVersion": "tulle.dev/v1alpha1", "kind": "MeshPolicy", "metadata": {"name": name}, "spec": spec});
    let mut mistakes = vec![
        // The edit of an object that serves: the last good one must go on serving.
        Mistake { what: "a negative weight", object: split, field: "spec.backends[1].weight", by_schema: true },
        Mistake {
            what: "a match of two kinds at once",
            object: virtual_service(
                "two-kinds",
                json!({"match": [{"uri": {"exact": "/", "prefix": "/"}}], "route": to_v2}),
            ),
            field: "spec.http[0].match[0].uri",
            by_schema: true,
        },
        Mistake {
            what: "a regular expression that does not parse",
            object: virtual_service("bad-regex", json!({"match": [{"uri": {"regex": "/(["}}], "route": to_v2})),
            field: "spec.http[0].match[0].uri.regex",
            by_schema: false,
        },
        Mistake {
            what: "a mode that does not exist",
            object: policy("bad-mode", json!({"mtls": {"mode": "ALWAYS"}})),
            field: "spec.mtls.mode",
            by_schema: true,
        },
    ];
    mistakes.extend(about_connections());
    mistakes.extend(about_calls());
    mistakes
}

/// Of `tls` and `tcp`.
fn about_connections() -> [Mistake; 5] {
    let to = |weight: u32| json!([{"destination": {"host": "checkout-v1"}, "weight": weight}, {"destination": {"host": "checkout-v2"}}]);
    [
        Mistake {
            what: "an object without rules",
            object: of_virtual_service("no-rule", json!({"hosts": ["checkout"]})),
            field: "TUL3003: lists no rule; give one in http, tls or tcp",
            by_schema: true,
        },
        Mistake {
            what: "rules for TLS to delegate to",
            object: of_virtual_service(
                "no-host",
                json!({"tls": [{"match": [{"sniHosts": ["a.example"]}], "route": to(1)}]}),
            ),
            field: "TUL3001: is for the hosts of its own object, and there are none: delegation is of http alone; \
                    give hosts, or remove it",
            by_schema: true,
        },
        Mistake {
            what: "connections for nobody",
            object: of_virtual_service("no-weight", json!({"hosts": ["checkout"], "tcp": [{"route": to(0)}]})),
            field: "TUL3009: all weights are 0 or absent; give at least one entry a weight above 0",
            by_schema: true,
        },
        Mistake {
            what: "a star in the middle of a server's name",
            object: of_virtual_service(
                "bad-name",
                json!({"hosts": ["checkout"], "tls": [{"match": [{"sniHosts": ["a.*.example"]}], "route": to(1)}]}),
            ),
            field: "spec.tls[0].match[0].sniHosts[0]",
            by_schema: true,
        },
        Mistake {
            what: "a network with more bits than an address has",
            object: of_virtual_service(
                "bad-network",
                json!({"hosts": ["checkout"], "tcp": [{"match": [{"destinationSubnets": ["10.0.0.0/33"]}], "route": to(1)}]}),
            ),
            field: "TUL3001: spec.tcp[0].match[0].destinationSubnets[0]: \"10.0.0.0/33\" is neither a network nor an address; \
                    write 10.0.0.0/8, fd00::/8 or 10.0.0.1",
            by_schema: false,
        },
    ]
}

/// Of `trafficPolicy`.
fn about_calls() -> [Mistake; 3] {
    let object = |name: &str, policy: Value| {
        let to_v2 = json!([{"destination": {"host": "checkout-v2"}}]);
        of_virtual_service(name, json!({"hosts": ["checkout"], "trafficPolicy": policy, "http": [{"route": to_v2}]}))
    };
    [
        Mistake {
            what: "a policy that this release does not act on",
            object: object("ejecting", json!({"outlierDetection": {"consecutive5xxErrors": 5}})),
            field: "TUL3002: outlierDetection is not supported by this release; remove it",
            by_schema: true,
        },
        Mistake {
            what: "a balancer that does not balance",
            object: object("passing", json!({"loadBalancer": {"simple": "PASSTHROUGH"}})),
            field: "spec.trafficPolicy.loadBalancer.simple",
            by_schema: true,
        },
        Mistake {
            what: "no time for connections",
            object: object("hasty", json!({"connectionPool": {"tcp": {"connectTimeout": "0.5ms"}}})),
            field: "TUL3001: is below 1ms, in which no connection opens; give more, or remove it",
            by_schema: true,
        },
    ]
}

fn of_virtual_service(name: &str, spec: Value) -> Value {
    json!({"apiVersion": "tulle.dev/v1alpha1", "kind": "VirtualService", "metadata": {"name": name}, "spec": spec})
}
