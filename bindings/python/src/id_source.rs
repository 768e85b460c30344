//! The source of registration ids in bulk: a Python iterator, or an Arrow column.
//!
//! Ids are copied, so that their keys can be derived without Python.

use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayAccessor, ArrayRef};
use arrow_schema::DataType;
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyIterator, PyString};
use pyo3_arrow::ffi::ArrayReader;
use pyo3_arrow::input::AnyArray;

use crate::argument::{type_name, wrong_type};
use crate::batch::Texts;
use crate::errors::configuration_at;

/// A batch of ids that are checked before the first key is derived.
const CHECKED_AT_ONCE: usize = 16_384;

/// The ids that are still to be read.
pub(crate) enum IdSource {
    Iterator(Py<PyIterator>),
    Columns {
        reader: Box<dyn ArrayReader + Send>,
        /// The current column, and how much of it was read.
        begun: Option<(ArrayRef, usize)>,
    },
    /// Ids that were checked, in batches, the last first.
    Checked(Vec<Texts>),
    Ended,
}

impl IdSource {
    pub(crate) fn from_argument(ids: &Bound<'_, PyAny>) -> PyResult<Self> {
        if ids.is_instance_of::<PyString>() || ids.is_instance_of::<PyBytes>() {
            return Err(PyTypeError::new_err(
                "argument 'ids': must not be a single str; pass a list of ids, or use derive_device_key",
            ));
        }
        let py = ids.py();
        if !ids.hasattr(intern!(py, "__arrow_c_array__"))? && !ids.hasattr(intern!(py, "__arrow_c_stream__"))? {
            let Ok(iterator) = ids.try_iter() else {
                return Err(wrong_type("ids", "an iterable of str or a column", ids));
            };
            return Ok(Self::Iterator(iterator.unbind()));
        }
        let reader = ids.extract::<AnyArray>()?.into_reader()?;
        match reader.field().data_type() {
            DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => Ok(Self::Columns { reader, begun: None }),
            other => Err(PyTypeError::new_err(format!("argument 'ids': must be a column of strings, not of {other}"))),
        }
    }

    /// Returns up to `count` ids, none at the end; and the error that ended it. `before` is the number of ids before.
    pub(crate) fn take(&mut self, py: Python<'_>, count: usize, before: usize) -> (Texts, Option<PyErr>) {
        match self {
            Self::Iterator(iterator) => from_iterator(iterator.bind(py), count, before),
            Self::Columns { reader, begun } => match py.detach(|| from_columns(reader.as_mut(), begun, count)) {
                Ok(column) => read_any_column(&column, before),
                Err(error) => (Texts::default(), error.map(PyValueError::new_err)),
            },
            Self::Checked(batches) => (batches.pop().unwrap_or_default(), None),
            Self::Ended => (Texts::default(), None),
        }
    }

    /// Returns the same ids, read to the end and checked.
    pub(crate) fn checked(mut self, py: Python<'_>) -> PyResult<Self> {
        let mut batches = Vec::new();
        let mut before = 0;
        loop {
            let (texts, unfit) = self.take(py, CHECKED_AT_ONCE, before);
            if let Some((offset, error)) = texts.first_wrong() {
                return Err(configuration_at(py, &place(before + offset), error));
            }
            if let Some(raised) = unfit {
                return Err(raised);
            }
            if texts.len() == 0 {
                batches.reverse();
                return Ok(Self::Checked(batches));
            }
            before += texts.len();
            batches.push(texts);
        }
    }
}

fn from_iterator(iterator: &Bound<'_, PyIterator>, count: usize, before: usize) -> (Texts, Option<PyErr>) {
    let mut texts = Texts::default();
    for id in iterator.clone().take(count) {
        let place = || place(before + texts.len());
        let unfit = match id {
            Ok(id) => match id.cast::<PyString>().map(|text| text.to_str()) {
                Ok(Ok(text)) => {
                    texts.push(text);
                    continue;
                }
                Ok(Err(_)) => {
                    PyValueError::new_err(format!("{} has a lone surrogate, which is not a character", place()))
                }
                Err(_) => PyTypeError::new_err(format!("{} must be a str, not {}", place(), type_name(&id))),
            },
            // What the caller's own iterator raises.
            Err(raised) => raised,
        };
        return (texts, Some(unfit));
    }
    (texts, None)
}

/// Returns up to `count` ids of one column; an error, or none at the end.
fn from_columns(
    reader: &mut (dyn ArrayReader + Send),
    begun: &mut Option<(ArrayRef, usize)>,
    count: usize,
) -> Result<ArrayRef, Option<String>> {
    loop {
        if let Some((column, taken)) = begun.take() {
            let left = column.len() - taken;
            if left > 0 {
                let slice = column.slice(taken, left.min(count));
                *begun = Some((column, taken + slice.len()));
                return Ok(slice);
            }
        }
        let column = reader.next().ok_or(None)?.map_err(|error| Some(error.to_string()))?;
        *begun = Some((column, 0));
    }
}

fn read_any_column(column: &ArrayRef, before: usize) -> (Texts, Option<PyErr>) {
    match column.data_type() {
        DataType::Utf8 => read_column(column.as_string::<i32>(), before),
        DataType::LargeUtf8 => read_column(column.as_string::<i64>(), before),
        _ => read_column(column.as_string_view(), before),
    }
}

/// Returns the strings up to the first that is missing, and the error for that.
fn read_column<'a>(column: impl ArrayAccessor<Item = &'a str>, before: usize) -> (Texts, Option<PyErr>) {
    let mut texts = Texts::default();
    for at in 0..column.len() {
        if column.is_null(at) {
            let missing = PyValueError::new_err(format!("{} is null", place(before + at)));
            return (texts, Some(missing));
        }
        texts.push(column.value(at));
    }
    (texts, None)
}

/// Returns the position of an id, for messages.
pub(crate) fn place(number: usize) -> String {
    format!("ids[{number}]")
}
