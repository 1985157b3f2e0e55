//! What the webhook counts.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

/// Seconds. A review takes well under a millisecond; the API server gives up after the configuration's
/// `timeoutSeconds`.
const BUCKETS: [f64; 8] = [0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.01, 0.1, 1.0];

/// The webhook's metrics. Cloning gives another handle to the same counters.
#[derive(Clone)]
pub struct Metrics {
    reviews: Family<Review, Counter>,
    seconds: Histogram,
}

/// Labels of one decided review, all from closed lists.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct Review {
    /// `Pod` or the kind that was validated.
    pub kind: &'static str,
    /// `injected`, `skipped`, `unchanged`, `accepted` or `refused`.
    pub outcome: &'static str,
    /// Catalogue code or skip reason; empty where there is nothing to explain.
    pub reason: &'static str,
}

impl Metrics {
    /// Registers the metrics.
    pub fn register(registry: &mut Registry) -> Metrics {
        let metrics = Metrics { reviews: Family::default(), seconds: Histogram::new(BUCKETS) };
        let reviews = "Admission reviews by kind, outcome and reason";
        registry.register("tulle_webhook_reviews", reviews, metrics.reviews.clone());
        let seconds = "Time to decide a review";
        registry.register_with_unit("tulle_webhook_review_duration", seconds, Unit::Seconds, metrics.seconds.clone());
        metrics
    }

    /// Counts a review.
    pub fn record(&self, review: Review, took: std::time::Duration) {
        self.reviews.get_or_create(&review).inc();
        self.seconds.observe(took.as_secs_f64());
    }
}
