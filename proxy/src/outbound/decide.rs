//! Where a request or connection goes, from one snapshot: no await in here.

use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tulle_core::codes::{Code, Reason};
use tulle_core::name::ServiceRef;
use tulle_core::retry::{Outcome, RetryPolicy};
use tulle_core::route::bytes::{Hello, Opening};
use tulle_core::route::{Action, RequestView, Rule, TrafficPolicy};
use tulle_core::snapshot::{
    Backend, Destination, Endpoint, Only, PodTarget, Port, Service, Snapshot, Target, Transport,
};

use super::filter::{Call, Extra, Given};
use super::{Connection, request};
use crate::admission::Changes;
use crate::error::Failure;
use crate::mirror::{Copies, Outcome as Copied};
use crate::worker::{Chosen, Lane, Worker};

/// Attempts on other endpoints where no rule says otherwise; only for requests of which nothing was processed.
const RETRIES: u32 = 2;

/// What was decided for a request.
#[derive(Debug)]
pub(crate) struct Decision {
    pub(crate) lane: Rc<Lane>,
    /// What is decided for this request alone.
    extra: Option<Box<Extra>>,
}

impl Decision {
    /// Limit for the answer's head.
    pub(crate) fn timeout(&self) -> Option<Duration> {
        self.lane.rule().and_then(|rule| rule.filters.timeout)
    }

    /// Attempts after the first. Where no rule says, requests of which nothing was processed get [`RETRIES`].
    pub(crate) fn attempts(&self) -> usize {
        self.retry().map_or(RETRIES, |retry| retry.attempts) as usize
    }

    /// The rule's limit for each attempt.
    pub(crate) fn try_limit(&self) -> Option<Duration> {
        self.retry().and_then(|retry| retry.per_try_timeout)
    }

    /// Whether the rule asks for another attempt after this outcome.
    pub(crate) fn asks_again(&self, outcome: Outcome) -> bool {
        self.retry().is_some_and(|retry| retry.on.covers(outcome))
    }

    /// What the rule changes of the request and its answer.
    pub(crate) fn changes(&self) -> Option<Changes<'_>> {
        let (edits, extra) = (self.lane.edits(), self.extra.as_deref());
        if extra.is_none() && edits.is_none() {
            return None;
        }
        Some(Changes {
            path: extra.and_then(|extra| extra.path.as_deref()),
            authority: edits.and_then(|edits| edits.authority.as_ref()),
            trace: None,
            request: edits.and_then(|edits| edits.request.as_deref()),
            response: extra
                .and_then(|extra| extra.response.as_ref())
                .or_else(|| edits.and_then(|edits| edits.response.as_ref())),
        })
    }

    /// How long the rule holds the request up.
    pub(crate) fn delay(&self) -> Option<Duration> {
        self.extra.as_ref().and_then(|extra| extra.delay)
    }

    /// The mirrors drawn for the request.
    pub(crate) fn copies(&mut self, worker: &Rc<Worker>) -> Option<Box<Copies>> {
        let mirrors = std::mem::take(&mut self.extra.as_mut()?.mirrors);
        (!mirrors.is_empty()).then(|| Copies::new(worker, mirrors))
    }

    fn retry(&self) -> Option<&RetryPolicy> {
        self.lane.rule().and_then(|rule| rule.filters.retry.as_ref())
    }
}

/// What happens to a request.
#[derive(Debug)]
pub(crate) enum Course {
    /// It goes on.
    Forward(Decision),
    /// A rule answers it.
    Answer(Box<Given>),
}

/// Decides for a request.
pub(crate) fn request(connection: &Connection, request: &impl RequestView) -> Result<Course, Failure> {
    let worker = &connection.worker;
    if let Some(lane) = &connection.pod {
        return Ok(Course::Forward(Decision { lane: Rc::clone(lane), extra: None }));
    }
    worker.with_snapshot(|snapshot| {
        let (service, port) = port(snapshot, connection.dialled)?;
        if port.routes.is_empty() {
            return direct(worker, service, port, |only| only.takes(request)).map(Course::Forward);
        }
        let rule = port.routes.select(request).ok_or_else(|| {
            Failure::new(Reason::NoRoute, format!("no rule for {} matches the request", service.name))
        })?;
        let call = Call { worker, service: &service.name, rule, request };
        let prelude = match call.prelude() {
            Ok(prelude) => prelude,
            Err(given) => return Ok(Course::Answer(given)),
        };
        let Action::Forward(branches) = &rule.action else {
            return call.answer(prelude, port.number).map(Course::Answer);
        };
        let branch = branches.pick(worker.draw());
        let backend = backend(worker, &branch.destination, |only| only.takes(request))?;
        let lane = worker.lane((service, port), Some(Chosen::Branch(rule, branch)), backend);
        let mut extra = call.extra(prelude, &lane)?;
        if !rule.filters.mirrors.is_empty() {
            extra.get_or_insert_default().mirrors = mirrors((worker, request), (service, port), rule);
        }
        Ok(Course::Forward(Decision { lane, extra }))
    })
}

/// The mirrors that get a copy of the request, each drawn on its own.
fn mirrors(
    (worker, request): (&Worker, &impl RequestView),
    (service, port): (&Arc<Service>, &Port),
    rule: &Rule<Arc<Destination>>,
) -> Vec<Rc<Lane>> {
    let drawn = rule.filters.mirrors.iter().filter(|mirror| mirror.share.covers(worker.draw()));
    let lanes = drawn.filter_map(|mirror| match backend(worker, &mirror.destination, |only| only.takes(request)) {
        Ok(backend) => Some(worker.lane((service, port), Some(Chosen::Mirror(rule, mirror)), backend)),
        Err(_) => {
            let labels = request::labels(worker, &service.name, &rule.name, mirror.destination.label());
            worker.metrics.mirrored(labels).count(Copied::Failed);
            None
        }
    });
    lanes.collect()
}

/// Decides for bytes, which begin with this.
pub(crate) fn bytes(connection: &Connection, hello: Hello<'_>) -> Result<Decision, Failure> {
    let worker = &connection.worker;
    if let Some(lane) = &connection.pod {
        return Ok(Decision { lane: Rc::clone(lane), extra: None });
    }
    worker.with_snapshot(|snapshot| {
        let (service, port) = port(snapshot, connection.dialled)?;
        // No condition on requests fits bytes.
        let takes = |_: &Only| false;
        let Some(rule) = port.bytes.select(&Opening { dialled: connection.dialled.ip(), hello }) else {
            return direct(worker, service, port, takes);
        };
        let Some(split) = &rule.to else {
            return Err(Failure::new(Reason::InvalidRule, format!("{} cannot be read", rule.name)));
        };
        let to = split.pick(worker.draw());
        let lane = worker.lane((service, port), Some(Chosen::Bytes(rule, to)), backend(worker, to, takes)?);
        Ok(Decision { lane, extra: None })
    })
}

/// Whether a rule of the dialled port asks for the server that a ClientHello names.
pub(crate) fn asks_hello(connection: &Connection) -> bool {
    connection.pod.is_none()
        && connection
            .worker
            .with_snapshot(|snapshot| port(snapshot, connection.dialled).is_ok_and(|(_, port)| port.bytes.asks_hello()))
}

/// Where a port sends what no rule speaks for.
fn direct(
    worker: &Worker,
    service: &Arc<Service>,
    port: &Port,
    takes: impl FnOnce(&Only) -> bool,
) -> Result<Decision, Failure> {
    let backend = backend(worker, &port.direct, takes)?;
    Ok(Decision { lane: worker.lane((service, port), None, backend), extra: None })
}

/// Whether the dialled Service has rules that look at paths: then the request is judged and forwarded in normal form.
pub(crate) fn has_routes(connection: &Connection) -> bool {
    connection.pod.is_none()
        && connection.worker.with_snapshot(|snapshot| {
            service(snapshot, connection.dialled).is_ok_and(|service| {
                service.port(connection.dialled.port()).is_some_and(|port| !port.routes.is_empty())
            })
        })
}

/// A pod address as a destination of one endpoint.
pub(crate) fn pod(worker: &Worker, pod: &PodTarget, dialled: SocketAddr) -> Rc<Lane> {
    let backend = Arc::new(Backend {
        service: pod.pod.clone(),
        subset: None,
        port: dialled.port(),
        policy: TrafficPolicy::default(),
        identities: Arc::from([pod.identity.clone()]),
        endpoints: vec![Endpoint { address: dialled, transport: Transport::Mesh }],
    });
    worker.pod_lane(pod, backend)
}

/// The Service or pod that was dialled, as long as it is known.
pub(crate) fn dialled_name(connection: &Connection) -> Option<ServiceRef> {
    if let Some(lane) = &connection.pod {
        return Some(lane.service.clone());
    }
    connection.worker.with_snapshot(|snapshot| Some(service(snapshot, connection.dialled).ok()?.name.clone()))
}

/// The dialled port is not one of the Service's.
pub(crate) fn no_port(service: &ServiceRef, dialled: SocketAddr) -> Failure {
    Failure::new(Reason::NoEndpoints, format!("Service {service} has no port {}", dialled.port()))
        .with_code(Code::PortNotInService)
}

fn port(snapshot: &Snapshot, dialled: SocketAddr) -> Result<(&Arc<Service>, &Port), Failure> {
    let service = service(snapshot, dialled)?;
    Ok((service, service.port(dialled.port()).ok_or_else(|| no_port(&service.name, dialled))?))
}

fn service(snapshot: &Snapshot, dialled: SocketAddr) -> Result<&Arc<Service>, Failure> {
    match snapshot.targets.get(&dialled.ip()) {
        Some(Target::Service(service)) => Ok(service),
        // The Service was deleted, or unused for so long that it was dropped; a new connection asks again.
        _ => Err(Failure::new(Reason::NoEndpoints, format!("{} is no Service any more", dialled.ip()))),
    }
}

/// Who answers for a destination: a backend of its split, if it takes what asks, and otherwise the host itself.
fn backend<'a>(
    worker: &Worker,
    destination: &'a Destination,
    takes: impl FnOnce(&Only) -> bool,
) -> Result<&'a Arc<Backend>, Failure> {
    let chosen = match destination.only.as_deref() {
        Some(only) if !takes(only) => only.others.as_ref(),
        _ => destination.backends.as_ref().map(|split| split.pick(worker.draw())),
    };
    chosen.ok_or_else(|| {
        let of = destination.subset.as_ref().map(|subset| format!("subset {} of ", subset.name)).unwrap_or_default();
        let detail = format!("{of}{} has no ready endpoint for this port", destination.service);
        Failure::new(Reason::NoEndpoints, detail)
    })
}
