//! The directory of `dps register --issue`: the issued identity of a device, and the assignment that came with it.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use clap::{Args, ValueEnum};
use dps_client::{
    Assignment, AssignmentStore, CertificateChain, IdentityStore, IssuedIdentity, KeyAlgorithm, Loaded, LoadedIdentity,
    LockedIdentityStore, LockedStore, OperationalKey, RegistrationId, StoredAssignment,
};
use dps_core::ErrorCode;
use serde::Serialize;

use crate::certificate::{Certificate, moment_at};
use crate::connection::DeviceClock;
use crate::failure::{Failure, Result};
use crate::output::note;

/// The kind of a key that is made.
#[derive(Debug, Args)]
pub(crate) struct KeyTypeArgs {
    /// The kind of the key that is made for the certificate
    #[arg(long, value_name = "NAME", value_enum, default_value_t = KeyType::EcP256)]
    pub(crate) key_type: KeyType,
}

/// The kinds of keys.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum KeyType {
    /// EC P-256
    EcP256,
    /// EC P-384
    EcP384,
    /// RSA with 2048 bits
    #[value(name = "rsa-2048")]
    Rsa2048,
}

impl KeyType {
    /// Makes a key.
    pub(crate) fn generate(self) -> Result<OperationalKey> {
        Ok(OperationalKey::generate(match self {
            Self::EcP256 => KeyAlgorithm::EcP256,
            Self::EcP384 => KeyAlgorithm::EcP384,
            Self::Rsa2048 => KeyAlgorithm::Rsa2048,
        })?)
    }
}

/// The directory, locked for this process.
pub(crate) struct IdentityFolder {
    path: PathBuf,
    identity: LockedIdentityStore,
    assignment: LockedStore,
}

impl IdentityFolder {
    /// Opens a directory, and creates it if it does not exist. An identity of another device in it is refused.
    pub(crate) fn create(path: &Path, id: &RegistrationId) -> Result<Self> {
        dps_files::create_private_folder(path).map_err(|error| Failure::file("create", path, &error))?;
        let folder = Self::lock(path, IdentityStore::new(path).registration_id(id))?;
        folder.identity()?;
        Ok(folder)
    }

    /// Opens a directory.
    pub(crate) fn open(path: &Path) -> Result<Self> {
        if !path.is_dir() {
            return Err(Failure::new(ErrorCode::File, format!("{} is not a directory", path.display())));
        }
        Self::lock(path, IdentityStore::new(path))
    }

    fn lock(path: &Path, store: IdentityStore) -> Result<Self> {
        let assignment = AssignmentStore::new(path.join("assignment.json")).lock()?;
        Ok(Self { path: path.to_owned(), identity: store.lock()?, assignment })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Reads the identity, if there is one. One that cannot be used is set aside, with a note.
    pub(crate) fn identity(&self) -> Result<Option<IssuedIdentity>> {
        Ok(match self.identity.load()? {
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
        let chain = CertificateChain::from_der(issued.iter().map(Vec::as_slice))?;
        let identity = self.keep(key, chain, assignment.registration_id(), clock)?;
        self.assignment.save(&assignment.to_stored())?;
        Ok(identity)
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
