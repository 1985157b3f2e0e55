use std::time::{Duration, SystemTime};

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use tulle_core::sidecar::TRUST_BUNDLE_KEY;

use super::{Authority, CA_SECRET, Judgement, damage, judge, tls_secret};

fn authority() -> Authority {
    Authority::create("root", Duration::from_secs(3600), SystemTime::now()).expect("an authority")
}

fn secret(authority: &Authority) -> Secret {
    tls_secret(CA_SECRET, authority.certificate_pem(), authority.key_pem())
}

fn garbage() -> Secret {
    let mut garbage = secret(&authority());
    garbage.data = Some([("tls.crt".to_owned(), ByteString(vec![0xff]))].into());
    garbage
}

fn bundle(pem: &str) -> ConfigMap {
    ConfigMap { data: Some([(TRUST_BUNDLE_KEY.to_owned(), pem.to_owned())].into()), ..ConfigMap::default() }
}

#[test]
fn an_authority_is_made_only_for_a_new_mesh() {
    let (ours, other) = (authority(), authority());
    let published = bundle(ours.certificate_pem());
    let rows = [
        ("new mesh", None, None, "create"),
        ("Secret made, bundle not yet", Some(secret(&ours)), None, "use"),
        ("both", Some(secret(&ours)), Some(published.clone()), "use"),
        (
            "several roots",
            Some(secret(&ours)),
            Some(bundle(&(other.certificate_pem().to_owned() + ours.certificate_pem()))),
            "use",
        ),
        ("emptied bundle", Some(secret(&ours)), Some(bundle("")), "use"),
        ("lost Secret", None, Some(published.clone()), "refuse"),
        ("lost Secret, emptied bundle", None, Some(ConfigMap::default()), "refuse"),
        ("garbage", Some(garbage()), None, "refuse"),
        ("empty Secret", Some(Secret::default()), None, "refuse"),
        ("swapped Secret", Some(secret(&other)), Some(published), "refuse"),
    ];
    for (name, secret, bundle, expected) in rows {
        let judgement = judge(secret.as_ref(), bundle.as_ref(), SystemTime::now());
        let found = match &judgement {
            Judgement::Use(_) => "use",
            Judgement::Create => "create",
            Judgement::Refuse(why) => {
                assert!(why.contains(CA_SECRET) && why.contains("restore"), "{name}: {why}");
                assert!(!why.contains("PRIVATE"), "{name}: {why}");
                "refuse"
            }
        };
        assert_eq!(found, expected, "{name}: {judgement:?}");
    }
}

#[test]
fn damage_to_the_authority_in_use_is_named() {
    let (ours, other) = (authority(), authority());
    let now = SystemTime::now();
    assert_eq!(damage(Some(&secret(&ours)), &ours, now), None);
    for (secret, word) in
        [(None, "is missing"), (Some(garbage()), "is damaged"), (Some(secret(&other)), "another root")]
    {
        let sentence = damage(secret.as_ref(), &ours, now).expect("damage");
        assert!(sentence.contains(word), "{sentence}");
    }
}
