//! A device loses power while the service assigns it a hub. After the restart it resumes: it polls the operation instead of
//! registering again.
//!
//! ```text
//! before the restart: the operation has started; the power fails
//! after the restart: resuming
//! assigned: hub hub-a.test, device id dev-01
//! ```

use std::path::Path;

use dps_client::{Progress, Transport};
use dps_examples::{AnyError, Setting};
use tokio::sync::oneshot;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), AnyError> {
    let setting = Setting::read().await?;
    // A device stores this where it survives a loss of power; the directory of this example is removed when it ends.
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("operation");
    before_restart(&setting, &file).await?;
    after_restart(&setting, &file).await
}

async fn before_restart(setting: &Setting, file: &Path) -> Result<(), AnyError> {
    let (begun, power_fails) = oneshot::channel();
    let (mut begun, keep_in) = (Some(begun), file.to_owned());
    let client = setting
        .client(Transport::Https)?
        .symmetric_key(setting.key()?)
        .on_progress(move |progress| {
            // Before each wait there is a resume token: one line of text, without secrets.
            let Progress::Waiting { resume: Some(token), .. } = progress else { return };
            if std::fs::write(&keep_in, token.to_string()).is_ok() {
                let _ = begun.take().map(|begun| begun.send(()));
            }
        })
        .build()?;
    tokio::select! {
        // Dropping the registration, as this does, closes its connection immediately.
        _ = power_fails => println!("before the restart: the operation has started; the power fails"),
        assigned = client.register() => println!("before the restart: already assigned to {}", assigned?.hub()),
    }
    Ok(())
}

async fn after_restart(setting: &Setting, file: &Path) -> Result<(), AnyError> {
    let kept = std::fs::read_to_string(file).ok();
    let client = setting.client(Transport::Https)?.symmetric_key(setting.key()?).on_progress(|progress| {
        if let Progress::Sending { call: "register" } = progress {
            println!("after the restart: the service does not know the operation any more; registering again");
        }
    });
    let client = client.build()?;
    let assignment = match kept {
        Some(line) => {
            println!("after the restart: resuming");
            client.resume(&line.parse()?).await?
        }
        None => client.register().await?,
    };
    let _ = std::fs::remove_file(file);
    println!("assigned: hub {}, device id {}", assignment.hub(), assignment.device_id());
    Ok(())
}
