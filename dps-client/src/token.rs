//! One SAS token, signed by whoever holds the device's key.

use std::time::{SystemTime, UNIX_EPOCH};

use dps_core::credentials::{Resource, SasToken};
use dps_core::{ErrorCode, Hint, Signer as _, TooSmall, UnixSeconds, Verdict};
use dps_files::SecretString;
use zeroize::Zeroizing;

use crate::clock::Clock;
use crate::error::DpsError;
use crate::signer::Credential;

/// The time now, which every token needs.
pub(crate) fn now(clock: &Clock) -> Result<SystemTime, DpsError> {
    clock
        .now()
        .ok_or_else(|| DpsError::new(ErrorCode::ClockNeeded, Verdict::Reconfigure, Hint::SetClock.text().to_owned()))
}

/// A token for `resource` that is good until `expires_at`.
pub(crate) async fn sign(
    credential: &mut Credential,
    resource: Resource<'_>,
    expires_at: SystemTime,
) -> Result<SecretString, DpsError> {
    let seconds = expires_at.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let mut buffer = Zeroizing::new(vec![0; resource.token_max()]);
    let token = SasToken::prepare(&resource, UnixSeconds::new(seconds), &mut buffer).map_err(too_small)?;
    let signature = credential.sign(token.to_sign()).await.map_err(|_| {
        DpsError::new(ErrorCode::SignerFailed, Verdict::Never, ErrorCode::SignerFailed.text().to_owned())
    })?;
    Ok(SecretString::from(token.finish(&signature).as_str()))
}

fn too_small(short: TooSmall) -> DpsError {
    DpsError::new(ErrorCode::Internal, Verdict::Never, short.to_string())
}
