//! Registers a device whose key is in a secure element: it signs what it is given, and gives the key to nobody.
//!
//! ```text
//! the element signs 47 bytes
//! assigned: hub hub-a.test, device id dev-01
//! no connection string, for the key is not here
//! the element signs 40 bytes
//! a password for the hub, signed by the element
//! ```

use dps_client::dps_core::{Key, SignError, Signature};
use dps_client::{SendSigner, Transport};
use dps_examples::{Setting, Told};

/// Stands for the driver of the element. Here the key lies in memory; there it never leaves the chip.
struct SecureElement {
    key: Key,
}

impl SecureElement {
    async fn hmac_sha256(&mut self, message: &[u8]) -> Result<[u8; 32], SignError> {
        println!("the element signs {} bytes", message.len());
        Ok(*self.key.sign(message).expose())
    }
}

/// All that a registration wants of a key: HMAC-SHA256 of some bytes. A driver that blocks its thread goes into
/// `dps_client::BlockingSigner` instead, which gives it one of its own.
impl SendSigner for SecureElement {
    async fn sign(&mut self, to_sign: &[u8]) -> Result<Signature, SignError> {
        // An error ends the registration; one that hangs is given up on after the request timeout.
        self.hmac_sha256(to_sign).await.map(Signature::new)
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Told> {
    let setting = Setting::read().await?;
    let element = SecureElement { key: Key::from_base64(setting.key()?.to_base64().expose())? };

    let client = setting.client(Transport::Https)?.signer(element).build()?;
    let assignment = client.register().await?;
    println!("assigned: hub {}, device id {}", assignment.hub(), assignment.device_id());
    if assignment.connection_string()?.is_none() {
        println!("no connection string, for the key is not here");
    }
    // The hub wants signatures under the same key, from the same element.
    let mut credentials = assignment.hub_credentials();
    if credentials.password().await?.expose().starts_with("SharedAccessSignature ") {
        println!("a password for the hub, signed by the element");
    }
    Ok(())
}
