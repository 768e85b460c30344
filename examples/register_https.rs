//! Registers a device over HTTPS and tells which hub it belongs to. Begin here.
//!
//! ```text
//! assigned: hub hub-a.test, device id dev-01
//! at the hub: client id dev-01, user name hub-a.test/dev-01/?api-version=2021-04-12
//! ```

use dps_client::{ProvisioningClient, Transport};
use dps_examples::{Setting, Told};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Told> {
    let setting = Setting::read().await?;

    // What a device leaves the factory with: an id scope, a registration id and a key.
    let client = ProvisioningClient::builder()
        .id_scope(setting.id_scope())
        .registration_id(setting.registration_id())
        .symmetric_key(setting.key()?)
        // At Azure, from a desk without a proxy, these three can be left out.
        .endpoint(setting.endpoint(Transport::Https))
        .roots(setting.roots()?)
        .proxy(setting.proxy())
        // Every value that can never work is found here, before anything is sent.
        .build()?;

    // Ends within two minutes, come what may; `timeout` on the builder says otherwise.
    let assignment = match client.register().await {
        Ok(assignment) => assignment,
        Err(error) => {
            // The likely causes, the likeliest first, and when it makes sense to try again.
            error.hints().iter().for_each(|hint| eprintln!("- {}", hint.text()));
            match error.retry_after() {
                Some(wait) => eprintln!("Try again in {} s.", wait.as_secs()),
                None => eprintln!("The same will fail again."),
            }
            return Err(error.into());
        }
    };
    println!("assigned: hub {}, device id {}", assignment.hub(), assignment.device_id());

    // What the device signs in to its hub with, for the MQTT library of your choice.
    let mut credentials = assignment.hub_credentials();
    println!("at the hub: client id {}, user name {}", credentials.client_id(), credentials.user_name());
    // A secret, so that it is not shown. Ask for it at each connection: it is signed anew when it grows old.
    let _password = credentials.password().await?.expose();
    Ok(())
}
