//! The tasks of the repository: `cargo xtask <task>`.

mod cluster;
mod images;

use clap::{Parser, Subcommand};

/// Builds, tests and checks the repository.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Debug, Subcommand)]
enum Task {
    /// Start, stop and look at a real Kubernetes on this machine
    #[command(subcommand)]
    Cluster(cluster::Task),
    /// Build the mesh's images as docker-archive tars
    Images(images::Arguments),
}

fn main() -> anyhow::Result<()> {
    match Arguments::parse().task {
        Task::Cluster(task) => cluster::run(task),
        Task::Images(arguments) => images::run(&arguments),
    }
}
