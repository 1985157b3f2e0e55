//! Where the demo runs: on a cluster it starts itself, or on one that is there.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use tulle_e2e::api::Api;
use tulle_e2e::components::{HELM, KUBERNETES, Toolbox};
use tulle_e2e::images::{MeshImages, TAG};
use tulle_e2e::inside::Inside;
use tulle_e2e::progress::Step;
use tulle_e2e::reach::Reach;
use tulle_e2e::{Cluster, ClusterSpec, Helm, Kubectl, OwnedCluster, command, mesh, paths};

use super::NAMESPACE;
use super::report::Report;

/// Name of the demo's own cluster.
const CLUSTER: &str = "demo";

/// A cluster with the images of the mesh on it.
pub(super) struct Place {
    owner: Owner,
    kubectl: Kubectl,
    helm: Helm,
    reach: Reach,
    registry: String,
}

enum Owner {
    /// Started here, taken down at the end.
    Ours(OwnedCluster),
    /// Started by an earlier demo.
    Kept(Cluster),
    /// A person's own: only what was installed is removed.
    Theirs(Visit),
}

impl Place {
    /// Builds the images and gets the cluster ready.
    pub(super) fn prepare(context: Option<&str>, registry: &str, report: &mut Report) -> Result<Self> {
        let tools = Toolbox::ensure()?;
        let images = MeshImages::build(&paths::repository().join("target/images"))?;
        report.image_mib =
            images.images.iter().filter_map(|image| Some((component_of(&image.name)?, mib(image.bytes)))).collect();
        if let Some(context) = context {
            return Self::visit(context, registry, &tools);
        }
        let start = Instant::now();
        let cluster = OwnedCluster::up(&ClusterSpec::named(CLUSTER))?;
        report.seconds.cluster_boot = start.elapsed().as_secs_f64();
        let step = Step::start("loading the images", Some(Duration::from_secs(5)));
        mesh::load_images(&cluster, &images)?;
        step.done();
        let (kubectl, helm) = (cluster.kubectl(), cluster.helm());
        let reach = Reach::Node(Inside::of(&cluster.first_node())?);
        Ok(Self { owner: Owner::Ours(cluster), kubectl, helm, reach, registry: registry.to_owned() })
    }

    /// The place an earlier demo left up.
    pub(super) fn kept(context: Option<&str>) -> Result<Self> {
        if let Some(context) = context {
            let mut place = Self::visit(context, "localhost", &Toolbox::ensure()?)?;
            place.stay();
            return Ok(place);
        }
        let cluster =
            Cluster::load(CLUSTER).context("no demo was left up; start one with `cargo xtask demo --keep`")?;
        let (kubectl, helm) = (cluster.kubectl(), cluster.helm());
        let reach = Reach::Node(Inside::of(&cluster.first_node())?);
        Ok(Self { owner: Owner::Kept(cluster), kubectl, helm, reach, registry: "localhost".to_owned() })
    }

    /// A person's cluster. Its part of their configuration is copied, so that nothing depends on their current context.
    fn visit(context: &str, registry: &str, tools: &Toolbox) -> Result<Self> {
        let folder = paths::cache().join(format!("demo-{context}").replace(['/', ':'], "-"));
        fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
        let program = tools.program(&KUBERNETES, "kubectl");
        let mut view = Command::new(&program);
        view.args(["config", "view", "--minify", "--flatten", "--raw", "--context", context]);
        let config = command::run(&mut view).with_context(|| format!("kubectl knows no context {context:?}"))?;
        let file = folder.join("kubeconfig");
        write_private(&file, &config)?;
        let kubectl = Kubectl::new(program, &file);
        let helm = Helm::new(tools.program(&HELM, "helm"), &file, folder.join("helm"));
        let reach = Reach::ApiServer(Arc::new(Api::start(&kubectl)?));
        eprintln!("using context {context}; its nodes must have or be able to pull {registry}/tulle/*:{TAG}");
        eprintln!(
            "the archives are in target/images: load them into the nodes, or push them and name their place with --registry"
        );
        let visit = Visit { kubectl: kubectl.clone(), helm: helm.clone(), stay: false };
        Ok(Self { owner: Owner::Theirs(visit), kubectl, helm, reach, registry: registry.to_owned() })
    }

    pub(super) fn kubectl(&self) -> &Kubectl {
        &self.kubectl
    }

    pub(super) fn helm(&self) -> &Helm {
        &self.helm
    }

    pub(super) fn reach(&self) -> &Reach {
        &self.reach
    }

    pub(super) fn registry(&self) -> &str {
        &self.registry
    }

    /// The cluster, when it is one of ours and can be looked into.
    pub(super) fn cluster(&self) -> Option<&Cluster> {
        match &self.owner {
            Owner::Ours(cluster) => Some(cluster),
            Owner::Kept(cluster) => Some(cluster),
            Owner::Theirs(_) => None,
        }
    }

    /// Values of the chart.
    pub(super) fn values(&self) -> Vec<String> {
        match self.cluster() {
            Some(cluster) => mesh::values(cluster),
            None => vec![format!("image.registry={}", self.registry), format!("image.tag={TAG}")],
        }
    }

    fn stay(&mut self) {
        if let Owner::Theirs(visit) = &mut self.owner {
            visit.stay = true;
        }
    }

    /// Leaves everything up and says what to try.
    pub(super) fn keep(mut self) -> Result<()> {
        self.stay();
        let mut take_down = "cargo xtask cluster down --name demo".to_owned();
        eprintln!("\nEverything stays up. In another terminal:\n");
        match self.owner {
            Owner::Ours(cluster) => {
                eprintln!("  export KUBECONFIG={}", cluster.kubeconfig().display());
                eprintln!("  export PATH={}:$PATH", cluster.bin().display());
                cluster.keep()?;
            }
            Owner::Kept(_) => {}
            Owner::Theirs(_) => {
                take_down = format!("kubectl delete namespace {NAMESPACE} && helm uninstall tulle -n tulle-system")
            }
        }
        eprintln!("  cargo xtask demo --follow                          # live shares, until Ctrl-C");
        eprintln!(
            "  kubectl edit trafficsplit checkout -n {NAMESPACE}          # change the weights and watch the shares follow"
        );
        eprintln!(
            "  kubectl get mesh -n {NAMESPACE}                            # what the mesh says about your objects"
        );
        eprintln!(
            "\nBreak a policy: nobody may call checkout any more, and the shares turn into refusals that say why.\n"
        );
        eprintln!("  kubectl apply -f - <<'END'\n{}END", denial());
        eprintln!("  kubectl logs deployment/checkout-v1 -n {NAMESPACE} -c {} --tail=1", mesh::PROXY);
        eprintln!("  kubectl delete meshpolicy nobody -n {NAMESPACE}");
        eprintln!("\nTake everything down:\n\n  {take_down}");
        Ok(())
    }
}

fn denial() -> String {
    format!(
        "  apiVersion: tulle.dev/v1alpha1\n  kind: MeshPolicy\n  metadata: {{name: nobody, namespace: {NAMESPACE}}}\n  \
         spec:\n    selector: {{matchLabels: {{app: checkout}}}}\n    authorization: {{action: DENY, rules: [{{}}]}}\n  "
    )
}

/// What was installed on a person's cluster, removed at the end.
struct Visit {
    kubectl: Kubectl,
    helm: Helm,
    stay: bool,
}

impl Drop for Visit {
    fn drop(&mut self) {
        if self.stay {
            return;
        }
        eprintln!("removing the example and the mesh");
        let removed = self
            .kubectl
            .delete(&format!("namespace {NAMESPACE}"))
            .and_then(|()| self.helm.uninstall(mesh::RELEASE, mesh::SYSTEM_NAMESPACE))
            .and_then(|_| self.kubectl.delete(&format!("namespace {}", mesh::SYSTEM_NAMESPACE)));
        if let Err(error) = removed {
            eprintln!("not everything was removed: {error:#}");
        }
    }
}

/// Credentials are for their owner's eyes.
fn write_private(file: &PathBuf, text: &str) -> Result<()> {
    use std::os::unix::fs::OpenOptionsExt;
    let mut options = fs::OpenOptions::new();
    let mut opened = options.write(true).create(true).truncate(true).mode(0o600).open(file)?;
    std::io::Write::write_all(&mut opened, text.as_bytes()).with_context(|| format!("cannot write {}", file.display()))
}

/// `localhost/tulle/proxy:dev` is the image of the component `proxy`; the test application is none.
fn component_of(image: &str) -> Option<String> {
    let name = image.rsplit('/').next()?.split(':').next()?;
    ["operator", "webhook", "proxy"].contains(&name).then(|| name.to_owned())
}

fn mib(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}
