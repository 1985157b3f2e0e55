//! (shell) Memory of sidecars that hold many connections which were used once.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use tulle_e2e::rooms::{Cpus, process};

use crate::report::Held;
use crate::server::THIS_PROGRAM;
use crate::targets::{Entry, Role, Target};

/// Resident memory of both sidecars in KiB.
pub(crate) fn resident(target: &Target) -> [u64; 2] {
    [Role::Outbound, Role::Inbound].map(|role| process::memory(&target.pids(role)).resident)
}

/// Opens `connections` to the target and reads its memory while they rest. `before` is what it had when nothing had ever been open: what
/// an earlier crowd left behind is part of neither.
pub(crate) fn measure(target: &Target, connections: u32, before: [u64; 2], cpus: Option<&Cpus>) -> Result<Held> {
    let address = target.entries.get(Entry::Http).context("a target without HTTP")?;
    let mut command = Command::new(THIS_PROGRAM);
    command.args(["bench-load", "hold", &address.to_string(), &format!("--connections={connections}")]);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = target.site.a.spawn(command, cpus)?;
    let mut lines = BufReader::new(child.stdout.take().context("no output")?).lines();
    let first = lines.next().transpose()?;
    let held = resident(target);
    drop(child.stdin.take());
    let ended = child.wait_with_output()?;
    drop(lines); // until now, or it could not say that it ends
    if first.as_deref() != Some("begin") || !ended.status.success() {
        bail!("the connections could not be opened: {}", String::from_utf8_lossy(&ended.stderr).trim());
    }
    Ok(Held { target: target.name.clone(), connections, resident_kib_before: before, resident_kib: held })
}
