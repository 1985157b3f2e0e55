//! What crosses the wire is encrypted, and only the right peers are spoken with.

pub(crate) mod identities;
pub(crate) mod peer;

use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use serde_json::{Value, json};
use tulle_e2e::app::{self, App};
use tulle_e2e::capture::{Capture, Hello, Streams, X25519_MLKEM768, server_hello};
use tulle_e2e::{command, pods, wait};

use crate::context::{Context, ensure};
use identities::Identities;
use peer::Outcome;

/// Policies and certificates reach proxies within milliseconds; this is for a machine that is busy.
const SOON: Duration = Duration::from_secs(20);
const TLS13: u16 = 0x0304;
/// TLS_AES_128_GCM_SHA256, RFC 8446 §B.4.
const AES_128_GCM: u16 = 0x1301;

/// Bytes between two meshed pods hold no plaintext, and TLS is 1.3 with the post-quantum hybrid.
///
/// Fails when a hop is plaintext, an older version or another group is agreed on. The same capture finds the marker of a
/// caller outside the mesh, so it can see.
pub(crate) fn wire(context: &Context) -> Result<()> {
    context.apply(&app::service("server", &[("app", "server")]))?;
    context.deploy(&[
        ("server", App::server("server")),
        ("web", App::idle("web")),
        ("outside", App::idle("outside").unmeshed()),
    ])?;
    let meshed = captured(context, "web", "marker-that-must-not-be-seen")?;
    ensure(meshed.bytes() > 1000, || format!("only {} bytes were captured", meshed.bytes()))?;
    ensure(!meshed.contain(b"marker-that-must-not-be-seen"), || {
        "the request or its answer was readable on the wire".to_owned()
    })?;
    let server = pods::ip(&pods::one(context.kubectl(), "app=server")?)?;
    let wanted = Hello { version: TLS13, cipher: AES_128_GCM, group: Some(X25519_MLKEM768) };
    let answers = meshed.0.iter().filter(|((from, _), bytes)| from.ip() == server && !bytes.is_empty());
    for ((from, to), bytes) in answers {
        let hello = server_hello(bytes)
            .with_context(|| format!("{from} answered {to} with something that is no ServerHello"))?;
        ensure(hello == wanted, || format!("{from} and {to} agreed on {hello:x?} instead of {wanted:x?}"))?;
    }
    let outside = captured(context, "outside", "marker-that-is-seen")?;
    ensure(outside.contain(b"marker-that-is-seen"), || {
        "the capture does not see plaintext, so it proves nothing".to_owned()
    })
}

/// One call from `client` with the marker in path, header and body, and all bytes between the two pods.
fn captured(context: &Context, client: &str, marker: &str) -> Result<Streams> {
    let ip = |app: &str| pods::ip(&pods::one(context.kubectl(), &format!("app={app}"))?);
    let capture = Capture::start(&context.cluster().first_node(), ip(client)?, ip("server")?)?;
    let (url, header) = (format!("http://server/{marker}"), format!("x-marker: {marker}"));
    let answer = context.fetch_one(client, &[&url, "--method", "POST", "-H", &header, "--body", marker])?;
    ensure(answer.status == 200 && answer.body.contains(marker), || format!("{client} was not served: {answer:?}"))?;
    capture.finish()
}

/// A caller outside the mesh is served under PERMISSIVE and refused under STRICT.
///
/// Fails when the mode is ignored, or when STRICT also refuses callers of the mesh or the kubelet's probes.
pub(crate) fn modes(context: &Context) -> Result<()> {
    context.apply(&app::service("server", &[("app", "server")]))?;
    context.deploy(&[
        ("server", App::server("server")),
        ("web", App::idle("web")),
        ("outside", App::idle("outside").unmeshed()),
    ])?;
    let served = |client: &str| context.fetch_one(client, &["http://server/"]).map(|answer| answer.status);
    ensure(served("outside")? == 200, || "a plaintext caller was refused under PERMISSIVE".to_owned())?;
    for (mode, expected) in [("STRICT", false), ("PERMISSIVE", true), ("STRICT", false)] {
        context.apply(&mtls_policy(mode))?;
        wait::until(SOON, &format!("{mode} to decide about plaintext"), || {
            // A refused connection is an answer, too.
            let status = served("outside").unwrap_or(0);
            Ok(((status == 200) == expected).then_some(()))
        })?;
        ensure(served("web")? == 200, || format!("a caller of the mesh was refused under {mode}"))?;
    }
    // The kubelet looks every second: under STRICT the pod must stay ready.
    std::thread::sleep(Duration::from_secs(4)); // kubelet: three failures a second apart make a pod unready
    let server = pods::one(context.kubectl(), "app=server")?;
    ensure(pods::is_ready(&server), || "under STRICT the kubelet's probes fail".to_owned())
}

fn mtls_policy(mode: &str) -> Value {
    json!({
        "apiVersion": "tulle.dev/v1alpha1", "kind": "MeshPolicy", "metadata": {"name": "mtls"},
        "spec": {"mtls": {"mode": mode}},
    })
}

/// As a client: a certificate of another authority, an expired one, and none are refused; a good one is served.
///
/// Fails when the proxy trusts what it should not, or would refuse everybody (the good certificate).
pub(crate) fn certificates(context: &Context) -> Result<()> {
    context.deploy(&[("server", App::server("server"))])?;
    let server = pods::address(context.kubectl(), "server", 8080)?;
    let caller = format!("spiffe://cluster.local/ns/{}/sa/default", context.namespace());
    let identities = Identities::of(context.cluster())?;
    let cases = [
        ("a certificate of the mesh", Some(identities.valid(&caller)?), true),
        ("a certificate of another authority", Some(identities.foreign(&caller)?), false),
        ("an expired certificate", Some(identities.expired(&caller)?), false),
        (
            "a certificate of another trust domain",
            Some(identities.valid("spiffe://elsewhere.example/ns/a/sa/b")?),
            false,
        ),
        ("a certificate without identity", Some(identities.nameless()?), false),
        ("no certificate", None, false),
    ];
    for (what, identity, served) in cases {
        let outcome = peer::call(context.inside(), server, identity)?;
        match (&outcome, served) {
            (Outcome::Answered(200), true) => {}
            (Outcome::Refused(why), false) => eprintln!("  {what} was refused: {why}"),
            _ => bail!("{what}: {outcome:?}"),
        }
    }
    Ok(())
}

/// As a server: a pod of the mesh with a valid certificate of another identity answers at the endpoint's address, and
/// the caller's proxy refuses it.
///
/// Fails when any certificate of the mesh is good enough to answer for any Service. The call before the address is
/// turned, and the one after it is turned back, must succeed.
pub(crate) fn wrong_server(context: &Context) -> Result<()> {
    context.apply(&app::service("server", &[("app", "server")]))?;
    context.deploy(&[
        ("server", App::server("server").service_account("server")),
        ("impostor", App::server("impostor").service_account("impostor")),
        ("web", App::idle("web")),
        ("late", App::idle("late")),
    ])?;
    let call = |from: &str| context.fetch_one(from, &["http://server/"]);
    ensure(call("web")?.status == 200, || "the call fails before anything was turned".to_owned())?;
    let turned = Turned::to(context, "server", "impostor")?;
    // A pod without a connection yet: the one of the first call may live on.
    let answer = call("late")?;
    ensure(!answer.body.contains("impostor"), || "the impostor's answer was passed on".to_owned())?;
    let reason = answer.header("tulle-error").unwrap_or_default();
    ensure(answer.status >= 500 && reason.contains("code=TUL2009"), || {
        format!("refused for another reason: {answer:?}")
    })?;
    drop(turned);
    wait::until(SOON, "the right server to be reached again", || Ok((call("late")?.status == 200).then_some(())))
}

/// Packets to one pod arrive at another, by a rule in the node; taken back when dropped.
struct Turned<'a>(&'a Context);

impl<'a> Turned<'a> {
    fn to(context: &'a Context, from: &str, to: &str) -> Result<Self> {
        let ip = |app: &str| pods::ip(&pods::one(context.kubectl(), &format!("app={app}"))?);
        let rules = format!(
            "table ip tulle_e2e_turned {{ chain prerouting {{ type nat hook prerouting priority -150; ip daddr {} dnat to {}; }}; }}",
            ip(from)?,
            ip(to)?,
        );
        let turned = Self(context);
        command::run(turned.nft()?.arg(rules)).context("cannot turn packets")?;
        Ok(turned)
    }

    fn nft(&self) -> Result<std::process::Command> {
        self.0.cluster().first_node().command("nft")
    }
}

impl Drop for Turned<'_> {
    fn drop(&mut self) {
        if let Ok(mut nft) = self.nft() {
            let _ = command::run(nft.arg("delete table ip tulle_e2e_turned"));
        }
    }
}
