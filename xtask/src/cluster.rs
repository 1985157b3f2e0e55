//! `cargo xtask cluster`: the cluster runner for a person.

use std::path::PathBuf;

use anyhow::Result;
use clap::{Args, Subcommand};
use tulle_e2e::{Cluster, ClusterSpec};

/// What to do with which cluster.
#[derive(Debug, Subcommand)]
pub(crate) enum Task {
    /// Start a cluster; it runs until `down`
    Up(Up),
    /// Take a cluster down, or what is left of it
    Down(Named),
    /// Show the clusters of this machine and how their components are doing
    Status,
    /// Load a docker-archive tar into every node
    LoadImage(LoadImage),
}

/// Which cluster.
#[derive(Debug, Args)]
pub(crate) struct Named {
    /// Name of the cluster
    #[arg(long, default_value = "tulle")]
    name: String,
}

/// Options of `up`.
#[derive(Debug, Args)]
pub(crate) struct Up {
    #[command(flatten)]
    cluster: Named,
    /// Number of nodes
    #[arg(long, default_value_t = 1)]
    nodes: u8,
}

/// Options of `load-image`.
#[derive(Debug, Args)]
pub(crate) struct LoadImage {
    #[command(flatten)]
    cluster: Named,
    /// The archives
    #[arg(required = true)]
    archives: Vec<PathBuf>,
}

/// Runs the task.
pub(crate) fn run(task: Task) -> Result<()> {
    match task {
        Task::Up(Up { cluster, nodes }) => {
            let cluster = Cluster::up(&ClusterSpec { name: cluster.name, nodes })?;
            print_next_commands(&cluster);
        }
        Task::Down(Named { name }) => {
            Cluster::remove(&name)?;
            eprintln!("cluster {name} is down");
        }
        Task::Status => print_status()?,
        Task::LoadImage(LoadImage { cluster, archives }) => {
            let cluster = Cluster::load(&cluster.name)?;
            for archive in archives {
                cluster.load_image(&archive)?;
                eprintln!("loaded {}", archive.display());
            }
        }
    }
    Ok(())
}

fn print_next_commands(cluster: &Cluster) {
    let name = cluster.name();
    eprintln!("\nkubeconfig: {}", cluster.kubeconfig().display());
    eprintln!("\n  export KUBECONFIG={}", cluster.kubeconfig().display());
    eprintln!("  export PATH={}:$PATH    # kubectl, helm, ctr", cluster.bin().display());
    eprintln!("  kubectl get pods --all-namespaces");
    eprintln!("  cargo xtask cluster down --name {name}");
}

fn print_status() -> Result<()> {
    let names = Cluster::list()?;
    if names.is_empty() {
        eprintln!("no cluster is up; start one with: cargo xtask cluster up");
    }
    for name in names {
        let cluster = Cluster::load(&name)?;
        eprintln!("{name}  {}  {}", cluster.addresses().api_server(), cluster.kubeconfig().display());
        for status in cluster.status()? {
            let state = status.pid.map_or_else(|| "stopped".to_owned(), |pid| format!("running, pid {pid}"));
            eprintln!("  {:<3} {:<24} {state}", status.node, status.component);
        }
    }
    Ok(())
}
