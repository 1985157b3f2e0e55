//! What a rule does to requests and answers on the way.

use tulle_core::codes::Code;
use tulle_core::retry::{ATTEMPTS_MAX, RetryOn, RetryPolicy};
use tulle_core::route::Filters;
use tulle_core::route::filter::{Edits, Off};

use super::scope::Scope;
use super::{cors, fault, headers, mirror, rewrite};
use crate::into_core::error::{At, SpecError};
use crate::into_core::value::{duration, nothing_else};
use crate::virtual_service as written;

/// The filters of a rule.
pub(super) fn filters(written: &written::Filters, scope: &Scope<'_>) -> Result<Filters, SpecError> {
    let timeout = written.timeout.as_deref().map(duration).transpose().at("timeout")?;
    let rewrite = written.rewrite.as_ref().map(rewrite::rewrite).transpose().at("rewrite")?;
    let (rewrite, authority) = rewrite.unwrap_or_default();
    let edits = headers::edits(written.headers.as_ref())?;
    let retry = written.retries.as_ref().map(retry).transpose().at("retries")?;
    let off = Off {
        timeout: timeout.is_some_and(|timeout| timeout.is_zero()),
        retry: retry.as_ref().is_some_and(|retry| retry.attempts == 0),
    };
    Ok(Filters {
        timeout: timeout.filter(|timeout| !timeout.is_zero()),
        retry: retry.filter(|retry| retry.attempts > 0),
        cors: written.cors_policy.as_ref().map(cors::cors).transpose().at("corsPolicy")?,
        fault: written.fault.as_ref().map(fault::fault).transpose().at("fault")?,
        rewrite,
        edits: Edits { authority: authority.or(edits.authority), ..edits },
        mirrors: mirror::mirrors(written, scope)?,
        off,
    })
}

fn retry(written: &written::Retries) -> Result<RetryPolicy, SpecError> {
    nothing_else(&written.rest)?;
    let attempts =
        u32::try_from(written.attempts).ok().filter(|attempts| *attempts <= ATTEMPTS_MAX).ok_or_else(|| {
            let reason = format!("{} is not between 0 and {ATTEMPTS_MAX}", written.attempts);
            SpecError::new(Code::InvalidValue, reason).under("attempts")
        })?;
    let per_try_timeout = written.per_try_timeout.as_deref().map(duration).transpose().at("perTryTimeout")?;
    let on = match written.retry_on.as_deref() {
        None => RetryOn::default(),
        Some(list) => RetryOn::parse(list).map_err(|word| {
            SpecError::new(Code::InvalidValue, format!("{word:?} is no retry condition")).under("retryOn")
        })?,
    };
    let backoff = written.backoff.as_deref().map(duration).transpose().at("backoff")?;
    let default = RetryPolicy::default();
    Ok(RetryPolicy {
        attempts,
        per_try_timeout: per_try_timeout.filter(|limit| !limit.is_zero()),
        on,
        backoff: backoff.filter(|pause| !pause.is_zero()).unwrap_or(default.backoff),
        remote_localities: written.retry_remote_localities.unwrap_or(default.remote_localities),
        elsewhere: written.retry_ignore_previous_hosts.unwrap_or(default.elsewhere),
    })
}
