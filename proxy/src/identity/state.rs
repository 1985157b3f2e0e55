//! The life of our certificate as a state machine: `Requesting → Valid → Renewing → Valid …`, and `Expired` where renewal failed for
//! too long.

/// Where the certificate is in its life. Times are Unix seconds; a failure is the last attempt's sentence.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(tag = "state", rename_all = "camelCase")]
pub(crate) enum IdentityState {
    /// None was issued yet. Entered at start.
    Requesting {
        /// Why the last attempt failed.
        failure: Option<String>,
    },
    /// Issued, and not due for renewal.
    Valid {
        /// End of validity.
        not_after: u64,
    },
    /// Still good, and due: entered at about half of its life, left by the next issue or at the end of validity.
    Renewing {
        /// End of validity.
        not_after: u64,
        /// Why the last attempt failed.
        failure: Option<String>,
    },
    /// No longer good. Peers refuse us; attempts go on.
    Expired {
        /// End of validity.
        not_after: u64,
        /// Why the last attempt failed.
        failure: Option<String>,
    },
}

impl Default for IdentityState {
    fn default() -> Self {
        IdentityState::Requesting { failure: None }
    }
}

impl IdentityState {
    /// Whether peers accept the certificate.
    pub(crate) fn is_usable(&self) -> bool {
        matches!(self, IdentityState::Valid { .. } | IdentityState::Renewing { .. })
    }

    /// Renewal is due.
    pub(super) fn renewing(&self) -> IdentityState {
        match self {
            IdentityState::Valid { not_after } => IdentityState::Renewing { not_after: *not_after, failure: None },
            other => other.clone(),
        }
    }

    /// An attempt failed at `now`.
    pub(super) fn failed(&self, why: String, now: u64) -> IdentityState {
        let failure = Some(why);
        match *self {
            IdentityState::Requesting { .. } => IdentityState::Requesting { failure },
            IdentityState::Valid { not_after }
            | IdentityState::Renewing { not_after, .. }
            | IdentityState::Expired { not_after, .. } => {
                if now < not_after {
                    IdentityState::Renewing { not_after, failure }
                } else {
                    IdentityState::Expired { not_after, failure }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edges() {
        let start = IdentityState::default();
        assert!(!start.is_usable());
        let refused = start.failed("no".into(), 10);
        assert_eq!(refused, IdentityState::Requesting { failure: Some("no".into()) });
        assert_eq!(refused.renewing(), refused);

        let valid = IdentityState::Valid { not_after: 100 };
        let renewing = valid.renewing();
        assert_eq!(renewing, IdentityState::Renewing { not_after: 100, failure: None });
        let late = renewing.failed("away".into(), 99);
        assert!(late.is_usable());
        let expired = late.failed("away".into(), 100);
        assert_eq!(expired, IdentityState::Expired { not_after: 100, failure: Some("away".into()) });
        assert!(!expired.is_usable() && !expired.failed("away".into(), 101).is_usable());
    }
}
