//! Writes the custom resource definitions from their Rust types.

use std::path::Path;

use anyhow::Context;

/// Writes one YAML file a kind into `crds/`.
pub(crate) fn run() -> anyhow::Result<()> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../crds");
    for crd in tulle_crds::all() {
        let path = folder.join(tulle_crds::manifest::file_name(&crd));
        std::fs::write(&path, tulle_crds::render_yaml(&crd)).with_context(|| format!("writing {}", path.display()))?;
    }
    Ok(())
}
