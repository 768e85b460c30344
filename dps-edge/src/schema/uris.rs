//! What a URI can be.

use super::types::text;
use crate::problem::Problem;
use crate::tree::Value;
use crate::uri::Location;

/// A certificate: the certificate daemon reads files only.
pub(super) fn certificate(value: &Value) -> Option<Problem> {
    check(value, Location::Certificate)
}

/// A private key: in a file or in a PKCS#11 token.
pub(super) fn private_key(value: &Value) -> Option<Problem> {
    check(value, Location::Key)
}

/// Anything with a scheme.
pub(super) fn any_url(value: &Value) -> Option<Problem> {
    check(value, Location::AnyUrl)
}

fn check(value: &Value, location: Location) -> Option<Problem> {
    text(value).or_else(|| location.check(value.as_text()?))
}
