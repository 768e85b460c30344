//! The files of a state directory (`ca.json` and `ca.pem`, `policy.json`, `enrollments.json`), and the task that saves
//! enrollments as they change, several changes in one write if they come fast.
//!
//! An admin call is answered only after its change is on disk. A file that exists but is invalid stops the start:
//! nothing is replaced that an owner may want back.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use dps_files::{FileLock, Ownership, PrivateFile, create_private_folder};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use zeroize::Zeroizing;

use super::certificate::Authority;
use super::options::{StartError, StateError};
use crate::credentials::SymmetricKey;
use crate::options::POLICY_NAME;
use crate::service::Snapshot;

const AUTHORITY: &str = "ca.json";
const AUTHORITY_PEM: &str = "ca.pem";
const POLICY: &str = "policy.json";
const ENROLLMENTS: &str = "enrollments.json";
const FORMAT: u32 = 1;

/// The longest file of a state directory, in bytes.
const FILE_MAX: u64 = 1 << 30;

/// A state directory, locked for this process.
pub(super) struct State {
    path: PathBuf,
    _lock: FileLock,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Policy {
    key_name: String,
    primary_key: SymmetricKey,
}

#[derive(Serialize, Deserialize)]
struct Enrollments {
    format: u32,
    #[serde(flatten)]
    snapshot: Snapshot,
}

impl State {
    pub(super) fn open(path: &Path) -> Result<Self, StateError> {
        let unusable = |source| StateError::Directory { path: path.to_owned(), source };
        create_private_folder(path).map_err(unusable)?;
        refuse_exposed(path)?;
        let lock = FileLock::acquire(&path.join("lock")).map_err(|error| match error.kind() {
            io::ErrorKind::WouldBlock => StateError::InUse(path.to_owned()),
            _ => error.into(),
        })?;
        Ok(Self { path: path.to_owned(), _lock: lock })
    }

    fn file(&self, name: &str) -> PrivateFile {
        PrivateFile::new(self.path.join(name))
    }

    /// The stored CA, or a new one if there is none or it is about to expire.
    pub(super) fn authority(&self, now_s: u64, suffix: [u8; 4]) -> Result<Authority, StartError> {
        let kept: Option<Authority> = self.read(AUTHORITY)?;
        if let Some(kept) = &kept {
            kept.check().map_err(|what| self.damaged(AUTHORITY, what))?;
        }
        let authority = match kept.filter(|kept| kept.is_fresh(now_s)) {
            Some(kept) => kept,
            None => {
                let made = Authority::generate(now_s, suffix)?;
                self.write(AUTHORITY, &made)?;
                made
            }
        };
        let pem = self.file(AUTHORITY_PEM).replace(authority.pem().as_bytes(), Ownership::Private);
        pem.map_err(StateError::from)?;
        Ok(authority)
    }

    pub(super) fn policy_key(&self) -> Result<Option<SymmetricKey>, StateError> {
        match self.read::<Policy>(POLICY)? {
            Some(policy) if policy.key_name != POLICY_NAME => {
                Err(self.damaged(POLICY, format!("keyName is not {POLICY_NAME}")))
            }
            policy => Ok(policy.map(|policy| policy.primary_key)),
        }
    }

    pub(super) fn keep_policy_key(&self, key: &SymmetricKey) -> Result<(), StateError> {
        self.write(POLICY, &Policy { key_name: POLICY_NAME.into(), primary_key: key.clone() })
    }

    pub(super) fn enrollments(&self) -> Result<Option<Snapshot>, StateError> {
        match self.read::<Enrollments>(ENROLLMENTS)? {
            Some(kept) if kept.format != FORMAT => {
                Err(self.damaged(ENROLLMENTS, format!("format {} instead of {FORMAT}", kept.format)))
            }
            kept => Ok(kept.map(|kept| kept.snapshot)),
        }
    }

    fn enrollments_path(&self) -> PathBuf {
        self.path.join(ENROLLMENTS)
    }

    /// The error for an enrollment that is valid JSON but cannot be used.
    pub(super) fn bad_enrollments(&self, what: impl Into<String>) -> StateError {
        self.damaged(ENROLLMENTS, what.into())
    }

    fn keep_enrollments(&self, snapshot: Snapshot) -> Result<(), StateError> {
        self.write(ENROLLMENTS, &Enrollments { format: FORMAT, snapshot })
    }

    fn read<T: DeserializeOwned>(&self, name: &str) -> Result<Option<T>, StateError> {
        let Some(content) = self.file(name).read(FILE_MAX)? else { return Ok(None) };
        let parsed: Result<T, _> = crate::wire::parse_object(&content);
        parsed.map(Some).map_err(|problem| self.damaged(name, problem.message))
    }

    fn write(&self, name: &str, content: &impl Serialize) -> Result<(), StateError> {
        Ok(self.file(name).replace(&Zeroizing::new(crate::wire::to_json(content)), Ownership::Private)?)
    }

    fn damaged(&self, name: &str, what: impl Into<String>) -> StateError {
        StateError::Damaged { path: self.path.join(name), what: what.into() }
    }
}

/// Others that can write to the directory could replace its keys.
#[cfg(unix)]
fn refuse_exposed(path: &Path) -> Result<(), StateError> {
    use std::os::unix::fs::PermissionsExt;
    let metadata = std::fs::metadata(path).map_err(|source| StateError::Directory { path: path.to_owned(), source })?;
    if metadata.permissions().mode() & 0o022 != 0 { Err(StateError::Exposed(path.to_owned())) } else { Ok(()) }
}

#[cfg(not(unix))]
fn refuse_exposed(_: &Path) -> Result<(), StateError> {
    Ok(())
}

/// The latest request that was saved, and its error if it failed.
#[derive(Clone, Default)]
struct Saved {
    request: u64,
    error: Option<Arc<StateError>>,
}

pub(super) struct Saver {
    path: PathBuf,
    requests: watch::Sender<u64>,
    saved: watch::Receiver<Saved>,
}

impl Saver {
    /// Returns the saver, and the task that has to run once the service is shared.
    pub(super) fn new(state: State) -> (Self, SaverTask) {
        let (requests, requests_here) = watch::channel(0);
        let (saved_here, saved) = watch::channel(Saved::default());
        let saver = Self { path: state.enrollments_path(), requests, saved };
        (saver, SaverTask { state: Arc::new(state), requests: requests_here, saved: saved_here })
    }

    /// Requests a save of the service as it is now or later, without waiting; returns the number of the request.
    pub(super) fn request(&self) -> u64 {
        let mut number = 0;
        self.requests.send_modify(|requests| {
            *requests += 1;
            number = *requests;
        });
        number
    }

    /// Whether the latest save failed.
    pub(super) fn has_failed(&self) -> bool {
        self.saved.borrow().error.is_some()
    }

    /// Requests a save and waits until it is on disk.
    pub(super) async fn save(&self) -> Result<(), Arc<StateError>> {
        let request = self.request();
        let mut saved = self.saved.clone();
        match saved.wait_for(|saved| saved.request >= request).await {
            Ok(saved) => saved.error.clone().map_or(Ok(()), Err),
            Err(_) => Err(Arc::new(StateError::ShutDown(self.path.clone()))),
        }
    }
}

pub(super) struct SaverTask {
    state: Arc<State>,
    requests: watch::Receiver<u64>,
    saved: watch::Sender<Saved>,
}

impl SaverTask {
    /// Saves what `snapshot` returns at each request, until it returns `None`.
    pub(super) fn spawn(self, snapshot: impl Fn() -> Option<Snapshot> + Send + Sync + 'static) -> JoinHandle<()> {
        tokio::spawn(self.run(snapshot))
    }

    async fn run(mut self, snapshot: impl Fn() -> Option<Snapshot>) {
        while self.requests.changed().await.is_ok() {
            // Read before the state is: a later change belongs to a later request.
            let request = *self.requests.borrow_and_update();
            let Some(snapshot) = snapshot() else { return };
            let state = Arc::clone(&self.state);
            let written = tokio::task::spawn_blocking(move || state.keep_enrollments(snapshot)).await;
            let error = match written {
                Ok(Ok(())) => None,
                Ok(Err(error)) => {
                    tracing::error!(%error, "enrollments could not be saved");
                    Some(Arc::new(error))
                }
                Err(_) => return,
            };
            self.saved.send_replace(Saved { request, error });
        }
    }
}
