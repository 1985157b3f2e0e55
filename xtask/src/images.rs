//! `cargo xtask images`.

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;
use tulle_e2e::images::MeshImages;
use tulle_e2e::paths;

/// Options of the task.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Folder for the archives [default: target/images]
    #[arg(long)]
    out: Option<PathBuf>,
}

/// Builds the images and prints name, size, id and archive of each; fails when one is over its budget.
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let default = || paths::repository().join("target/images");
    let built = MeshImages::build(&arguments.out.clone().unwrap_or_else(default))?;
    for image in &built.images {
        let mib = image.bytes as f64 / f64::from(1 << 20);
        eprintln!("{:<30} {mib:>6.1} MiB  {}  {}", image.name, image.digest, image.archive.display());
    }
    eprintln!("load one into a cluster with: cargo xtask cluster load-image ARCHIVE");
    built.check_sizes()
}
