use std::path::Path;

use serde_json::{Value, json};

use super::*;

fn folder() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The schema of `spec` of a kind.
fn spec(kind: &str) -> Value {
    let crd = all().into_iter().find(|crd| crd.spec.names.kind == kind).unwrap();
    let crd = serde_json::to_value(&crd).unwrap();
    crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"].clone()
}

#[test]
fn files_are_fresh() {
    for crd in all() {
        let path = folder().join(file_name(&crd));
        if std::env::var_os("UPDATE").is_some() {
            std::fs::write(&path, render_yaml(&crd)).unwrap();
        }
        let written = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(written == render_yaml(&crd), "{} is stale; run `cargo xtask crdgen`", file_name(&crd));
    }
}

#[test]
fn files_read_back_as_what_was_meant() {
    for crd in all() {
        let back: CustomResourceDefinition = serde_saphyr::from_str(&render_yaml(&crd)).unwrap();
        assert_eq!(back, crd);
    }
}

#[test]
fn names_are_those_users_type() {
    let rows: Vec<_> = all()
        .into_iter()
        .map(|crd| {
            let names = crd.spec.names;
            (
                names.plural,
                names.short_names.unwrap_or_default().join(","),
                names.categories.unwrap_or_default().join(","),
            )
        })
        .collect();
    let row =
        |plural: &str, short: &str, categories: &str| (plural.to_string(), short.to_string(), categories.to_string());
    assert_eq!(
        rows,
        [
            row("virtualservices", "tvs", "mesh,tulle"),
            row("trafficsplits", "tsplit", "mesh,tulle"),
            row("meshpolicies", "mpol", "mesh,tulle"),
            row("meshservices", "msvc", "tulle"),
            row("meshendpoints", "mep", "tulle"),
        ]
    );
}

/// Calls `visit` with every schema below `schema` and its path.
fn walk(path: &str, schema: &Value, visit: &mut impl FnMut(&str, &Value)) {
    visit(path, schema);
    if let Some(properties) = schema["properties"].as_object() {
        for (name, property) in properties {
            walk(&format!("{path}.{name}"), property, visit);
        }
    }
    for (part, suffix) in [("items", "[]"), ("additionalProperties", "{}")] {
        if schema[part].is_object() {
            walk(&format!("{path}{suffix}"), &schema[part], visit);
        }
    }
}

/// Fields of later releases are refused whole, so nothing inside them is bounded or described.
fn later(schema: &Value) -> bool {
    schema["description"] == json!("Not supported by this release; refused so that it is never ignored.")
}

#[test]
fn every_field_is_described_and_bounded() {
    for crd in all() {
        let kind = &crd.spec.names.kind;
        let mut wrong = Vec::new();
        walk("spec", &spec(kind), &mut |path, schema| {
            let field = !path.ends_with("[]") && !path.ends_with("{}");
            if field && schema["description"].as_str().is_none_or(str::is_empty) {
                wrong.push(format!("{path} has no description"));
            }
            if schema["type"].is_null() {
                wrong.push(format!("{path} has no type"));
            }
            if schema["type"] == "array" && schema["maxItems"].is_null() && !later(schema) {
                wrong.push(format!("{path} has no maxItems"));
            }
            if schema["additionalProperties"].is_object() && schema["maxProperties"].is_null() {
                wrong.push(format!("{path} has no maxProperties"));
            }
            if schema["nullable"] == true {
                wrong.push(format!("{path} is nullable"));
            }
        });
        assert!(wrong.is_empty(), "{kind}: {wrong:#?}");
    }
}

#[test]
fn only_later_fields_keep_what_nobody_knows() {
    for crd in all() {
        let kind = &crd.spec.names.kind;
        walk("spec", &spec(kind), &mut |path, schema| {
            let keeps = schema["x-kubernetes-preserve-unknown-fields"] == true;
            assert!(!keeps || later(schema) || path.ends_with("[]"), "{kind}: {path} keeps unknown fields");
        });
    }
}

#[test]
fn a_later_field_is_refused_by_name() {
    let http = &spec("VirtualService")["properties"]["http"]["items"];
    let delay = &http["properties"]["fault"]["properties"]["delay"];
    let rule = json!({
        "rule": "!has(self.exponentialDelay)",
        "message": "TUL3002: exponentialDelay is not supported by this release; remove it",
        "fieldPath": ".exponentialDelay",
        "reason": "FieldValueForbidden",
    });
    assert!(delay["x-kubernetes-validations"].as_array().unwrap().contains(&rule));
}

#[test]
fn rules_name_fields_that_exist() {
    for crd in all() {
        let kind = &crd.spec.names.kind;
        walk("spec", &spec(kind), &mut |path, schema| {
            for rule in schema["x-kubernetes-validations"].as_array().into_iter().flatten() {
                let field = rule["fieldPath"].as_str().unwrap_or("").trim_start_matches('.');
                assert!(field.is_empty() || schema["properties"][field].is_object(), "{kind}: {path}: {rule}");
                assert!(
                    rule["message"].as_str().is_some_and(|text| text.starts_with("TUL3")),
                    "{kind}: {path}: {rule}"
                );
            }
        });
    }
}
