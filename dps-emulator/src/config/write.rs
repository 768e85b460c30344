//! The configuration of an emulator that runs, as a file that starts an equal one, with the files of its keys.

use std::io::Write;
use std::path::{Path, PathBuf};

use dps_files::{FileError, Ownership, PrivateFile, WhenThere, create_private_folder};
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::export::{Export, KeyText};

/// The name of the configuration in the directory that it is saved in.
const CONFIG_FILE: &str = "emulator.toml";
const KEYS: &str = "keys";
const HEADER: &str = "\
# The configuration of an emulator, as it ran: dps emulator --config FILE
# The keys are in files of their own, which an export writes if it is asked to show keys. Without the line of a key,
# another one is generated.

";

/// A file with a key that a configuration names.
#[derive(Debug, Clone, Deserialize)]
#[non_exhaustive]
pub struct KeyFile {
    /// The path, relative to the configuration, with `/`.
    pub name: String,
    /// The key, or the URL of a webhook; absent if the export masks keys.
    pub key: Option<KeyText>,
}

/// The configuration of an emulator that runs, from [`Emulator::export_config`](crate::Emulator::export_config) or from
/// another process.
#[derive(Debug, Clone)]
pub struct ExportedConfig {
    toml: String,
    key_files: Vec<KeyFile>,
}

/// Why a configuration could not be exported.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ExportError {
    /// The reply is not one of an emulator.
    #[error("the reply is not the configuration of an emulator: {0}")]
    Reply(String),
    /// A file exists already, or cannot be created. Files that exist are not changed.
    #[error(transparent)]
    File(#[from] FileError),
    /// A directory cannot be created, or a file not written.
    #[error("cannot write {}: {source}", path.display())]
    Write {
        /// The directory or file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Reply {
    configuration: Map<String, Value>,
    key_files: Vec<KeyFile>,
}

impl ExportedConfig {
    pub(crate) fn new(export: Export) -> Result<Self, ExportError> {
        let key_files = export.key_files.into_iter().map(|file| KeyFile { name: file.name, key: file.key });
        Ok(Self { toml: to_toml(export.configuration)?, key_files: key_files.collect() })
    }

    /// Reads the reply to `GET /emulator/configuration`.
    ///
    /// # Errors
    /// [`ExportError::Reply`].
    pub fn from_reply(reply: Value) -> Result<Self, ExportError> {
        let wrong = |what: &str| ExportError::Reply(what.to_owned());
        let reply: Reply = serde_json::from_value(reply).map_err(|_| wrong("a member is missing or invalid"))?;
        if reply.key_files.iter().any(|file| !is_key_file(&file.name)) {
            return Err(wrong("the name of a key file is not one that an emulator chooses"));
        }
        Ok(Self { toml: to_toml(reply.configuration)?, key_files: reply.key_files })
    }

    /// The configuration, which contains no key.
    #[must_use]
    pub fn toml(&self) -> &str {
        &self.toml
    }

    /// The files that the configuration names.
    pub fn key_files(&self) -> impl Iterator<Item = &KeyFile> {
        self.key_files.iter()
    }

    /// Writes `emulator.toml` into this directory, and the keys that are not masked into files of `keys` in it, all readable
    /// by their owner alone (0600). No existing file is changed. Returns the path of `emulator.toml`.
    ///
    /// # Errors
    /// [`ExportError`] for the directory or a file. What was written before stays.
    pub fn save(&self, directory: impl AsRef<Path>) -> Result<PathBuf, ExportError> {
        let directory = directory.as_ref();
        let config = directory.join(CONFIG_FILE);
        let shown: Vec<_> = self.key_files.iter().filter_map(|file| Some((&file.name, file.key.as_ref()?))).collect();
        let folders = [Some(directory.to_owned()), (!shown.is_empty()).then(|| directory.join(KEYS))];
        for path in folders.into_iter().flatten() {
            create_private_folder(&path).map_err(|source| ExportError::Write { path, source })?;
        }
        PrivateFile::new(&config).check(WhenThere::Refuse)?;
        for (name, key) in shown {
            write_new(directory.join(name), key.expose().as_bytes())?;
        }
        write_new(config.clone(), self.toml.as_bytes())?;
        Ok(config)
    }
}

fn write_new(path: PathBuf, content: &[u8]) -> Result<(), ExportError> {
    let file = PrivateFile::new(path);
    let mut draft = file.draft(Ownership::Private, WhenThere::Refuse)?;
    let written = draft.write_all(content);
    written.map_err(|source| ExportError::Write { path: file.path().to_owned(), source })?;
    Ok(draft.finish()?)
}

/// Whether an emulator chooses this name: what another service replies must not be written elsewhere.
fn is_key_file(name: &str) -> bool {
    let plain = |name: &str| name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._%".contains(&b));
    name.strip_prefix("keys/").is_some_and(|name| name.len() > 1 && !name.starts_with('.') && plain(name))
}

fn to_toml(mut configuration: Map<String, Value>) -> Result<String, ExportError> {
    configuration.iter_mut().for_each(|(name, value)| make_writable(name, value));
    let text = toml::to_string_pretty(&configuration).map_err(|error| ExportError::Reply(error.to_string()))?;
    Ok(format!("{HEADER}{text}"))
}

/// Replaces what TOML does not have, null and large numbers, by a string with JSON, where the reader accepts that.
fn make_writable(name: &str, value: &mut Value) {
    match name {
        "tags" | "desired" | "patch" if !is_writable(value) => *value = value.to_string().into(),
        "optionalDeviceInformation" if value.is_string() || !is_writable(value) => *value = value.to_string().into(),
        "tags" | "desired" | "patch" | "optionalDeviceInformation" => {}
        _ => match value {
            Value::Object(members) => members.iter_mut().for_each(|(name, value)| make_writable(name, value)),
            Value::Array(items) => items.iter_mut().for_each(|value| make_writable("", value)),
            _ => {}
        },
    }
}

fn is_writable(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Number(number) => number.is_i64() || number.is_f64(),
        Value::Array(items) => items.iter().all(is_writable),
        Value::Object(members) => members.values().all(is_writable),
        Value::Bool(_) | Value::String(_) => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn key_files_outside_of_their_directory_are_refused() {
        for name in
            ["../evil", "keys/../evil", "keys/a/b", "keys/", "keys/.hidden", "/etc/passwd", "keys/a\\b", "keys/a\n"]
        {
            assert!(!is_key_file(name), "{name}");
        }
        assert!(is_key_file("keys/enrollment-dev%3A01-primary.key"));
    }
}
