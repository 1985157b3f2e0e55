//! (shell) Single objects that the leader keeps as they should be: the published trust bundle, and the webhook's
//! certificate with the two configurations that refer to it.

pub mod trust_bundle;
pub mod webhook;
