//! Measures Tulle's sidecars beside others, on one machine, along the same path: load generator → outbound sidecar → mTLS → inbound
//! sidecar → server. `README.md` says how to run it and how to read its figures.

mod bench;
mod conditions;
mod figures;
mod hold;
mod load;
mod mesh;
mod parse;
mod precedence;
mod report;
mod run;
mod scenarios;
mod server;
mod site;
mod stats;
mod targets;
mod tools;
mod verify;
mod window;

pub use load::{Load, run as generate};
pub use run::{Arguments, run};
