use proptest::prelude::*;

use super::*;

type Pods = Vec<(String, BTreeMap<String, String>)>;

fn pods(rows: &[(&str, &[(&str, &str)])]) -> Pods {
    let labels = |labels: &[(&str, &str)]| labels.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
    rows.iter().map(|(pod, given)| ((*pod).to_owned(), labels(given))).collect()
}

fn listed(pods: &Pods) -> Vec<Workload> {
    workloads(pods.iter().map(|(pod, labels)| (pod.as_str(), labels)))
}

/// `pods key=value,…` of each entry.
fn shown(list: &[Workload]) -> Vec<String> {
    let labels = |labels: &BTreeMap<String, String>| {
        labels.iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join(",")
    };
    list.iter().map(|workload| format!("{} {}", workload.pods, labels(&workload.labels))).collect()
}

#[test]
fn pods_of_a_controller_are_one_entry() {
    let (v1, v2): (&[_], &[_]) = (&[("version", "v1")], &[("version", "v2")]);
    type Row<'a> = (&'a str, &'a [(&'a str, &'a [(&'a str, &'a str)])], &'a [&'a str]);
    let rows: [Row<'_>; 7] = [
        ("nobody", &[], &[]),
        (
            "two ReplicaSets",
            &[("web-a-1", v1), ("web-a-2", v1), ("web-b-1", v2)],
            &["web-a-* version=v1", "web-b-* version=v2"],
        ),
        (
            "one labelled by hand",
            &[("web-a-1", v1), ("web-a-2", v2), ("web-a-3", v1)],
            &["web-a-* version=v1", "web-a-2 version=v2"],
        ),
        ("as many of both", &[("web-a-1", v2), ("web-a-2", v1)], &["web-a-* version=v1", "web-a-1 version=v2"]),
        ("a name without a stem", &[("bare", v1)], &["bare version=v1"]),
        (
            "a StatefulSet in the midst of a rollout",
            &[
                ("db-0", &[(POD_NAME_LABEL, "db-0"), (POD_INDEX_LABEL, "0"), (UNPUBLISHED_LABEL, "x"), ("app", "db")]),
                ("db-1", &[(POD_NAME_LABEL, "db-1"), (POD_INDEX_LABEL, "1"), (UNPUBLISHED_LABEL, "y"), ("app", "db")]),
            ],
            &["db-* app=db"],
        ),
        ("no labels are labels too", &[("web-a-1", &[])], &["web-a-* "]),
    ];
    for (name, given, want) in rows {
        assert_eq!(shown(&listed(&pods(given))), want, "{name}");
    }
}

#[test]
fn a_pod_to_come_has_the_labels_of_its_controller() {
    let list = listed(&pods(&[("web-a-1", &[("version", "v1")]), ("web-a-2", &[("version", "v2")])]));
    let version = |pod: &str| labels_of(&list, pod).map(|labels| labels["version"].clone());
    assert_eq!(version("web-a-new"), Some("v1".to_owned()));
    assert_eq!(version("web-a-2"), Some("v2".to_owned()), "its own entry comes first");
    assert_eq!(version("web-b-new"), None, "another controller");
    assert_eq!(version("web-a"), None, "the stem is no pod of it");
}

#[test]
fn beyond_the_bounds_no_pod_is_taken_for_another() {
    let value = "x".repeat(60);
    let labelled = |n: usize| (format!("web-a-{n}"), [("n".to_owned(), format!("{value}{n}"))].into());
    for count in [ENTRIES_MAX + 10, 2 * BYTES_MAX / 60] {
        let given: Pods = (0..count).map(labelled).collect();
        let list = listed(&given);
        let bytes: usize = list.iter().map(|entry| entry.pods.len() + entry.labels["n"].len() + 1).sum();
        assert!(list.len() <= ENTRIES_MAX && bytes <= BYTES_MAX, "{} entries, {bytes} bytes", list.len());
        for (pod, labels) in &given {
            assert!(labels_of(&list, pod).is_none_or(|found| found == labels), "{pod}");
        }
    }
}

proptest! {
    /// Whatever pods are called and labelled, each has its own labels, and the order in which they are met does not matter.
    #[test]
    fn every_pod_has_its_labels(
        given in proptest::collection::btree_map("[ab](-[ab]){0,2}", proptest::collection::btree_map("[xy]", "[12]", 0..2), 0..9)
    ) {
        let given: Pods = given.into_iter().collect();
        let list = listed(&given);
        for (pod, labels) in &given {
            prop_assert_eq!(labels_of(&list, pod), Some(labels));
        }
        prop_assert!(list.len() <= given.len());
        let backwards: Pods = given.into_iter().rev().collect();
        prop_assert_eq!(listed(&backwards), list);
    }
}
