//! Read-only views of a pod as the API server sent it.
//!
//! The pod stays JSON: typed structs would drop fields of newer Kubernetes versions, and a patch computed from them
//! would remove what the user wrote.

use serde_json::Value;

/// A pod under admission.
#[derive(Clone, Copy, Debug)]
pub struct Pod<'a>(pub &'a Value);

impl<'a> Pod<'a> {
    /// A field of the spec; `Null` where absent.
    pub fn spec(self, field: &str) -> &'a Value {
        &self.0["spec"][field]
    }

    /// The pod's name, or what its name will start with.
    pub fn name(self) -> &'a str {
        let metadata = &self.0["metadata"];
        metadata["name"].as_str().or(metadata["generateName"].as_str()).unwrap_or("")
    }

    /// The value of a label.
    pub fn label(self, key: &str) -> Option<&'a str> {
        self.0["metadata"]["labels"][key].as_str()
    }

    /// The value of an annotation.
    pub fn annotation(self, key: &str) -> Option<&'a str> {
        self.0["metadata"]["annotations"][key].as_str()
    }

    /// All annotations.
    pub fn annotations(self) -> impl Iterator<Item = (&'a str, &'a Value)> {
        let map = self.0["metadata"]["annotations"].as_object();
        map.into_iter().flatten().map(|(key, value)| (key.as_str(), value))
    }

    /// Init containers, then containers, each in the pod's order.
    pub fn containers(self) -> impl Iterator<Item = Container<'a>> {
        ["initContainers", "containers"].into_iter().flat_map(move |list| {
            let values = self.spec(list).as_array().map(Vec::as_slice).unwrap_or_default();
            values.iter().enumerate().map(move |(index, value)| Container { list, index, value })
        })
    }

    /// Whether an init container or container has this name.
    pub fn has_container(self, name: &str) -> bool {
        self.containers().any(|container| container.name() == name)
    }
}

/// A container of a pod, with its place in it.
#[derive(Clone, Copy, Debug)]
pub struct Container<'a> {
    /// `initContainers` or `containers`.
    pub list: &'static str,
    /// Position in that list.
    pub index: usize,
    /// The container itself.
    pub value: &'a Value,
}

impl<'a> Container<'a> {
    /// The container's name.
    pub fn name(self) -> &'a str {
        self.value["name"].as_str().unwrap_or("")
    }

    /// Whether it runs as long as the pod: an application container or a native sidecar (KEP-753).
    pub fn is_long_running(self) -> bool {
        self.list == "containers" || self.value["restartPolicy"] == "Always"
    }

    /// Declared ports.
    pub fn ports(self) -> impl Iterator<Item = &'a Value> {
        self.value["ports"].as_array().into_iter().flatten()
    }

    /// The number of a port reference: itself, or the container's own port of that name, which is where the kubelet
    /// looks too.
    pub fn resolve_port(self, reference: &Value) -> Option<u16> {
        let number = match reference {
            Value::Number(number) => number.as_u64(),
            Value::String(name) => self.ports().find(|port| port["name"] == name.as_str())?["containerPort"].as_u64(),
            _ => None,
        };
        number.and_then(|port| u16::try_from(port).ok()).filter(|port| *port > 0)
    }
}
