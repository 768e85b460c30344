//! SAS tokens by themselves, for whoever speaks to the service or a hub without a client of this package.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use dps_client::core::credentials::{Resource, SasToken};
use dps_client::core::{Key, UnixSeconds};
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use zeroize::Zeroizing;

use crate::duration::Seconds;
use crate::errors::configuration;
use crate::ids::identity;
use crate::secret::SecretArgument;

const LIFE: Duration = Duration::from_secs(3600);

/// When a token ends: Unix seconds, or a datetime with a time zone.
#[derive(FromPyObject)]
pub(crate) enum Expiry {
    Seconds(u64),
    Time(SystemTime),
}

/// The text of a SAS token, which lets its bearer in until it expires.
///
/// It is for a device's registration (id_scope and registration_id, under the device's key), for a device at its hub
/// (hub and device_id, under the device's key), or for the service's admin API (service and policy, under the policy's
/// key). It ends at expires_at, Unix seconds or a datetime with a time zone, or else a life from now:
/// seconds or a timedelta, an hour by default.
///
/// >>> key = "Jsm0lyGpjaVYVP2g3FnmnmG9dI/9qU24wNoykUmermc="
/// >>> sas_token(key, hub="hub-a.test", device_id="dev-01", expires_at=1767225600).split("&")[0]
/// 'SharedAccessSignature sr=hub-a.test%2Fdevices%2Fdev-01'
#[pyfunction]
#[pyo3(signature = (
    key, *, id_scope = None, registration_id = None, hub = None, device_id = None, service = None, policy = None,
    expires_at = None, life = None,
))]
#[expect(clippy::too_many_arguments, reason = "three kinds of resource, two names each")]
pub(crate) fn sas_token(
    py: Python<'_>,
    key: SecretArgument,
    id_scope: Option<&str>,
    registration_id: Option<&str>,
    hub: Option<&str>,
    device_id: Option<&str>,
    service: Option<&str>,
    policy: Option<&str>,
    expires_at: Option<Expiry>,
    life: Option<Seconds>,
) -> PyResult<String> {
    let resource = match (id_scope, registration_id, hub, device_id, service, policy) {
        (Some(id_scope), Some(id), None, None, None, None) => Resource::Registration(identity(py, id_scope, id)?),
        (None, None, Some(hub), Some(device_id), None, None) => Resource::HubDevice { hub, device_id },
        (None, None, None, None, Some(host), Some(policy)) => Resource::Service { host, policy },
        _ => {
            return Err(PyTypeError::new_err(
                "give id_scope and registration_id, or hub and device_id, or service and policy",
            ));
        }
    };
    let key = Key::from_base64(key.trim()).map_err(|error| configuration(py, error))?;
    let mut buffer = Zeroizing::new(vec![0; resource.token_max()]);
    let too_small = |short: dps_client::core::text::TooSmall| PyValueError::new_err(short.to_string());
    let token = SasToken::prepare(resource, expiry(expires_at, life)?, &mut buffer).map_err(too_small)?;
    let signature = key.sign(token.to_sign());
    token.finish(&signature).map(str::to_owned).map_err(too_small)
}

fn expiry(expires_at: Option<Expiry>, life: Option<Seconds>) -> PyResult<UnixSeconds> {
    let time = match expires_at {
        Some(Expiry::Seconds(seconds)) => return Ok(UnixSeconds::new(seconds)),
        Some(Expiry::Time(time)) => Some(time),
        None => SystemTime::now().checked_add(life.map_or(LIFE, |Seconds(life)| life)),
    };
    let since = time.and_then(|time| time.duration_since(UNIX_EPOCH).ok());
    since.map(|since| UnixSeconds::new(since.as_secs())).ok_or_else(|| PyValueError::new_err("there is no such time"))
}
