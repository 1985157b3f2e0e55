//! Trouble on purpose.

use std::time::Duration;

use tulle_core::codes::Code;
use tulle_core::grpc;
use tulle_core::route::filter::fault::{Abort, Fault};
use tulle_core::route::filter::percent::Percent;

use super::redirect::status;
use crate::into_core::error::{At, SpecError};
use crate::into_core::value::{duration, nothing_else};
use crate::virtual_service as written;

/// Longest delay: no caller waits longer, and each delayed request holds its connection.
const DELAY_MAX: Duration = Duration::from_secs(3600);

/// `fault` of a rule.
pub(super) fn fault(written: &written::Fault) -> Result<Fault, SpecError> {
    nothing_else(&written.rest)?;
    if written.delay.is_none() && written.abort.is_none() {
        return Err(SpecError::new(Code::MissingField, "has neither delay nor abort").remedy("give at least one"));
    }
    Ok(Fault {
        delay: written.delay.as_ref().map(delay).transpose().at("delay")?,
        abort: written.abort.as_ref().map(abort).transpose().at("abort")?,
    })
}

fn delay(written: &written::Delay) -> Result<(Duration, Percent), SpecError> {
    nothing_else(&written.rest)?;
    let fixed = duration(&written.fixed_delay).at("fixedDelay")?;
    if fixed.is_zero() || fixed > DELAY_MAX {
        let reason = format!("{} is no delay from 1ms to 1h", written.fixed_delay);
        return Err(SpecError::new(Code::InvalidValue, reason).under("fixedDelay"));
    }
    let share = share_or_whole(("percentage", written.percentage.as_ref()), ("percent", written.percent))?;
    Ok((fixed, share.unwrap_or_default()))
}

fn abort(written: &written::Abort) -> Result<(Abort, Percent), SpecError> {
    nothing_else(&written.rest)?;
    let abort = match (written.http_status, written.grpc_status.as_deref()) {
        (Some(http), None) => Abort::Http(status(http).at("httpStatus")?),
        (None, Some(name)) => Abort::Grpc(grpc::by_name(name).ok_or_else(|| {
            let reason = format!("{name:?} is no gRPC status");
            SpecError::new(Code::InvalidValue, reason).remedy("use its name, such as UNAVAILABLE").under("grpcStatus")
        })?),
        _ => {
            let reason = "has not exactly one of httpStatus and grpcStatus";
            return Err(SpecError::new(Code::InvalidValue, reason).remedy("give one of them"));
        }
    };
    Ok((abort, share("percentage", written.percentage.as_ref())?.unwrap_or_default()))
}

/// A share as a number, or where that is absent by the deprecated field for whole percent.
pub(super) fn share_or_whole(
    (field, exact): (&'static str, Option<&written::Percent>),
    (older, whole): (&'static str, Option<i64>),
) -> Result<Option<Percent>, SpecError> {
    match (exact, whole) {
        (None, Some(whole)) => percent(whole as f64).at(older).map(Some),
        (exact, _) => share(field, exact),
    }
}

/// A share as a number.
pub(super) fn share(field: &'static str, written: Option<&written::Percent>) -> Result<Option<Percent>, SpecError> {
    let read = |written: &written::Percent| {
        nothing_else(&written.rest)?;
        percent(written.value).at("value")
    };
    written.map(read).transpose().at(field)
}

/// A number of percent.
fn percent(value: f64) -> Result<Percent, SpecError> {
    Percent::new(value)
        .ok_or_else(|| SpecError::new(Code::InvalidValue, format!("{value} is no percentage")).remedy("use 0 to 100"))
}
