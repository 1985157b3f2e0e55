//! The tasks of the repository: `cargo xtask <task>`.

mod cluster;
mod conformance;
mod crdgen;
mod demo;
mod fuzz;
mod guard;
mod images;
mod test;
mod tidy;

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use tulle_e2e::interrupt;

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
    Bench(tulle_bench::Arguments),
    /// Generate load; the benchmark starts this itself
    #[command(subcommand, hide = true)]
    BenchLoad(tulle_bench::Load),
    /// Show from outside what sidecars do to protocols, in network namespaces
    Conformance(conformance::Arguments),
    /// Watch a canary move on a real Kubernetes, under load
    Demo(demo::Arguments),
    /// Write crds/*.yaml and the chart's copies from their Rust types
    Crdgen,
    /// Feed every parser with inputs that grow from seeds, and check its answers
    Fuzz(fuzz::Arguments),
    /// Count what a request costs and compare it with the budget
    Guard(guard::Arguments),
    /// Build the mesh's images as docker-archive tars
    Images(images::Arguments),
    /// Run every test: checks, unit and component tests, and the promises on a real cluster
    Test(test::Arguments),
    /// Check the repository itself: modules, lengths, generated files, documents, dependencies
    Tidy,
}

fn main() -> ExitCode {
    let result = match Arguments::parse().task {
        Task::Cluster(task) => cluster::run(task),
        Task::Bench(arguments) => tulle_bench::run(&arguments),
        Task::BenchLoad(load) => tulle_bench::generate(&load),
        Task::Conformance(arguments) => conformance::run(&arguments),
        Task::Demo(arguments) => demo::run(&arguments),
        Task::Crdgen => crdgen::run(),
        Task::Fuzz(arguments) => fuzz::run(&arguments),
        Task::Guard(arguments) => guard::run(&arguments),
        Task::Images(arguments) => images::run(&arguments),
        Task::Test(arguments) => test::run(&arguments),
        Task::Tidy => tidy::run(),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) if interrupt::requested() => {
            eprintln!("stopped; what was started has been taken down");
            ExitCode::FAILURE
        }
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
