//! What a rule decides: where a request that fits goes.

use super::Destination;
use super::delegate::Delegate;
use super::filter::Edits;
use super::filter::direct::DirectResponse;
use super::filter::redirect::Redirect;
use crate::split::Split;

/// What happens to a request that fits. [`Filters`](super::Filters) say what is done to it on the way.
#[derive(Clone, Debug, PartialEq)]
pub enum Action<D = Destination> {
    /// It goes to one of these, by weight.
    Forward(Split<Branch<D>>),
    /// Its caller is sent elsewhere.
    Redirect(Redirect),
    /// It is answered by the rule.
    Answer(DirectResponse),
    /// The rules of another object decide. Where they [cannot be followed](super::delegate), it has no route.
    Delegate(Delegate),
    /// What was written cannot be read. It is refused: neither the next rule nor the Service was meant for it.
    Invalid,
}

/// One of the ways a rule may send a request.
#[derive(Clone, Debug, PartialEq)]
pub struct Branch<D> {
    /// Who receives it.
    pub destination: D,
    /// Changes of the heads of what goes this way, before those of the rule.
    pub edits: Edits,
}

impl<D> Action<D> {
    /// Everything goes to one destination.
    pub fn to(destination: D) -> Action<D> {
        Action::Forward(Split::single(Branch { destination, edits: Edits::default() }))
    }

    /// Destinations by weight.
    pub fn forward(split: Split<D>) -> Action<D> {
        Action::Forward(split.map(|destination| Branch { destination, edits: Edits::default() }))
    }

    /// Every destination that can be chosen or has weight 0.
    pub fn destinations(&self) -> impl Iterator<Item = &D> {
        let split = match self {
            Action::Forward(split) => Some(split),
            Action::Redirect(_) | Action::Answer(_) | Action::Delegate(_) | Action::Invalid => None,
        };
        split.into_iter().flat_map(Split::entries).map(|(branch, _)| &branch.destination)
    }

    pub(super) fn map<E>(self, mut to: impl FnMut(D) -> E) -> Action<E> {
        match self {
            Action::Forward(split) => {
                Action::Forward(split.map(|branch| Branch { destination: to(branch.destination), edits: branch.edits }))
            }
            Action::Redirect(redirect) => Action::Redirect(redirect),
            Action::Answer(answer) => Action::Answer(answer),
            Action::Delegate(to) => Action::Delegate(to),
            Action::Invalid => Action::Invalid,
        }
    }
}
