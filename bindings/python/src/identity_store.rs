//! The directory that keeps a device's issued identity over restarts.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use dps_client::{DpsError, LockedIdentityStore, RegistrationId};
use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use pyo3::types::PyTuple;

use crate::argument;
use crate::errors::check;
use crate::issued::{IssuedIdentity, detached};
use crate::options::Given;
use crate::pkcs11::Pkcs11Key;

/// The directory that keeps one device's issued identity over restarts, locked for this process until it is closed.
///
/// identity.pem is the truth: key and chain in one file, which is written whole or not at all. key.pem and chain.pem
/// are copies for programs that read them separately, written after it and repaired by load(). A program that requires
/// key and chain to fit at every moment reads identity.pem. Files with the key have the mode 0600.
///
/// directory must exist. registration_id tells whose identity it is: that of another device is refused instead of used
/// or replaced. pkcs11_key is the key in a token, with its module and PIN, which are not stored; an identity whose key
/// is in a token cannot be loaded without it.
///
/// Creating it raises a FileError if another process has locked the directory, or the lock cannot be created. It is a
/// context manager, which closes it.
#[pyclass(frozen, module = "dps_client")]
pub(crate) struct IdentityStore {
    directory: PathBuf,
    /// None once it was closed. A call has a share of it, so that nothing is locked here while files are read or written.
    locked: Mutex<Option<Arc<LockedIdentityStore>>>,
}

/// What IdentityStore.load() found.
#[pyclass(frozen, module = "dps_client", get_all)]
pub(crate) struct LoadedIdentity {
    /// The identity, which may have expired; None if nothing usable is stored.
    identity: Option<Py<IssuedIdentity>>,
    /// Where a file is now that contained no identity, or a key and chain that do not fit; else None.
    set_aside: Option<PathBuf>,
    /// What is wrong with that file; None if there was none.
    problem: Option<String>,
}

#[pymethods]
impl LoadedIdentity {
    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        match (&self.identity, &self.problem) {
            (Some(identity), _) => Ok(format!("LoadedIdentity(identity={})", identity.bind(py).repr()?)),
            (None, Some(problem)) => Ok(format!("LoadedIdentity(problem={})", problem.into_pyobject(py)?.repr()?)),
            (None, None) => Ok("LoadedIdentity()".to_owned()),
        }
    }
}

#[pymethods]
impl IdentityStore {
    #[new]
    #[pyo3(signature = (directory, *, registration_id = None, pkcs11_key = None))]
    fn new(directory: &Bound<'_, PyAny>, registration_id: Given<'_>, pkcs11_key: Given<'_>) -> PyResult<Self> {
        let py = directory.py();
        let directory = argument::path("directory", directory)?;
        let mut store = dps_client::IdentityStore::new(directory.clone());
        if let Some(given) = registration_id {
            let id: RegistrationId = check(py, "registration_id", argument::text("registration_id", &given)?.parse())?;
            store = store.registration_id(&id);
        }
        if let Some(given) = pkcs11_key {
            let wrong = |_| argument::wrong_type("pkcs11_key", "a Pkcs11Key", &given);
            store = store.pkcs11_key(given.cast::<Pkcs11Key>().map_err(wrong)?.get().key());
        }
        let locked = detached(py, || store.lock())?;
        Ok(Self { directory, locked: Mutex::new(Some(Arc::new(locked))) })
    }

    /// The directory.
    #[getter]
    fn directory(&self) -> PathBuf {
        self.directory.clone()
    }

    /// Reads the stored identity, and repairs the copies of its key and chain.
    ///
    /// A file that cannot be used is renamed, so that a new identity can be stored and the old one examined. With a
    /// key in a token, it opens the token, which can take 30 seconds; Ctrl-C is handled afterwards.
    ///
    /// Raises a FileError if the file cannot be read, and DpsError if it is another device's, or if its key is in a
    /// token and cannot be used.
    fn load(&self, py: Python<'_>) -> PyResult<LoadedIdentity> {
        let nothing = LoadedIdentity { identity: None, set_aside: None, problem: None };
        Ok(match self.with(py, LockedIdentityStore::load)? {
            dps_client::LoadedIdentity::Found(identity) => {
                LoadedIdentity { identity: Some(Py::new(py, IssuedIdentity::from(*identity))?), ..nothing }
            }
            dps_client::LoadedIdentity::SetAside { path, problem } => {
                LoadedIdentity { set_aside: Some(path), problem: Some(problem), ..nothing }
            }
            _ => nothing,
        })
    }

    /// Stores an identity: the old one or the new one is there afterwards, whatever happens. The copies follow.
    ///
    /// Raises a FileError if a file cannot be written; the identity itself may be stored already, and load() returns
    /// which one is. Raises DpsError if it is another device's.
    fn save(&self, identity: &Bound<'_, PyAny>) -> PyResult<()> {
        let wrong = |_| argument::wrong_type("identity", "an IssuedIdentity", identity);
        let issued = identity.cast::<IssuedIdentity>().map_err(wrong)?.get();
        self.with(identity.py(), |store| store.save(issued.identity()))
    }

    /// Removes the identity and its copies, if there are any.
    fn clear(&self, py: Python<'_>) -> PyResult<()> {
        self.with(py, LockedIdentityStore::clear)
    }

    /// Releases the lock. A second call has no effect.
    fn close(&self) {
        *self.share() = None;
    }

    fn __enter__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    #[pyo3(signature = (*_unused))]
    fn __exit__(&self, _unused: &Bound<'_, PyTuple>) {
        self.close();
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        Ok(format!("IdentityStore({})", self.directory.to_string_lossy().into_pyobject(py)?.repr()?))
    }
}

impl IdentityStore {
    fn with<T: Send>(
        &self,
        py: Python<'_>,
        work: impl FnOnce(&LockedIdentityStore) -> Result<T, DpsError> + Send,
    ) -> PyResult<T> {
        let closed = || PyRuntimeError::new_err("this store was closed");
        let locked = self.share().clone().ok_or_else(closed)?;
        detached(py, || work(&locked))
    }

    fn share(&self) -> MutexGuard<'_, Option<Arc<LockedIdentityStore>>> {
        self.locked.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
