//! Weighted choice: which backend receives a request.
//!
//! The random draw is an argument, so a canary of 10 % is a table of draws that can be checked exactly.

/// Share of a backend relative to the sum of its split.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Weight(pub u32);

/// Choices with weights, of which at least one is positive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Split<T> {
    entries: Vec<(T, Weight)>,
    /// Sum of the weights; 2^32 entries of the largest weight would be needed to overflow it.
    total: u64,
}

impl<T> Split<T> {
    /// A split of these choices, or `None` where nothing could ever be chosen (no entry, or only zeros).
    pub fn new(entries: impl IntoIterator<Item = (T, Weight)>) -> Option<Split<T>> {
        let entries: Vec<_> = entries.into_iter().collect();
        let total = entries.iter().map(|(_, weight)| u64::from(weight.0)).sum();
        (total > 0).then_some(Split { entries, total })
    }

    /// A split with one choice.
    pub fn single(choice: T) -> Split<T> {
        Split { entries: vec![(choice, Weight(1))], total: 1 }
    }

    /// The choice for a draw from all of `u64`, uniformly.
    ///
    /// The draw is scaled by a 128-bit product and not by a remainder, so that each share is exact to 1 / 2^32.
    pub fn pick(&self, draw: u64) -> &T {
        let scaled = (u128::from(draw) * u128::from(self.total)) >> 64;
        let mut point = scaled as u64; // below `total`, as draw / 2^64 is below 1
        for (choice, weight) in &self.entries {
            match point.checked_sub(u64::from(weight.0)) {
                None => return choice,
                Some(rest) => point = rest,
            }
        }
        unreachable!("the point is below the sum of the weights")
    }

    /// Every choice with its weight, zeros included, in the order given.
    pub fn entries(&self) -> impl ExactSizeIterator<Item = (&T, Weight)> {
        self.entries.iter().map(|(choice, weight)| (choice, *weight))
    }

    /// Share of the entry at `index`, from 0 to 1; 0 where there is none.
    pub fn share(&self, index: usize) -> f64 {
        self.entries.get(index).map_or(0.0, |(_, weight)| f64::from(weight.0) / self.total as f64)
    }

    /// The same split of other things.
    pub fn map<U>(self, mut to: impl FnMut(T) -> U) -> Split<U> {
        let entries = self.entries.into_iter().map(|(choice, weight)| (to(choice), weight)).collect();
        Split { entries, total: self.total }
    }
}

#[cfg(test)]
mod tests;
