//! The folder of a configuration: which file is the one that people write, and which others the daemons read.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// The folders of the daemons below `/etc/aziot`.
const DAEMONS: [&str; 5] = ["certd", "edged", "identityd", "keyd", "tpmd"];
/// What `iotedge config apply` writes into the `config.d` of each.
const WRITTEN: &str = "00-super.toml";

/// The configuration in a folder such as `/etc/aziot` or `/etc/iotedge`: its `config.toml`, or else its `config.yaml`.
///
/// # Errors
/// `NotFound` when it has neither.
pub fn configuration_in(folder: &Path) -> io::Result<PathBuf> {
    let candidates = ["config.toml", "config.yaml"].map(|name| folder.join(name));
    let message = "there is neither config.toml nor config.yaml in it";
    candidates.into_iter().find(|path| path.exists()).ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, message))
}

/// The files that the daemons read beside those that `iotedge config apply` writes, in the order of their names.
///
/// # Errors
/// A folder that is there and cannot be read.
pub fn stray_files(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut stray = Vec::new();
    for daemon in DAEMONS.map(|daemon| folder.join(daemon)) {
        stray.extend(Some(daemon.join("config.toml")).filter(|path| path.is_file()));
        let parts = match fs::read_dir(daemon.join("config.d")) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            parts => parts?.map(|part| part.map(|part| part.path())).collect::<io::Result<Vec<_>>>()?,
        };
        let is_stray = |path: &PathBuf| {
            path.extension() == Some(OsStr::new("toml")) && path.file_name() != Some(OsStr::new(WRITTEN))
        };
        stray.extend(parts.into_iter().filter(is_stray));
    }
    stray.sort();
    Ok(stray)
}
