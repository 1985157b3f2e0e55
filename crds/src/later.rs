//! Fields users know from other meshes that this release does not act on yet.
//!
//! Dropping them silently would change meaning: a rule without its `sourceLabels` matches everybody, an ALLOW rule without its
//! `when` permits more. So the schema names them (the API server then keeps them, and a CEL rule refuses them with the reason),
//! and every struct keeps what it does not know in a [`Rest`], which the parser refuses as `UnsupportedField`. A proxy that is
//! older than the schema therefore keeps its last good rules instead of serving half of the new ones.

use std::collections::BTreeMap;

use schemars::Schema;
use serde_json::{Map, Value, json};

/// Fields of an object that its struct does not declare, as written.
pub(crate) type Rest = BTreeMap<String, Value>;

/// How a later field looks, as far as the API server must know to keep it and to let CEL see it.
///
/// CEL cannot see a value without a type, so each field has one.
#[derive(Clone, Copy)]
pub(crate) enum Shape {
    Object,
    Objects,
    Strings,
    Text,
    Number,
}

/// Names and shapes of the later fields of one struct.
pub(crate) type Later = &'static [(&'static str, Shape)];

/// A schema transform that declares the fields of `later` and refuses each by a CEL rule.
pub(crate) fn refuse(later: Later) -> impl FnMut(&mut Schema) {
    move |schema| {
        let object = schema.ensure_object();
        // A flattened map makes schemars allow everything here; what is not named is for the API server to refuse.
        object.remove("additionalProperties");
        let properties = object.entry("properties").or_insert_with(|| Value::Object(Map::new()));
        for (name, shape) in later {
            properties[*name] = shape.schema();
        }
        let rules = object.entry("x-kubernetes-validations").or_insert_with(|| json!([]));
        let Some(rules) = rules.as_array_mut() else { return };
        for (name, _) in later {
            rules.push(json!({
                "rule": format!("!has(self.{name})"),
                "message": format!("TUL3002: {name} is not supported by this release; remove it"),
                "fieldPath": format!(".{name}"),
                "reason": "FieldValueForbidden",
            }));
        }
    }
}

impl Shape {
    fn schema(self) -> Value {
        let description = "Not supported by this release; refused so that it is never ignored.";
        let mut schema = match self {
            Shape::Object => json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true}),
            Shape::Objects => json!({
                "type": "array",
                "items": {"type": "object", "x-kubernetes-preserve-unknown-fields": true},
            }),
            Shape::Strings => json!({"type": "array", "items": {"type": "string"}}),
            Shape::Text => json!({"type": "string"}),
            Shape::Number => json!({"type": "integer"}),
        };
        schema["description"] = json!(description);
        schema
    }
}
