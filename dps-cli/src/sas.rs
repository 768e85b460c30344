//! SAS tokens made now: the system's clock, a key in memory, a text that is wiped.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use dps_core::credentials::{Resource, SasToken};
use dps_core::{ErrorCode, Key, UnixSeconds};
use zeroize::Zeroizing;

use crate::failure::{Failure, Result};

/// A token, and when it ends.
pub(crate) struct Token {
    pub(crate) text: Zeroizing<String>,
    pub(crate) expiry: UnixSeconds,
}

/// A token for `resource` that is good for `life` from now on, a second at least.
pub(crate) fn token(resource: Resource<'_>, key: &Key, life: Duration) -> Result<Token> {
    let expiry = UnixSeconds::new(unix_now()?).plus(life.as_secs().max(1));
    let mut buffer = Zeroizing::new(vec![0; resource.token_max()]);
    let internal = |error: dps_core::TooSmall| Failure::internal(error.to_string());
    let unsigned = SasToken::prepare(&resource, expiry, &mut buffer).map_err(internal)?;
    let signature = key.sign(unsigned.to_sign());
    let text = Zeroizing::new(unsigned.finish(&signature).as_str().to_owned());
    Ok(Token { text, expiry })
}

fn unix_now() -> Result<u64> {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    let unset = |_| Failure::new(ErrorCode::ClockNeeded, "the clock of this machine is before 1970: set it");
    since.map(|since| since.as_secs()).map_err(unset)
}
