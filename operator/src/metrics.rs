//! Names, units and labels of the operator's metrics. Documented in `docs/metrics.md`.

use std::sync::atomic::AtomicI64;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};
use tulle_core::codes::Code;

/// Buckets in seconds: a write takes milliseconds, a stuck API server seconds.
const SECONDS: [f64; 12] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0];

/// Everything the operator measures.
#[derive(Debug)]
pub struct Metrics {
    leader: Gauge,
    ca_secret_intact: Gauge,
    expiry: Family<Certificate, Gauge>,
    issuances: Family<Issuance, Counter>,
    issuance_seconds: Histogram,
    reconciles: Family<Reconcile, Counter>,
    reconcile_seconds: Family<Kind, Histogram>,
    objects: Family<Object, Gauge<i64, AtomicI64>>,
    watch_errors: Family<Kind, Counter>,
}

/// Which certificate an expiry speaks of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelValue)]
pub enum CertificateKind {
    /// The root of the mesh.
    Root,
    /// The issuer's serving certificate.
    Issuer,
    /// The webhook's authority.
    WebhookCa,
    /// The webhook's serving certificate.
    Webhook,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Certificate {
    kind: CertificateKind,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Issuance {
    outcome: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Kind {
    kind: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Reconcile {
    kind: &'static str,
    outcome: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Object {
    kind: &'static str,
    ready: String,
    reason: String,
}

impl Metrics {
    /// Registers every metric under the prefix `tulle_operator`.
    #[must_use]
    pub fn register(registry: &mut Registry) -> Self {
        let metrics = Self {
            leader: Gauge::default(),
            ca_secret_intact: Gauge::default(),
            expiry: Family::default(),
            issuances: Family::default(),
            issuance_seconds: Histogram::new(SECONDS),
            reconciles: Family::default(),
            reconcile_seconds: Family::new_with_constructor(|| Histogram::new(SECONDS)),
            objects: Family::default(),
            watch_errors: Family::default(),
        };
        let registry = registry.sub_registry_with_prefix("tulle_operator");
        registry.register("leader", "1 on the replica that leads", metrics.leader.clone());
        let help = "1 while the Secret with the authority holds what this replica signs with";
        registry.register("ca_secret_intact", help, metrics.ca_secret_intact.clone());
        let help = "End of validity of a certificate, Unix time";
        registry.register_with_unit("certificate_expiry_timestamp", help, Unit::Seconds, metrics.expiry.clone());
        let help = "Certificate requests by outcome: issued, or the code of the refusal";
        registry.register("issuances", help, metrics.issuances.clone());
        let help = "Time to answer a certificate request, the API server's part included";
        registry.register_with_unit("issuance", help, Unit::Seconds, metrics.issuance_seconds.clone());
        registry.register("reconciles", "Reconciliations by kind and outcome", metrics.reconciles.clone());
        let help = "From the first notice of a change to the write it led to, by kind";
        registry.register_with_unit("reconcile", help, Unit::Seconds, metrics.reconcile_seconds.clone());
        registry.register("objects", "User objects by kind, Ready and reason", metrics.objects.clone());
        registry.register(
            "watch_errors",
            "Watches that broke and were started again, by kind",
            metrics.watch_errors.clone(),
        );
        metrics
    }

    /// Whether this replica leads.
    pub fn leads(&self, leads: bool) {
        self.leader.set(leads.into());
    }

    /// Whether the Secret holds what is signed with.
    pub fn ca_secret_intact(&self, intact: bool) {
        self.ca_secret_intact.set(intact.into());
    }

    /// A certificate's end of validity, Unix seconds.
    pub fn certificate_expires(&self, kind: CertificateKind, unix_seconds: u64) {
        self.expiry.get_or_create(&Certificate { kind }).set(i64::try_from(unix_seconds).unwrap_or(i64::MAX));
    }

    /// The same from a clock time.
    pub fn certificate_expires_at(&self, kind: CertificateKind, at: SystemTime) {
        self.certificate_expires(kind, at.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs()));
    }

    /// A decision of the issuer.
    pub fn issuance(&self, refusal: Option<Code>, took: Duration) {
        let outcome = refusal.map_or("issued", Code::as_str);
        self.issuances.get_or_create(&Issuance { outcome }).inc();
        self.issuance_seconds.observe(took.as_secs_f64());
    }

    /// A reconciliation that wrote something or failed to.
    pub fn reconciled(&self, kind: &'static str, outcome: &'static str, since_noticed: Duration) {
        self.reconciles.get_or_create(&Reconcile { kind, outcome }).inc();
        self.reconcile_seconds.get_or_create(&Kind { kind }).observe(since_noticed.as_secs_f64());
    }

    /// A user object went from one (Ready, reason) to another; `None` is "not seen".
    pub fn object_moved(&self, kind: &'static str, from: Option<&(String, String)>, to: Option<&(String, String)>) {
        let gauge = |state: &(String, String)| {
            self.objects.get_or_create_owned(&Object { kind, ready: state.0.clone(), reason: state.1.clone() })
        };
        if let Some(from) = from {
            gauge(from).dec();
        }
        if let Some(to) = to {
            gauge(to).inc();
        }
    }

    /// Forgets the user objects: another replica counts them now.
    pub fn objects_forgotten(&self) {
        self.objects.clear();
    }

    /// A watch broke.
    pub fn watch_broke(&self, kind: &'static str) {
        self.watch_errors.get_or_create(&Kind { kind }).inc();
    }
}
