//! The application of tests and demo, one static binary for containers FROM scratch: servers that remember every request
//! they answered, load that remembers every answer it got, and a one-shot client.

mod client;
mod echo;
mod fetch;
mod histogram;
mod ledger;
mod load;
mod output;
mod probe;
mod record;
mod serve;
mod stop;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(name = "tulle-e2e-app", version, about)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Answer HTTP/1.1, HTTP/2, gRPC, WebSocket and TCP, and record every request id.
    Serve(serve::Arguments),
    /// Send requests at a fixed rate whatever the answers do (open loop), and record every answer.
    Load(load::Arguments),
    /// Send one request (or a few) and print status, headers and body as JSON lines.
    Fetch(fetch::Arguments),
    /// Connect over TCP and print the time to the first byte as JSON.
    Tcp(probe::Arguments),
    /// Answer HTTP/1.1 and HTTP/2, and print what each request was as a JSON line.
    Record(record::Arguments),
    /// One request, then exit 0 if it was answered with success: the work of a Job.
    Job(fetch::Arguments),
}

/// One thread: an application that eats the machine would spoil what is measured beside it.
#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let outcome = match Arguments::parse().command {
        Command::Serve(arguments) => serve::run(arguments).await,
        Command::Load(arguments) => load::run(arguments).await,
        Command::Fetch(arguments) => fetch::run(arguments).await,
        Command::Tcp(arguments) => probe::run(arguments).await,
        Command::Record(arguments) => record::run(arguments).await,
        Command::Job(arguments) => fetch::job(arguments).await,
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            output::complain(&format!("{error:#}"));
            ExitCode::FAILURE
        }
    }
}
