//! The registration loop for an embassy task: embassy's clock, a link over any TLS stream, and the device's key.
//!
//! The board provides the stream: a TCP socket of its network stack with TLS on top that verifies the server's name and
//! chain. Code here must not open a plain connection or assume a wall time.
#![no_std]

mod link;
mod timer;

pub use link::{Dial, HttpLink};
pub use timer::EmbassyTimer;

use dps_core::{Config, ConfigError, Endpoint, IdScope, Identity, Key, Outcome, Registration, RegistrationId, drive};

/// A buffer for the host name of the hub.
pub type HubName = [u8; 128];

/// Registers this device and writes the name of its hub into `hub`; returns the name's length, or `None` if it failed.
///
/// # Errors
/// [`ConfigError`] if an id or the key is not valid.
pub async fn provision<D: Dial>(
    dial: D,
    id_scope: &str,
    registration_id: &str,
    key: &str,
    config: Config,
    hub: &mut HubName,
) -> Result<Option<usize>, ConfigError> {
    let identity = Identity {
        endpoint: Endpoint::GLOBAL,
        id_scope: IdScope::new(id_scope)?,
        registration_id: RegistrationId::new(registration_id)?,
    };
    let mut key = Key::from_base64(key)?;
    let mut storage = [0; 1024];
    let mut buffer = [0; 2048];
    let mut link = HttpLink::new(dial);
    let mut registration = Registration::new(identity, config, &mut storage)?;
    drive(&mut registration, &mut link, &EmbassyTimer, &mut key, &mut (), &mut buffer).await;
    Ok(match registration.outcome() {
        Some(Outcome::Assigned(assignment)) => {
            let name = assignment.assigned_hub().as_bytes();
            hub.get_mut(..name.len()).map(|space| {
                space.copy_from_slice(name);
                name.len()
            })
        }
        _ => None,
    })
}
