//! Definitions that no longer say what the Rust types say, in `crds/` and in the chart.

use super::Finding;
use super::tree::Tree;

/// Folders that hold a copy of every definition. A chart can read no file outside itself.
pub(super) const FOLDERS: [&str; 2] = ["crds", "charts/tulle/crds-generated"];

/// Definitions that differ from their types, are missing, or have no type any more.
pub(super) fn stale(tree: &Tree) -> Vec<Finding> {
    let rendered =
        tulle_crds::all().into_iter().map(|crd| (tulle_crds::manifest::file_name(&crd), tulle_crds::render_yaml(&crd)));
    differing(tree, &rendered.collect::<Vec<_>>())
}

/// The same against given definitions, as file name and text.
pub(super) fn differing(tree: &Tree, rendered: &[(String, String)]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for folder in FOLDERS {
        for (name, text) in rendered {
            let path = format!("{folder}/{name}");
            if tree.get(&path) != Some(text) {
                findings.push(Finding::in_file(&path, "not what the types say; run `cargo xtask crdgen`"));
            }
        }
        let files =
            tree.ending(".yaml").filter_map(|(path, _)| Some((path, path.strip_prefix(folder)?.strip_prefix('/')?)));
        for (path, _) in files.filter(|(_, name)| rendered.iter().all(|(known, _)| known != name)) {
            findings.push(Finding::in_file(path, "no type generates it; delete it"));
        }
    }
    findings
}
