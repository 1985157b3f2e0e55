//! Certificates of one minute are renewed for five minutes under load, and nobody notices.
//!
//! Fails when: a renewal drops connections, a proxy keeps an expired certificate, or a key is used twice.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use tulle_e2e::app::{self, App};
use tulle_e2e::{mesh, pods, wait};

use crate::context::{Context, ensure};
use crate::mtls::peer;

const LOAD_TIME: Duration = Duration::from_secs(300);
const RPS: u32 = 100;
/// Renewal at half of a minute, with jitter: about nine in five minutes; two thirds of that must be seen.
const RENEWALS_MIN: usize = 6;

pub(crate) fn run(context: &Context) -> Result<()> {
    let helm = context.cluster().helm();
    let mut values = mesh::values(context.cluster());
    values.push("identity.leafTTL=1m".to_owned());
    mesh::install(&helm, &values)?;
    let outcome = renewals(context);
    mesh::install(&helm, &mesh::values(context.cluster())).context("cannot restore the life of certificates")?;
    outcome
}

fn renewals(context: &Context) -> Result<()> {
    context.apply(&app::service("server", &[("app", "server")]))?;
    context.deploy(&[
        ("server", App::server("server")),
        ("web", App::load("web", "http://server/", "http1")),
        ("stream", App::load("stream", "http://server:82/", "grpc-stream")),
    ])?;
    let loads = [context.load("web")?, context.load("stream")?];
    for load in &loads {
        load.start(RPS / 2, None, "renewals")?;
    }
    let server = pods::address(context.kubectl(), "server", 8080)?;
    let mut keys = BTreeSet::new();
    let mut certificates = BTreeSet::new();
    let start = Instant::now();
    wait::until(LOAD_TIME + Duration::from_secs(30), "five minutes of load", || {
        let presented = peer::presented_certificate(context.inside(), server)?;
        certificates.insert(presented.certificate);
        keys.insert(presented.public_key);
        for load in &loads {
            // Fails the wait only at its end, so look here as well.
            if load.stats()?.total.failed > 0 {
                return Ok(Some(()));
            }
        }
        // A look every second is enough for a certificate that lives for half a minute.
        std::thread::sleep(Duration::from_secs(1));
        Ok((start.elapsed() >= LOAD_TIME).then_some(()))
    })?;
    for load in &loads {
        context.settle(load, "app=server")?;
    }
    eprintln!(
        "  {} certificates with {} keys in {:.0} s",
        certificates.len(),
        keys.len(),
        start.elapsed().as_secs_f64()
    );
    ensure(certificates.len() > RENEWALS_MIN, || format!("only {} certificates were seen", certificates.len()))?;
    ensure(keys.len() == certificates.len(), || {
        format!("{} certificates share {} keys", certificates.len(), keys.len())
    })
}
