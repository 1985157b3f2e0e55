//! From where a VirtualService may send requests to where.
//!
//! Rules for a Service of the object's own namespace are for everybody's calls, and lead to Services of that namespace. Rules for
//! Services of other namespaces are for the calls of the object's own namespace (GEP-1294, "Namespace boundaries"), and may lead
//! back to where these calls were going.

use std::collections::BTreeSet;
use std::sync::Arc;

use tulle_core::host::Host;
use tulle_core::name::{Namespace, ServiceRef};
use tulle_core::route::{Subset, TrafficPolicy};

use super::subsets::Subsets;
use super::traffic_policy::{Given, traffic_policy};
use crate::into_core::{Ctx, SpecError};
use crate::virtual_service as written;

/// The namespaces that an object speaks of.
pub(super) struct Scope<'a> {
    ctx: &'a Ctx,
    /// The object's own.
    pub(super) namespace: &'a Namespace,
    /// Those of its hosts, where all of them are elsewhere.
    abroad: BTreeSet<&'a Namespace>,
    subsets: Subsets,
    policy: Given,
}

impl<'a> Scope<'a> {
    pub(super) fn new(
        ctx: &'a Ctx,
        namespace: &'a Namespace,
        hosts: &'a [Host],
        spec: &written::VirtualServiceSpec,
    ) -> Result<Scope<'a>, SpecError> {
        let mut abroad: BTreeSet<_> = hosts.iter().map(Host::namespace).collect();
        if abroad.contains(namespace) {
            // Everybody calls the host that is its own, and nobody else's calls may be steered into a third namespace.
            abroad.clear();
        }
        let policy = traffic_policy(spec.traffic_policy.as_ref())?;
        let mut scope = Scope { ctx, namespace, abroad, subsets: Subsets::default(), policy };
        scope.subsets = super::subsets::subsets(&spec.subsets, policy, |host| scope.destination(host))?;
        Ok(scope)
    }

    /// Whether the rules are for the calls of the object's own namespace alone.
    pub(super) fn is_consumer(&self) -> bool {
        !self.abroad.is_empty()
    }

    /// The Service that a destination names.
    pub(super) fn destination(&self, host: &str) -> Result<ServiceRef, SpecError> {
        let service = self.ctx.service(host, self.namespace)?;
        if self.abroad.contains(&service.namespace) {
            return Ok(service);
        }
        self.ctx.own_service(host, self.namespace)
    }

    /// The subset of a Service that a destination names, and how calls to it are made.
    pub(super) fn subset(&self, service: &ServiceRef, name: &str) -> Result<(Arc<Subset>, TrafficPolicy), SpecError> {
        self.subsets.find(service, name)
    }

    /// How calls to destinations are made that name no subset.
    pub(super) fn policy(&self) -> TrafficPolicy {
        self.policy.policy()
    }
}
