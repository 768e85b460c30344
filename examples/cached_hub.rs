//! Keeps the assignment over restarts: a device goes straight to the hub it knows, and what the hub says decides whether
//! it registers again.
//!
//! ```text
//! boot: nothing is stored; registering
//! boot: hub-a.test lets dev-01 in
//! boot: hub-a.test lets dev-01 in
//! (the device's owner moves it to another hub)
//! boot: its hub does not let it in; registering
//! boot: hub-b.test lets dev-01 in
//! ```

use std::time::Duration;

use dps_client::{AssignmentStore, Loaded, LockedStore, ProvisioningClient, StoredAssignment, Transport};
use dps_examples::hub::{Answer, Hub};
use dps_examples::{Setting, Told};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Told> {
    let setting = Setting::read().await?;
    let hub = Hub::of(&setting)?;
    // A device has a place that survives a restart; the example's own goes when it ends.
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

/// From power-on until the hub has let the device in.
async fn boot(setting: &Setting, hub: &Hub<'_>, store: &AssignmentStore) -> Result<(), Told> {
    let client = setting.client(Transport::Https)?.symmetric_key(setting.key()?).build()?;
    let store = store.lock()?;
    let kept = match store.load()? {
        Loaded::Found(stored) => Some(stored),
        _ => None,
    };
    // Another device's assignment, or another service's, is as good as none.
    let (mut stored, mut is_new) = match kept.filter(|stored| client.hub_credentials(stored).is_some()) {
        Some(stored) => (stored, false),
        None => (register(&client, &store, "nothing is stored").await?, true),
    };
    // Twenty minutes, after which the service may know more. A fleet adds a random part to each.
    let mut pauses = [5, 10, 20, 40, 80, 160, 320, 640].map(Duration::from_secs).into_iter();
    loop {
        let pause = match hub.ask(&client, &stored).await? {
            Answer::Welcome => break,
            // A busy hub is still the device's own.
            Answer::Busy(wait) => Some(wait),
            Answer::TurnedAway if !is_new => None,
            // One that was just assigned may need a moment until it knows the device.
            Answer::TurnedAway | Answer::Trouble => pauses.next(),
        };
        match pause {
            Some(pause) => tokio::time::sleep(pause).await,
            None if is_new => return Err("the hub that was just assigned does not let the device in".into()),
            None => {
                stored = register(&client, &store, "its hub does not let it in").await?;
                is_new = true;
            }
        }
    }
    println!("boot: {} lets {} in", stored.hub, stored.device_id);
    Ok(())
}

async fn register(client: &ProvisioningClient, store: &LockedStore, why: &str) -> Result<StoredAssignment, Told> {
    println!("boot: {why}; registering");
    let stored = client.register().await?.to_stored();
    store.save(&stored)?; // No secret is in it.
    Ok(stored)
}
