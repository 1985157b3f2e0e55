//! What the mesh knows of a Service: where it is, what it speaks, who may answer for it, and who cannot.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use kube::api::ObjectMeta;
use tulle_core::identity::SpiffeId;
use tulle_crds::labels::{AddressKind, SERVICE_LABEL, ip_label};
use tulle_crds::mesh_service::workloads;
use tulle_crds::{MeshService, MeshServiceSpec, MeshServiceStatus, Protocol, ServicePort};

use super::{Plan, Settings, managed, metadata_is, owned, owner};
use crate::world::{Pod, Ref, Service, Tenant, World, selects};

/// Longest list of identities (schema of the kind).
pub const IDENTITIES_MAX: usize = 256;
/// Longest list of pods outside the mesh (schema of the kind).
pub const OUTSIDE_MAX: usize = 5000;

/// What to write for a Service, or for one that is gone.
#[must_use]
pub fn plan(of: &Ref, world: &World, settings: &Settings) -> Option<Plan> {
    let tenant = world.tenant(&of.namespace)?;
    let found = tenant.mesh_services.get(&of.name);
    let Some(service) = tenant.services.get(&of.name) else {
        let uid = found?.metadata.uid.clone();
        return Some(Plan::RemoveMeshService { of: of.clone(), uid });
    };
    let desired = desired(of, service, tenant, settings);
    let same = found.is_some_and(|found| {
        metadata_is(&desired.metadata, &found.metadata) && desired.spec == found.spec && desired.status == found.status
    });
    (!same).then(|| Plan::MeshService(Box::new(desired)))
}

fn desired(of: &Ref, service: &Service, tenant: &Tenant, settings: &Settings) -> MeshService {
    let members = Members::of(of, service, tenant, settings);
    let addresses = service.cluster_ips.iter().filter_map(|address| address.parse::<IpAddr>().ok());
    let labels = addresses.map(|address| {
        let (key, value) = ip_label(address, AddressKind::ClusterIp);
        (key.to_owned(), value)
    });
    let ports: Vec<ServicePort> = service
        .ports
        .iter()
        .map(|port| ServicePort {
            name: port.name.clone(),
            port: port.port,
            protocol: Protocol::of_port(port.app_protocol.as_deref(), Some(&port.name)),
        })
        .collect();
    MeshService {
        metadata: ObjectMeta {
            name: owned(&of.name),
            namespace: owned(&of.namespace),
            labels: Some(managed(labels.chain([(SERVICE_LABEL.to_owned(), label_value(&of.name))]))),
            owner_references: Some(vec![owner("v1", "Service", &of.name, &service.uid)]),
            ..ObjectMeta::default()
        },
        status: Some(MeshServiceStatus {
            protocols: Some(protocols(&ports)),
            meshed: Some(members.meshed().to_owned()),
        }),
        spec: MeshServiceSpec {
            cluster_ips: service.cluster_ips.clone(),
            headless: service.headless,
            ports,
            identities: members.identities.into_iter().take(IDENTITIES_MAX).collect(),
            outside: members.outside.into_iter().take(OUTSIDE_MAX).collect(),
            external_endpoints: members.external,
            workloads: workloads(members.labels),
        },
    }
}

/// Who is behind a Service.
#[derive(Default)]
struct Members<'a> {
    identities: BTreeSet<String>,
    outside: BTreeSet<String>,
    external: bool,
    /// Of each pod, meshed or not, by its name.
    labels: BTreeMap<&'a str, &'a BTreeMap<String, String>>,
}

impl<'a> Members<'a> {
    /// Pods that the selector picks count as soon as they exist, before they have an address: a proxy then knows an
    /// identity before it sees the endpoint. Pods that only a slice names count as well.
    fn of(of: &Ref, service: &Service, tenant: &'a Tenant, settings: &Settings) -> Self {
        let mut members = Self { external: service.alias_of.is_some(), ..Self::default() };
        let selected = tenant.pods.iter().filter(|(_, pod)| selects(&service.selector, &pod.labels));
        for (name, pod) in selected {
            members.add(of, name, pod, settings);
        }
        for endpoint in tenant.endpoints(&of.name) {
            match &endpoint.pod {
                None => members.external = true,
                Some(name) => {
                    if let Some((name, pod)) = tenant.pods.get_key_value(name) {
                        members.add(of, name, pod, settings);
                    }
                }
            }
        }
        members
    }

    fn add(&mut self, of: &Ref, name: &'a str, pod: &'a Pod, settings: &Settings) {
        if pod.ended {
            return;
        }
        self.labels.insert(name, &pod.labels);
        if !pod.meshed {
            self.outside.insert(name.to_owned());
            return;
        }
        // A name that stands in no identity cannot come from the API server, and answers for nothing.
        if let Ok(identity) = SpiffeId::new(&settings.trust_domain, &of.namespace, &pod.service_account) {
            self.identities.insert(identity.to_string());
        }
    }

    fn meshed(&self) -> &'static str {
        match (self.identities.is_empty(), self.outside.is_empty() && !self.external) {
            (false, true) => "Yes",
            (false, false) => "Partly",
            (true, _) => "No",
        }
    }
}

fn protocols(ports: &[ServicePort]) -> String {
    let mut words: Vec<&str> = Vec::new();
    for word in ports.iter().map(|port| port.protocol.as_str()) {
        if !words.contains(&word) {
            words.push(word);
        }
    }
    words.join(",")
}

/// A Service's name has at most 63 characters (RFC 1035 label), as has a label's value.
fn label_value(name: &str) -> String {
    name.chars().take(63).collect()
}

#[cfg(test)]
mod tests;
