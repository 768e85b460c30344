//! Tells the service about the device while it registers, and reads what comes back with the assignment.
//!
//! An enrollment with custom allocation hands the payload to a webhook, which chooses the hub and may answer with a
//! payload of its own. The local service gives the device its own back.
//!
//! ```text
//! assigned: hub hub-a.test, device id dev-01
//! with the payload {"firmware":"1.4.0","model":"thermostat-2"}
//! ```

use dps_client::Transport;
use dps_examples::{Setting, Told};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Told> {
    let setting = Setting::read().await?;

    let client = setting
        .client(Transport::Https)?
        .symmetric_key(setting.key()?)
        // One JSON object, no secret in it. Anything else is refused by `build`.
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
