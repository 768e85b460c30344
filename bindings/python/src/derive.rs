//! Device keys in bulk: for any iterable of str, and for anything with Arrow's C data interface.
//!
//! Ids are read in batches of bounded size, and their keys are derived without the GIL. The cost of a batch is hashing and
//! creating Python strings; for an Arrow stream only hashing.

use std::borrow::Cow;
use std::sync::{Arc, Mutex, PoisonError, TryLockError};

use arrow_array::{Array, StringArray};
use arrow_buffer::{Buffer, OffsetBuffer};
use arrow_schema::{ArrowError, DataType, Field};
use dps_client::GroupDeriver;
use pyo3::exceptions::{PyRuntimeError, PyTypeError};
use pyo3::prelude::*;
use pyo3::types::{PyCapsule, PyList, PyString, PyTuple};
use pyo3_arrow::ffi::{ArrayIterator, to_stream_pycapsule};

use crate::argument::{self, type_name};
use crate::attestation::{GroupKey, group_key};
use crate::batch::{Batch, KeyText};
use crate::errors::configuration_at;
use crate::gate::attached;
use crate::id_source::{IdSource, place};
use crate::ids::registration_id;
use crate::secret::not_pickled;

/// The first batch is small, so that its keys are ready soon; each is twice as large as the one before, up to a maximum.
const COUNT_FIRST: usize = 256;
const COUNT_MOST: usize = 16_384;

/// Returns the key of one device of an enrollment group, as base64, to be stored on the device.
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
    registration_id: &Bound<'_, PyAny>,
) -> PyResult<String> {
    let group = self::group_key(py, group_key)?;
    // The quick way for what is right; the other finds the words for what is not.
    let id = registration_id.cast::<PyString>().ok().and_then(|id| id.to_str().ok());
    let id =
        id.map_or_else(|| argument::text("registration_id", registration_id).map(Cow::Owned), |id| Ok(id.into()))?;
    let mut key = [0; GroupDeriver::KEY_TEXT_LEN];
    group.get().deriver().write_base64(self::registration_id(py, &id)?, &mut key);
    Ok(text(&key).to_owned())
}

/// Returns the keys of many devices of an enrollment group, in the order of their registration ids.
///
/// ids is any iterable of str, or one column of strings that supports Arrow's C data interface (of PyArrow, Polars,
/// pandas and others). A generator is read in batches of up to 16384, so that memory use is constant; a list or a tuple
/// is read one batch ahead, and must not be changed meanwhile. An invalid id raises ConfigurationError after the keys
/// of the ids before it; as an Arrow stream, before the first key.
///
/// >>> group = "8isrFI1sGsIlvvFSSFRiMfCNzv21fjbE/+ah/lSh3lF8e2YG1Te7w1KpZhJFFXJrqYKi9yegxkqIChbqOS9Egw=="
/// >>> dict(zip(["a"], derive_device_keys(group, ["a"])))
/// {'a': '4P6texRNmlQlty3YJONhNt851obWzIP6iFpYQaTHZfc='}
#[pyfunction]
pub(crate) fn derive_device_keys(group_key: &Bound<'_, PyAny>, ids: &Bound<'_, PyAny>) -> PyResult<DeviceKeys> {
    let py = ids.py();
    let group = self::group_key(py, group_key)?;
    // An invalid `ids` argument is refused here, before iterating.
    let first = IdSource::from_argument(ids)?;
    Ok(DeviceKeys {
        group,
        again: can_be_taken_again(ids, &first)?,
        first: Mutex::new(Some(first)),
        ids: ids.clone().unbind(),
    })
}

/// Returns whether ids can be read several times: a list can, a generator and a stream cannot.
fn can_be_taken_again(ids: &Bound<'_, PyAny>, first: &IdSource) -> PyResult<bool> {
    Ok(match first {
        IdSource::Iterator(iterator) => !iterator.bind(ids.py()).is(ids),
        _ => ids.hasattr("__arrow_c_array__")? || ids.hasattr("__len__")?,
    })
}

/// Device keys that are derived on demand: an iterable of str, or an Arrow stream of strings.
///
/// They can be iterated again if the ids can: those of a list or a column, not of a generator. len() is the number of
/// ids.
#[pyclass(frozen, module = "dps_client")]
pub(crate) struct DeviceKeys {
    group: Py<GroupKey>,
    ids: Py<PyAny>,
    /// The ids as they were read when it was created.
    first: Mutex<Option<IdSource>>,
    /// Whether they can be read again.
    again: bool,
}

#[pymethods]
impl DeviceKeys {
    fn __iter__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let foresees =
            self.ids.bind(py).is_exact_instance_of::<PyList>() || self.ids.bind(py).is_exact_instance_of::<PyTuple>();
        let batches = Batches(self.deriving(py, self.take_ids(py)?, foresees));
        py.import("itertools")?.getattr("chain")?.call_method1("from_iterable", (batches,))
    }

    fn __len__(&self, py: Python<'_>) -> PyResult<usize> {
        let ids = self.ids.bind(py);
        ids.len().map_err(|_| PyTypeError::new_err(format!("ids has no length: it is of type {}", type_name(ids))))
    }

    /// Returns the keys as an Arrow C stream of strings, such as for polars.Series(keys).
    #[pyo3(signature = (requested_schema = None))]
    fn __arrow_c_stream__<'py>(
        &self,
        py: Python<'py>,
        requested_schema: Option<Bound<'py, PyCapsule>>,
    ) -> PyResult<Bound<'py, PyCapsule>> {
        // Inside the stream an error could not say what it is.
        let ids = self.take_ids(py)?.checked(py)?;
        let deriving = self.deriving(py, ids, true);
        let columns = std::iter::from_fn(move || {
            let keys = attached(|py| next(py, &deriving)).transpose()?;
            Some(keys.map_err(|raised| ArrowError::ExternalError(raised.into())).and_then(column))
        });
        let field = Arc::new(Field::new("device_key", DataType::Utf8, false));
        Ok(to_stream_pycapsule(py, Box::new(ArrayIterator::new(columns, field)), requested_schema)?)
    }

    fn __reduce__(&self) -> PyResult<()> {
        Err(not_pickled("DeviceKeys", "derive them in the process that needs them, or give it list(keys)"))
    }

    fn __repr__(&self) -> &'static str {
        "DeviceKeys(..)"
    }
}

impl DeviceKeys {
    /// Returns the ids from the first on.
    fn take_ids(&self, py: Python<'_>) -> PyResult<IdSource> {
        let first = self.first.lock().unwrap_or_else(PoisonError::into_inner).take();
        match first {
            Some(first) => Ok(first),
            None if self.again => IdSource::from_argument(self.ids.bind(py)),
            None => Err(PyRuntimeError::new_err(
                "these keys were read already, and their ids are of an iterator, which can be read only once: store list(keys), or pass a list of ids",
            )),
        }
    }

    fn deriving(&self, py: Python<'_>, ids: IdSource, foresees: bool) -> Arc<Mutex<Deriving>> {
        let group = self.group.clone_ref(py);
        let deriving = Deriving { group, foresees, ids, taken: 0, count: COUNT_FIRST, ahead: None, broken: None };
        Arc::new(Mutex::new(deriving))
    }
}

/// The same in lists, so that the interpreter iterates over the keys itself.
#[pyclass(frozen)]
struct Batches(Arc<Mutex<Deriving>>);

#[pymethods]
impl Batches {
    fn __iter__(slf: PyRef<'_, Self>) -> PyRef<'_, Self> {
        slf
    }

    fn __next__<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyList>>> {
        let Some(keys) = next(py, &self.0)? else { return Ok(None) };
        PyList::new(py, keys.iter().map(|key| PyString::new(py, text(key)))).map(Some)
    }
}

struct Deriving {
    group: Py<GroupKey>,
    ids: IdSource,
    /// Whether ids can be read ahead without running the caller's code.
    foresees: bool,
    /// The number of ids that were read.
    taken: usize,
    /// The number of ids of the next batch.
    count: usize,
    /// The batch that was started ahead.
    ahead: Option<Begun>,
    /// The error that is raised after the keys before it.
    broken: Option<PyErr>,
}

/// A batch in progress.
struct Begun {
    batch: Batch,
    /// The number of ids before it.
    before: usize,
    /// The error that ended it.
    unfit: Option<PyErr>,
}

/// Returns the keys of the next batch; none at the end.
fn next(py: Python<'_>, deriving: &Mutex<Deriving>) -> PyResult<Option<Vec<KeyText>>> {
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
    /// Returns the keys of the valid ids, up to a batch.
    fn next(&mut self, py: Python<'_>) -> Vec<KeyText> {
        if self.broken.is_some() {
            return Vec::new();
        }
        let Begun { batch, before, unfit } = self.ahead.take().unwrap_or_else(|| self.begin(py));
        let (keys, wrong) = py.detach(|| batch.finish());
        let wrong = wrong.map(|(offset, error)| configuration_at(py, &place(before + offset), error));
        self.broken = wrong.or(unfit);
        if self.foresees && self.broken.is_none() && !keys.is_empty() {
            // While the interpreter goes through these keys, the next are derived.
            self.ahead = Some(self.begin(py));
        }
        keys
    }

    fn begin(&mut self, py: Python<'_>) -> Begun {
        let before = self.taken;
        let (ids, unfit) = self.ids.take(py, self.count, before);
        self.taken += ids.len();
        self.count = (2 * self.count).min(COUNT_MOST);
        Begun { batch: Batch::begin(self.group.get().deriver(), ids), before, unfit }
    }
}

/// One column of keys.
fn column(keys: Vec<KeyText>) -> Result<Arc<dyn Array>, ArrowError> {
    let offsets = OffsetBuffer::from_repeated_length(GroupDeriver::KEY_TEXT_LEN, keys.len());
    Ok(Arc::new(StringArray::try_new(offsets, Buffer::from_vec(keys.into_flattened()), None)?))
}

/// Base64 is ASCII.
fn text(key: &KeyText) -> &str {
    std::str::from_utf8(key).unwrap_or_default()
}
