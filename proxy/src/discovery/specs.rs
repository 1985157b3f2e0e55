//! What users wrote, read by the one parser of the mesh: the sentence of a mistake here is the one of admission and status.

use tulle_core::authz::{Policy, PolicyName};
use tulle_core::name::ServiceRef;
use tulle_core::route::{Destination, Rule};
use tulle_crds::into_core::{
    Ctx, SpecError, TrafficSplit, VirtualService, parse_mesh_policy, parse_traffic_split, parse_virtual_service,
};

use super::collection::Refused;
use super::object::{Body, Meta};
use super::records::{Context, Record, other_kind};

impl Record for VirtualService {
    fn parse(_: &Meta, body: Body, context: &Context) -> Result<Self, Refused<Self>> {
        match body {
            Body::VirtualService(Ok(object)) => {
                let read = parse_virtual_service(&object, &ctx(context)).map_err(refused)?;
                match read.dropped() {
                    None => Ok(read),
                    Some(sentence) => Err(Refused { rest: Some(read), ..Refused::new(sentence) }),
                }
            }
            Body::VirtualService(Err(sentence)) => Err(Refused::new(sentence)),
            _ => Err(other_kind()),
        }
    }

    fn keeping(self, last: &Self) -> Self {
        VirtualService::keeping(self, last)
    }
}

impl Record for TrafficSplit {
    fn parse(_: &Meta, body: Body, context: &Context) -> Result<Self, Refused<Self>> {
        match body {
            Body::TrafficSplit(Ok(object)) => parse_traffic_split(&object, &ctx(context)).map_err(refused),
            Body::TrafficSplit(Err(sentence)) => Err(Refused::new(sentence)),
            _ => Err(other_kind()),
        }
    }
}

/// A policy that cannot be read and never could closes what it selects: leaving it out could open what its author closed. If
/// not even its selector can be read, that is the whole namespace (the whole mesh, in the system namespace).
impl Record for Policy {
    fn parse(meta: &Meta, body: Body, context: &Context) -> Result<Self, Refused<Self>> {
        let closed = |selector| {
            let name = PolicyName::new(context.namespace.clone(), meta.name.clone());
            Some(Policy::closed(name, 0, selector))
        };
        match body {
            Body::MeshPolicy(Ok(object)) => parse_mesh_policy(&object, &ctx(context)).map_err(|error| {
                let selector = object.spec.selector.map(|selector| selector.match_labels);
                Refused { stand_in: closed(selector), ..refused(error) }
            }),
            Body::MeshPolicy(Err(sentence)) => Err(Refused { stand_in: closed(None), ..Refused::new(sentence) }),
            _ => Err(other_kind()),
        }
    }
}

/// Every host that the rules may send to.
pub(crate) fn destinations(rules: &[Rule<Destination>]) -> impl Iterator<Item = &ServiceRef> {
    rules.iter().flat_map(Rule::destinations).map(|destination| &destination.service)
}

fn ctx(context: &Context) -> Ctx {
    Ctx::new(context.cluster_domain)
}

fn refused<T>(error: SpecError) -> Refused<T> {
    Refused::new(error.to_string())
}

#[cfg(test)]
mod tests;
