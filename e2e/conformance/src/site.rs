//! (shell) Pods in network namespaces, each with a wire to the hub: with a sidecar and its redirect, or without.
//!
//! ```text
//! client ─▶ its sidecar ═ mTLS ═▶ sidecar ─▶ server        the outbound face, and mTLS between two sidecars
//! caller ────── plaintext ──────▶ sidecar ─▶ server        the inbound face
//! ```
//! Each site has a namespace of its own in the API. There is no kube-proxy: a pod without sidecar reaches pods, not Services.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::Command;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow};
use serde_json::Value;
use tulle_e2e::bare::sidecar::{self, Sidecar};
use tulle_e2e::bare::{HUB, HUB_V6, Service, ServicePort, Workload, objects};
use tulle_e2e::rooms::errand::Ended;
use tulle_e2e::rooms::{Program, Room};
use tulle_e2e::{Kubectl, wait};

use crate::context::{Context, Ground};

/// Programs here start in milliseconds, but a virtual machine of Java takes seconds on a busy machine.
const START: Duration = Duration::from_secs(30);
/// To an address in a namespace of ours.
const CONNECT: Duration = Duration::from_secs(1);

/// What to build.
#[derive(Debug, Default)]
pub struct Plan {
    /// Name, app, whether it has a sidecar.
    pods: Vec<(String, String, bool)>,
    /// Name, app, ports.
    services: Vec<(String, String, Vec<ServicePort>)>,
    rules: Vec<Value>,
    variables: Vec<(&'static str, String)>,
}

impl Plan {
    /// Nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// A pod with a sidecar, which is the app of the same name.
    pub fn meshed(self, name: &str) -> Self {
        self.pod(name, name, true)
    }

    /// A pod without.
    pub fn unmeshed(self, name: &str) -> Self {
        self.pod(name, name, false)
    }

    /// One of several pods of an app.
    pub fn pod(mut self, name: &str, app: &str, meshed: bool) -> Self {
        self.pods.push((name.to_owned(), app.to_owned(), meshed));
        self
    }

    /// A Service of an app's pods: its ports by number and, where declared, protocol.
    pub fn service(mut self, name: &str, app: &str, ports: &[(u16, Option<&str>)]) -> Self {
        let port = |(number, protocol): &(u16, Option<&str>)| ServicePort {
            name: format!("port-{number}"),
            number: *number,
            protocol: protocol.map(str::to_owned),
        };
        self.services.push((name.to_owned(), app.to_owned(), ports.iter().map(port).collect()));
        self
    }

    /// Objects that a user would write.
    pub fn rules(mut self, rules: impl IntoIterator<Item = Value>) -> Self {
        self.rules.extend(rules);
        self
    }

    /// A variable of all sidecars.
    pub fn variable(mut self, name: &'static str, value: &str) -> Self {
        self.variables.push((name, value.to_owned()));
        self
    }
}

/// See the module. Everything of it ends when it is dropped.
pub struct Site<'a> {
    ground: &'a Ground,
    namespace: String,
    pods: BTreeMap<String, Pod>,
    services: BTreeMap<String, Service>,
}

impl<'a> Site<'a> {
    pub(crate) fn build(context: &Context<'a>, plan: &Plan) -> Result<Self> {
        let ground = context.ground;
        let number = ground.next_site();
        let namespace = format!("{}-{number}", context.test);
        let folder = context.folder().join(number.to_string());
        let mut pods = BTreeMap::new();
        for (index, (name, app, meshed)) in (1..).zip(&plan.pods) {
            let workload = Workload {
                name: name.clone(),
                app: app.clone(),
                addresses: pod_addresses(number, index),
                meshed: *meshed,
            };
            let room = ground.building.room()?;
            wire(&ground.hub, &room, &format!("p{number}x{index}"), &workload.addresses)?;
            pods.insert(
                name.clone(),
                Pod { room, workload, folder: folder.clone(), sidecar: None, programs: Mutex::default() },
            );
        }
        let services: BTreeMap<_, _> = (1..)
            .zip(&plan.services)
            .map(|(index, (name, app, ports))| {
                let (app, ports) = (app.clone(), ports.clone());
                (name.clone(), Service { name: name.clone(), app, addresses: service_addresses(number, index), ports })
            })
            .collect();
        let mut site = Self { ground, namespace, pods, services };
        let workloads: Vec<_> = site.pods.values().map(|pod| pod.workload.clone()).collect();
        let services: Vec<_> = site.services.values().cloned().collect();
        objects::register(&ground.plane, &site.namespace, &workloads, &services, &plan.rules)?;
        for pod in site.pods.values_mut().filter(|pod| pod.workload.meshed) {
            pod.start_sidecar(ground, &site.namespace, &plan.variables)?;
        }
        site.pods.values_mut().try_for_each(Pod::wait_for_sidecar)?;
        Ok(site)
    }

    /// Its namespace in the API.
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// A pod by its name.
    pub fn pod(&self, name: &str) -> Result<&Pod> {
        self.pods.get(name).with_context(|| format!("the plan has no pod {name}"))
    }

    /// A port of a Service, IPv4.
    pub fn service(&self, name: &str, port: u16) -> Result<SocketAddr> {
        self.service_in(name, port, IpAddr::is_ipv4)
    }

    /// A port of a Service in one family.
    pub fn service_in(&self, name: &str, port: u16, family: fn(&IpAddr) -> bool) -> Result<SocketAddr> {
        let service = self.services.get(name).with_context(|| format!("the plan has no Service {name}"))?;
        let address = service.addresses.iter().copied().find(family).context("the Service has no such address")?;
        Ok(SocketAddr::new(address, port))
    }

    /// kubectl in the site's namespace.
    pub fn kubectl<T: Send>(&self, work: impl FnOnce(&Kubectl) -> Result<T> + Send) -> Result<T> {
        self.ground.plane.kubectl(|kubectl| work(&kubectl.namespaced(&self.namespace)))
    }

    /// Writes objects as a user would.
    pub fn apply(&self, object: &Value) -> Result<()> {
        self.kubectl(|kubectl| kubectl.apply(&object.to_string()).map(drop))
    }
}

/// A pod of a site.
pub struct Pod {
    room: Room,
    workload: Workload,
    folder: PathBuf,
    sidecar: Option<Program>,
    programs: Mutex<Vec<Program>>,
}

impl Pod {
    /// Its address at a port, IPv4.
    pub fn at(&self, port: u16) -> SocketAddr {
        self.at_in(port, IpAddr::is_ipv4)
    }

    /// Its address at a port in one family.
    pub fn at_in(&self, port: u16, family: fn(&IpAddr) -> bool) -> SocketAddr {
        let address = self.workload.addresses.iter().copied().find(family);
        SocketAddr::new(address.expect("pods have an address of each family"), port)
    }

    /// Runs `work` on a thread in the pod's network.
    pub fn run<T: Send>(&self, work: impl FnOnce() -> Result<T> + Send) -> Result<T> {
        self.room.run(work)
    }

    /// Process of its sidecar, for its costs.
    pub fn sidecar_pid(&self) -> Result<i32> {
        self.sidecar.as_ref().map(Program::pid).context("this pod has no sidecar")
    }

    /// Starts a program of the application and waits until it listens at the pod's address. It ends with the site.
    pub fn serve(&self, name: &str, command: Command, port: u16) -> Result<()> {
        let mut program = self.start(name, command)?;
        let address = SocketAddr::new(Ipv4Addr::LOCALHOST.into(), port);
        let own = self.at(port);
        wait::until(START, &format!("{name} to listen at port {port}"), || {
            program.check()?;
            // Neither address is redirected: the first is loopback, the second the pod's own.
            let reached = [address, own]
                .iter()
                .any(|address| self.room.run(|| Ok(TcpStream::connect_timeout(address, CONNECT)?)).is_ok());
            Ok(reached.then_some(()))
        })?;
        self.programs().push(program);
        Ok(())
    }

    /// Starts a program; it ends when the value is dropped.
    pub fn start(&self, name: &str, command: Command) -> Result<Program> {
        Program::start(&self.room, &self.folder, &format!("{}-{name}", self.workload.name), command, None)
    }

    /// Runs a program to its end.
    pub fn finish(&self, command: Command, limit: Duration) -> Result<Ended> {
        self.room.finish(command, limit)
    }

    fn programs(&self) -> MutexGuard<'_, Vec<Program>> {
        self.programs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn start_sidecar(&mut self, ground: &Ground, namespace: &str, variables: &[(&'static str, String)]) -> Result<()> {
        sidecar::redirect(&self.room, &ground.binaries.proxy)?;
        let name = format!("{}-sidecar", self.workload.name);
        let sidecar = Sidecar {
            plane: &ground.plane,
            namespace,
            pod: &self.workload,
            program: &ground.binaries.proxy,
            root: &self.folder.join(&self.workload.name),
            variables,
        };
        self.sidecar = Some(sidecar.start(&self.room, &self.folder, &name, None)?);
        Ok(())
    }

    fn wait_for_sidecar(&mut self) -> Result<()> {
        let Some(sidecar) = &mut self.sidecar else { return Ok(()) };
        let ready = sidecar::wait_until_ready(&self.room, || sidecar.check());
        ready.map_err(|error| anyhow!("{error:#}\nthe sidecar of {} said:\n{}", self.workload.name, sidecar.said()))
    }
}

/// Connects a room to the hub and gives it its addresses.
fn wire(hub: &Room, room: &Room, name: &str, addresses: &[IpAddr]) -> Result<()> {
    let holder = room.holder();
    hub.ip(&format!(
        "link add {name} type veth peer name eth0 netns {holder}\nlink set {name} master hub0\nlink set {name} up\n"
    ))
    .context("cannot connect a pod to the hub")?;
    let mut script = "link set lo up\nlink set eth0 up\n".to_owned();
    for address in addresses {
        // The default routes lead nowhere: capture wants packets to anywhere to have a way out at all.
        script += &match address {
            IpAddr::V4(_) => format!("address add {address}/16 dev eth0\nroute add default via {HUB}\n"),
            IpAddr::V6(_) => format!("address add {address}/64 dev eth0 nodad\nroute add default via {HUB_V6}\n"),
        };
    }
    room.ip(&script).context("cannot give a pod its addresses")
}

fn pod_addresses(site: u8, index: u8) -> Vec<IpAddr> {
    let v6 = Ipv6Addr::new(0xfd00, 0x200, 0, 0, 0, 0, site.into(), index.into());
    vec![Ipv4Addr::new(10, 200, site, index).into(), v6.into()]
}

fn service_addresses(site: u8, index: u8) -> Vec<IpAddr> {
    let v6 = Ipv6Addr::new(0xfd00, 0x224, 0, 0, 0, 0, 0, u16::from_be_bytes([site, index]));
    vec![Ipv4Addr::new(10, 224, site, index).into(), v6.into()]
}
