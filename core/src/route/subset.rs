//! Some pods of a Service, told apart by their labels.

use std::collections::BTreeMap;
use std::sync::Arc;

/// Label with the pod's own name (StatefulSet, Indexed Job).
pub const POD_NAME_LABEL: &str = "statefulset.kubernetes.io/pod-name";
/// Label with the number at the end of the pod's name (StatefulSet).
pub const POD_INDEX_LABEL: &str = "apps.kubernetes.io/pod-index";

/// A named part of a Service's endpoints (Istio: `DestinationRule.subsets`).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Subset {
    /// How rules name it.
    pub name: Arc<str>,
    /// What a pod must be labelled with. Empty: every endpoint, also one that is no pod.
    pub labels: BTreeMap<String, String>,
}

impl Subset {
    /// Whether an endpoint belongs to it: `pod` is the pod behind it, `labels` are what is known of that pod's.
    #[must_use]
    pub fn takes(&self, pod: Option<&str>, labels: Option<&BTreeMap<String, String>>) -> bool {
        self.labels.iter().all(|(key, value)| match (key.as_str(), pod) {
            (_, None) => false,
            (POD_NAME_LABEL, Some(pod)) => pod == value,
            (POD_INDEX_LABEL, Some(pod)) => pod.rsplit_once('-').is_some_and(|(_, index)| index == value),
            _ => labels.is_some_and(|labels| labels.get(key) == Some(value)),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_label_of_the_subset_must_be_there() {
        let known: BTreeMap<String, String> = [("app", "web"), ("version", "v1")].map(owned).into();
        type Row<'a> = (&'a str, &'a [(&'a str, &'a str)], Option<&'a str>, Option<&'a BTreeMap<String, String>>, bool);
        let rows: [Row<'_>; 10] = [
            ("one of its labels", &[("version", "v1")], Some("web-0"), Some(&known), true),
            ("all of them", &[("app", "web"), ("version", "v1")], Some("web-0"), Some(&known), true),
            ("another value", &[("version", "v2")], Some("web-0"), Some(&known), false),
            ("one too many", &[("version", "v1"), ("track", "canary")], Some("web-0"), Some(&known), false),
            ("labels that are not known", &[("version", "v1")], Some("web-0"), None, false),
            ("no pod", &[("version", "v1")], None, None, false),
            ("no label asked for", &[], None, None, true),
            ("the name is in no published label", &[(POD_NAME_LABEL, "web-0")], Some("web-0"), None, true),
            ("another name", &[(POD_NAME_LABEL, "web-1")], Some("web-0"), Some(&known), false),
            ("nor is the index", &[(POD_INDEX_LABEL, "10"), ("app", "web")], Some("web-10"), Some(&known), true),
        ];
        for (name, labels, pod, known, want) in rows {
            let subset = Subset { name: "v1".into(), labels: labels.iter().copied().map(owned).collect() };
            assert_eq!(subset.takes(pod, known), want, "{name}");
        }
    }

    fn owned((key, value): (&str, &str)) -> (String, String) {
        (key.to_owned(), value.to_owned())
    }
}
