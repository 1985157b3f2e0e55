//! The HTTPS interface to the API server: reviews in, answers out. No opinions here.

use crate::config::Config;
use crate::inject::pod::Pod;
use crate::inject::settings::Settings;
use crate::inject::{self, Decision, OptIn, Origin};
use crate::metrics::{Metrics, Review};
use crate::review::{Answer, Request, ReviewIn, ReviewOut};
use crate::validate::{self, Rejection};
use axum::extract::{DefaultBodyLimit, State};
use axum::http::StatusCode;
use axum::routing::post;
use axum::{Json, Router};
use std::sync::Arc;
use std::time::Instant;
use tower::limit::GlobalConcurrencyLimitLayer;
use tulle_crds::into_core::Ctx;

/// Largest review read, in bytes: the API server accepts objects of up to 3 MiB and sends the old and the new one.
const BODY_BYTES_MAX: usize = 7 * 1024 * 1024;
/// Reviews worked on at once; more wait their turn. Each may hold a body of that size as text and as a tree, and a
/// decision takes well under a millisecond, so this bounds memory and costs no time.
const REVIEWS_MAX: usize = 16;

/// The paths of the webhook configuration that bring pods, with what each says about the pod.
pub const INJECT_PATHS: [(&str, Origin); 4] = [
    ("/inject/namespace", Origin { opt_in: OptIn::Namespace, confined: false }),
    ("/inject/namespace/confined", Origin { opt_in: OptIn::Namespace, confined: true }),
    ("/inject/pod", Origin { opt_in: OptIn::Pod, confined: false }),
    ("/inject/pod/confined", Origin { opt_in: OptIn::Pod, confined: true }),
];
/// The path that brings objects of the mesh.
pub const VALIDATE_PATH: &str = "/validate";
/// The path that brings debug containers for pods with a proxy.
pub const DEBUG_PATH: &str = "/validate/debug";

/// What every review needs.
struct Reviewer {
    settings: Settings,
    context: Ctx,
    metrics: Metrics,
}

/// The routes the API server calls.
pub fn routes(config: Config, metrics: Metrics) -> Router {
    let context = Ctx::new(config.sidecar.cluster_domain.clone());
    let reviewer = Arc::new(Reviewer { settings: config.sidecar.into(), context, metrics });
    let validate = |State(reviewer): State<Arc<Reviewer>>, Json(review): Json<ReviewIn>| async move {
        reviewer.answer(review, Reviewer::validate)
    };
    let debug = |State(reviewer): State<Arc<Reviewer>>, Json(review): Json<ReviewIn>| async move {
        reviewer.answer(review, |_, request| debug(request))
    };
    INJECT_PATHS
        .into_iter()
        .fold(Router::new(), |router, (path, origin)| {
            let inject = move |State(reviewer): State<Arc<Reviewer>>, Json(review): Json<ReviewIn>| async move {
                reviewer.answer(review, |reviewer, request| reviewer.inject(request, origin))
            };
            router.route(path, post(inject))
        })
        .route(VALIDATE_PATH, post(validate))
        .route(DEBUG_PATH, post(debug))
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .layer(GlobalConcurrencyLimitLayer::new(REVIEWS_MAX))
        .with_state(reviewer)
}

impl Reviewer {
    fn answer(
        &self,
        review: ReviewIn,
        decide: impl FnOnce(&Reviewer, &Request) -> (Answer, Review),
    ) -> Result<Json<ReviewOut>, (StatusCode, &'static str)> {
        if !review.is_supported() {
            return Err((
                StatusCode::BAD_REQUEST,
                "only admission.k8s.io/v1 is spoken here; upgrade the webhook configuration",
            ));
        }
        let start = Instant::now();
        let (answer, labels) = decide(self, &review.request);
        self.metrics.record(labels, start.elapsed());
        Ok(Json(answer.into_review(review.request.uid)))
    }

    fn inject(&self, request: &Request, origin: Origin) -> (Answer, Review) {
        let decision = inject::decide(&request.object, &request.namespace, origin, &self.settings);
        let (namespace, pod) = (&request.namespace, Pod(&request.object).name());
        let (outcome, reason) = match &decision {
            Decision::Inject { .. } => ("injected", ""),
            Decision::AlreadyInjected => ("unchanged", ""),
            Decision::Skip(skip) => ("skipped", skip.as_str()),
            Decision::Refuse(refusal) => ("refused", refusal.code.as_str()),
        };
        match &decision {
            Decision::Refuse(refusal) => tracing::info!(namespace, pod, outcome, %refusal, "pod reviewed"),
            _ => tracing::debug!(namespace, pod, outcome, reason, "pod reviewed"),
        }
        let answer = match decision {
            Decision::Inject { patch, warnings } => Answer::Allow { patch: Some(patch), warnings },
            Decision::AlreadyInjected | Decision::Skip(_) => Answer::ALLOW,
            Decision::Refuse(refusal) => Answer::Deny(refusal.to_string()),
        };
        (answer, Review { kind: "Pod", outcome, reason })
    }

    fn validate(&self, request: &Request) -> (Answer, Review) {
        let (kind, verdict) = validate::validate(request, &self.context);
        match verdict {
            Ok(()) => (Answer::ALLOW, Review { kind, outcome: "accepted", reason: "" }),
            Err(Rejection { code, sentence }) => {
                let (namespace, name) = (&request.namespace, &request.name);
                tracing::info!(namespace, kind, name, refusal = sentence, "object refused");
                (Answer::Deny(sentence), Review { kind, outcome: "refused", reason: code.as_str() })
            }
        }
    }
}

fn debug(request: &Request) -> (Answer, Review) {
    let kind = "PodEphemeralContainers";
    match inject::refusal::ephemeral_obstacle(Pod(&request.object)) {
        None => (Answer::ALLOW, Review { kind, outcome: "accepted", reason: "" }),
        Some(refusal) => {
            (Answer::Deny(refusal.to_string()), Review { kind, outcome: "refused", reason: refusal.code.as_str() })
        }
    }
}
