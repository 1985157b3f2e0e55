//! Where things live outside the clone, and how to find the clone.

use std::env;
use std::path::{Path, PathBuf};

/// The root of the repository this binary was built from.
pub fn repository() -> &'static Path {
    // This crate lives one level below the root.
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or(Path::new("/"))
}

/// Compiled components and images, shared by all clones: `$TULLE_CACHE`, else `tulle` below the XDG cache folder.
pub fn cache() -> PathBuf {
    if let Some(cache) = env::var_os("TULLE_CACHE") {
        return absolute(cache.into());
    }
    let base =
        env::var_os("XDG_CACHE_HOME").map(PathBuf::from).or_else(|| env::home_dir().map(|home| home.join(".cache")));
    base.unwrap_or_else(env::temp_dir).join("tulle")
}

/// State of running clusters: `$TULLE_STATE`, else a folder on disk. It holds container layers, so it is not on a tmpfs.
pub fn clusters() -> PathBuf {
    absolute(env::var_os("TULLE_STATE").map_or_else(|| PathBuf::from("/var/lib/tulle-e2e"), PathBuf::from))
}

/// A node has another working folder than this process.
fn absolute(path: PathBuf) -> PathBuf {
    std::path::absolute(&path).unwrap_or(path)
}
