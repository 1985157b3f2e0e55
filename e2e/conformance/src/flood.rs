//! An attack of connection after connection, and what it costs both sides.

use std::fmt;
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use anyhow::Result;
use tulle_e2e::rooms::process;

use crate::Pod;

/// CPU time of a sidecar that an attack may cost, for each of the attacker's.
pub const AMPLIFICATION_MAX: f64 = 10.0;
/// Bytes of a burst.
const BURST_BYTES: usize = 64 * 1024;

/// What an attack cost. `S` is what is told of what the sidecar said.
#[derive(Debug, Default)]
pub struct Cost<S> {
    /// CPU time of the attacker.
    pub attacker_ns: u64,
    sidecar_ns: u64,
    /// Memory of the sidecar, in KiB, that it did not have before.
    pub growth_kib: u64,
    /// Connections that were made.
    pub connections: u32,
    /// Those of them that the sidecar ended.
    pub ended: u32,
    /// In all of them.
    pub said: S,
}

impl<S> Cost<S> {
    /// CPU time of the sidecar for each of the attacker's.
    pub fn amplification(&self) -> f64 {
        self.sidecar_ns as f64 / self.attacker_ns.max(1) as f64
    }
}

impl<S: fmt::Display> fmt::Display for Cost<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { attacker_ns, sidecar_ns, growth_kib, connections, ended, said } = self;
        let each = |ns: u64| ns / u64::from((*connections).max(1)) / 1000;
        write!(
            f,
            "{ended} of {connections} connections ended, {said}, CPU us a connection {} : {} ({:.1}), +{growth_kib} KiB",
            each(*attacker_ns),
            each(*sidecar_ns),
            self.amplification()
        )
    }
}

/// Attacks the sidecar of `target` from a pod for a while; `connection` makes one after the other at `address`, which does not block.
///
/// # Errors
/// Those of `connection`; or a connection cannot be made within `patience`.
pub fn flood<S: Default + Send>(
    (from, target): (&Pod, &Pod),
    (address, patience): (SocketAddr, Duration),
    duration: Duration,
    mut connection: impl FnMut(TcpStream, &mut Cost<S>) -> Result<()> + Send,
) -> Result<Cost<S>> {
    measured(target, || {
        from.run(|| {
            let start = Instant::now();
            let began = process::own_thread_ns();
            let mut cost = Cost::default();
            while start.elapsed() < duration {
                let stream = TcpStream::connect_timeout(&address, patience)?;
                stream.set_nodelay(true)?;
                stream.set_nonblocking(true)?;
                cost.connections += 1;
                connection(stream, &mut cost)?;
            }
            cost.attacker_ns = process::own_thread_ns() - began;
            Ok(cost)
        })
    })
}

/// Does what costs the attacker this, and adds what it costs the sidecar of `target`.
///
/// # Errors
/// Those of `attack`.
pub fn measured<S>(target: &Pod, attack: impl FnOnce() -> Result<Cost<S>>) -> Result<Cost<S>> {
    let sidecar = target.sidecar_pid()?;
    let before = (process::cpu_ns(&[sidecar]), process::memory(&[sidecar]).resident);
    let mut cost = attack()?;
    cost.sidecar_ns = process::cpu_ns(&[sidecar]) - before.0;
    cost.growth_kib = process::memory(&[sidecar]).resident.saturating_sub(before.1);
    Ok(cost)
}

/// A burst of this, over and over.
#[must_use]
pub fn repeat(bytes: &[u8]) -> Vec<u8> {
    bytes.repeat(BURST_BYTES / bytes.len())
}

/// The writes of a connection, made before the clock runs: up to the first without bytes, together less than `bytes`, and no more than
/// `most`.
pub fn bursts(make: impl Fn(u32) -> Vec<u8>, bytes: usize, most: u32) -> Vec<Vec<u8>> {
    let mut made = 0;
    let burst = |number| {
        let burst = make(number);
        made += burst.len();
        (made < bytes && !burst.is_empty()).then_some(burst)
    };
    (0..most).map_while(burst).collect()
}
