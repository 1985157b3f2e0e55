//! What is read of the watched objects, and nothing else: a slim type for each kind, so that neither decoding nor the store
//! pays for fields (`managedFields`, status, annotations) that no decision looks at.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::Resource;
use kube::core::{NamespaceResourceScope, ObjectMeta};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};
use tulle_core::name::Namespace;
use tulle_core::sidecar::TRUST_BUNDLE_KEY;
use tulle_crds::{
    MeshEndpoint, MeshEndpointSpec, MeshPolicy, MeshService, MeshServiceSpec, TrafficSplit, VirtualService,
};

/// Which objects a watch carries. Pods have two kinds because a selector cannot say "this label or that one".
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Kind {
    /// ConfigMap with the trust bundle.
    TrustBundle,
    /// MeshPolicies of a namespace.
    MeshPolicy,
    /// VirtualServices of a namespace.
    VirtualService,
    /// TrafficSplits of a namespace.
    TrafficSplit,
    /// MeshServices by name.
    MeshService,
    /// EndpointSlices by Service name.
    EndpointSlice,
    /// MeshEndpoints by IPv4 address.
    MeshEndpoint,
    /// MeshEndpoints by IPv6 address.
    MeshEndpointV6,
}

impl Kind {
    /// The word in logs, metrics and the admin page.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Kind::TrustBundle => "TrustBundle",
            Kind::MeshPolicy => "MeshPolicy",
            Kind::VirtualService => "VirtualService",
            Kind::TrafficSplit => "TrafficSplit",
            Kind::MeshService => "MeshService",
            Kind::EndpointSlice => "EndpointSlice",
            Kind::MeshEndpoint => "MeshEndpoint",
            Kind::MeshEndpointV6 => "MeshEndpointV6",
        }
    }
}

/// The objects of one kind in one namespace: what one watch carries and one collection holds.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Scope {
    pub(crate) namespace: Namespace,
    pub(crate) kind: Kind,
}

impl Scope {
    pub(crate) fn new(namespace: &Namespace, kind: Kind) -> Self {
        Self { namespace: namespace.clone(), kind }
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} in {}", self.kind.as_str(), self.namespace)
    }
}

/// Identity and version of an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Meta {
    pub(crate) name: Arc<str>,
    pub(crate) uid: Arc<str>,
    /// `metadata.resourceVersion`, which is a number that grows (KEP-5504); 0 where a server breaks that rule.
    pub(crate) version: u64,
    /// `metadata.generation`; 0 where the kind has none.
    pub(crate) generation: i64,
}

impl Meta {
    fn of(meta: &ObjectMeta) -> Self {
        let text = |field: &Option<String>| Arc::from(field.as_deref().unwrap_or_default());
        Self {
            name: text(&meta.name),
            uid: text(&meta.uid),
            version: meta.resource_version.as_deref().and_then(|version| version.parse().ok()).unwrap_or(0),
            generation: meta.generation.unwrap_or(0),
        }
    }
}

/// One watched object as the store takes it.
#[derive(Clone, Debug)]
pub(crate) struct Object {
    pub(crate) meta: Meta,
    pub(crate) body: Body,
}

/// The part of an object that decisions read. `Err`: the object does not fit the type, with the decoder's sentence.
#[derive(Clone, Debug)]
pub(crate) enum Body {
    MeshService(Result<MeshServiceSpec, String>),
    MeshEndpoint(Result<MeshEndpointSpec, String>),
    EndpointSlice(Box<EndpointSlice>),
    VirtualService(Result<Box<VirtualService>, String>),
    TrafficSplit(Result<Box<TrafficSplit>, String>),
    MeshPolicy(Result<Box<MeshPolicy>, String>),
    TrustBundle(Option<Arc<[u8]>>),
}

/// A kind that can be watched.
pub(crate) trait Watched:
    Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + fmt::Debug + DeserializeOwned + Send + 'static
{
    /// The part that is kept.
    fn body(self) -> Body;

    /// The object as the store takes it.
    fn object(self) -> Object {
        Object { meta: Meta::of(self.meta()), body: self.body() }
    }
}

/// Decodes an object as the watch of its kind does.
#[cfg(any(test, feature = "parsers"))]
pub(crate) fn decode(kind: Kind, object: serde_json::Value) -> serde_json::Result<Object> {
    fn of<K: Watched>(object: serde_json::Value) -> serde_json::Result<Object> {
        serde_json::from_value::<K>(object).map(K::object)
    }
    match kind {
        Kind::TrustBundle => of::<TrustBundle>(object),
        Kind::MeshPolicy => of::<Slim<MeshPolicy>>(object),
        Kind::VirtualService => of::<Slim<VirtualService>>(object),
        Kind::TrafficSplit => of::<Slim<TrafficSplit>>(object),
        Kind::MeshService => of::<Slim<MeshService>>(object),
        Kind::EndpointSlice => of::<EndpointSlice>(object),
        Kind::MeshEndpoint | Kind::MeshEndpointV6 => of::<Slim<MeshEndpoint>>(object),
    }
}

/// A custom resource with its spec still undecoded: one object that does not fit its type must not end the watch of all others.
#[derive(Clone, Debug, Deserialize)]
#[serde(bound = "")]
pub(crate) struct Slim<K> {
    #[serde(deserialize_with = "slim_meta")]
    metadata: ObjectMeta,
    #[serde(default)]
    spec: serde_json::Value,
    #[serde(skip)]
    kind: PhantomData<fn() -> K>,
}

impl<K> Slim<K> {
    fn decode<S: DeserializeOwned>(&mut self) -> Result<S, String> {
        serde_json::from_value(self.spec.take()).map_err(|error| format!("spec: {error}"))
    }
}

macro_rules! resource_like {
    ($slim:ty, $full:ty) => {
        impl Resource for $slim {
            type DynamicType = ();
            type Scope = NamespaceResourceScope;
            fn kind(dt: &()) -> Cow<'_, str> {
                <$full as Resource>::kind(dt)
            }
            fn group(dt: &()) -> Cow<'_, str> {
                <$full as Resource>::group(dt)
            }
            fn version(dt: &()) -> Cow<'_, str> {
                <$full as Resource>::version(dt)
            }
            fn plural(dt: &()) -> Cow<'_, str> {
                <$full as Resource>::plural(dt)
            }
            fn meta(&self) -> &ObjectMeta {
                &self.metadata
            }
            fn meta_mut(&mut self) -> &mut ObjectMeta {
                &mut self.metadata
            }
        }
    };
}

resource_like!(Slim<MeshService>, MeshService);
resource_like!(Slim<MeshEndpoint>, MeshEndpoint);
resource_like!(Slim<VirtualService>, VirtualService);
resource_like!(Slim<TrafficSplit>, TrafficSplit);
resource_like!(Slim<MeshPolicy>, MeshPolicy);
resource_like!(EndpointSlice, k8s_openapi::api::discovery::v1::EndpointSlice);
resource_like!(TrustBundle, k8s_openapi::api::core::v1::ConfigMap);

impl Watched for Slim<MeshService> {
    fn body(mut self) -> Body {
        Body::MeshService(self.decode())
    }
}

impl Watched for Slim<MeshEndpoint> {
    fn body(mut self) -> Body {
        Body::MeshEndpoint(self.decode())
    }
}

impl Watched for Slim<VirtualService> {
    fn body(mut self) -> Body {
        let spec = self.decode();
        let metadata = self.metadata;
        Body::VirtualService(spec.map(|spec| Box::new(VirtualService { metadata, spec, status: None })))
    }
}

impl Watched for Slim<TrafficSplit> {
    fn body(mut self) -> Body {
        let spec = self.decode();
        let metadata = self.metadata;
        Body::TrafficSplit(spec.map(|spec| Box::new(TrafficSplit { metadata, spec, status: None })))
    }
}

impl Watched for Slim<MeshPolicy> {
    fn body(mut self) -> Body {
        let spec = self.decode();
        let metadata = self.metadata;
        Body::MeshPolicy(spec.map(|spec| Box::new(MeshPolicy { metadata, spec, status: None })))
    }
}

impl Watched for EndpointSlice {
    fn body(self) -> Body {
        Body::EndpointSlice(Box::new(self))
    }
}

impl Watched for TrustBundle {
    fn body(mut self) -> Body {
        Body::TrustBundle(self.data.remove(TRUST_BUNDLE_KEY).map(|pem| Arc::from(pem.into_bytes())))
    }
}

/// The ConfigMap with the trust bundle.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct TrustBundle {
    #[serde(deserialize_with = "slim_meta")]
    metadata: ObjectMeta,
    #[serde(default)]
    data: BTreeMap<String, String>,
}

/// `discovery.k8s.io/v1` EndpointSlice.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct EndpointSlice {
    #[serde(deserialize_with = "slim_meta")]
    pub(crate) metadata: ObjectMeta,
    #[serde(default, deserialize_with = "null_is_empty")]
    pub(crate) endpoints: Vec<SliceEndpoint>,
    #[serde(default, deserialize_with = "null_is_empty")]
    pub(crate) ports: Vec<SlicePort>,
}

/// One endpoint of a slice.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct SliceEndpoint {
    #[serde(default, deserialize_with = "null_is_empty")]
    pub(crate) addresses: Vec<String>,
    #[serde(default)]
    pub(crate) conditions: Conditions,
    #[serde(default)]
    pub(crate) target_ref: Option<TargetRef>,
}

/// Conditions of an endpoint; each may be unknown.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
pub(crate) struct Conditions {
    pub(crate) ready: Option<bool>,
    pub(crate) serving: Option<bool>,
    pub(crate) terminating: Option<bool>,
}

/// What an endpoint stands for.
#[derive(Clone, Debug, Default, Deserialize)]
pub(crate) struct TargetRef {
    #[serde(default)]
    pub(crate) kind: String,
    #[serde(default)]
    pub(crate) name: String,
}

/// One port of a slice.
#[derive(Clone, Debug, Default, Deserialize)]
pub(crate) struct SlicePort {
    #[serde(default)]
    pub(crate) name: Option<String>,
    #[serde(default)]
    pub(crate) port: Option<u16>,
    #[serde(default)]
    pub(crate) protocol: Option<String>,
}

fn null_is_empty<'de, D: Deserializer<'de>, T: Deserialize<'de>>(decoder: D) -> Result<Vec<T>, D::Error> {
    Ok(Option::deserialize(decoder)?.unwrap_or_default())
}

fn slim_meta<'de, D: Deserializer<'de>>(decoder: D) -> Result<ObjectMeta, D::Error> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Fields {
        name: Option<String>,
        namespace: Option<String>,
        uid: Option<String>,
        resource_version: Option<String>,
        generation: Option<i64>,
        creation_timestamp: Option<Time>,
        labels: Option<BTreeMap<String, String>>,
    }
    let fields = Fields::deserialize(decoder)?;
    Ok(ObjectMeta {
        name: fields.name,
        namespace: fields.namespace,
        uid: fields.uid,
        resource_version: fields.resource_version,
        generation: fields.generation,
        creation_timestamp: fields.creation_timestamp,
        labels: fields.labels,
        ..ObjectMeta::default()
    })
}
