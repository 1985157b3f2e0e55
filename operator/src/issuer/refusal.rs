//! The one shape of "no" of the issuer: a catalogue code, a sentence, a status.

use axum::Json;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use tulle_core::codes::Code;

/// A refused request. Its message is shown to the asker and logged, so it never holds a token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    /// Catalogue code, `TUL6xxx`.
    pub(super) code: Code,
    /// What, why, what to do.
    pub(super) message: String,
    /// Seconds the asker should wait, where that is known.
    pub(super) retry_after: Option<u64>,
}

impl Refusal {
    /// A refusal without a time to wait.
    pub(super) fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), retry_after: None }
    }

    /// The HTTP status (contract in `tulle_core::issuance::Refusal`).
    #[must_use]
    pub(super) fn status(&self) -> StatusCode {
        match self.code {
            Code::CsrMalformed | Code::CsrKeyUnsupported => StatusCode::BAD_REQUEST,
            Code::IssuanceRateLimited => StatusCode::TOO_MANY_REQUESTS,
            Code::CaNotReady | Code::IssuerUnavailable => StatusCode::SERVICE_UNAVAILABLE,
            _ => StatusCode::UNAUTHORIZED,
        }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let status = self.status();
        let mut headers = axum::http::HeaderMap::new();
        if let Some(seconds) = self.retry_after {
            headers.insert(header::RETRY_AFTER, seconds.into());
        }
        let body = tulle_core::issuance::Refusal { code: self.code.as_str().to_string(), message: self.message };
        (status, headers, Json(body)).into_response()
    }
}
