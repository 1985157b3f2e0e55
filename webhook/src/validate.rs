//! Whether an object of the mesh can mean anything: the same parser as the operator's and the proxy's, so the same
//! sentence.

use crate::review::Request;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tulle_core::codes::Code;
use tulle_crds::into_core::{Ctx, SpecError, parse_mesh_policy, parse_traffic_split, parse_virtual_service};

/// Why an object is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejection {
    /// Catalogue code.
    pub code: Code,
    /// Code, field path, reason and remedy.
    pub sentence: String,
}

/// The kind that was judged, as a label for metrics, and what is wrong with the object.
///
/// # Errors
/// The first mistake of the spec.
pub fn validate(request: &Request, context: &Ctx) -> (&'static str, Result<(), Rejection>) {
    let (kind, judge): (_, Judge) = match request.kind.kind.as_str() {
        "VirtualService" => ("VirtualService", |object, context| {
            judge(object, |it| parse_virtual_service(it, context)?.whole().map(drop))
        }),
        "TrafficSplit" => {
            ("TrafficSplit", |object, context| judge(object, |it| parse_traffic_split(it, context).map(drop)))
        }
        "MeshPolicy" => ("MeshPolicy", |object, context| judge(object, |it| parse_mesh_policy(it, context).map(drop))),
        _ => return ("other", Ok(())),
    };
    if is_settled(request) {
        return (kind, Ok(()));
    }
    (kind, judge(request.object.clone(), context))
}

type Judge = fn(Value, &Ctx) -> Result<(), Rejection>;

/// Nothing new to judge: a wrong object that is already stored, perhaps while no webhook was up, must stay possible to
/// label, and to delete where somebody put a finalizer on it (the API server ratchets its own validation likewise,
/// KEP-4008).
fn is_settled(request: &Request) -> bool {
    let unchanged = !request.old_object.is_null() && request.old_object["spec"] == request.object["spec"];
    unchanged || !request.object["metadata"]["deletionTimestamp"].is_null()
}

fn judge<K: DeserializeOwned>(object: Value, parse: impl Fn(&K) -> Result<(), SpecError>) -> Result<(), Rejection> {
    // The schema has been checked before; what still does not fit the type is of a version this webhook does not know.
    let object: K = serde_json::from_value(object).map_err(|error| {
        let code = Code::InvalidValue;
        Rejection { code, sentence: format!("{code}: {error}; {}", code.remedy()) }
    })?;
    parse(&object).map_err(|error| Rejection { code: error.code, sentence: error.to_string() })
}

#[cfg(test)]
mod tests;
