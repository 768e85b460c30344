//! A gateway that provisions itself: asks the service when its policy says so, and else goes by its backup.
//!
//! What it decides by is in `policy`; this carries it out, and never gives up a backup for less than an assignment.

use std::fmt;
use std::path::PathBuf;

use dps_client::{DpsError, HubCredentials, ProvisioningClient, StoredAssignment};
use tokio::task::spawn_blocking;

use crate::backup::{Backup, BackupStore, HubPlace, LockedBackup};
use crate::policy::{Event, Policy, Step, decide};

/// Where an assignment comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The service, and it is another than the last, or the first.
    New,
    /// The service, and it is the last one still.
    Unchanged,
    /// The backup.
    Backup,
}

impl Origin {
    /// The word for it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::New => "new",
            Self::Unchanged => "unchanged",
            Self::Backup => "backup",
        }
    }
}

/// Something that the owner should know although it went well.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Note {
    /// The service gave no assignment, and the backup is used.
    ServiceFailed(String),
    /// The daemons would have deleted the backup before they asked the service; here it is still there.
    BackupKept,
    /// The backup holds credentials: it was left as it is.
    BackupNotOurs,
    /// There was a file that is no backup; it was set aside.
    SetAside(PathBuf),
    /// The backup could not be written.
    NotWritten(String),
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ServiceFailed(why) => write!(f, "the service gave no assignment, so the backup is used: {why}"),
            Self::BackupKept => f.write_str(
                "the backup was kept until the service answered; the daemons of this generation delete it before they ask",
            ),
            Self::BackupNotOurs => {
                f.write_str("the backup holds credentials of external provisioning and was left as it is")
            }
            Self::SetAside(path) => write!(f, "the old backup could not be read and is now {}", path.display()),
            Self::NotWritten(why) => write!(f, "the backup was not written: {why}"),
        }
    }
}

/// Where the device belongs, and how that is known.
#[derive(Debug)]
#[non_exhaustive]
pub struct Provisioned {
    /// The hub and the device id.
    pub place: HubPlace,
    /// Where it comes from.
    pub origin: Origin,
    /// What the backup said before.
    pub previous: Option<HubPlace>,
    /// What the owner should know.
    pub notes: Vec<Note>,
    /// What the device signs in to the hub with.
    pub credentials: HubCredentials,
}

impl Provisioned {
    /// Whether the hub is another than before; the first one is none.
    #[must_use]
    pub fn hub_changed(&self) -> bool {
        self.previous.as_ref().is_some_and(|previous| previous.hub != self.place.hub)
    }

    /// Whether the device id is another than before.
    #[must_use]
    pub fn device_id_changed(&self) -> bool {
        self.previous.as_ref().is_some_and(|previous| previous.device_id != self.place.device_id)
    }
}

/// Why there is no hub to go to.
#[derive(Debug)]
#[non_exhaustive]
pub enum ProvisionError {
    /// The service gave no assignment, and there is no backup either.
    NothingLeft {
        /// What the service, or the way to it, said.
        service: DpsError,
        /// Why there is no backup.
        backup: &'static str,
    },
    /// The service gave no assignment; the backup is kept.
    NotRegistered(DpsError),
    /// A file stands in the way.
    File(DpsError),
}

impl ProvisionError {
    /// The failure behind it.
    #[must_use]
    pub fn cause(&self) -> &DpsError {
        match self {
            Self::NothingLeft { service, .. } => service,
            Self::NotRegistered(error) | Self::File(error) => error,
        }
    }
}

impl fmt::Display for ProvisionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NothingLeft { service, backup } => {
                let service = service.report();
                write!(f, "the service gave no assignment, and there is no backup to go by ({backup}): {service}")
            }
            Self::NotRegistered(error) => {
                write!(f, "the service gave no assignment; the backup is kept: {}", error.report())
            }
            Self::File(error) => error.report().fmt(f),
        }
    }
}

impl std::error::Error for ProvisionError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(self.cause())
    }
}

/// What a start would do.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Plan {
    /// By the decision table.
    pub step: Step,
    /// What the backup says.
    pub backup: Backup,
}

/// One gateway.
#[derive(Debug)]
pub struct Provisioner {
    client: ProvisioningClient,
    policy: Policy,
    store: BackupStore,
}

impl Provisioner {
    /// Makes a gateway that registers with this client.
    #[must_use]
    pub fn new(client: ProvisioningClient, policy: Policy, store: BackupStore) -> Self {
        Self { client, policy, store }
    }

    /// The backup.
    #[must_use]
    pub fn store(&self) -> &BackupStore {
        &self.store
    }

    /// What [`start`](Self::start) would do, without doing it.
    ///
    /// # Errors
    /// [`ProvisionError::File`] when the backup cannot be read.
    pub fn plan(&self) -> Result<Plan, ProvisionError> {
        let backup = self.store.load().map_err(ProvisionError::File)?;
        Ok(self.plan_with(backup))
    }

    fn plan_with(&self, backup: Backup) -> Plan {
        Plan { step: decide(self.policy, backup.place().is_some(), Event::Start), backup }
    }

    /// At the program's start: by the policy, asks the service or takes the backup.
    ///
    /// # Errors
    /// [`ProvisionError`]; where it is the service's fault and there is no backup, it says both.
    pub async fn start(&mut self) -> Result<Provisioned, ProvisionError> {
        let (store, backup) = self.locked().await?;
        let Plan { step, backup } = self.plan_with(backup);
        match (step, backup.place().cloned()) {
            (Step::UseBackup, Some(place)) => self.by_backup(place, Vec::new()),
            (_, place) => match (self.ask(&store, &backup).await, place) {
                (Ok(provisioned), _) => Ok(provisioned),
                (Err(error), Some(place)) => {
                    let mut notes = vec![Note::ServiceFailed(error.report().to_string())];
                    notes.extend(matches!(self.policy, Policy::V1_2(_)).then_some(Note::BackupKept));
                    self.by_backup(place, notes)
                }
                (Err(service), None) => Err(ProvisionError::NothingLeft { service, backup: absence(&backup) }),
            },
        }
    }

    /// Asks the service, as after a refusal of the hub. The backup is kept until there is an assignment.
    ///
    /// # Errors
    /// [`ProvisionError::NotRegistered`] when there is none, `File` when the backup cannot be read.
    pub async fn register(&mut self) -> Result<Provisioned, ProvisionError> {
        let (store, backup) = self.locked().await?;
        self.ask(&store, &backup).await.map_err(ProvisionError::NotRegistered)
    }

    /// Locks the backup and reads it.
    async fn locked(&self) -> Result<(LockedBackup, Backup), ProvisionError> {
        let store = self.store.clone();
        let locked = on_disk(move || {
            let store = store.lock()?;
            let backup = store.load()?;
            Ok((store, backup))
        });
        locked.await.map_err(ProvisionError::File)
    }

    async fn ask(&self, store: &LockedBackup, backup: &Backup) -> Result<Provisioned, DpsError> {
        let assignment = self.client.register().await?;
        let place = HubPlace::new(assignment.hub(), assignment.device_id());
        let previous = backup.place().cloned();
        let origin = if previous.as_ref() == Some(&place) { Origin::Unchanged } else { Origin::New };
        let mut notes = Vec::new();
        if matches!(backup, Backup::Found { holds_credentials: true, .. }) {
            notes.push(Note::BackupNotOurs);
        } else {
            let (store, saved) = (store.clone(), place.clone());
            match on_disk(move || store.save(&saved)).await {
                Ok(aside) => notes.extend(aside.map(Note::SetAside)),
                // The assignment is good all the same.
                Err(error) => notes.push(Note::NotWritten(error.report().to_string())),
            }
        }
        Ok(Provisioned { credentials: assignment.hub_credentials(), place, origin, previous, notes })
    }

    fn by_backup(&self, place: HubPlace, notes: Vec<Note>) -> Result<Provisioned, ProvisionError> {
        let stored = StoredAssignment {
            id_scope: self.client.id_scope().clone(),
            registration_id: self.client.registration_id().clone(),
            hub: place.hub.clone(),
            device_id: place.device_id.clone(),
        };
        let other_scope = || ProvisionError::File(dps_core::ConfigError::OperationMismatch.into());
        let credentials = self.client.hub_credentials(&stored).ok_or_else(other_scope)?;
        Ok(Provisioned { previous: Some(place.clone()), place, origin: Origin::Backup, notes, credentials })
    }
}

/// Works on files where a slow disk does not hold up the runtime.
async fn on_disk<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, DpsError> + Send + 'static,
) -> Result<T, DpsError> {
    match spawn_blocking(work).await {
        Ok(done) => done,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            // The runtime ends, and this future with it.
            Err(_) => std::future::pending().await,
        },
    }
}

fn absence(backup: &Backup) -> &'static str {
    match backup {
        Backup::Unusable(why) => why,
        _ => "none was written yet",
    }
}
