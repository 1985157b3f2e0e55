//! A rule may stand for those of another team: a VirtualService of another namespace, which that team changes by itself.
//!
//! Fails when: the API server refuses the delegation, proxies do not follow the delegate or a change of it, its rules take what the root's
//! match does not, one that is withdrawn is still followed, or proxies watch a namespace that has nothing to do with it.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Context as _, Result};
use serde_json::{Value, json};
use tulle_e2e::app::{self, App};
use tulle_e2e::{Kubectl, mesh, wait};

use crate::context::{Context, Fetched, ROLLOUT, ensure};

const SOON: Duration = Duration::from_secs(20);

pub(crate) fn run(context: &Context) -> Result<()> {
    let own = context.namespace();
    let [team, bystander] = ["team", "bystander"].map(|name| format!("{own}-{name}"));
    let cluster = context.cluster().kubectl();
    for namespace in [&team, &bystander] {
        cluster.delete(&format!("namespace {namespace}"))?;
        let kubectl = cluster.namespace(namespace, &[mesh::INJECT])?;
        kubectl.apply(&delegate(&["/team/desk"], own).to_string())?;
    }
    let theirs = cluster.namespaced(&team);
    theirs.apply(
        &app::list(vec![app::service("desk", &[("app", "desk")]), App::server("desk").deployment()]).to_string(),
    )?;
    context.apply(&app::service("checkout", &[("app", "checkout")]))?;
    context.apply(&root(&team))?;
    context.deploy(&[("checkout", App::server("checkout")), ("web", App::idle("web"))])?;
    theirs.rolled_out("deployment/desk", ROLLOUT)?;

    // The last is of the delegate alone: the root's condition has to hold as well.
    for (path, server) in
        [("/team/desk", "desk"), ("/team/lamp", "checkout"), ("/", "checkout"), ("/team/desk-", "checkout")]
    {
        let answer = ask(context, path)?;
        ensure(is_from(&answer, server), || format!("{path} was not answered by {server}: {answer:?}"))?;
    }
    let watched = watched(context)?;
    let wanted = BTreeSet::from([own.to_owned(), team.clone(), mesh::SYSTEM_NAMESPACE.to_owned()]);
    ensure(watched == wanted, || format!("the caller's proxy watches {watched:?} instead of {wanted:?}"))?;

    theirs.apply(&delegate(&["/team/desk", "/team/lamp"], own).to_string())?;
    wait::until(SOON, "a change of the delegate to be followed", || {
        Ok(is_from(&ask(context, "/team/lamp")?, "desk").then_some(()))
    })?;
    theirs.apply(&delegate(&["/team/desk"], &bystander).to_string())?;
    withdrawn(context)?;
    clean_up(&cluster, &[&team, &bystander])
}

/// What is not exported any more is refused, named, and takes nothing else with it.
fn withdrawn(context: &Context) -> Result<()> {
    let refused = wait::until(SOON, "the delegate that was withdrawn to be left", || {
        Ok(Some(ask(context, "/team/desk")?).filter(|answer| answer.status == 404))
    })?;
    let told = refused.header("tulle-error").unwrap_or_default();
    ensure(told.starts_with("no-route; code=TUL2001"), || format!("not refused for want of a route: {refused:?}"))?;
    ensure(is_from(&ask(context, "/")?, "checkout"), || "the rule after it is not in force any more".to_owned())?;
    wait::until(SOON, "the status to name what is not exported", || {
        let object = context.kubectl().get("virtualservices.tulle.dev/checkout")?;
        Ok(object["status"]["conditions"].to_string().contains("is not exported to this namespace").then_some(()))
    })
}

fn root(team: &str) -> Value {
    json!({
        "apiVersion": "tulle.dev/v1alpha1", "kind": "VirtualService", "metadata": {"name": "checkout"},
        "spec": {"hosts": ["checkout"], "http": [
            {"match": [{"uri": {"prefix": "/team/"}}], "delegate": {"name": "paths", "namespace": team}},
            {"route": [{"destination": {"host": "checkout"}}]},
        ]},
    })
}

fn delegate(paths: &[&str], to: &str) -> Value {
    let matches: Vec<Value> = paths.iter().map(|path| json!({"uri": {"exact": path}})).collect();
    json!({
        "apiVersion": "tulle.dev/v1alpha1", "kind": "VirtualService", "metadata": {"name": "paths"},
        "spec": {"exportTo": [to], "http": [{"match": matches, "route": [{"destination": {"host": "desk"}}]}]},
    })
}

fn ask(context: &Context, path: &str) -> Result<Fetched> {
    context.fetch_one("web", &[&format!("http://checkout{path}")])
}

fn is_from(answer: &Fetched, server: &str) -> bool {
    answer.status == 200 && answer.header("x-served-by") == Some(server)
}

/// Namespaces of which the caller's proxy watches anything.
fn watched(context: &Context) -> Result<BTreeSet<String>> {
    let answer = context.fetch_one("web", &["http://127.0.0.1:15000/config"])?;
    let believed: Value = serde_json::from_str(&answer.body).context("the proxy's beliefs are no JSON")?;
    let watches = believed["watches"].as_array().context("the proxy does not say what it watches")?;
    // "MeshPolicy in shop", or "MeshService web in shop".
    let scopes = watches.iter().filter_map(|watch| watch["scope"].as_str()?.rsplit_once(" in "));
    Ok(scopes.map(|(_, namespace)| namespace.to_owned()).collect())
}

fn clean_up(cluster: &Kubectl, namespaces: &[&str]) -> Result<()> {
    namespaces.iter().try_for_each(|name| cluster.run(["delete", "namespace", name, "--wait=false"]).map(drop))
}
