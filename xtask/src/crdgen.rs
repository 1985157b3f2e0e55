//! Writes the custom resource definitions from their Rust types.

use anyhow::Context;
use tulle_e2e::paths;

use crate::tidy::DEFINITIONS;

/// Writes one YAML file a kind into every folder that holds them.
pub(crate) fn run() -> anyhow::Result<()> {
    for crd in tulle_crds::all() {
        for folder in DEFINITIONS {
            let path = paths::repository().join(folder).join(tulle_crds::manifest::file_name(&crd));
            std::fs::write(&path, tulle_crds::render_yaml(&crd))
                .with_context(|| format!("writing {}", path.display()))?;
        }
    }
    Ok(())
}
