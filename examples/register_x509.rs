//! Registers a device that has an X.509 certificate, and prints its hub.
//!
//! ```text
//! dev-01 is assigned to hub-a.test
//! ```

use dps_client::{ChainCheck, ProvisioningClient, Transport};
use dps_examples::{AnyError, Setting};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), AnyError> {
    let setting = Setting::read().await?;
    // From files: `X509::from_files("device.pem", "device.key.pem")`, with the intermediate certificates after the device's own.
    let device = setting.certificate()?;

    // What the builder would refuse, and what it accepts with a doubt, such as a certificate that expires soon.
    for finding in ChainCheck::new().device(&device) {
        eprintln!("{finding}");
    }

    let client = ProvisioningClient::builder()
        .id_scope(setting.id_scope())
        // The registration id is the common name of the certificate.
        .x509(device)
        .transport(Transport::Mqtt)
        .endpoint(setting.endpoint(Transport::Mqtt))
        .roots(setting.roots()?)
        .proxy(setting.proxy())
        .build()?;

    let assignment = client.register().await?;
    println!("{} is assigned to {}", assignment.device_id(), assignment.hub());
    // At the hub the device uses the same certificate, without a password.
    assert!(assignment.hub_credentials()?.certificate().is_some());
    Ok(())
}
