//! What the leader knows of the cluster, as plain values in one place: watched objects cut down to what decisions need,
//! grouped by namespace because few decisions look across one (`abroad`).
//!
//! [`World::take_in`] is the only way in. It answers which [`Key`]s have to be decided anew, so the cost of a change is
//! the size of what it touches, not of the cluster.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use tulle_core::route::Subset;
use tulle_core::route::delegate::DEPTH_MAX;
use tulle_crds::{MeshEndpoint, MeshPolicy, MeshService, TrafficSplit, VirtualService};

mod abroad;
pub mod cut;

/// A name of Kubernetes, shared by everything that mentions it.
pub type Name = Arc<str>;

/// A namespaced object of a kind that the context tells.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ref {
    /// Namespace.
    pub namespace: Name,
    /// Name.
    pub name: Name,
}

/// One thing to decide about. The order is the order of work: what callers wait for comes before what people read.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Key {
    /// Who may read the mesh's objects.
    Bindings,
    /// The MeshService of a Service.
    Service(Ref),
    /// The MeshEndpoint of a pod.
    Pod(Ref),
    /// The status of a TrafficSplit.
    TrafficSplit(Ref),
    /// The status of a VirtualService.
    VirtualService(Ref),
    /// The status of a MeshPolicy.
    MeshPolicy(Ref),
}

impl Key {
    /// The kind, for metrics and logs.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Bindings => "Bindings",
            Self::Service(_) => "MeshService",
            Self::Pod(_) => "MeshEndpoint",
            Self::TrafficSplit(_) => "TrafficSplit",
            Self::VirtualService(_) => "VirtualService",
            Self::MeshPolicy(_) => "MeshPolicy",
        }
    }
}

/// A Service, as far as the mesh cares.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Service {
    /// Its uid.
    pub uid: String,
    /// Cluster addresses, without `None`.
    pub cluster_ips: Vec<String>,
    /// `clusterIP: None`.
    pub headless: bool,
    /// `type: ExternalName`: the DNS name that it stands for.
    pub alias_of: Option<String>,
    /// Empty: its endpoints are made by hand.
    pub selector: BTreeMap<String, String>,
    /// TCP ports.
    pub ports: Vec<Port>,
}

/// A TCP port of a Service.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Port {
    /// Empty where unnamed.
    pub name: String,
    /// Number.
    pub port: u16,
    /// `appProtocol`.
    pub app_protocol: Option<String>,
}

/// An EndpointSlice.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Slice {
    /// The Service it belongs to.
    pub service: Option<Name>,
    /// Its endpoints.
    pub endpoints: Vec<Endpoint>,
}

/// One endpoint of a slice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// The pod behind it; `None` where it is no pod of this namespace.
    pub pod: Option<Name>,
    /// First address.
    pub address: String,
    /// Whether it takes traffic.
    pub ready: bool,
}

/// A pod.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pod {
    /// Its uid.
    pub uid: String,
    /// For selectors.
    pub labels: BTreeMap<String, String>,
    /// ServiceAccount.
    pub service_account: String,
    /// Node, once scheduled.
    pub node: Option<String>,
    /// Addresses, once known.
    pub ips: Vec<IpAddr>,
    /// Whether it carries a proxy: read from its containers, which nobody can change after creation, and not from the
    /// label, which a tenant can.
    pub meshed: bool,
    /// Whether it has ended: its address may belong to another pod by now.
    pub ended: bool,
}

/// A namespace with what is in it.
#[derive(Debug, Default)]
pub struct Tenant {
    /// Whether the namespace asks for sidecars.
    pub enabled: bool,
    /// Services by name.
    pub services: BTreeMap<Name, Service>,
    /// EndpointSlices by name.
    pub slices: BTreeMap<Name, Slice>,
    /// Names of a Service's slices.
    pub slices_of: BTreeMap<Name, BTreeSet<Name>>,
    /// Pods by name.
    pub pods: BTreeMap<Name, Pod>,
    /// TrafficSplits by name.
    pub traffic_splits: BTreeMap<Name, Arc<TrafficSplit>>,
    /// VirtualServices by name.
    pub virtual_services: BTreeMap<Name, Arc<VirtualService>>,
    /// MeshPolicies by name.
    pub mesh_policies: BTreeMap<Name, Arc<MeshPolicy>>,
    /// MeshServices as they are in the cluster.
    pub mesh_services: BTreeMap<Name, Arc<MeshService>>,
    /// MeshEndpoints as they are in the cluster.
    pub mesh_endpoints: BTreeMap<Name, Arc<MeshEndpoint>>,
    meshed_pods: usize,
}

impl Tenant {
    /// Whether proxies run here, or are asked for.
    #[must_use]
    pub fn is_meshed(&self) -> bool {
        self.enabled || self.meshed_pods > 0
    }

    /// The endpoints of a Service, of all its slices.
    pub fn endpoints<'a>(&'a self, service: &str) -> impl Iterator<Item = &'a Endpoint> {
        let names = self.slices_of.get(service).into_iter().flatten();
        names.filter_map(|name| self.slices.get(name)).flat_map(|slice| &slice.endpoints)
    }

    /// Ready endpoints of a Service; a pod with an address of each family counts once.
    #[must_use]
    pub fn ready_endpoints(&self, service: &str) -> usize {
        let ready = self.endpoints(service).filter(|endpoint| endpoint.ready);
        ready.map(|endpoint| endpoint.pod.as_deref().unwrap_or(&endpoint.address)).collect::<BTreeSet<&str>>().len()
    }

    /// Whether a ready endpoint of a Service belongs to a subset.
    #[must_use]
    pub fn is_ready(&self, service: &str, subset: &Subset) -> bool {
        self.endpoints(service).filter(|endpoint| endpoint.ready).any(|endpoint| {
            let labels = endpoint.pod.as_ref().and_then(|pod| self.pods.get(pod)).map(|pod| &pod.labels);
            subset.takes(endpoint.pod.as_deref(), labels)
        })
    }
}

/// Something that was seen. `None` says that the object is gone.
#[derive(Debug)]
#[expect(missing_docs, reason = "each variant is named for what it carries")]
pub enum Change {
    /// Whether the namespace asks for sidecars.
    Namespace(Name, Option<bool>),
    Service(Ref, Option<Service>),
    Slice(Ref, Option<Slice>),
    Pod(Ref, Option<Pod>),
    TrafficSplit(Ref, Option<Arc<TrafficSplit>>),
    VirtualService(Ref, Option<Arc<VirtualService>>),
    MeshPolicy(Ref, Option<Arc<MeshPolicy>>),
    MeshService(Ref, Option<Arc<MeshService>>),
    MeshEndpoint(Ref, Option<Arc<MeshEndpoint>>),
    /// Namespaces whose ServiceAccounts are bound to the proxy's role; `None` while the binding does not exist.
    Bound(Option<BTreeSet<Name>>),
    /// The same for the role to read the trust bundle.
    BundleBound(Option<BTreeSet<Name>>),
}

/// Everything known.
#[derive(Debug, Default)]
pub struct World {
    /// By name; a namespace may hold objects before it is seen itself.
    pub tenants: BTreeMap<Name, Tenant>,
    /// Namespaces bound to the proxy's role as the cluster has it; `None` while the binding does not exist.
    pub bound: Option<BTreeSet<Name>>,
    /// The same for the trust bundle.
    pub bundle_bound: Option<BTreeSet<Name>>,
    /// Who refers to Services of another namespace.
    abroad: abroad::Abroad,
    /// Who delegates to one.
    delegating: abroad::Abroad,
    /// Namespace of the control plane, whose policies are for the whole mesh.
    system_namespace: Option<Name>,
}

impl World {
    /// Nothing known yet.
    #[must_use]
    pub fn new(system_namespace: &str) -> Self {
        Self { system_namespace: Some(system_namespace.into()), ..Self::default() }
    }

    /// The namespace, if anything is known of it.
    #[must_use]
    pub fn tenant(&self, namespace: &str) -> Option<&Tenant> {
        self.tenants.get(namespace)
    }

    /// Whether proxies of the namespace may read what is published for them.
    #[must_use]
    pub fn is_bound(&self, namespace: &str) -> bool {
        let has = |set: &Option<BTreeSet<Name>>| set.as_ref().is_some_and(|set| set.contains(namespace));
        has(&self.bound) && has(&self.bundle_bound)
    }

    /// Takes in what was seen and adds to `dirty` what has to be decided anew.
    pub fn take_in(&mut self, change: Change, dirty: &mut BTreeSet<Key>) {
        match change {
            Change::Namespace(name, enabled) => self.namespace(name, enabled, dirty),
            Change::Service(of, service) => self.service(of, service, dirty),
            Change::Slice(of, slice) => self.slice(of, slice, dirty),
            Change::Pod(of, pod) => self.pod(of, pod, dirty),
            Change::TrafficSplit(of, split) => {
                let tenant = self.tenant_mut(&of.namespace);
                if replace_newer(&mut tenant.traffic_splits, &of.name, split) {
                    tenant.dirty_splits(&of.namespace, dirty); // conflicts are among neighbours
                    dirty.insert(Key::TrafficSplit(of));
                }
            }
            Change::VirtualService(of, service) => self.virtual_service(of, service, dirty),
            Change::MeshPolicy(of, policy) => {
                let tenant = self.tenant_mut(&of.namespace);
                if replace_newer(&mut tenant.mesh_policies, &of.name, policy) {
                    tenant.dirty_policies(&of.namespace, dirty); // so are these
                    dirty.insert(Key::MeshPolicy(of));
                }
            }
            Change::MeshService(of, service) => {
                let tenant = self.tenant_mut(&of.namespace);
                let came_or_went = tenant.mesh_services.contains_key(&of.name) != service.is_some();
                if replace_newer(&mut tenant.mesh_services, &of.name, service) {
                    if came_or_went {
                        tenant.dirty_routing(&of.namespace, dirty);
                        self.abroad.dirty(&of.namespace, dirty);
                    }
                    dirty.insert(Key::Service(of));
                }
            }
            Change::MeshEndpoint(of, endpoint) => {
                if replace_newer(&mut self.tenant_mut(&of.namespace).mesh_endpoints, &of.name, endpoint) {
                    dirty.insert(Key::Pod(of));
                }
            }
            Change::Bound(names) => self.rebound(names, |world| &mut world.bound, dirty),
            Change::BundleBound(names) => self.rebound(names, |world| &mut world.bundle_bound, dirty),
        }
    }

    fn namespace(&mut self, name: Name, enabled: Option<bool>, dirty: &mut BTreeSet<Key>) {
        let tenant = self.tenants.entry(Arc::clone(&name)).or_default();
        let was = tenant.is_meshed();
        tenant.enabled = enabled.unwrap_or(false);
        if tenant.is_meshed() != was {
            dirty.insert(Key::Bindings);
            tenant.dirty_user_objects(&name, dirty);
            self.dirty_mesh_wide(dirty);
        }
    }

    fn service(&mut self, of: Ref, service: Option<Service>, dirty: &mut BTreeSet<Key>) {
        let tenant = self.tenant_mut(&of.namespace);
        if replace(&mut tenant.services, &of.name, service) {
            tenant.dirty_routing(&of.namespace, dirty);
            self.abroad.dirty(&of.namespace, dirty);
            dirty.insert(Key::Service(of));
        }
    }

    fn slice(&mut self, of: Ref, slice: Option<Slice>, dirty: &mut BTreeSet<Key>) {
        let tenant = self.tenant_mut(&of.namespace);
        let before = tenant.slices.get(&of.name).and_then(|slice| slice.service.clone());
        let after = slice.as_ref().and_then(|slice| slice.service.clone());
        if !replace(&mut tenant.slices, &of.name, slice) {
            return;
        }
        for service in [&before, &after].into_iter().flatten() {
            dirty.insert(Key::Service(Ref { namespace: of.namespace.clone(), name: service.clone() }));
        }
        if let Some(service) = before.filter(|service| after.as_ref() != Some(service))
            && let Some(names) = tenant.slices_of.get_mut(&service)
        {
            names.remove(&of.name);
            if names.is_empty() {
                tenant.slices_of.remove(&service);
            }
        }
        if let Some(service) = after {
            tenant.slices_of.entry(service).or_default().insert(of.name);
        }
        tenant.dirty_splits(&of.namespace, dirty);
        self.dirty_subsets(&of.namespace, dirty);
    }

    fn pod(&mut self, of: Ref, pod: Option<Pod>, dirty: &mut BTreeSet<Key>) {
        let tenant = self.tenant_mut(&of.namespace);
        let before = tenant.pods.get(&of.name).cloned();
        let after = pod.clone();
        if !replace(&mut tenant.pods, &of.name, pod) {
            return;
        }
        let was_meshed = tenant.is_meshed();
        let counts = |pod: &Option<Pod>| usize::from(pod.as_ref().is_some_and(|pod| pod.meshed && !pod.ended));
        tenant.meshed_pods = tenant.meshed_pods + counts(&after) - counts(&before);
        let changed = tenant.is_meshed() != was_meshed;
        let relabelled = before.as_ref().map(|pod| &pod.labels) != after.as_ref().map(|pod| &pod.labels);
        for pod in [before, after].iter().flatten() {
            for (name, service) in &tenant.services {
                if selects(&service.selector, &pod.labels) {
                    dirty.insert(Key::Service(Ref { namespace: of.namespace.clone(), name: name.clone() }));
                }
            }
        }
        // Endpoints made by hand name pods that no selector finds.
        for (name, _) in tenant.services.iter().filter(|(_, service)| service.selector.is_empty()) {
            if tenant.endpoints(name).any(|endpoint| endpoint.pod.as_ref() == Some(&of.name)) {
                dirty.insert(Key::Service(Ref { namespace: of.namespace.clone(), name: name.clone() }));
            }
        }
        if changed {
            dirty.insert(Key::Bindings);
            tenant.dirty_user_objects(&of.namespace, dirty);
            self.dirty_mesh_wide(dirty);
        }
        if relabelled {
            self.dirty_subsets(&of.namespace, dirty);
        }
        dirty.insert(Key::Pod(of));
    }

    fn virtual_service(&mut self, of: Ref, service: Option<Arc<VirtualService>>, dirty: &mut BTreeSet<Key>) {
        let tenant = self.tenants.entry(Arc::clone(&of.namespace)).or_default();
        if !replace_newer(&mut tenant.virtual_services, &of.name, service) {
            return;
        }
        let object = tenant.virtual_services.get(&of.name);
        self.abroad.note(&of, abroad::hosts(object));
        self.delegating.note(&of, abroad::delegates(object));
        // Conflicts are among neighbours, and so are most delegations; others are followed from namespace to namespace.
        let mut concerned = BTreeSet::from([Arc::clone(&of.namespace)]);
        for _ in 0..DEPTH_MAX {
            let more: Vec<Name> =
                concerned.iter().flat_map(|namespace| self.delegating.referring(namespace)).cloned().collect();
            concerned.extend(more);
        }
        for (namespace, tenant) in concerned.iter().filter_map(|name| self.tenants.get_key_value(name)) {
            tenant.dirty_routes(namespace, dirty);
        }
        dirty.insert(Key::VirtualService(of));
    }

    fn rebound(
        &mut self,
        names: Option<BTreeSet<Name>>,
        field: fn(&mut Self) -> &mut Option<BTreeSet<Name>>,
        dirty: &mut BTreeSet<Key>,
    ) {
        let old = std::mem::replace(field(self), names);
        let new = field(self).clone();
        if old == new {
            return;
        }
        dirty.insert(Key::Bindings);
        let (old, new) = (old.unwrap_or_default(), new.unwrap_or_default());
        for namespace in old.symmetric_difference(&new) {
            if let Some(tenant) = self.tenants.get(namespace) {
                tenant.dirty_user_objects(namespace, dirty);
            }
        }
        self.dirty_mesh_wide(dirty);
    }

    /// VirtualServices that tell pods of a namespace apart.
    fn dirty_subsets(&self, namespace: &Name, dirty: &mut BTreeSet<Key>) {
        let tells_apart = |object: &VirtualService| !object.spec.subsets.is_empty();
        let neighbours = self.tenants.get(namespace).into_iter().flat_map(|tenant| &tenant.virtual_services);
        let neighbours = neighbours.filter(|(_, object)| tells_apart(object));
        let neighbours = neighbours.map(|(name, _)| Ref { namespace: namespace.clone(), name: name.clone() });
        let abroad = self.abroad.objects(namespace).filter(|of| {
            let tenant = self.tenants.get(&of.namespace);
            tenant.and_then(|tenant| tenant.virtual_services.get(&of.name)).is_some_and(|object| tells_apart(object))
        });
        dirty.extend(neighbours.chain(abroad.cloned()).map(Key::VirtualService));
    }

    /// Policies of the system namespace concern every meshed namespace.
    fn dirty_mesh_wide(&self, dirty: &mut BTreeSet<Key>) {
        if let Some((name, tenant)) = self.system_namespace.as_ref().and_then(|name| self.tenants.get_key_value(name)) {
            tenant.dirty_policies(name, dirty);
        }
    }

    fn tenant_mut(&mut self, namespace: &Name) -> &mut Tenant {
        self.tenants.entry(Arc::clone(namespace)).or_default()
    }
}

impl Tenant {
    fn dirty_splits(&self, namespace: &Name, dirty: &mut BTreeSet<Key>) {
        let keys = self.traffic_splits.keys().map(|name| Ref { namespace: namespace.clone(), name: name.clone() });
        dirty.extend(keys.map(Key::TrafficSplit));
    }

    fn dirty_policies(&self, namespace: &Name, dirty: &mut BTreeSet<Key>) {
        let keys = self.mesh_policies.keys().map(|name| Ref { namespace: namespace.clone(), name: name.clone() });
        dirty.extend(keys.map(Key::MeshPolicy));
    }

    /// What refers to Services.
    fn dirty_routing(&self, namespace: &Name, dirty: &mut BTreeSet<Key>) {
        self.dirty_splits(namespace, dirty);
        self.dirty_routes(namespace, dirty);
    }

    fn dirty_routes(&self, namespace: &Name, dirty: &mut BTreeSet<Key>) {
        let keys = self.virtual_services.keys().map(|name| Ref { namespace: namespace.clone(), name: name.clone() });
        dirty.extend(keys.map(Key::VirtualService));
    }

    fn dirty_user_objects(&self, namespace: &Name, dirty: &mut BTreeSet<Key>) {
        self.dirty_routing(namespace, dirty);
        self.dirty_policies(namespace, dirty);
    }
}

/// Whether a Service's selector picks these labels; an empty one picks nothing.
#[must_use]
pub fn selects(selector: &BTreeMap<String, String>, labels: &BTreeMap<String, String>) -> bool {
    !selector.is_empty() && selector.iter().all(|(key, value)| labels.get(key) == Some(value))
}

fn replace<T: PartialEq>(map: &mut BTreeMap<Name, T>, name: &Name, value: Option<T>) -> bool {
    match value {
        Some(value) if map.get(name) == Some(&value) => false,
        Some(value) => {
            map.insert(name.clone(), value);
            true
        }
        None => map.remove(name).is_some(),
    }
}

/// The same for objects that this process also writes: what a watch tells late never undoes what a write answered.
fn replace_newer<K: kube::Resource>(map: &mut BTreeMap<Name, Arc<K>>, name: &Name, value: Option<Arc<K>>) -> bool {
    let version =
        |object: &K| object.meta().resource_version.as_deref().and_then(|version| version.parse::<u64>().ok());
    let Some(value) = value else {
        return map.remove(name).is_some();
    };
    if let Some(known) = map.get(name) {
        let same_object = known.meta().uid == value.meta().uid;
        if same_object && version(&value).is_some() && version(&value) <= version(known) {
            return false;
        }
    }
    map.insert(name.clone(), value);
    true
}

#[cfg(test)]
pub(crate) mod tests;
