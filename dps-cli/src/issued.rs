//! The directory of `dps register --issue`: the issued identity of a device, and the assignment that came with it.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use dps_client::{
    Assignment, AssignmentStore, CertificateChain, DpsError, IdentityStore, IssuedIdentity, Loaded, LoadedIdentity,
    LockedIdentityStore, LockedStore, OperationalKey, RegistrationId, StoredAssignment,
};
use dps_core::ErrorCode;
use serde::Serialize;

use crate::certificate::{Certificate, moment_at};
use crate::connection::DeviceClock;
use crate::failure::{Failure, Result};
use crate::operational::identity_store;
use crate::output::note;
use crate::pkcs11::TokenKey;

const ASSIGNMENT: &str = "assignment.json";

/// The directory, locked for this process.
pub(crate) struct IdentityFolder {
    path: PathBuf,
    identity: LockedIdentityStore,
    assignment: LockedStore,
}

impl IdentityFolder {
    /// Opens a directory, and creates it if it does not exist. An identity of another device in it is refused.
    pub(crate) fn create(path: &Path, id: &RegistrationId, token: Option<&TokenKey>) -> Result<Self> {
        dps_files::create_private_folder(path).map_err(|error| Failure::file("create", path, &error))?;
        let folder = Self::lock(path, identity_store(path, token).registration_id(id))?;
        folder.identity()?;
        Ok(folder)
    }

    /// Opens a directory.
    pub(crate) fn open(path: &Path, token: Option<&TokenKey>) -> Result<Self> {
        require_directory(path)?;
        Self::lock(path, identity_store(path, token))
    }

    fn lock(path: &Path, store: IdentityStore) -> Result<Self> {
        let assignment = AssignmentStore::new(path.join(ASSIGNMENT)).lock()?;
        Ok(Self { path: path.to_owned(), identity: store.lock()?, assignment })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Reads the identity, if there is one. One that cannot be used is set aside, with a note.
    pub(crate) fn identity(&self) -> Result<Option<IssuedIdentity>> {
        Ok(match self.identity.load().map_err(with_options)? {
            LoadedIdentity::Found(identity) => Some(*identity),
            LoadedIdentity::SetAside { path, problem } => {
                note(format_args!("the stored identity cannot be used and is now {}: {problem}", path.display()));
                None
            }
            _ => None,
        })
    }

    /// Reads the assignment, if there is one.
    pub(crate) fn assignment(&self) -> Result<Option<StoredAssignment>> {
        Ok(match self.assignment.load()? {
            Loaded::Found(assignment) => Some(assignment),
            Loaded::SetAside { path, problem } => {
                note(format_args!("the stored assignment cannot be used and is now {}: {problem}", path.display()));
                None
            }
            _ => None,
        })
    }

    /// Checks and stores what was issued with an assignment.
    pub(crate) fn keep_assignment(
        &self,
        key: OperationalKey,
        assignment: &Assignment,
        clock: DeviceClock,
    ) -> Result<IssuedIdentity> {
        let issued = assignment.issued_chain();
        if issued.is_empty() {
            let message = "the device was assigned, but no certificate was issued: the service ignored the request";
            return Err(Failure::new(ErrorCode::InvalidReply, message));
        }
        // First, since a renewal needs the assignment and not the identity.
        self.assignment.save(&assignment.to_stored())?;
        let chain = CertificateChain::from_der(issued.iter().map(Vec::as_slice))?;
        self.keep(key, chain, assignment.registration_id(), clock)
    }

    /// Checks and stores what was issued.
    pub(crate) fn keep(
        &self,
        key: OperationalKey,
        chain: CertificateChain,
        id: &RegistrationId,
        clock: DeviceClock,
    ) -> Result<IssuedIdentity> {
        let identity = IssuedIdentity::accept(key, chain, id, clock.now())?;
        self.identity.save(&identity)?;
        Ok(identity)
    }
}

/// Reads the identity and the assignment of a directory, which another process may be changing. Nothing is locked or changed.
pub(crate) fn read(
    path: &Path,
    token: Option<&TokenKey>,
) -> Result<(Option<IssuedIdentity>, Option<StoredAssignment>)> {
    require_directory(path)?;
    let identity = identity_store(path, token).read().map_err(with_options)?;
    Ok((identity, AssignmentStore::new(path.join(ASSIGNMENT)).read()?))
}

/// Names the options of this program where the library names its own.
fn with_options(error: DpsError) -> Failure {
    let failure = Failure::from(error);
    if failure.code == ErrorCode::InvalidOption {
        return failure.in_source("--operational-pkcs11-uri");
    }
    failure
}

/// The failure for a directory without an identity.
pub(crate) fn missing(path: &Path) -> Failure {
    let message = format!(
        "{} contains no issued identity: make one with 'dps register --issue', or renew it with 'dps x509 renew'",
        path.display()
    );
    Failure::new(ErrorCode::File, message)
}

fn require_directory(path: &Path) -> Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    Err(Failure::new(ErrorCode::File, format!("{} is not a directory", path.display())))
}

/// An issued identity, as it is shown.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct IssuedReport {
    directory: PathBuf,
    state: &'static str,
    not_before: String,
    not_after: String,
    renew_at: String,
    certificates: Vec<Certificate>,
}

impl IssuedReport {
    pub(crate) fn new(folder: &Path, identity: &IssuedIdentity, now: SystemTime) -> Self {
        Self {
            directory: folder.to_owned(),
            state: identity.state_at(now).name(),
            not_before: moment(identity.not_before()),
            not_after: moment(identity.not_after()),
            renew_at: moment(identity.renew_at()),
            certificates: identity.chain().iter().map(Certificate::from_der).collect(),
        }
    }

    pub(crate) fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        let state = match self.state {
            "notYetValid" => "not valid yet: set this device's clock",
            "valid" => "valid",
            "renewalDue" => "valid, and due for renewal",
            _ => "expired",
        };
        writeln!(out, "  directory  {}", self.directory.display())?;
        writeln!(out, "  state      {state}")?;
        writeln!(out, "  valid      {} to {}", self.not_before, self.not_after)?;
        writeln!(out, "  renew at   {}", self.renew_at)
    }
}

fn moment(time: SystemTime) -> String {
    let seconds = time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    moment_at(i64::try_from(seconds).unwrap_or(i64::MAX))
}
