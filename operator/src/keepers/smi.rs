//! TrafficSplits of the Service Mesh Interface, kept as TrafficSplits of ours, which is what proxies follow.
//!
//! One that cannot be said in our kind leaves its last good translation in force, and an event on it says why. The translation is
//! owned by it and ends with it.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::StreamExt;
use kube::runtime::watcher::Event;
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, Resource, ResourceExt};
use tulle_crds::TrafficSplit;
use tulle_crds::smi::{SmiRouteGroup, SmiTrafficSplit};

use super::webhook::RETRY;
use crate::apply::{CallError, Writer, in_time};
use crate::desired::smi::{is_ours, translate};

/// Namespace and name.
type Name = (String, String);

/// Keeps the translations until it is dropped; failures of the API server are tried again.
pub async fn keep(writer: &Writer) {
    let client = writer.client().clone();
    let splits = watcher(Api::<SmiTrafficSplit>::all(client.clone()), watcher::Config::default());
    let groups = watcher(Api::<SmiRouteGroup>::all(client), watcher::Config::default());
    let (mut splits, mut groups) = (splits.default_backoff().boxed(), groups.default_backoff().boxed());
    let mut known = Known::default();
    let mut due: BTreeSet<Name> = BTreeSet::new();
    loop {
        tokio::select! {
            Some(event) = splits.next() => match event {
                Ok(event) => due.extend(known.split(event)),
                Err(error) => tracing::warn!(%error, kind = "TrafficSplit", "watch of SMI broke, starting again"),
            },
            Some(event) = groups.next() => match event {
                Ok(event) => due.extend(known.group(event)),
                Err(error) => tracing::warn!(%error, kind = "HTTPRouteGroup", "watch of SMI broke, starting again"),
            },
            () = tokio::time::sleep(RETRY), if !due.is_empty() => {}
            else => return,
        }
        // Before both are listed, a group that exists would be missed.
        if known.is_listed() {
            for name in std::mem::take(&mut due) {
                if !known.publish(writer, &name).await {
                    due.insert(name);
                }
            }
        }
    }
}

/// What is known of SMI's objects.
#[derive(Default)]
struct Known {
    splits: BTreeMap<Name, SmiTrafficSplit>,
    groups: BTreeMap<Name, SmiRouteGroup>,
    listed: [bool; 2],
    /// What was said last of each that cannot be translated: each sentence is told once.
    told: BTreeMap<Name, String>,
}

impl Known {
    fn is_listed(&self) -> bool {
        self.listed == [true, true]
    }

    /// Takes in an event and returns whose translation may be another one now.
    fn split(&mut self, event: Event<SmiTrafficSplit>) -> Vec<Name> {
        match event {
            // What vanished while the watch was broken takes its translation with it by ownership.
            Event::Init => self.splits.clear(),
            Event::InitDone => self.listed[0] = true,
            Event::InitApply(split) | Event::Apply(split) => {
                let name = name_of(&split);
                self.splits.insert(name.clone(), split);
                return vec![name];
            }
            Event::Delete(split) => {
                let name = name_of(&split);
                self.splits.remove(&name);
                self.told.remove(&name);
            }
        }
        Vec::new()
    }

    fn group(&mut self, event: Event<SmiRouteGroup>) -> Vec<Name> {
        let changed = match event {
            Event::Init => {
                self.groups.clear();
                return Vec::new();
            }
            Event::InitDone => {
                self.listed[1] = true;
                return Vec::new();
            }
            Event::InitApply(group) | Event::Apply(group) => {
                let name = name_of(&group);
                self.groups.insert(name.clone(), group);
                name
            }
            Event::Delete(group) => {
                let name = name_of(&group);
                self.groups.remove(&name);
                name
            }
        };
        let refers = |split: &SmiTrafficSplit| split.spec.matches.iter().any(|reference| reference.name == changed.1);
        let splits = self.splits.iter().filter(|((namespace, _), split)| *namespace == changed.0 && refers(split));
        splits.map(|(name, _)| name.clone()).collect()
    }

    /// Writes a translation if it is not there. `false`: try again.
    async fn publish(&mut self, writer: &Writer, name: &Name) -> bool {
        let Some(split) = self.splits.get(name) else { return true };
        let group = |group: &str| self.groups.get(&(name.0.clone(), group.to_owned())).map(|group| &group.spec);
        let outcome = match translate(split, group) {
            Ok(desired) => write(writer, &desired).await,
            Err(sentence) => Outcome::Refused(sentence),
        };
        match outcome {
            Outcome::Kept => {
                self.told.remove(name);
                true
            }
            Outcome::Refused(sentence) => {
                if self.told.get(name) != Some(&sentence) {
                    tracing::warn!(namespace = name.0, name = name.1, sentence, "TrafficSplit of SMI not in force");
                    let note = format!("{sentence}; what was in force before stays in force");
                    writer.event(&split.object_ref(&()), true, "NotTranslated", "Translate", &note).await;
                    self.told.insert(name.clone(), sentence);
                }
                true
            }
            Outcome::Failed(error) => {
                tracing::warn!(namespace = name.0, name = name.1, %error, "TrafficSplit of SMI not translated, trying again");
                false
            }
        }
    }
}

/// What became of a write.
enum Outcome {
    /// It is as it should be.
    Kept,
    /// It cannot be, and trying again changes nothing.
    Refused(String),
    Failed(CallError),
}

async fn write(writer: &Writer, desired: &TrafficSplit) -> Outcome {
    let namespace = desired.namespace().unwrap_or_default();
    let api: Api<TrafficSplit> = Api::namespaced(writer.client().clone(), &namespace);
    let name = desired.name_any();
    match in_time(api.get_opt(&name)).await {
        Ok(Some(found)) if !is_ours(&found) => {
            return Outcome::Refused(format!(
                "TrafficSplit.tulle.dev {namespace}/{name} exists and is its author's: remove one of the two"
            ));
        }
        Ok(Some(found)) if found.spec == desired.spec && owners(&found) == owners(desired) => return Outcome::Kept,
        Ok(_) => {}
        Err(error) => return Outcome::Failed(error),
    }
    match writer.apply(&api, &name, desired).await {
        Ok(_) => Outcome::Kept,
        Err(error) if error.is_not_found() || error.is_ending() => Outcome::Kept, // the namespace ends, and all with it
        Err(error) => match error.refusal() {
            Some(sentence) => Outcome::Refused(sentence),
            None => Outcome::Failed(error),
        },
    }
}

fn owners(split: &TrafficSplit) -> Vec<&str> {
    split.owner_references().iter().map(|owner| owner.uid.as_str()).collect()
}

fn name_of(object: &impl ResourceExt) -> Name {
    (object.namespace().unwrap_or_default(), object.name_any())
}
