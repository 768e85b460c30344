//! Sends a custom payload with the registration, and reads the payload that is returned with the assignment.
//!
//! An enrollment with custom allocation passes the payload to a webhook, which chooses the hub and can return a payload. The
//! local service returns the device's own payload.
//!
//! ```text
//! assigned: hub hub-a.test, device id dev-01
//! with the payload {"firmware":"1.4.0","model":"thermostat-2"}
//! ```

use dps_client::Transport;
use dps_examples::{AnyError, Setting};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), AnyError> {
    let setting = Setting::read().await?;

    let client = setting
        .client(Transport::Https)?
        .symmetric_key(setting.key()?)
        // One JSON object, without secrets. Anything else is refused by `build`.
        .payload(r#"{"firmware":"1.4.0","model":"thermostat-2"}"#)
        .build()?;

    let assignment = client.register().await?;
    println!("assigned: hub {}, device id {}", assignment.hub(), assignment.device_id());
    match assignment.payload() {
        Some(payload) => println!("with the payload {payload}"),
        None => println!("without a payload"),
    }
    Ok(())
}
