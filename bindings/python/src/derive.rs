//! Device keys in bulk: for any iterable of str, and for anything with Arrow's C data interface.
//!
//! Ids are taken in batches of bounded size and the interpreter is free while their keys are derived. Ids are borrowed
//! and keys written side by side, so that a batch costs the hashing and the making of Python's own strings; taken as
//! an Arrow stream, not even those.

use std::sync::{Arc, Mutex, OnceLock, TryLockError};

use arrow_array::{Array, StringArray};
use arrow_buffer::{Buffer, OffsetBuffer};
use arrow_schema::{ArrowError, DataType, Field};
use dps_client::core::credentials::GroupDeriver;
use dps_client::core::credentials::derive::DERIVED_TEXT;
use dps_client::core::{ConfigError, RegistrationId};
use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use pyo3::types::{PyCapsule, PyList, PyString};
use pyo3_arrow::ffi::{ArrayIterator, to_stream_pycapsule};

use crate::asyncio::attached;
use crate::attestation::{GroupKey, group_key};
use crate::errors::configuration_at;
use crate::id_source::{IdSource, place};
use crate::ids::registration_id;

/// The first batch is small, so that it comes soon; each is twice the one before, up to the largest.
const BATCH_FIRST: usize = 256;
const BATCH_MOST: usize = 16_384;
/// With fewer ids a processor more is not worth its thread.
const IDS_A_THREAD: usize = 2048;

/// The key of one device of an enrollment group, as base64: what is written into the device.
///
/// group_key is a GroupKey, or its base64. The registration id is used exactly as it is spelled.
///
/// >>> group = "8isrFI1sGsIlvvFSSFRiMfCNzv21fjbE/+ah/lSh3lF8e2YG1Te7w1KpZhJFFXJrqYKi9yegxkqIChbqOS9Egw=="
/// >>> derive_device_key(group, "sn-007-888-abc-mac-a1-b2-c3-d4-e5-f6")
/// 'Jsm0lyGpjaVYVP2g3FnmnmG9dI/9qU24wNoykUmermc='
#[pyfunction]
pub(crate) fn derive_device_key(
    py: Python<'_>,
    group_key: &Bound<'_, PyAny>,
    registration_id: &str,
) -> PyResult<String> {
    let group = self::group_key(py, group_key)?;
    let mut key = [0; DERIVED_TEXT];
    group.get().deriver().write_base64(self::registration_id(py, registration_id)?, &mut key);
    Ok(text(&key).to_owned())
}

/// The keys of many devices of an enrollment group, in the order of their registration ids.
///
/// ids is any iterable of str, or one column of strings that offers Arrow's C data interface (of PyArrow, Polars,
/// pandas and others). A generator is drawn from in batches of up to 16384, so memory stays flat. An id that breaks the
/// service's rule raises ConfigurationError when its turn comes, after the keys of those before it.
///
/// >>> group = "8isrFI1sGsIlvvFSSFRiMfCNzv21fjbE/+ah/lSh3lF8e2YG1Te7w1KpZhJFFXJrqYKi9yegxkqIChbqOS9Egw=="
/// >>> dict(zip(["a"], derive_device_keys(group, ["a"])))
/// {'a': '4P6texRNmlQlty3YJONhNt851obWzIP6iFpYQaTHZfc='}
#[pyfunction]
pub(crate) fn derive_device_keys(group_key: &Bound<'_, PyAny>, ids: &Bound<'_, PyAny>) -> PyResult<DeviceKeys> {
    let group = self::group_key(group_key.py(), group_key)?;
    let deriving = Deriving { group, ids: IdSource::of(ids)?, taken: 0, batch: BATCH_FIRST, broken: None };
    Ok(DeviceKeys(Arc::new(Mutex::new(deriving))))
}

/// Device keys that are derived as they are asked for, once: an iterable of str, or an Arrow stream of strings.
#[pyclass(frozen, module = "dps_client")]
pub(crate) struct DeviceKeys(Arc<Mutex<Deriving>>);

#[pymethods]
impl DeviceKeys {
    fn __iter__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let batches = Batches(Arc::clone(&self.0));
        py.import("itertools")?.getattr("chain")?.call_method1("from_iterable", (batches,))
    }

    /// The keys as Arrow's C stream of strings: for pyarrow.chunked_array(keys), polars.Series(keys) and so on.
    #[pyo3(signature = (requested_schema = None))]
    fn __arrow_c_stream__<'py>(
        &self,
        py: Python<'py>,
        requested_schema: Option<Bound<'py, PyCapsule>>,
    ) -> PyResult<Bound<'py, PyCapsule>> {
        let deriving = Arc::clone(&self.0);
        let columns = std::iter::from_fn(move || {
            let keys = attached(|py| next(py, &deriving)).transpose()?;
            Some(keys.map_err(|raised| ArrowError::ExternalError(raised.into())).and_then(column))
        });
        let field = Arc::new(Field::new("device_key", DataType::Utf8, false));
        Ok(to_stream_pycapsule(py, Box::new(ArrayIterator::new(columns, field)), requested_schema)?)
    }

    fn __repr__(&self) -> &'static str {
        "DeviceKeys(..)"
    }
}

/// The same in lists, so that the interpreter's own loop goes from key to key.
#[pyclass(frozen)]
struct Batches(Arc<Mutex<Deriving>>);

#[pymethods]
impl Batches {
    fn __iter__(slf: PyRef<'_, Self>) -> PyRef<'_, Self> {
        slf
    }

    fn __next__<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyList>>> {
        let Some(keys) = next(py, &self.0)? else { return Ok(None) };
        let (keys, _) = keys.as_chunks();
        PyList::new(py, keys.iter().map(|key| PyString::new(py, text(key)))).map(Some)
    }
}

struct Deriving {
    group: Py<GroupKey>,
    ids: IdSource,
    /// How many ids went before.
    taken: usize,
    /// How many are taken next.
    batch: usize,
    /// What is raised once the keys before it are given.
    broken: Option<PyErr>,
}

/// The keys of the next batch, side by side; none at the end.
fn next(py: Python<'_>, deriving: &Mutex<Deriving>) -> PyResult<Option<Vec<u8>>> {
    let mut deriving = match deriving.try_lock() {
        Ok(free) => free,
        Err(TryLockError::Poisoned(broken)) => broken.into_inner(),
        Err(TryLockError::WouldBlock) => {
            return Err(PyRuntimeError::new_err("the next keys are being derived already, in another thread"));
        }
    };
    match deriving.next(py) {
        keys if keys.is_empty() => {
            deriving.ids = IdSource::Ended;
            deriving.broken.take().map_or(Ok(None), Err)
        }
        keys => Ok(Some(keys)),
    }
}

impl Deriving {
    /// The keys of as many ids as are good, up to a batch.
    fn next(&mut self, py: Python<'_>) -> Vec<u8> {
        if self.broken.is_some() {
            return Vec::new();
        }
        let (ids, unfit) = self.ids.take(py, self.batch);
        let (texts, unreadable) = ids.texts(self.taken);
        let group = self.group.get();
        let (keys, wrong) = py.detach(|| derive(group.deriver(), &texts));
        let wrong = wrong.map(|(offset, error)| configuration_at(py, &place(self.taken + offset), error));
        self.broken = wrong.or(unreadable).or(unfit);
        self.taken += texts.len();
        self.batch = (2 * self.batch).min(BATCH_MOST);
        keys
    }
}

/// The keys of `ids` up to the first wrong one, side by side; where that is, and what is wrong.
fn derive(deriver: &GroupDeriver, ids: &[&str]) -> (Vec<u8>, Option<(usize, ConfigError)>) {
    let mut keys = vec![0; ids.len() * DERIVED_TEXT];
    let part = ids.len().div_ceil(threads(ids.len())).max(1);
    let (slots, _) = keys.as_chunks_mut();
    let wrong = std::thread::scope(|scope| {
        let mut parts = ids.chunks(part).zip(slots.chunks_mut(part));
        let first = parts.next();
        let others: Vec<_> = parts.map(|(ids, slots)| scope.spawn(|| write(deriver, ids, slots))).collect();
        let first = first.and_then(|(ids, slots)| write(deriver, ids, slots).err());
        let others = others
            .into_iter()
            .map(|thread| thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)).err());
        std::iter::once(first)
            .chain(others)
            .enumerate()
            .find_map(|(number, wrong)| wrong.map(|(offset, error)| (number * part + offset, error)))
    });
    if let Some((good, _)) = &wrong {
        keys.truncate(good * DERIVED_TEXT);
    }
    (keys, wrong)
}

/// Writes the key of each id, up to the first wrong one.
fn write(deriver: &GroupDeriver, ids: &[&str], slots: &mut [[u8; DERIVED_TEXT]]) -> Result<(), (usize, ConfigError)> {
    for (offset, (id, slot)) in ids.iter().zip(slots).enumerate() {
        let id = RegistrationId::new(id).map_err(|error| (offset, error))?;
        deriver.write_base64(id, slot);
    }
    Ok(())
}

fn threads(ids: usize) -> usize {
    static PROCESSORS: OnceLock<usize> = OnceLock::new();
    let processors = *PROCESSORS.get_or_init(|| std::thread::available_parallelism().map_or(1, usize::from));
    processors.min(ids / IDS_A_THREAD).max(1)
}

/// One column of keys.
fn column(keys: Vec<u8>) -> Result<Arc<dyn Array>, ArrowError> {
    let offsets = OffsetBuffer::from_repeated_length(DERIVED_TEXT, keys.len() / DERIVED_TEXT);
    Ok(Arc::new(StringArray::try_new(offsets, Buffer::from_vec(keys), None)?))
}

/// Base64 is ASCII.
fn text(key: &[u8; DERIVED_TEXT]) -> &str {
    std::str::from_utf8(key).unwrap_or_default()
}
