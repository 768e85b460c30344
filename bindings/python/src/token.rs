//! SAS tokens, for applications that connect to the service or a hub without a client of this package.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use dps_client::dps_core::credentials::{Resource, SasToken};
use dps_client::dps_core::{Key, UnixSeconds};
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyDateTime;
use zeroize::Zeroizing;

use crate::argument;
use crate::errors::check;
use crate::ids::identity;
use crate::options::Given;
use crate::secret::secret_argument;

const LIFE: Duration = Duration::from_secs(3600);

/// The last second that a Python datetime can represent.
const LAST: u64 = 253_402_300_799;

/// Returns a SAS token, which is a credential until it expires.
///
/// It is for a device's registration (id_scope and registration_id, signed with the device's key), for a device at its
/// hub (hub and device_id, signed with the device's key), or for the service's admin API (service and policy, signed
/// with the policy's key). It expires at expires_at, Unix seconds or a datetime with a time zone, or after life,
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
    key: &Bound<'_, PyAny>,
    id_scope: Given<'_>,
    registration_id: Given<'_>,
    hub: Given<'_>,
    device_id: Given<'_>,
    service: Given<'_>,
    policy: Given<'_>,
    expires_at: Given<'_>,
    life: Given<'_>,
) -> PyResult<String> {
    let text = |name, given: Given<'_>| given.map(|given| argument::text(name, &given)).transpose();
    let [id_scope, registration_id, hub, device_id, service, policy] = [
        text("id_scope", id_scope)?,
        text("registration_id", registration_id)?,
        text("hub", hub)?,
        text("device_id", device_id)?,
        text("service", service)?,
        text("policy", policy)?,
    ];
    let resource = match (&id_scope, &registration_id, &hub, &device_id, &service, &policy) {
        (Some(id_scope), Some(id), None, None, None, None) => {
            let identity = identity(py, id_scope, id)?;
            Resource::registration(identity.id_scope, identity.registration_id)
        }
        (None, None, Some(hub), Some(device_id), None, None) => Resource::hub_device(hub.as_str(), device_id.as_str()),
        (None, None, None, None, Some(host), Some(policy)) => Resource::service(host.as_str(), policy.as_str()),
        _ => {
            return Err(PyTypeError::new_err(
                "pass id_scope and registration_id, or hub and device_id, or service and policy",
            ));
        }
    };
    let key = check(py, "key", Key::from_base64(secret_argument("key", key)?.trim()))?;
    let mut buffer = Zeroizing::new(vec![0; resource.token_max()]);
    let too_small = |short: dps_client::dps_core::TooSmall| PyValueError::new_err(short.to_string());
    let token = SasToken::prepare(&resource, expiry(expires_at, life)?, &mut buffer).map_err(too_small)?;
    let signature = key.sign(token.to_sign());
    Ok(token.finish(&signature).as_str().to_owned())
}

/// Returns the expiry of a token: Unix seconds, a datetime with a time zone, or a lifetime from now.
fn expiry(expires_at: Given<'_>, life: Given<'_>) -> PyResult<UnixSeconds> {
    if let Some(given) = expires_at {
        let seconds = match given.cast::<PyDateTime>() {
            Ok(time) => unix_seconds(time)?,
            Err(_) => given,
        };
        return argument::whole("expires_at", &seconds, 0..=LAST).map(UnixSeconds::new);
    }
    let life = life.map(|given| argument::duration_above_zero("life", &given)).transpose()?.unwrap_or(LIFE);
    let since = SystemTime::now().checked_add(life).and_then(|end| end.duration_since(UNIX_EPOCH).ok());
    since
        .map(|since| UnixSeconds::new(since.as_secs()))
        .ok_or_else(|| PyValueError::new_err("the expiry is out of range"))
}

fn unix_seconds<'py>(time: &Bound<'py, PyDateTime>) -> PyResult<Bound<'py, PyAny>> {
    if time.call_method0("utcoffset")?.is_none() {
        return Err(PyTypeError::new_err("argument 'expires_at': is offset-naive; pass a datetime with a time zone"));
    }
    time.py().import("math")?.call_method1("floor", (time.call_method0("timestamp")?,))
}
