//! Whether an object of the mesh can mean anything: the same parser as the operator's and the proxy's, so the same sentence.

use serde_json::Value;
use tulle_core::codes::Code;

/// Why an object is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejection {
    /// Catalogue code.
    pub code: Code,
    /// Code, field path, reason and remedy.
    pub sentence: String,
}

/// The kind that was judged, as a label for metrics, and what is wrong with the object.
pub fn validate(_kind: &str, _object: &Value) -> (&'static str, Option<Rejection>) {
    ("other", None)
}
