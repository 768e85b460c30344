//! Stores the assignment: after a restart, a device connects to the hub it knows, and registers again only if that hub
//! rejects it.
//!
//! ```text
//! boot: nothing is stored; registering
//! boot: hub-a.test accepts dev-01
//! boot: hub-a.test accepts dev-01
//! (the device's owner moves it to another hub)
//! boot: its hub rejects it; registering
//! boot: hub-b.test accepts dev-01
//! ```

use std::time::Duration;

use dps_client::{AssignmentStore, Loaded, LockedStore, ProvisioningClient, StoredAssignment, Transport};
use dps_examples::hub::{Answer, Hub};
use dps_examples::{AnyError, Setting};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), AnyError> {
    let setting = Setting::read().await?;
    let hub = Hub::new(&setting)?;
    // A device stores this where it survives a restart; the directory of this example is removed when it ends.
    let folder = tempfile::tempdir()?;
    let path = std::env::var_os("DPS_ASSIGNMENT_FILE").map_or_else(|| folder.path().join("assignment"), Into::into);
    let store = AssignmentStore::new(path);

    boot(&setting, &hub, &store).await?;
    if setting.local().is_some() {
        boot(&setting, &hub, &store).await?;
        println!("(the device's owner moves it to another hub)");
        hub.move_device()?;
        boot(&setting, &hub, &store).await?;
    }
    Ok(())
}

/// From power-on until the hub has accepted the device.
async fn boot(setting: &Setting, hub: &Hub<'_>, store: &AssignmentStore) -> Result<(), AnyError> {
    let client = setting.client(Transport::Https)?.symmetric_key(setting.key()?).build()?;
    let store = store.lock()?;
    let (mut stored, mut is_new) = match store.load()? {
        // An assignment of another device or another service is ignored.
        Loaded::Found(stored) if client.hub_credentials(&stored)?.is_some() => (stored, false),
        _ => (register(&client, &store, "nothing is stored").await?, true),
    };
    // Twenty minutes in total, then the device registers again. In a fleet, add a random part to each.
    let mut pauses = [5, 10, 20, 40, 80, 160, 320, 640].map(Duration::from_secs).into_iter();
    loop {
        let pause = match hub.ask(&client, &stored).await? {
            Answer::Welcome => break,
            // A busy hub is still the assigned hub.
            Answer::Busy(wait) => Some(wait),
            Answer::Rejected if !is_new => None,
            // A hub that was just assigned may need a moment until it knows the device.
            Answer::Rejected | Answer::Trouble => pauses.next(),
        };
        match pause {
            Some(pause) => tokio::time::sleep(pause).await,
            None if is_new => return Err("the hub that was just assigned rejects the device".into()),
            None => {
                stored = register(&client, &store, "its hub rejects it").await?;
                is_new = true;
            }
        }
    }
    println!("boot: {} accepts {}", stored.hub, stored.device_id);
    Ok(())
}

async fn register(client: &ProvisioningClient, store: &LockedStore, why: &str) -> Result<StoredAssignment, AnyError> {
    println!("boot: {why}; registering");
    let stored = client.register().await?.to_stored();
    store.save(&stored)?; // It contains no secrets.
    Ok(stored)
}
