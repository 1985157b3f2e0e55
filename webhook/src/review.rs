//! AdmissionReview (`admission.k8s.io/v1`) in and out.
//!
//! Own types with only the fields used: the object stays JSON, so nothing of a newer Kubernetes version is lost or
//! refused.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The one version spoken; the webhook configuration asks for it.
const API_VERSION: &str = "admission.k8s.io/v1";
/// Warnings longer than this are cut by the API server (admission/v1 `AdmissionResponse.warnings`).
const MAX_WARNING_CHARS: usize = 256;
/// More warnings than this on one object help nobody, and all of them together may have 4 KiB.
const MAX_WARNINGS: usize = 5;

/// What the API server sends.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ReviewIn {
    /// Always [`API_VERSION`]; another one is refused.
    pub api_version: String,
    /// The question.
    pub request: Request,
}

/// The question: may this object be stored?
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Request {
    /// Returned in the answer.
    pub uid: String,
    /// Kind of the object as the webhook configuration asked for it.
    pub kind: Kind,
    /// Namespace of the request; the object itself may leave it out.
    #[serde(default)]
    pub namespace: String,
    /// Name, empty where the API server will generate one.
    #[serde(default)]
    pub name: String,
    /// The object; absent on DELETE.
    #[serde(default)]
    pub object: Value,
    /// What is stored now; absent on CREATE.
    #[serde(default)]
    pub old_object: Value,
}

/// Group, version and kind.
#[derive(Debug, Deserialize)]
pub struct Kind {
    /// API group, empty for core.
    #[serde(default)]
    pub group: String,
    /// Version.
    pub version: String,
    /// Kind.
    pub kind: String,
}

impl ReviewIn {
    /// Whether this is the version of AdmissionReview that is spoken here.
    pub fn is_supported(&self) -> bool {
        self.api_version == API_VERSION
    }
}

/// What goes back.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ReviewOut {
    api_version: &'static str,
    kind: &'static str,
    response: Response,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Response {
    uid: String,
    allowed: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<Status>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    warnings: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    patch_type: Option<&'static str>,
    /// JSON patch, base64.
    #[serde(skip_serializing_if = "Option::is_none")]
    patch: Option<String>,
}

#[derive(Debug, Serialize)]
struct Status {
    code: u16,
    reason: &'static str,
    message: String,
}

/// An answer, before it knows which request it belongs to.
#[derive(Debug, PartialEq)]
pub enum Answer {
    /// The object may be stored, changed by the patch where there is one.
    Allow {
        /// What to change.
        patch: Option<json_patch::Patch>,
        /// What the user should know.
        warnings: Vec<String>,
    },
    /// The object is refused with this sentence.
    Deny(String),
}

impl Answer {
    /// The object may be stored as it is.
    pub const ALLOW: Answer = Answer::Allow { patch: None, warnings: Vec::new() };

    /// The complete review to send back.
    pub fn into_review(self, uid: String) -> ReviewOut {
        let mut response =
            Response { uid, allowed: true, status: None, warnings: Vec::new(), patch_type: None, patch: None };
        match self {
            Answer::Allow { patch, warnings } => {
                response.warnings = warnings.into_iter().take(MAX_WARNINGS).map(shortened).collect();
                if let Some(patch) = patch {
                    let bytes = serde_json::to_vec(&patch).expect("a patch holds string keys and JSON values");
                    response.patch_type = Some("JSONPatch");
                    response.patch = Some(STANDARD.encode(bytes));
                }
            }
            Answer::Deny(message) => {
                response.allowed = false;
                // 422 Invalid, as the API server's own validation answers: clients do not retry it.
                response.status = Some(Status { code: 422, reason: "Invalid", message });
            }
        }
        ReviewOut { api_version: API_VERSION, kind: "AdmissionReview", response }
    }
}

fn shortened(warning: String) -> String {
    if warning.chars().count() <= MAX_WARNING_CHARS {
        return warning;
    }
    warning.chars().take(MAX_WARNING_CHARS - 1).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn answer(answer: Answer) -> Value {
        serde_json::to_value(answer.into_review("u1".into())).expect("a review is JSON")
    }

    #[test]
    fn allow_says_nothing_more_than_needed() {
        let expected = json!({
            "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "response": {"uid": "u1", "allowed": true},
        });
        assert_eq!(answer(Answer::ALLOW), expected);
    }

    #[test]
    fn a_patch_travels_as_base64() {
        let patch: json_patch::Patch =
            serde_json::from_value(json!([{"op": "add", "path": "/a", "value": 1}])).expect("a patch");
        let review = answer(Answer::Allow { patch: Some(patch), warnings: vec!["look here".into()] });
        let bytes = STANDARD.decode(review["response"]["patch"].as_str().expect("text")).expect("base64");
        assert_eq!(bytes, br#"[{"op":"add","path":"/a","value":1}]"#);
        assert_eq!(review["response"]["patchType"], "JSONPatch");
        assert_eq!(review["response"]["warnings"], json!(["look here"]));
    }

    #[test]
    fn deny_is_an_invalid_object_with_a_sentence() {
        let review = answer(Answer::Deny("TUL1011: because".into()));
        assert_eq!(review["response"]["allowed"], false);
        assert_eq!(
            review["response"]["status"],
            json!({"code": 422, "reason": "Invalid", "message": "TUL1011: because"})
        );
    }

    #[test]
    fn warnings_are_bounded() {
        let review = answer(Answer::Allow { patch: None, warnings: vec!["é".repeat(1000); 100] });
        let warnings = review["response"]["warnings"].as_array().expect("a list");
        assert_eq!(warnings.len(), MAX_WARNINGS);
        assert!(
            warnings.iter().all(|text| text.as_str().is_some_and(|text| text.chars().count() == MAX_WARNING_CHARS))
        );
    }
}
