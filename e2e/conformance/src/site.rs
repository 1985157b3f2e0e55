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

/// What a pod is to the mesh.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    /// It has a sidecar.
    Meshed,
    /// It has none.
    Unmeshed,
    /// It is no pod: a machine outside the cluster, which the API knows nothing of.
    Outside,
}

/// What to build.
#[derive(Debug, Default)]
pub struct Plan {
    /// Name, app, what it is to the mesh.
    pods: Vec<(String, String, Standing)>,
    /// Name, app, ports, whether it has addresses.
    services: Vec<(String, String, Vec<ServicePort>, bool)>,
    rules: Vec<Value>,
    variables: Vec<(&'static str, String)>,
    /// Variables that hold the URL of a pod's port.
    urls: Vec<(&'static str, String, u16)>,
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

    /// A machine outside the cluster.
    pub fn outside(mut self, name: &str) -> Self {
        self.pods.push((name.to_owned(), name.to_owned(), Standing::Outside));
        self
    }

    /// One of several pods of an app.
    pub fn pod(mut self, name: &str, app: &str, meshed: bool) -> Self {
        let standing = if meshed { Standing::Meshed } else { Standing::Unmeshed };
        self.pods.push((name.to_owned(), app.to_owned(), standing));
        self
    }

    /// A Service of an app's pods: its ports by number and, where declared, protocol.
    pub fn service(self, name: &str, app: &str, ports: &[(u16, Option<&str>)]) -> Self {
        self.serving(name, app, ports, true)
    }

    /// The same without addresses of its own: its name stands for those of its pods.
    pub fn headless(self, name: &str, app: &str, ports: &[(u16, Option<&str>)]) -> Self {
        self.serving(name, app, ports, false)
    }

    fn serving(mut self, name: &str, app: &str, ports: &[(u16, Option<&str>)], addressed: bool) -> Self {
        let port = |(number, protocol): &(u16, Option<&str>)| ServicePort {
            name: format!("port-{number}"),
            number: *number,
            protocol: protocol.map(str::to_owned),
        };
        self.services.push((name.to_owned(), app.to_owned(), ports.iter().map(port).collect(), addressed));
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

    /// A variable of all sidecars that holds the URL of a pod's port.
    pub fn url(mut self, name: &'static str, pod: &str, port: u16) -> Self {
        self.urls.push((name, pod.to_owned(), port));
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
        for (index, (name, app, standing)) in (1..).zip(&plan.pods) {
            let net = if *standing == Standing::Outside { &OUTSIDE } else { &PODS };
            let workload = Workload {
                name: name.clone(),
                app: app.clone(),
                addresses: net.addresses(number, index),
                meshed: *standing == Standing::Meshed,
            };
            let room = ground.building.room()?;
            wire(&ground.hub, &room, &format!("p{number}x{index}"), &workload.addresses)?;
            let (folder, known) = (folder.clone(), *standing != Standing::Outside);
            let pod = Pod { room, workload, known, folder, sidecar: None, programs: Mutex::default() };
            pods.insert(name.clone(), pod);
        }
        let services: BTreeMap<_, _> = (1..)
            .zip(&plan.services)
            .map(|(index, (name, app, ports, addressed))| {
                let (app, ports) = (app.clone(), ports.clone());
                let addresses = if *addressed { service_addresses(number, index) } else { Vec::new() };
                (name.clone(), Service { name: name.clone(), app, addresses, ports })
            })
            .collect();
        let mut site = Self { ground, namespace, pods, services };
        let known = site.pods.values().filter(|pod| pod.known);
        let workloads: Vec<_> = known.map(|pod| pod.workload.clone()).collect();
        let services: Vec<_> = site.services.values().cloned().collect();
        objects::register(&ground.plane, &site.namespace, &workloads, &services, &plan.rules)?;
        let mut variables = plan.variables.clone();
        for (name, pod, port) in &plan.urls {
            variables.push((name, format!("http://{}", site.pod(pod)?.at(*port))));
        }
        for pod in site.pods.values_mut().filter(|pod| pod.workload.meshed) {
            pod.start_sidecar(ground, &site.namespace, &variables)?;
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
    /// Whether the API knows of it.
    known: bool,
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

    /// Its network.
    pub fn room(&self) -> &Room {
        &self.room
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
        script += &match address {
            IpAddr::V4(_) => format!("address add {address}/32 dev eth0\n"),
            IpAddr::V6(_) => format!("address add {address}/128 dev eth0 nodad\n"),
        };
    }
    // All are on one wire. The default routes lead nowhere: capture wants packets to anywhere to have a way out at all.
    for net in [&PODS, &OUTSIDE] {
        script += &format!("route add {}/16 dev eth0\nroute add {}/64 dev eth0\n", net.v4(0, 0), net.v6(0, 0));
    }
    script += &format!("route add default via {HUB}\nroute add default via {HUB_V6}\n");
    room.ip(&script).context("cannot give a pod its addresses")
}

/// A network of each family: two bytes, and four groups.
struct Net([u8; 2], [u16; 4]);

const PODS: Net = Net([10, 200], [0xfd00, 0x200, 0, 0]);
/// No network of the cluster: of those for benchmarks (RFC 2544) and documentation (RFC 3849).
const OUTSIDE: Net = Net([198, 19], [0x2001, 0xdb8, 5, 0]);

impl Net {
    fn v4(&self, site: u8, index: u8) -> Ipv4Addr {
        Ipv4Addr::new(self.0[0], self.0[1], site, index)
    }

    fn v6(&self, site: u8, index: u8) -> Ipv6Addr {
        let [a, b, c, d] = self.1;
        Ipv6Addr::new(a, b, c, d, 0, 0, site.into(), index.into())
    }

    fn addresses(&self, site: u8, index: u8) -> Vec<IpAddr> {
        vec![self.v4(site, index).into(), self.v6(site, index).into()]
    }
}

fn service_addresses(site: u8, index: u8) -> Vec<IpAddr> {
    let v6 = Ipv6Addr::new(0xfd00, 0x224, 0, 0, 0, 0, 0, u16::from_be_bytes([site, index]));
    vec![Ipv4Addr::new(10, 224, site, index).into(), v6.into()]
}
