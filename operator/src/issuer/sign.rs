//! The certificate a workload gets: every field is decided here, from the identity the API server vouched for, the
//! authority and the clock.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rcgen::{
    CertificateParams, DistinguishedName, ExtendedKeyUsagePurpose, IsCa, KeyUsagePurpose, PublicKeyData, SanType,
    SerialNumber,
};
use time::OffsetDateTime;
use tulle_core::identity::SpiffeId;
use tulle_core::issuance::Response;

use crate::ca::{Authority, CLOCK_SKEW};

/// Random octets of a serial number: 127 bits of chance, positive, and within the 20 octets of RFC 5280 §4.1.2.2.
pub type Serial = [u8; 16];

/// Signs an X.509-SVID: exactly one URI SAN, CA:FALSE, key usage digitalSignature (SPIFFE X509-SVID §4), valid from
/// shortly before `now` for `ttl`, and never longer than the authority.
///
/// # Errors
/// The signature failed, or the identity cannot stand in a certificate (it parsed, so it can).
pub fn leaf(
    authority: &Authority,
    key: &impl PublicKeyData,
    identity: &SpiffeId,
    ttl: Duration,
    now: SystemTime,
    serial: Serial,
) -> Result<Response, rcgen::Error> {
    let not_before = now - CLOCK_SKEW;
    let not_after = (now + ttl).min(authority.not_after());
    let mut params = CertificateParams::default();
    params.not_before = OffsetDateTime::from(not_before);
    params.not_after = OffsetDateTime::from(not_after);
    params.serial_number = Some(SerialNumber::from_slice(&positive(serial)));
    // An empty subject makes the SAN critical (RFC 5280 §4.1.2.6): a verifier that ignores URI names must refuse.
    params.distinguished_name = DistinguishedName::new();
    params.subject_alt_names = vec![SanType::URI(identity.to_string().try_into()?)];
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
    params.use_authority_key_identifier_extension = true;
    let certificate = params.signed_by(key, authority.issuer())?;
    Ok(Response { chain_pem: certificate.pem(), not_before: unix(not_before), not_after: unix(not_after) })
}

fn positive(mut serial: Serial) -> Serial {
    serial[0] = serial[0] & 0x7f | 0x40; // sign bit clear; next bit set, so never zero and always full length
    serial
}

fn unix(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

#[cfg(test)]
mod tests;
