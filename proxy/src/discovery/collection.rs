//! A set of watched objects with the last good meaning of each: what a watch says goes in, and what decisions may rest on
//! comes out.
//!
//! Two rules hold whatever order or repetition events come in: an older version never replaces a newer one, and an object that
//! does not parse keeps its last good meaning (by uid: a deleted and recreated object inherits nothing).

use std::collections::BTreeMap;
use std::sync::Arc;

use super::object::Meta;
use super::plan::Selection;

/// The objects of one kind in one namespace.
#[derive(Debug)]
pub(crate) struct Collection<T> {
    /// What the watch behind this collection selects; `None` before it was initialised.
    selection: Option<Selection>,
    entries: BTreeMap<Arc<str>, Entry<T>>,
    /// Grows with each change.
    revision: u64,
}

/// One object.
#[derive(Debug)]
pub(crate) struct Entry<T> {
    pub(crate) meta: Meta,
    /// The last version that parsed, or what could be read of this one.
    pub(crate) good: Option<Arc<T>>,
    /// Why the version of `meta` did not parse, and what stands in for it where no version ever did.
    pub(crate) error: Option<Refused<Arc<T>>>,
}

/// Why an object could not be understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refused<T> {
    /// A sentence for the author.
    pub(crate) sentence: Arc<str>,
    /// What takes its place while there is no good version; `None`: the object has no effect.
    pub(crate) stand_in: Option<T>,
    /// What could be read of it, which replaces the last good version.
    pub(crate) rest: Option<T>,
}

impl<T> Refused<T> {
    /// The object has no effect.
    pub(crate) fn new(sentence: impl Into<Arc<str>>) -> Self {
        Self { sentence: sentence.into(), stand_in: None, rest: None }
    }
}

impl<T> Entry<T> {
    /// What decisions rest on.
    pub(crate) fn in_force(&self) -> Option<&Arc<T>> {
        self.good.as_ref().or_else(|| self.error.as_ref()?.stand_in.as_ref())
    }
}

impl<T> Default for Collection<T> {
    fn default() -> Self {
        Self { selection: None, entries: BTreeMap::new(), revision: 0 }
    }
}

impl<T> Collection<T> {
    /// Whether the watch has listed everything it selects.
    pub(crate) fn initialised(&self) -> bool {
        self.selection.is_some()
    }

    /// Whether the watch would have shown the object with this name.
    pub(crate) fn covers(&self, name: &str) -> bool {
        self.selection.as_ref().is_some_and(|selection| selection.contains(name))
    }

    /// Grows with each change of an object.
    pub(crate) fn revision(&self) -> u64 {
        self.revision
    }

    /// All objects in order of their names.
    pub(crate) fn entries(&self) -> impl Iterator<Item = &Entry<T>> {
        self.entries.values()
    }

    /// What is in force of each object, in order of their names.
    pub(crate) fn in_force(&self) -> impl Iterator<Item = (&Meta, &Arc<T>)> {
        self.entries.values().filter_map(|entry| Some((&entry.meta, entry.in_force()?)))
    }

    /// What is in force of one object.
    pub(crate) fn get(&self, name: &str) -> Option<&Arc<T>> {
        self.entries.get(name)?.in_force()
    }

    /// Takes a new or changed object, which `parse` reads with the last good version at hand. Returns its entry if it was news.
    pub(crate) fn apply(
        &mut self,
        meta: Meta,
        parse: impl FnOnce(&Meta, Option<&T>) -> Result<T, Refused<T>>,
    ) -> Option<&Entry<T>> {
        let old = self.entries.remove(&meta.name);
        let (entry, news) = merge(old, meta, parse);
        self.revision += u64::from(news);
        let name = Arc::clone(&entry.meta.name);
        let entry = self.entries.entry(name).insert_entry(entry).into_mut();
        news.then_some(entry)
    }

    /// Forgets an object. A late word about an earlier object of the same name changes nothing.
    pub(crate) fn delete(&mut self, meta: &Meta) -> bool {
        let same = self.entries.get(&meta.name).is_some_and(|entry| entry.meta.uid == meta.uid);
        let gone = same && self.entries.remove(&meta.name).is_some();
        self.revision += u64::from(gone);
        gone
    }

    /// Takes a complete list: what is not in it is gone. Returns the entries that were news.
    pub(crate) fn replace<P>(
        &mut self,
        selection: Selection,
        list: impl IntoIterator<Item = (Meta, P)>,
    ) -> Vec<&Entry<T>>
    where
        P: FnOnce(&Meta, Option<&T>) -> Result<T, Refused<T>>,
    {
        self.selection = Some(selection);
        let mut old = std::mem::take(&mut self.entries);
        let mut news = Vec::new();
        for (meta, parse) in list {
            let name = Arc::clone(&meta.name);
            let (entry, new) = merge(old.remove(&name), meta, parse);
            if new {
                news.push(Arc::clone(&name));
            }
            self.entries.insert(name, entry);
        }
        self.revision += u64::from(!news.is_empty() || !old.is_empty());
        news.iter().filter_map(|name| self.entries.get(name)).collect()
    }
}

fn merge<T>(
    old: Option<Entry<T>>,
    meta: Meta,
    parse: impl FnOnce(&Meta, Option<&T>) -> Result<T, Refused<T>>,
) -> (Entry<T>, bool) {
    let old = old.filter(|old| old.meta.uid == meta.uid);
    match old {
        Some(old) if meta.version != 0 && meta.version <= old.meta.version => return (old, false),
        _ => {}
    }
    let last = old.and_then(|old| old.good);
    let entry = match parse(&meta, last.as_deref()) {
        Ok(good) => Entry { meta, good: Some(Arc::new(good)), error: None },
        Err(Refused { sentence, stand_in, rest }) => {
            let (stand_in, rest) = (stand_in.map(Arc::new), rest.map(Arc::new));
            Entry { meta, good: rest.clone().or(last), error: Some(Refused { sentence, stand_in, rest }) }
        }
    };
    (entry, true)
}

#[cfg(test)]
mod tests;
