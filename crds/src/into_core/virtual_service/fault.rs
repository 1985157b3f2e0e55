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
    let share = match (&written.percentage, written.percent) {
        // The deprecated field, where it stands alone.
        (None, Some(whole)) => percent(whole as f64).at("percent")?,
        (percentage, _) => share(percentage.as_ref())?.unwrap_or_default(),
    };
    Ok((fixed, share))
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
    Ok((abort, share(written.percentage.as_ref())?.unwrap_or_default()))
}

/// `percentage` of a fault or of one of `mirrors`.
pub(super) fn share(written: Option<&written::Percent>) -> Result<Option<Percent>, SpecError> {
    let read = |written: &written::Percent| {
        nothing_else(&written.rest)?;
        percent(written.value).at("value")
    };
    written.map(read).transpose().at("percentage")
}

/// A number of percent.
pub(super) fn percent(value: f64) -> Result<Percent, SpecError> {
    Percent::new(value)
        .ok_or_else(|| SpecError::new(Code::InvalidValue, format!("{value} is no percentage")).remedy("use 0 to 100"))
}
