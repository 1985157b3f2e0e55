//! Who receives copies of requests.

use tulle_core::codes::Code;
use tulle_core::route::filter::percent::Percent;
use tulle_core::route::{Destination, Mirror};

use super::destination::destination;
use super::fault::{share, share_or_whole};
use super::scope::Scope;
use crate::into_core::error::{At, SpecError, each};
use crate::into_core::value::nothing_else;
use crate::virtual_service as written;

/// Mirrors of one rule. Each may need memory for a copy and a connection, and nobody compares more releases at once.
const MIRRORS_MAX: usize = 8;

/// `mirrors` of a rule, or the older `mirror` with its share.
pub(super) fn mirrors(written: &written::Filters, scope: &Scope<'_>) -> Result<Vec<Mirror<Destination>>, SpecError> {
    if let Some(one) = &written.mirror {
        if !written.mirrors.is_empty() {
            // Istio refuses both as well.
            return Err(SpecError::new(Code::InvalidValue, "has both mirror and mirrors")
                .remedy("move it into mirrors")
                .under("mirror"));
        }
        let share = share_or_whole(
            ("mirrorPercentage", written.mirror_percentage.as_ref()),
            ("mirrorPercent", written.mirror_percent),
        )?
        .unwrap_or(Percent::ALL);
        return Ok(vec![Mirror { destination: destination(one, scope).at("mirror")?, share }]);
    }
    if let Some(field) = older_field(written) {
        return Err(SpecError::new(Code::MissingField, "is a share and there is no mirror")
            .remedy("give mirror, or remove the share")
            .under(field));
    }
    if written.mirrors.len() > MIRRORS_MAX {
        let reason = format!("has more than {MIRRORS_MAX} entries");
        return Err(SpecError::new(Code::InvalidValue, reason).under("mirrors"));
    }
    each("mirrors", &written.mirrors, |entry| {
        nothing_else(&entry.rest)?;
        let share = share("percentage", entry.percentage.as_ref())?.unwrap_or(Percent::ALL);
        Ok(Mirror { destination: destination(&entry.destination, scope).at("destination")?, share })
    })
}

fn older_field(written: &written::Filters) -> Option<&'static str> {
    let exact = written.mirror_percentage.is_some().then_some("mirrorPercentage");
    exact.or_else(|| written.mirror_percent.is_some().then_some("mirrorPercent"))
}
