//! Where registration ids come from in bulk: a Python iterator, or a column of Arrow's.
//!
//! Ids are held as they came and read in place; nothing is copied.

use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayAccessor, ArrayRef};
use arrow_schema::DataType;
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyIterator, PyString};
use pyo3_arrow::ffi::ArrayReader;
use pyo3_arrow::input::AnyArray;

use crate::secret::type_name;

/// What is still to be taken.
pub(crate) enum IdSource {
    Iterator(Py<PyIterator>),
    Columns {
        reader: Box<dyn ArrayReader + Send>,
        /// The column that was begun, and how much of it is taken.
        begun: Option<(ArrayRef, usize)>,
    },
    Ended,
}

/// Ids that were taken.
pub(crate) enum Ids<'py> {
    Strings(Vec<Bound<'py, PyString>>),
    Column(ArrayRef),
}

impl IdSource {
    pub(crate) fn of(ids: &Bound<'_, PyAny>) -> PyResult<Self> {
        if ids.is_instance_of::<PyString>() || ids.is_instance_of::<PyBytes>() {
            return Err(PyTypeError::new_err("ids is one text; give several in a list, or use derive_device_key"));
        }
        let py = ids.py();
        if !ids.hasattr(intern!(py, "__arrow_c_array__"))? && !ids.hasattr(intern!(py, "__arrow_c_stream__"))? {
            return ids.try_iter().map(|iterator| Self::Iterator(iterator.unbind()));
        }
        let reader = ids.extract::<AnyArray>()?.into_reader()?;
        match reader.field().data_type() {
            DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => Ok(Self::Columns { reader, begun: None }),
            other => Err(PyTypeError::new_err(format!("ids is a column of {other}; one column of strings is needed"))),
        }
    }

    /// Up to `count` ids, none at the end; and what kept it from going on.
    pub(crate) fn take<'py>(&mut self, py: Python<'py>, count: usize) -> (Ids<'py>, Option<PyErr>) {
        match self {
            Self::Iterator(iterator) => from_iterator(iterator.bind(py), count),
            Self::Columns { reader, begun } => match py.detach(|| from_columns(reader.as_mut(), begun, count)) {
                Ok(column) => (Ids::Column(column), None),
                Err(error) => (Ids::Strings(Vec::new()), error.map(PyValueError::new_err)),
            },
            Self::Ended => (Ids::Strings(Vec::new()), None),
        }
    }
}

fn from_iterator<'py>(iterator: &Bound<'py, PyIterator>, count: usize) -> (Ids<'py>, Option<PyErr>) {
    let mut strings = Vec::with_capacity(count);
    let mut unfit = None;
    for id in iterator.clone().take(count) {
        match id {
            Ok(id) => match id.cast_into::<PyString>() {
                Ok(string) => strings.push(string),
                Err(other) => {
                    let name = type_name(&other.into_inner());
                    unfit = Some(PyTypeError::new_err(format!("an id is a str, not {name}")));
                    break;
                }
            },
            Err(raised) => {
                unfit = Some(raised);
                break;
            }
        }
    }
    (Ids::Strings(strings), unfit)
}

/// Up to `count` ids of one column; an error, or none at the end.
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

impl Ids<'_> {
    /// The texts up to the first that cannot be read, and why. `before` is how many ids went before.
    pub(crate) fn texts(&self, before: usize) -> (Vec<&str>, Option<PyErr>) {
        match self {
            Self::Strings(strings) => {
                let mut texts = Vec::with_capacity(strings.len());
                for string in strings {
                    match string.to_str() {
                        Ok(text) => texts.push(text),
                        Err(raised) => return (texts, Some(raised)),
                    }
                }
                (texts, None)
            }
            Self::Column(column) => match column.data_type() {
                DataType::Utf8 => of_column(column.as_string::<i32>(), before),
                DataType::LargeUtf8 => of_column(column.as_string::<i64>(), before),
                _ => of_column(column.as_string_view(), before),
            },
        }
    }
}

fn of_column<'a>(column: impl ArrayAccessor<Item = &'a str>, before: usize) -> (Vec<&'a str>, Option<PyErr>) {
    let mut texts = Vec::with_capacity(column.len());
    for at in 0..column.len() {
        if column.is_null(at) {
            let missing = PyValueError::new_err(format!("{} is null", place(before + at)));
            return (texts, Some(missing));
        }
        texts.push(column.value(at));
    }
    (texts, None)
}

/// Where an id stands, for messages.
pub(crate) fn place(number: usize) -> String {
    format!("ids[{number}]")
}
