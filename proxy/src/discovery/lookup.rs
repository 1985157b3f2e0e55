//! The first question about an address: whose is it? One filtered list for Services and one for pods, both at once.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use kube::api::ListParams;
use kube::{Api, Client, ResourceExt};
use tulle_core::name::{Namespace, ServiceRef};
use tulle_crds::labels::{AddressKind, POD_IP_V6_LABEL, ip_label};
use tulle_crds::{MeshEndpoint, MeshService};

use super::addresses::Binding;
use super::client::trouble;
use super::object::{Kind, Slim, Watched};

/// Within the time a caller waits; a list from the API server's cache takes milliseconds.
const LOOKUP_TIMEOUT: Duration = Duration::from_millis(1500);

/// Wait before a failed question is repeated: a server that has just started answers 429 for a moment, and a connection that was
/// cut is replaced by the next request.
const RETRY: Duration = Duration::from_millis(100);

/// Asks the API server what an address is, again and again within the time a caller waits. `Err`: no answer, with the reason.
pub(crate) async fn look_up(client: Client, address: IpAddr) -> Result<Binding, String> {
    let mut reason = format!("no answer within {} ms", LOOKUP_TIMEOUT.as_millis());
    let answered = async {
        loop {
            match ask(&client, address).await {
                Ok(binding) => return binding,
                Err(error) => reason = trouble(&error),
            }
            tokio::time::sleep(RETRY.mul_f64(0.5 + fastrand::f64())).await;
        }
    };
    let answer = tokio::time::timeout(LOOKUP_TIMEOUT, answered).await;
    answer.map_err(|_| reason)
}

async fn ask(client: &Client, address: IpAddr) -> kube::Result<Binding> {
    let services = first::<Slim<MeshService>>(client, address, AddressKind::ClusterIp);
    let pods = first::<Slim<MeshEndpoint>>(client, address, AddressKind::PodIp);
    let (service, pod) = tokio::try_join!(services, pods)?;
    if let Some(service) = service {
        return Ok(Binding::Service(ServiceRef::new(service.namespace().unwrap_or_default(), service.name_any())));
    }
    if let Some(pod) = pod {
        let (label, value) = ip_label(address, AddressKind::PodIp);
        let kind = if label == POD_IP_V6_LABEL { Kind::MeshEndpointV6 } else { Kind::MeshEndpoint };
        let namespace = Namespace::new(pod.namespace().unwrap_or_default());
        return Ok(Binding::Pod { namespace, kind, label: Arc::from(value) });
    }
    Ok(Binding::Outside)
}

/// Answered from the API server's cache (`resourceVersion=0`), which may lag: a negative answer is asked for again.
async fn first<K: Watched>(client: &Client, address: IpAddr, kind: AddressKind) -> kube::Result<Option<K>> {
    let (label, value) = ip_label(address, kind);
    let question = ListParams::default().labels(&format!("{label}={value}")).match_any().limit(1);
    let list = Api::<K>::all(client.clone()).list(&question).await?;
    Ok(list.items.into_iter().next())
}
