//! Container images without a container engine: static binaries in docker-archive tars, FROM scratch, reproducible.
//!
//! Names start with `localhost/`, which no kubelet can ever fetch from a public registry by mistake: with
//! `imagePullPolicy: IfNotPresent` or `Never` a pod runs what was loaded, or fails and says so.

mod archive;
mod mesh;
mod system;

pub use archive::{Image, digest_of};
pub use mesh::{Built, MeshImages, compile};
pub use system::SystemImages;

/// The prefix of all our images.
pub const PREFIX: &str = "localhost/tulle";
/// The tag of images built from this clone.
pub const TAG: &str = "dev";
