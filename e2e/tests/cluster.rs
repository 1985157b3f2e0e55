//! The cluster runner on itself: a cluster boots, does what a real one does, survives its own failures, and leaves nothing.

use std::fs;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream, UdpSocket};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use tulle_e2e::cluster::Component;
use tulle_e2e::{Cluster, ClusterSpec, OwnedCluster, wait};

/// For one thing to happen in a cluster on a busy machine.
const DEADLINE: Duration = Duration::from_secs(90);

#[test]
#[ignore = "boots clusters: needs root, and minutes the first time"]
fn a_cluster_does_what_a_cluster_does_and_leaves_nothing() -> Result<()> {
    let name = "runner-test";
    let cluster = OwnedCluster::up(&ClusterSpec { name: name.to_owned(), nodes: 2 })?;
    a_service_reaches_pods_with_native_sidecars(&cluster)?;
    dns_answers(&cluster)?;
    the_api_server_comes_back_after_a_kill(&cluster)?;
    ensure!(cluster.helm().run(["version"])?.contains("v4."));

    let folder = cluster.folder().to_path_buf();
    drop(cluster);
    nothing_is_left(name, &folder)
}

#[test]
#[ignore = "boots clusters: needs root, and minutes the first time"]
fn a_second_start_replaces_what_a_crash_left() -> Result<()> {
    let spec = ClusterSpec::named("runner-crash");
    let first = Cluster::up(&spec)?.first_node().init_pid()?;
    // Nobody took the first one down: for the second start it is the remains of a run that was killed.
    let second = OwnedCluster::up(&spec)?;
    ensure!(second.first_node().init_pid()? != first, "the second start kept the first one's node");
    ensure!(!Path::new(&format!("/proc/{first}")).exists(), "process 1 of the first start still runs");
    let folder = second.folder().to_path_buf();
    drop(second);
    nothing_is_left(&spec.name, &folder)
}

fn a_service_reaches_pods_with_native_sidecars(cluster: &Cluster) -> Result<()> {
    let system = cluster.kubectl().namespaced("kube-system");
    let dns = system.get("deployment/coredns")?;
    let image = dns["spec"]["template"]["spec"]["containers"][0]["image"].as_str().context("the DNS image's name")?;
    let kubectl = cluster.kubectl().namespace("smoke", &[("pod-security.kubernetes.io/enforce", "restricted")])?;
    kubectl.apply(&manifests(image).to_string())?;
    kubectl.rolled_out("deployment/web", DEADLINE)?;
    let pods = kubectl.get_with(&["pods", "-l", "app=web"])?;
    let nodes = pods["items"].as_array().context("pods")?.iter().filter_map(|pod| pod["spec"]["nodeName"].as_str());
    ensure!(nodes.collect::<std::collections::HashSet<_>>().len() == 2, "the two pods are not on two nodes");
    let address: Ipv4Addr =
        kubectl.get("service/web")?["spec"]["clusterIP"].as_str().context("a cluster IP")?.parse()?;
    // As often as makes it certain that both pods were asked (2^-16 that not).
    for _ in 0..16 {
        wait::until(DEADLINE, "an answer through the cluster IP", || {
            get(SocketAddr::from((address, 80)), "/health").map(Some)
        })?;
    }
    Ok(())
}

/// Cluster DNS is the one program at hand that serves HTTP; as a sidecar it only has to start before the other one.
fn manifests(image: &str) -> serde_json::Value {
    let security = serde_json::json!({
        "allowPrivilegeEscalation": false, "runAsNonRoot": true, "readOnlyRootFilesystem": true,
        "capabilities": {"drop": ["ALL"]}, "seccompProfile": {"type": "RuntimeDefault"},
    });
    let container = |name: &str, corefile: &str| {
        serde_json::json!({
            "name": name, "image": image, "imagePullPolicy": "Never", "securityContext": security,
            "args": ["-conf", format!("/files/{corefile}")], "volumeMounts": [{"name": "files", "mountPath": "/files"}],
        })
    };
    let mut sidecar = container("side", "side");
    sidecar["restartPolicy"] = "Always".into();
    let mut web = container("web", "web");
    web["readinessProbe"] = serde_json::json!({"tcpSocket": {"port": 8080}, "periodSeconds": 1});
    let spread = serde_json::json!([{
        "maxSkew": 1, "topologyKey": "kubernetes.io/hostname", "whenUnsatisfiable": "DoNotSchedule",
        "labelSelector": {"matchLabels": {"app": "web"}},
    }]);
    serde_json::json!({"apiVersion": "v1", "kind": "List", "items": [
        {
            "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "files"},
            "data": {"web": ".:5301 {\n health :8080\n}\n", "side": ".:5302 {\n health :8082\n}\n"},
        },
        {
            "apiVersion": "v1", "kind": "Service", "metadata": {"name": "web"},
            "spec": {"selector": {"app": "web"}, "ports": [{"port": 80, "targetPort": 8080}]},
        },
        {
            "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"},
            "spec": {
                "replicas": 2, "selector": {"matchLabels": {"app": "web"}},
                "template": {
                    "metadata": {"labels": {"app": "web"}},
                    "spec": {
                        "topologySpreadConstraints": spread,
                        "initContainers": [sidecar], "containers": [web],
                        "volumes": [{"name": "files", "configMap": {"name": "files"}}],
                    },
                },
            },
        },
    ]})
}

fn get(address: SocketAddr, path: &str) -> Result<()> {
    let limit = Duration::from_secs(3);
    let mut stream = TcpStream::connect_timeout(&address, limit)?;
    stream.set_read_timeout(Some(limit))?;
    write!(stream, "GET {path} HTTP/1.1\r\nhost: web\r\nconnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    ensure!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    Ok(())
}

/// Asks for the address of the API server's Service (RFC 1035, section 4).
fn dns_answers(cluster: &Cluster) -> Result<()> {
    let mut query = vec![0, 7, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    for label in "kubernetes.default.svc.cluster.local".split('.') {
        query.push(u8::try_from(label.len())?);
        query.extend(label.as_bytes());
    }
    query.extend([0, 0, 1, 0, 1]);
    let socket = UdpSocket::bind("0.0.0.0:0")?;
    socket.set_read_timeout(Some(Duration::from_secs(1)))?;
    wait::until(DEADLINE, "cluster DNS to know the API server", || {
        socket.send_to(&query, (cluster.addresses().dns(), 53))?;
        let mut answer = [0; 512];
        let length = socket.recv(&mut answer)?;
        // The address is the last field of the only record.
        Ok(answer[..length].ends_with(&cluster.addresses().api_service().octets()).then_some(()))
    })
}

fn the_api_server_comes_back_after_a_kill(cluster: &Cluster) -> Result<()> {
    let node = cluster.first_node();
    let before = node.pid(Component::ApiServer)?.context("the API server runs")?;
    node.kill(Component::ApiServer)?;
    ensure!(cluster.kubectl().run(["get", "namespaces"]).is_err(), "an API server that was killed answers");
    node.start(Component::ApiServer)?;
    cluster.wait_for_api()?;
    ensure!(node.pid(Component::ApiServer)? != Some(before));
    ensure!(cluster.kubectl().get("namespace/smoke")?["metadata"]["name"] == "smoke", "the store lost an object");
    Ok(())
}

fn nothing_is_left(name: &str, folder: &Path) -> Result<()> {
    ensure!(!folder.exists(), "{} is left", folder.display());
    let traces = folder.display().to_string();
    for entry in fs::read_dir("/proc")? {
        let arguments = fs::read(entry?.path().join("cmdline")).unwrap_or_default();
        let arguments = String::from_utf8_lossy(&arguments).replace('\0', " ");
        ensure!(!arguments.contains(&traces), "a process is left: {arguments}");
    }
    ensure!(!fs::read_to_string("/proc/self/mounts")?.contains(&traces), "a mount is left");
    let cgroups = Command::new("find")
        .args(["/sys/fs/cgroup", "-maxdepth", "2", "-name", &format!("tulle-{name}-*")])
        .output()?;
    ensure!(cgroups.stdout.is_empty(), "cgroups are left: {}", String::from_utf8_lossy(&cgroups.stdout));
    Ok(())
}
