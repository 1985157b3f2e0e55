//! stub
use super::{Plan, Settings};
use crate::world::{Ref, World};
use jiff::Timestamp;
/// stub
pub fn plan(_: &Ref, _: &World, _: &Settings, _: Timestamp) -> Option<Plan> { None }
