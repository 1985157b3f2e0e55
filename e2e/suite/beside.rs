//! Programs of this machine in the network of a pod or of a node: servers and clients that the application's image does not hold.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result};
use tulle_e2e::rooms::{Building, Program, Room};
use tulle_e2e::scratch::Scratch;
use tulle_e2e::{pods, wait};

use crate::context::Context;

/// An interpreter on a busy machine.
const START: Duration = Duration::from_secs(20);
const CONNECT: Duration = Duration::from_secs(1);

/// Where such programs are kept; all of them end with it.
pub(crate) struct Beside {
    building: Building,
    scratch: Scratch,
}

/// A machine outside the cluster.
pub(crate) struct Outside {
    pub(crate) room: Room,
    pub(crate) addresses: [IpAddr; 2],
}

impl Beside {
    pub(crate) fn new(context: &Context) -> Result<Self> {
        Ok(Self { building: Building::new()?, scratch: Scratch::new(context.namespace())? })
    }

    /// A folder for their files and logs.
    pub(crate) fn folder(&self) -> &Path {
        self.scratch.path()
    }

    /// The network of the one pod of an app.
    pub(crate) fn pod(&self, context: &Context, app: &str) -> Result<Room> {
        let pod = pods::one(context.kubectl(), &format!("app={app}"))?;
        let uid = pod["metadata"]["uid"].as_str().context("a pod has a uid")?;
        let pids = context.cluster().first_node().pod_pids(uid)?;
        self.building.around(*pids.first().with_context(|| format!("no process of {app} runs on the first node"))?)
    }

    /// The network of a machine outside the cluster, on the wire of its nodes; there is one at a time.
    pub(crate) fn outside(&self, context: &Context) -> Result<Outside> {
        let room = self.building.room()?;
        context.cluster().connect(&room)?;
        Ok(Outside { room, addresses: context.cluster().addresses().neighbour() })
    }

    /// The network of the first node.
    pub(crate) fn node(&self, context: &Context) -> Result<Room> {
        self.building.around(context.cluster().first_node().init_pid()?)
    }

    /// Starts a server and waits until it listens. It ends when the value is dropped.
    pub(crate) fn serve(&self, room: &Room, name: &str, command: Command, port: u16) -> Result<Program> {
        let mut program = Program::start(room, self.folder(), name, command, None)?;
        wait::until(START, &format!("{name} to listen at port {port}"), || {
            program.check()?;
            // Loopback is not redirected.
            let address = SocketAddr::new(Ipv4Addr::LOCALHOST.into(), port);
            Ok(room.run(|| Ok(TcpStream::connect_timeout(&address, CONNECT)?)).ok())
        })?;
        Ok(program)
    }
}
