//! Rules that cannot be read: refused at admission, and what becomes of those that got past it.

use tulle_core::route::bytes::ByteRule;
use tulle_core::route::{Action, Destination};

use super::VirtualService;
use crate::into_core::SpecError;

impl VirtualService {
    /// The same, for who takes no rule with a mistake.
    ///
    /// # Errors
    /// The first of the [invalid](Self::invalid) ones.
    pub fn whole(mut self) -> Result<VirtualService, SpecError> {
        if self.invalid.is_empty() { Ok(self) } else { Err(self.invalid.swap_remove(0)) }
    }

    /// What is wrong with rules that cannot be read, in the words of Gateway API (`PartiallyInvalid`); `None`: nothing.
    pub fn dropped(&self) -> Option<String> {
        let places = self.invalid.iter().map(|mistake| place(&mistake.path)).collect::<Vec<_>>().join(", ");
        let sentences = self.invalid.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ");
        (!places.is_empty()).then(|| format!("Dropped Rule {places}: {sentences}"))
    }

    /// The same with what rules of the last good version did, in the place of those that cannot be read: what fits the same conditions
    /// is treated as before. A rule of which that version says nothing stays as it is.
    #[must_use]
    pub fn keeping(mut self, last: &VirtualService) -> VirtualService {
        // A rule for other hosts may lead where none for these may.
        if self.hosts != last.hosts {
            return self;
        }
        for rule in self.rules.iter_mut().filter(|rule| rule.action == Action::Invalid) {
            if let Some(good) = last.rules.iter().find(|good| good.matches == rule.matches) {
                (rule.action, rule.filters) = (good.action.clone(), good.filters.clone());
            }
        }
        keep(&mut self.bytes.tls, &last.bytes.tls);
        keep(&mut self.bytes.tcp, &last.bytes.tcp);
        self
    }
}

fn keep(rules: &mut [ByteRule<Destination>], last: &[ByteRule<Destination>]) {
    for rule in rules.iter_mut().filter(|rule| rule.to.is_none()) {
        if let Some(good) = last.iter().find(|good| good.matches == rule.matches) {
            rule.to = good.to.clone();
        }
    }
}

/// `http[1]` of `spec.http[1].route[0].weight`.
fn place(path: &str) -> &str {
    path.split('.').nth(1).unwrap_or(path)
}

#[cfg(test)]
mod tests;
