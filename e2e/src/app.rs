//! (pure) Manifests of the test application: servers, loads and the Services in front of them.

use serde_json::{Map, Value, json};

use crate::images::{PREFIX, TAG};

/// Port of a server's ledger.
pub const LEDGER_PORT: u16 = 8090;
/// Control port of a load.
pub const CONTROL_PORT: u16 = 8091;
/// Name of the application's container.
pub const CONTAINER: &str = "app";
/// The program in the image.
pub const PROGRAM: &str = "/tulle-e2e-app";

/// A workload of the application.
#[derive(Debug, Clone)]
pub struct App {
    name: String,
    arguments: Vec<String>,
    labels: Map<String, Value>,
    annotations: Map<String, Value>,
    replicas: u32,
    service_account: Option<String>,
    probe: Option<Value>,
    extra: Map<String, Value>,
    container_extra: Map<String, Value>,
}

impl App {
    fn new(name: &str, arguments: Vec<String>) -> Self {
        // The tests look behind the scenes on these two ports: no proxy may stand before them.
        let skip = format!("{LEDGER_PORT},{CONTROL_PORT}");
        Self {
            name: name.to_owned(),
            arguments,
            labels: Map::from_iter([("app".to_owned(), json!(name))]),
            annotations: Map::from_iter([("proxy.tulle.dev/skip-inbound-ports".to_owned(), json!(skip))]),
            replicas: 1,
            service_account: None,
            probe: None,
            extra: Map::new(),
            container_extra: Map::new(),
        }
    }

    /// A server that answers with `name`.
    pub fn server(name: &str) -> Self {
        let arguments = ["serve", "--name", name].map(str::to_owned).to_vec();
        let probe = json!({"httpGet": {"path": "/healthz", "port": 8080}, "periodSeconds": 1});
        Self { probe: Some(probe), ..Self::new(name, arguments) }
    }

    /// A load of `target` in `mode` that waits to be started.
    pub fn load(name: &str, target: &str, mode: &str) -> Self {
        Self::new(name, ["load", "--target", target, "--mode", mode].map(str::to_owned).to_vec())
    }

    /// A pod that waits for `kubectl exec`: a server nobody calls.
    pub fn idle(name: &str) -> Self {
        Self::server(name)
    }

    /// One request, then the end: for a Job.
    pub fn job(name: &str, target: &str) -> Self {
        Self::new(name, ["job", target].map(str::to_owned).to_vec())
    }

    /// Adds arguments.
    #[must_use]
    pub fn arguments(mut self, arguments: &[&str]) -> Self {
        self.arguments.extend(arguments.iter().map(|&argument| argument.to_owned()));
        self
    }

    /// Adds a label to the pods.
    #[must_use]
    pub fn label(mut self, key: &str, value: &str) -> Self {
        self.labels.insert(key.to_owned(), json!(value));
        self
    }

    /// Adds an annotation to the pods.
    #[must_use]
    pub fn annotation(mut self, key: &str, value: &str) -> Self {
        self.annotations.insert(key.to_owned(), json!(value));
        self
    }

    /// Number of pods.
    #[must_use]
    pub fn replicas(mut self, replicas: u32) -> Self {
        self.replicas = replicas;
        self
    }

    /// Runs as this ServiceAccount, which [`App::deployment`] also makes.
    #[must_use]
    pub fn service_account(mut self, name: &str) -> Self {
        self.service_account = Some(name.to_owned());
        self
    }

    /// Stays outside the mesh.
    #[must_use]
    pub fn unmeshed(self) -> Self {
        self.label("tulle.dev/inject", "disabled")
    }

    /// Leaves each pod's ledger in this folder of the node when the pod ends.
    #[must_use]
    pub fn ledger_folder(mut self, folder: &str) -> Self {
        self.arguments.extend(["--ledger-dir".to_owned(), "/ledger".to_owned()]);
        self.extra.insert(
            "volumes".to_owned(),
            json!([{"name": "ledger", "hostPath": {"path": folder, "type": "Directory"}}]),
        );
        self.container_extra.insert("volumeMounts".to_owned(), json!([{"name": "ledger", "mountPath": "/ledger"}]));
        self
    }

    /// Makes ports of the pods ports of their node as well: pairs of the pod's and the node's.
    #[must_use]
    pub fn host_ports(mut self, ports: &[(u16, u16)]) -> Self {
        let ports: Vec<Value> =
            ports.iter().map(|(own, host)| json!({"containerPort": own, "hostPort": host})).collect();
        self.container_extra.insert("ports".to_owned(), json!(ports));
        self
    }

    /// The pod template.
    pub fn template(&self) -> Value {
        let mut container = json!({
            "name": CONTAINER,
            "image": format!("{PREFIX}/e2e-app:{TAG}"),
            "imagePullPolicy": "IfNotPresent",
            "args": self.arguments,
            "resources": {"requests": {"cpu": "10m", "memory": "16Mi"}},
            "securityContext": {"allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}},
        });
        let mut spec = json!({"containers": []});
        if let (Some(container), Some(probe)) = (container.as_object_mut(), &self.probe) {
            container.insert("readinessProbe".to_owned(), probe.clone());
        }
        if let Some(container) = container.as_object_mut() {
            container.extend(self.container_extra.clone());
        }
        spec["containers"] = json!([container]);
        if let Some(spec) = spec.as_object_mut() {
            spec.extend(self.extra.clone());
        }
        if let Some(account) = &self.service_account {
            spec["serviceAccountName"] = json!(account);
        }
        json!({"metadata": {"labels": self.labels, "annotations": self.annotations}, "spec": spec})
    }

    /// A Deployment, with its ServiceAccount if it names one.
    pub fn deployment(&self) -> Value {
        let deployment = json!({
            "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": self.name},
            "spec": {
                "replicas": self.replicas,
                "selector": {"matchLabels": {"app": self.labels["app"]}},
                "template": self.template(),
            },
        });
        let mut items = vec![deployment];
        if let Some(account) = &self.service_account {
            items.push(json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": account}}));
        }
        list(items)
    }

    /// A StatefulSet with the headless Service that names its pods.
    pub fn stateful_set(&self) -> Value {
        let mut headless = service(&self.name, &[("app", &self.name)]);
        headless["spec"]["clusterIP"] = json!("None");
        let set = json!({
            "apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": {"name": self.name},
            "spec": {
                "replicas": self.replicas,
                "serviceName": self.name,
                "selector": {"matchLabels": {"app": self.labels["app"]}},
                "template": self.template(),
            },
        });
        list(vec![headless, set])
    }

    /// A Job that runs once and is not repeated.
    pub fn as_job(&self) -> Value {
        let mut template = self.template();
        template["spec"]["restartPolicy"] = json!("Never");
        json!({
            "apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": self.name},
            "spec": {"backoffLimit": 0, "template": template},
        })
    }
}

/// A Service with a port for every protocol the server speaks; `web` leaves the protocol to be found out.
pub fn service(name: &str, selector: &[(&str, &str)]) -> Value {
    let selector: Map<String, Value> = selector.iter().map(|(key, value)| ((*key).to_owned(), json!(value))).collect();
    let port = |name: &str, port: u16, target: u16| json!({"name": name, "port": port, "targetPort": target});
    json!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": name},
        "spec": {
            "selector": selector,
            "ports": [
                port("http", 80, 8080), port("http2", 81, 8080), port("grpc", 82, 8080), port("web", 83, 8080),
                port("tcp-echo", 9000, 9000), port("banner", 9001, 9001),
            ],
        },
    })
}

/// A TrafficSplit of `apex`.
pub fn traffic_split(apex: &str, backends: &[(&str, i64)]) -> Value {
    let backends: Vec<Value> =
        backends.iter().map(|(service, weight)| json!({"service": service, "weight": weight})).collect();
    json!({
        "apiVersion": "tulle.dev/v1alpha1", "kind": "TrafficSplit", "metadata": {"name": apex},
        "spec": {"service": apex, "backends": backends},
    })
}

/// Several objects as one document; lists among them are opened, because kubectl does not look into a second level.
pub fn list(items: Vec<Value>) -> Value {
    let flat: Vec<Value> = items
        .into_iter()
        .flat_map(|mut item| match item.get_mut("items").and_then(Value::as_array_mut) {
            Some(inner) => std::mem::take(inner),
            None => vec![item],
        })
        .collect();
    json!({"apiVersion": "v1", "kind": "List", "items": flat})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deployment_selects_its_own_pods() {
        let list = App::server("v1").label("version", "v1").service_account("shop").deployment();
        let deployment = &list["items"][0];
        assert_eq!(
            deployment["spec"]["selector"]["matchLabels"]["app"],
            deployment["spec"]["template"]["metadata"]["labels"]["app"]
        );
        assert_eq!(list["items"][1]["metadata"]["name"], "shop");
    }

    #[test]
    fn lists_of_lists_are_flat() {
        let one = |name| App::server(name).service_account("shop").deployment();
        let all = list(vec![one("v1"), one("v2"), service("v1", &[])]);
        let kinds: Vec<_> = all["items"].as_array().expect("items").iter().map(|item| item["kind"].clone()).collect();
        assert_eq!(kinds, ["Deployment", "ServiceAccount", "Deployment", "ServiceAccount", "Service"]);
    }
}
