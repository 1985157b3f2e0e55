use proptest::prelude::*;

use super::*;

#[test]
fn identities_in_their_one_spelling() {
    let long_account = format!("spiffe://cluster.local/ns/shop/sa/{}", ["a".repeat(63).as_str(); 3].join("."));
    let rows = [
        "spiffe://cluster.local/ns/shop/sa/web",
        "spiffe://cluster.local/ns/shop/sa/web.v2",
        "spiffe://cluster.local/ns/a/sa/b",
        "spiffe://example_1.org/ns/shop-2/sa/0-9",
        "spiffe://a/ns/b/sa/c",
        "spiffe://10.0.0.1/ns/shop/sa/web",
        long_account.as_str(),
    ];
    for text in rows {
        let id: SpiffeId = text.parse().unwrap_or_else(|error| panic!("{text}: {error}"));
        assert_eq!(id.to_string(), text);
    }
}

/// What is no SPIFFE id of a workload, and what is wrong with it.
const REFUSED: &[(&str, IdentityError)] = &[
    ("", IdentityError::Scheme),
    ("spiffe:", IdentityError::Scheme),
    ("spiffe:/cluster.local/ns/shop/sa/web", IdentityError::Scheme),
    ("Spiffe://cluster.local/ns/shop/sa/web", IdentityError::Scheme),
    ("SPIFFE://cluster.local/ns/shop/sa/web", IdentityError::Scheme),
    ("https://cluster.local/ns/shop/sa/web", IdentityError::Scheme),
    (" spiffe://cluster.local/ns/shop/sa/web", IdentityError::Scheme),
    ("cluster.local/ns/shop/sa/web", IdentityError::Scheme),
    ("spiffe://", IdentityError::Path),
    ("spiffe:///ns/shop/sa/web", IdentityError::TrustDomain),
    ("spiffe://Cluster.local/ns/shop/sa/web", IdentityError::TrustDomain),
    ("spiffe://cluster.local:443/ns/shop/sa/web", IdentityError::TrustDomain),
    ("spiffe://user@cluster.local/ns/shop/sa/web", IdentityError::TrustDomain),
    ("spiffe://cluster%2elocal/ns/shop/sa/web", IdentityError::TrustDomain),
    ("spiffe://cluster.local\0/ns/shop/sa/web", IdentityError::TrustDomain),
    ("spiffe://clüster.local/ns/shop/sa/web", IdentityError::TrustDomain),
    ("spiffe://cluster.local?x/ns/shop/sa/web", IdentityError::TrustDomain),
    ("spiffe://*/ns/shop/sa/web", IdentityError::TrustDomain),
    ("spiffe://[::1]/ns/shop/sa/web", IdentityError::TrustDomain),
    ("spiffe://cluster.local", IdentityError::Path),
    ("spiffe://cluster.local/", IdentityError::Path),
    ("spiffe://cluster.local//ns/shop/sa/web", IdentityError::Path),
    ("spiffe://cluster.local/ns/shop", IdentityError::Path),
    ("spiffe://cluster.local/ns/shop/sa", IdentityError::Path),
    ("spiffe://cluster.local/ns/shop/sa/web/", IdentityError::Path),
    ("spiffe://cluster.local/ns/shop/sa/web//", IdentityError::Path),
    ("spiffe://cluster.local/ns/shop/sa/web/x", IdentityError::Path),
    ("spiffe://cluster.local/ns//shop/sa/web", IdentityError::Path),
    ("spiffe://cluster.local/NS/shop/sa/web", IdentityError::Path),
    ("spiffe://cluster.local/ns/shop/SA/web", IdentityError::Path),
    ("spiffe://cluster.local/sa/web/ns/shop", IdentityError::Path),
    ("spiffe://cluster.local/ns/shop/sa/web/../admin", IdentityError::Path),
    ("spiffe://cluster.local/./ns/shop/sa/web", IdentityError::Path),
    ("spiffe://cluster.local/%6es/shop/sa/web", IdentityError::Path),
    ("spiffe://cluster.local/ns/shop%2fsa/web", IdentityError::Path),
    ("spiffe://cluster.local/ns/shop\\sa\\web", IdentityError::Path),
    ("spiffe://cluster.local/x/ns/shop/sa/web", IdentityError::Path),
    ("spiffe://cluster.local/ns//sa/web", IdentityError::Namespace),
    ("spiffe://cluster.local/ns/Shop/sa/web", IdentityError::Namespace),
    ("spiffe://cluster.local/ns/../sa/web", IdentityError::Namespace),
    ("spiffe://cluster.local/ns/./sa/web", IdentityError::Namespace),
    ("spiffe://cluster.local/ns/a.b/sa/web", IdentityError::Namespace),
    ("spiffe://cluster.local/ns/-shop/sa/web", IdentityError::Namespace),
    ("spiffe://cluster.local/ns/shop-/sa/web", IdentityError::Namespace),
    ("spiffe://cluster.local/ns/shop%2e/sa/web", IdentityError::Namespace),
    ("spiffe://cluster.local/ns/sh op/sa/web", IdentityError::Namespace),
    ("spiffe://cluster.local/ns/sh_op/sa/web", IdentityError::Namespace),
    ("spiffe://cluster.local/ns/*/sa/web", IdentityError::Namespace),
    ("spiffe://cluster.local/ns/shop/sa/", IdentityError::ServiceAccount),
    ("spiffe://cluster.local/ns/shop/sa/Web", IdentityError::ServiceAccount),
    ("spiffe://cluster.local/ns/shop/sa/.", IdentityError::ServiceAccount),
    ("spiffe://cluster.local/ns/shop/sa/..", IdentityError::ServiceAccount),
    ("spiffe://cluster.local/ns/shop/sa/web.", IdentityError::ServiceAccount),
    ("spiffe://cluster.local/ns/shop/sa/.web", IdentityError::ServiceAccount),
    ("spiffe://cluster.local/ns/shop/sa/we..b", IdentityError::ServiceAccount),
    ("spiffe://cluster.local/ns/shop/sa/web%2f", IdentityError::ServiceAccount),
    ("spiffe://cluster.local/ns/shop/sa/web%00", IdentityError::ServiceAccount),
    ("spiffe://cluster.local/ns/shop/sa/web\0", IdentityError::ServiceAccount),
    ("spiffe://cluster.local/ns/shop/sa/web\n", IdentityError::ServiceAccount),
    ("spiffe://cluster.local/ns/shop/sa/web ", IdentityError::ServiceAccount),
    ("spiffe://cluster.local/ns/shop/sa/web?x=y", IdentityError::ServiceAccount),
    ("spiffe://cluster.local/ns/shop/sa/web#x", IdentityError::ServiceAccount),
    ("spiffe://cluster.local/ns/shop/sa/web;x", IdentityError::ServiceAccount),
    ("spiffe://cluster.local/ns/shop/sa/wéb", IdentityError::ServiceAccount),
    ("spiffe://cluster.local/ns/shop/sa/web_1", IdentityError::ServiceAccount),
];

#[test]
fn everything_else_is_refused() {
    use IdentityError as E;
    for &(text, want) in REFUSED {
        assert_eq!(text.parse::<SpiffeId>(), Err(want), "{text:?}");
    }
    let domain = "a".repeat(256);
    assert_eq!(format!("spiffe://{domain}/ns/shop/sa/web").parse::<SpiffeId>(), Err(E::TrustDomain));
    assert_eq!(format!("spiffe://{}", "a/".repeat(1024)).parse::<SpiffeId>(), Err(E::TooLong));
}

#[test]
fn a_foreign_domain_is_another_identity() {
    let ours: SpiffeId = "spiffe://cluster.local/ns/shop/sa/web".parse().unwrap();
    let theirs: SpiffeId = "spiffe://cluster.local.evil/ns/shop/sa/web".parse().unwrap();
    assert_ne!(ours, theirs);
    assert_ne!(ours.trust_domain(), theirs.trust_domain());
    assert_eq!((ours.namespace(), ours.service_account()), (theirs.namespace(), theirs.service_account()));
    assert_eq!(ours.without_scheme(), "cluster.local/ns/shop/sa/web");
}

#[test]
fn names_that_could_smuggle_a_segment_make_no_identity() {
    let domain: TrustDomain = "cluster.local".parse().unwrap();
    assert_eq!(SpiffeId::new(&domain, "shop", "web").unwrap().as_str(), "spiffe://cluster.local/ns/shop/sa/web");
    for (namespace, account) in [("shop/sa/web", "x"), ("shop", "web/x"), ("", "web"), ("shop", "")] {
        assert!(SpiffeId::new(&domain, namespace, account).is_err(), "{namespace:?} {account:?}");
    }
}

proptest! {
    #[test]
    fn accepted_text_prints_back_byte_for_byte(text in "(spiffe://)?[a-z0-9.%/:@A-Z_-]{0,20}/ns/[a-z0-9./%-]{0,10}/sa/[a-z0-9./%-]{0,10}") {
        if let Ok(id) = text.parse::<SpiffeId>() {
            prop_assert_eq!(id.to_string(), text);
            prop_assert_eq!(SpiffeId::new(id.trust_domain(), id.namespace(), id.service_account()), Ok(id.clone()));
        }
    }

    #[test]
    fn printed_names_parse_back(
        domain in "[a-z0-9._-]{1,40}",
        namespace in "[a-z0-9]([a-z0-9-]{0,20}[a-z0-9])?",
        account in "[a-z0-9]([a-z0-9-]{0,20}[a-z0-9])?(\\.[a-z0-9]{1,5})?",
    ) {
        let id = SpiffeId::new(&domain.parse().unwrap(), &namespace, &account).unwrap();
        prop_assert_eq!(id.to_string().parse::<SpiffeId>(), Ok(id.clone()));
        prop_assert_eq!(id.namespace().as_str(), namespace);
        prop_assert_eq!(id.service_account(), account);
    }
}
