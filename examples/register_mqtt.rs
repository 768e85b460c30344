//! Registers a device over MQTT and prints its progress.
//!
//! ```text
//! signing a token
//! sending register
//! waiting 1 s
//! sending status
//! assigned: hub hub-a.test, device id dev-01
//! ```

use dps_client::{Progress, ProvisioningClient, Transport};
use dps_examples::{AnyError, Setting};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), AnyError> {
    let setting = Setting::read().await?;

    let client = ProvisioningClient::builder()
        .id_scope(setting.id_scope())
        .registration_id(setting.registration_id())
        .symmetric_key(setting.key()?)
        // Port 8883. Behind a firewall that allows only port 443, use `Transport::MqttWebSocket`.
        .transport(Transport::Mqtt)
        .endpoint(setting.endpoint(Transport::Mqtt))
        .roots(setting.roots()?)
        .proxy(setting.proxy())
        // For a display, a log or a watchdog. Called from the registration itself, so that it must not block.
        .on_progress(|progress| match progress {
            Progress::Signing => println!("signing a token"),
            Progress::Sending { call } => println!("sending {call}"),
            Progress::Waiting { wait, .. } => println!("waiting {} s", wait.as_secs()),
            _ => {}
        })
        .build()?;

    let assignment = client.register().await?;
    println!("assigned: hub {}, device id {}", assignment.hub(), assignment.device_id());
    Ok(())
}
