//! The registration loop for an embassy task: embassy's clock, a link over any TLS stream, and the device's key.
//!
//! The board brings the stream: a TCP socket of its network stack with TLS on top that verifies the server's name and
//! chain. Nothing here may open a plain connection or invent the wall time.
#![no_std]

mod link;
mod timer;

pub use link::{Dial, HttpLink};
pub use timer::EmbassyTimer;

use dps_core::{Config, ConfigError, Endpoint, IdScope, Identity, Key, Outcome, Registration, RegistrationId, drive};

/// What the board found out, in memory of its own.
pub type HubName = [u8; 128];

/// Registers this device and writes its hub's name into `hub`; gives the name's length, or `None` when it failed.
///
/// # Errors
/// [`ConfigError`] when a name or a key can never work.
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
