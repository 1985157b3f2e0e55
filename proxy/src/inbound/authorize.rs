//! May this caller do this here? One snapshot, one answer; the decision itself is `tulle_core::authz`.

use std::sync::Arc;

use tulle_core::authz::{Call, Denial, HttpCall, MtlsMode, Verdict};
use tulle_core::codes::Reason;

use super::Connection;
use crate::error::{Failure, Refusal};
use crate::worker::Worker;

/// The mTLS mode of a port of this pod.
pub(super) fn mtls_mode(worker: &Worker, port: u16) -> MtlsMode {
    worker.with_snapshot(|snapshot| snapshot.policies.mtls_mode(port, worker.shared.config.default_mtls))
}

/// Whether any policy looks at paths: then requests are judged and forwarded in normal form.
pub(super) fn judges_paths(worker: &Worker) -> bool {
    worker.with_snapshot(|snapshot| snapshot.policies.judges_paths())
}

/// Judges a connection that carries bytes.
pub(super) fn connection(connection: &Connection) -> Result<(), Refusal> {
    judge(connection, None)
}

/// Judges a request.
pub(super) fn request(connection: &Connection, call: HttpCall<'_>) -> Result<(), Refusal> {
    judge(connection, Some(call))
}

fn judge(connection: &Connection, http: Option<HttpCall<'_>>) -> Result<(), Refusal> {
    let worker = &connection.worker;
    let call = Call { peer: connection.peer.as_ref(), port: connection.dialled.port(), http };
    worker.with_snapshot(|snapshot| {
        if call.peer.is_none() {
            let default = worker.shared.config.default_mtls;
            let admitted = snapshot.policies.admit_plaintext(call.port, default);
            admitted.map_err(|denial| refusal(connection, &call, &denial))?;
        }
        for (policy, rule) in snapshot.policies.audited(&call) {
            tracing::info!(%policy, rule, detail = describe(connection, &call), "audited");
        }
        match snapshot.policies.authorize(&call) {
            Verdict::Permit(_) => Ok(()),
            Verdict::Denied(denial) => Err(refusal(connection, &call, &denial)),
        }
    })
}

fn refusal(connection: &Connection, call: &Call<'_>, denial: &Denial<'_>) -> Refusal {
    let failure = Failure::new(Reason::Denied, describe(connection, call)).with_code(denial.code);
    let policy = denial.policy.map(ToString::to_string).unwrap_or_default();
    Refusal { failure, policy: Arc::from(policy), rule: denial.rule }
}

fn describe(connection: &Connection, call: &Call<'_>) -> String {
    let peer = connection.peer.as_ref().map_or_else(|| format!("unmeshed {}", connection.caller), ToString::to_string);
    match &call.http {
        Some(http) => format!("{peer} asked {} {} on port {}", http.method, http.path, call.port),
        None => format!("{peer} connected to port {}", call.port),
    }
}
