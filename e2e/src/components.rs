//! The third-party programs of a cluster and of tests, compiled once from pinned Go modules into a cache outside the clone.
//!
//! A build is found again by the hash of everything that decides it, so a changed pin builds anew beside the old one.

mod build;
mod key;

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Result;

use crate::paths;

/// One Go module below `e2e/cluster/components` and what is built from it.
#[derive(Debug, Clone, Copy)]
pub struct Component {
    /// The module's folder.
    pub folder: &'static str,
    /// The requirement in its `go.mod` whose version names the build to a person.
    pub names_version: &'static str,
    /// Packages to build; each gives a program named like its last path element.
    pub packages: &'static [&'static str],
    /// Other names a multi-call program is called by.
    pub links: &'static [&'static str],
    /// Flags beyond the common ones.
    pub flags: &'static [&'static str],
    /// Variables of the program that hold its version, set by the linker; `{version}`, `{major}` and `{minor}` are filled in.
    pub stamps: &'static [&'static str],
    /// Whether C code is linked in.
    pub cgo: bool,
    /// Time of a cold build on two cores, measured.
    pub cold: Duration,
}

/// A module that is one program in Go alone.
const PLAIN: Component = Component {
    folder: "",
    names_version: "",
    packages: &["."],
    links: &[],
    flags: &[],
    stamps: &[],
    cgo: false,
    cold: Duration::ZERO,
};

/// etcd and all of Kubernetes as one multi-call program.
pub const KUBERNETES: Component = Component {
    folder: "kube",
    names_version: "k8s.io/kubernetes",
    links: &["etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kube-proxy", "kubelet", "kubectl"],
    // Charts ask the API server for its version, and without these it says v0.0.0-master.
    stamps: &[
        "k8s.io/component-base/version.gitVersion={version}",
        "k8s.io/component-base/version.gitMajor={major}",
        "k8s.io/component-base/version.gitMinor={minor}",
        "k8s.io/client-go/pkg/version.gitVersion={version}",
    ],
    cold: Duration::from_secs(350),
    ..PLAIN
};

/// The container runtime, its shim and its command line.
pub const CONTAINERD: Component = Component {
    folder: "containerd",
    names_version: "github.com/containerd/containerd/v2",
    packages: &[
        "github.com/containerd/containerd/v2/cmd/containerd",
        "github.com/containerd/containerd/v2/cmd/containerd-shim-runc-v2",
        "github.com/containerd/containerd/v2/cmd/ctr",
    ],
    cold: Duration::from_secs(80),
    ..PLAIN
};

/// The low-level runtime; with seccomp, because pods under the restricted profile ask for it.
pub const RUNC: Component = Component {
    folder: "runc",
    names_version: "github.com/opencontainers/runc",
    packages: &["github.com/opencontainers/runc"],
    flags: &["-tags=seccomp"],
    cgo: true,
    cold: Duration::from_secs(25),
    ..PLAIN
};

/// Pod networking.
pub const CNI: Component = Component {
    folder: "cni",
    names_version: "github.com/containernetworking/plugins",
    packages: &[
        "github.com/containernetworking/plugins/plugins/ipam/host-local",
        "github.com/containernetworking/plugins/plugins/main/bridge",
        "github.com/containernetworking/plugins/plugins/main/loopback",
        "github.com/containernetworking/plugins/plugins/main/ptp",
        "github.com/containernetworking/plugins/plugins/meta/portmap",
    ],
    cold: Duration::from_secs(12),
    ..PLAIN
};

/// Cluster DNS.
pub const COREDNS: Component = Component {
    folder: "coredns",
    names_version: "github.com/coredns/coredns",
    cold: Duration::from_secs(90),
    ..PLAIN
};

/// The chart installer.
pub const HELM: Component = Component {
    folder: "helm",
    names_version: "helm.sh/helm/v4",
    packages: &["helm.sh/helm/v4/cmd/helm"],
    cold: Duration::from_secs(100),
    ..PLAIN
};

/// Process 1 of sandboxes and nodes; ours, so it has no version.
pub const PAUSE: Component = Component { folder: "pause", cold: Duration::from_secs(2), ..PLAIN };

/// The conformance tests of HTTP/2.
pub const H2SPEC: Component = Component {
    folder: "h2spec",
    names_version: "github.com/summerwind/h2spec",
    packages: &["github.com/summerwind/h2spec/cmd/h2spec"],
    cold: Duration::from_secs(30),
    ..PLAIN
};

/// The official client and server of gRPC's interoperability tests.
pub const GRPC_INTEROP: Component = Component {
    folder: "grpc",
    names_version: "google.golang.org/grpc",
    packages: &["google.golang.org/grpc/interop/client", "google.golang.org/grpc/interop/server"],
    cold: Duration::from_secs(60),
    ..PLAIN
};

/// A client on Go's own library; ours, so it has no version.
pub const GO_CLIENT: Component = Component { folder: "goclient", cold: Duration::from_secs(10), ..PLAIN };

/// A server of NATS, and a client on its library for Go; the client is ours.
pub const NATS: Component = Component {
    folder: "nats",
    names_version: "github.com/nats-io/nats-server/v2",
    packages: &[".", "github.com/nats-io/nats-server/v2"],
    cold: Duration::from_secs(45),
    ..PLAIN
};

/// A collector of spans on the messages that OpenTelemetry publishes.
pub const COLLECTOR: Component = Component {
    folder: "collector",
    names_version: "go.opentelemetry.io/proto/otlp",
    cold: Duration::from_secs(40),
    ..PLAIN
};

/// A controller of canaries that speaks the kinds of the Service Mesh Interface.
pub const FLAGGER: Component = Component {
    folder: "flagger",
    names_version: "github.com/fluxcd/flagger",
    packages: &["github.com/fluxcd/flagger/cmd/flagger"],
    cold: Duration::from_secs(120),
    ..PLAIN
};

/// Both ends of WebSocket on gorilla's library.
pub const WEBSOCKET: Component = Component {
    folder: "websocket",
    names_version: "github.com/gorilla/websocket",
    cold: Duration::from_secs(10),
    ..PLAIN
};

/// A server on Go's own library; ours, so it has no version.
pub const GARDEN: Component = Component { folder: "garden", cold: Duration::from_secs(10), ..PLAIN };

/// Those of a cluster, the longest build first.
pub const ALL: &[Component] = &[KUBERNETES, HELM, COREDNS, CONTAINERD, RUNC, CNI, PAUSE];

impl Component {
    fn source(&self) -> PathBuf {
        paths::repository().join("e2e/cluster/components").join(self.folder)
    }

    /// Returns the folder of this component's programs, building them first when the cache has none of this version.
    pub fn ensure(&self) -> Result<PathBuf> {
        build::ensure(self)
    }
}

/// Where the programs of a cluster are.
#[derive(Debug, Clone)]
pub struct Toolbox {
    folders: Vec<(&'static str, PathBuf)>,
}

impl Toolbox {
    /// Builds what is missing; minutes the first time, milliseconds afterwards.
    pub fn ensure() -> Result<Self> {
        let folders = ALL.iter().map(|component| Ok((component.folder, component.ensure()?))).collect::<Result<_>>()?;
        Ok(Self { folders })
    }

    /// The folder that holds the programs of `component`.
    pub fn folder(&self, component: &Component) -> &Path {
        let found = self.folders.iter().find(|(folder, _)| *folder == component.folder);
        &found.expect("ensure() covered ALL, and the constants of this module are all in it").1
    }

    /// The path of one program.
    pub fn program(&self, component: &Component, name: &str) -> PathBuf {
        self.folder(component).join(name)
    }

    /// All folders as a search path.
    pub fn folders(&self) -> impl Iterator<Item = &Path> {
        self.folders.iter().map(|(_, folder)| folder.as_path())
    }
}
