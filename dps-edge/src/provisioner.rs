//! A gateway that provisions itself: registers when its policy requires it, and otherwise uses its backup.
//!
//! `policy` decides; this module carries the decision out, and never gives up a backup without an assignment.

use std::fmt;
use std::path::PathBuf;

use dps_client::{DpsError, HubCredentials, ProvisioningClient, StoredAssignment};
use tokio::task::spawn_blocking;

use crate::backup::{Backup, BackupStore, HubIdentity, LockedBackup};
use crate::policy::{Event, Policy, Step, decide};

/// The origin of an assignment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Origin {
    /// The service; it is the first one, or differs from the last one.
    New,
    /// The service; it is the same as the last one.
    Unchanged,
    /// The backup.
    Backup,
}

impl Origin {
    /// The name that is printed.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::New => "new",
            Self::Unchanged => "unchanged",
            Self::Backup => "backup",
        }
    }
}

/// Something that the owner should know although provisioning succeeded.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Note {
    /// The service returned no assignment, and the backup is used.
    ServiceFailed(String),
    /// The daemons would have deleted the backup before registering; here it was kept until then.
    BackupKept,
    /// The backup contains credentials: it was not changed.
    BackupNotOurs,
    /// An invalid backup was set aside, under this path.
    SetAside(PathBuf),
    /// The backup could not be written.
    NotWritten(String),
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ServiceFailed(why) => write!(f, "the service returned no assignment, so the backup is used: {why}"),
            Self::BackupKept => f.write_str(
                "the backup was kept until the service replied; the daemons of this generation delete it before they register",
            ),
            Self::BackupNotOurs => {
                f.write_str("the backup contains credentials of external provisioning and was not changed")
            }
            Self::SetAside(path) => write!(f, "the old backup could not be read and is now {}", path.display()),
            Self::NotWritten(why) => write!(f, "the backup could not be written: {why}"),
        }
    }
}

/// The hub of the device, and how it is known.
#[derive(Debug)]
#[non_exhaustive]
pub struct Provisioned {
    /// The hub and the device id.
    pub identity: HubIdentity,
    /// Where it comes from.
    pub origin: Origin,
    /// The previous backup.
    pub previous: Option<HubIdentity>,
    /// What the owner should know.
    pub notes: Vec<Note>,
    /// The client's credential for the hub.
    pub credentials: HubCredentials,
}

impl Provisioned {
    /// Whether the hub differs from that of the backup; false without one.
    #[must_use]
    pub fn hub_changed(&self) -> bool {
        self.previous.as_ref().is_some_and(|previous| previous.hub != self.identity.hub)
    }

    /// Whether the device id differs from that of the backup.
    #[must_use]
    pub fn device_id_changed(&self) -> bool {
        self.previous.as_ref().is_some_and(|previous| previous.device_id != self.identity.device_id)
    }
}

/// Why there is no hub to connect to.
#[derive(Debug)]
#[non_exhaustive]
pub enum ProvisionError {
    /// The service returned no assignment, and there is no backup either.
    NothingLeft {
        /// The error of the registration.
        service: DpsError,
        /// Why there is no backup.
        backup: &'static str,
    },
    /// The service returned no assignment; the backup is kept.
    NotRegistered(DpsError),
    /// A file cannot be read or written.
    File(DpsError),
}

impl ProvisionError {
    /// The error of the client.
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
                write!(f, "the service returned no assignment, and there is no backup to use ({backup}): {service}")
            }
            Self::NotRegistered(error) => {
                write!(f, "the service returned no assignment; the backup is kept: {}", error.report())
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
    /// The step of the decision table.
    pub step: Step,
    /// The content of the backup.
    pub backup: Backup,
}

/// A gateway with its policy, backup and client.
#[derive(Debug)]
pub struct Provisioner {
    client: ProvisioningClient,
    policy: Policy,
    store: BackupStore,
}

impl Provisioner {
    /// Creates a gateway that registers with this client.
    #[must_use]
    pub fn new(client: ProvisioningClient, policy: Policy, store: BackupStore) -> Self {
        Self { client, policy, store }
    }

    /// The backup.
    #[must_use]
    pub fn store(&self) -> &BackupStore {
        &self.store
    }

    /// Returns what [`start`](Self::start) would do, without doing it.
    ///
    /// # Errors
    /// [`ProvisionError::File`] if the backup cannot be read.
    pub fn plan(&self) -> Result<Plan, ProvisionError> {
        let backup = self.store.load().map_err(ProvisionError::File)?;
        Ok(self.plan_with(backup))
    }

    fn plan_with(&self, backup: Backup) -> Plan {
        Plan { step: decide(self.policy, backup.identity().is_some(), Event::Start), backup }
    }

    /// Call this at the program's start: registers or uses the backup, as the policy decides.
    ///
    /// # Errors
    /// [`ProvisionError`]; if the service failed and there is no backup, it contains both reasons.
    pub async fn start(&mut self) -> Result<Provisioned, ProvisionError> {
        let (store, backup) = self.locked().await?;
        let Plan { step, backup } = self.plan_with(backup);
        match (step, backup.identity().cloned()) {
            (Step::UseBackup, Some(identity)) => self.by_backup(identity, Vec::new()),
            (_, identity) => match (self.ask(&store, &backup).await, identity) {
                (Ok(provisioned), _) => Ok(provisioned),
                (Err(error), Some(identity)) => {
                    let mut notes = vec![Note::ServiceFailed(error.report().to_string())];
                    notes.extend(matches!(self.policy, Policy::V1_2(_)).then_some(Note::BackupKept));
                    self.by_backup(identity, notes)
                }
                (Err(service), None) => Err(ProvisionError::NothingLeft { service, backup: absence(&backup) }),
            },
        }
    }

    /// Registers, as after a refusal by the hub. The backup is kept until there is an assignment.
    ///
    /// # Errors
    /// [`ProvisionError::NotRegistered`] if there is none, `File` if the backup cannot be read.
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
        let credentials = assignment.hub_credentials()?;
        let identity = HubIdentity::new(assignment.hub(), assignment.device_id());
        let previous = backup.identity().cloned();
        let origin = if previous.as_ref() == Some(&identity) { Origin::Unchanged } else { Origin::New };
        let mut notes = Vec::new();
        if matches!(backup, Backup::Found { holds_credentials: true, .. }) {
            notes.push(Note::BackupNotOurs);
        } else {
            let (store, saved) = (store.clone(), identity.clone());
            match on_disk(move || store.save(&saved)).await {
                Ok(aside) => notes.extend(aside.map(Note::SetAside)),
                // The assignment is valid nevertheless.
                Err(error) => notes.push(Note::NotWritten(error.report().to_string())),
            }
        }
        Ok(Provisioned { credentials, identity, origin, previous, notes })
    }

    fn by_backup(&self, identity: HubIdentity, notes: Vec<Note>) -> Result<Provisioned, ProvisionError> {
        let (id_scope, registration_id) = (self.client.id_scope().clone(), self.client.registration_id().clone());
        // The backup has the format of IoT Edge, without a connection profile.
        let stored = StoredAssignment::new(id_scope, registration_id, &identity.hub, &identity.device_id);
        let other_scope = || ProvisionError::File(dps_core::ConfigError::OperationMismatch.into());
        let credentials =
            self.client.hub_credentials(&stored).map_err(ProvisionError::File)?.ok_or_else(other_scope)?;
        Ok(Provisioned { previous: Some(identity.clone()), identity, origin: Origin::Backup, notes, credentials })
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
