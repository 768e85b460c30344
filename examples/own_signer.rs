//! Registers a device whose key is in a secure element, which signs but never reveals the key.
//!
//! ```text
//! the element signs 47 bytes
//! assigned: hub hub-a.test, device id dev-01
//! no connection string, since the key is in the element
//! the element signs 40 bytes
//! a password for the hub, signed by the element
//! ```

use dps_client::dps_core::{Key, SignError, Signature};
use dps_client::{SendSigner, Transport};
use dps_examples::{AnyError, Setting};

/// Simulates the driver of the element. Here the key is in memory; a real element never reveals it.
struct SecureElement {
    key: Key,
}

impl SecureElement {
    async fn hmac_sha256(&mut self, message: &[u8]) -> Result<[u8; 32], SignError> {
        println!("the element signs {} bytes", message.len());
        Ok(*self.key.sign(message).expose())
    }
}

/// A registration only needs HMAC-SHA256 signatures. Wrap a driver that blocks its thread in `dps_client::BlockingSigner`,
/// which runs it on a separate thread.
impl SendSigner for SecureElement {
    async fn sign(&mut self, to_sign: &[u8]) -> Result<Signature, SignError> {
        // An error ends the registration; so does a signer that takes longer than the request timeout.
        self.hmac_sha256(to_sign).await.map(Signature::new)
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), AnyError> {
    let setting = Setting::read().await?;
    let element = SecureElement { key: Key::from_base64(setting.key()?.to_base64().expose())? };

    let client = setting.client(Transport::Https)?.signer(element).build()?;
    let assignment = client.register().await?;
    println!("assigned: hub {}, device id {}", assignment.hub(), assignment.device_id());
    if assignment.connection_string()?.is_none() {
        println!("no connection string, since the key is in the element");
    }
    // The hub requires signatures with the same key, so that the same element signs.
    let mut credentials = assignment.hub_credentials()?;
    if credentials.password().await?.expose().starts_with("SharedAccessSignature ") {
        println!("a password for the hub, signed by the element");
    }
    Ok(())
}
