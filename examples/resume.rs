//! A device that loses power while the service assigns it a hub, and goes on from there: it asks how its registration is
//! getting on instead of beginning another.
//!
//! ```text
//! first life: the service has begun; the power fails
//! second life: going on
//! assigned: hub hub-a.test, device id dev-01
//! ```

use std::path::Path;

use dps_client::{Progress, Transport};
use dps_examples::{Setting, Told};
use tokio::sync::oneshot;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Told> {
    let setting = Setting::read().await?;
    // A device has a folder that survives a loss of power; this one goes when the example ends.
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("operation");
    first_life(&setting, &file).await?;
    second_life(&setting, &file).await
}

async fn first_life(setting: &Setting, file: &Path) -> Result<(), Told> {
    let (begun, power_fails) = oneshot::channel();
    let (mut begun, keep_in) = (Some(begun), file.to_owned());
    let client = setting
        .client(Transport::Https)?
        .symmetric_key(setting.key()?)
        .on_progress(move |progress| {
            // Before each wait there is what to go on from: one line of text, no secret in it.
            let Progress::Waiting { resume: Some(token), .. } = progress else { return };
            if std::fs::write(&keep_in, token.to_string()).is_ok() {
                let _ = begun.take().map(|begun| begun.send(()));
            }
        })
        .build()?;
    tokio::select! {
        // Dropping the registration, as this does, closes its connection at once.
        _ = power_fails => println!("first life: the service has begun; the power fails"),
        assigned = client.register() => println!("first life: assigned to {} before anything failed", assigned?.hub()),
    }
    Ok(())
}

async fn second_life(setting: &Setting, file: &Path) -> Result<(), Told> {
    let kept = std::fs::read_to_string(file).ok();
    let client = setting.client(Transport::Https)?.symmetric_key(setting.key()?).on_progress(|progress| {
        if let Progress::Sending { call: "register" } = progress {
            println!("second life: the service has forgotten it; registering afresh");
        }
    });
    let client = client.build()?;
    let assignment = match kept {
        Some(line) => {
            println!("second life: going on");
            client.resume(&line.parse()?).await?
        }
        None => client.register().await?,
    };
    let _ = std::fs::remove_file(file);
    println!("assigned: hub {}, device id {}", assignment.hub(), assignment.device_id());
    Ok(())
}
