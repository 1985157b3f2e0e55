use std::time::{Duration, SystemTime, UNIX_EPOCH};

use k8s_openapi::ByteString;
use k8s_openapi::api::admissionregistration::v1::{ServiceReference, WebhookClientConfig};

use super::{Names, TTL, make, usable};
use crate::ca::Authority;

const DAY: Duration = Duration::from_secs(24 * 3600);

fn names() -> Names {
    Names { namespace: "tulle-system".into(), cluster_domain: "cluster.local".into() }
}

fn authority(now: SystemTime) -> Authority {
    Authority::create("webhook", 3650 * DAY, now).expect("an authority")
}

#[test]
fn renewed_at_half_of_its_life() {
    let now = UNIX_EPOCH + Duration::from_secs(1_800_000_000);
    let authority = authority(now);
    let (secret, validity) = make(&authority, &names(), now).expect("a certificate");
    assert_eq!(usable(&secret, &authority, &names(), now), Some(validity));
    assert_eq!(validity.not_after, now + TTL);
    let half = validity.renew_at;
    assert!(half > now + 44 * DAY && half < now + 46 * DAY);
    assert!(usable(&secret, &authority, &names(), half - Duration::from_secs(1)).is_some());
    assert!(usable(&secret, &authority, &names(), half).is_none());
}

#[test]
fn what_cannot_serve_is_replaced() {
    let now = SystemTime::now();
    let (ours, other) = (authority(now), authority(now));
    let (secret, _) = make(&ours, &names(), now).expect("a certificate");
    assert!(usable(&secret, &other, &names(), now).is_none(), "another authority");
    let elsewhere = Names { namespace: "elsewhere".into(), ..names() };
    assert!(usable(&secret, &ours, &elsewhere, now).is_none(), "other names");
    let (stranger, _) = make(&ours, &names(), now).expect("a certificate");
    let mut mixed = secret.clone();
    mixed.data.as_mut().expect("data").insert("tls.key".into(), stranger.data.expect("data")["tls.key"].clone());
    assert!(usable(&mixed, &ours, &names(), now).is_none(), "a key of another certificate");
    let mut garbage = secret;
    garbage.data.as_mut().expect("data").insert("tls.crt".into(), ByteString(vec![1]));
    assert!(usable(&garbage, &ours, &names(), now).is_none(), "garbage");
}

#[test]
fn only_calls_of_our_service_are_ours() {
    let config = |name: &str, namespace: &str| WebhookClientConfig {
        service: Some(ServiceReference {
            name: name.into(),
            namespace: namespace.into(),
            ..ServiceReference::default()
        }),
        ..WebhookClientConfig::default()
    };
    assert!(names().is_called_by(&config("tulle-webhook", "tulle-system")));
    assert!(!names().is_called_by(&config("tulle-webhook", "shop")));
    assert!(!names().is_called_by(&config("other", "tulle-system")));
    assert!(!names().is_called_by(&WebhookClientConfig::default()));
}
