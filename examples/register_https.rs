//! Registers a device over HTTPS and prints the hub that it is assigned to. Begin here.
//!
//! ```text
//! assigned: hub hub-a.test, device id dev-01
//! at the hub: client id dev-01, user name hub-a.test/dev-01/?api-version=2021-04-12
//! ```

use dps_client::{ProvisioningClient, Transport};
use dps_examples::{AnyError, Setting};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), AnyError> {
    let setting = Setting::read().await?;

    // A device leaves the factory with an id scope, a registration id and a key.
    let client = ProvisioningClient::builder()
        .id_scope(setting.id_scope())
        .registration_id(setting.registration_id())
        .symmetric_key(setting.key()?)
        // With Azure and without a proxy, these three can be left out.
        .endpoint(setting.endpoint(Transport::Https))
        .roots(setting.roots()?)
        .proxy(setting.proxy())
        // Invalid values are reported here, before anything is sent.
        .build()?;

    // Ends within two minutes in any case; `timeout` of the builder changes that.
    let assignment = match client.register().await {
        Ok(assignment) => assignment,
        Err(error) => {
            // The likely causes, most likely first, and when to retry.
            error.hints().iter().for_each(|hint| eprintln!("- {}", hint.text()));
            match error.retry_after() {
                Some(wait) => eprintln!("Try again in {} s.", wait.as_secs()),
                None => eprintln!("A retry would fail in the same way."),
            }
            return Err(error.into());
        }
    };
    println!("assigned: hub {}, device id {}", assignment.hub(), assignment.device_id());

    // The credentials of the device at its hub, for the MQTT library of your choice.
    let mut credentials = assignment.hub_credentials()?;
    println!("at the hub: client id {}, user name {}", credentials.client_id(), credentials.user_name());
    // The password is a secret and not printed. Call this for each connection: the password is renewed before it expires.
    let _password = credentials.password().await?.expose();
    Ok(())
}
