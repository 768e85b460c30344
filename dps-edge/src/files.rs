//! Looks at a key file: how long it is, who can read it, and whether it holds text where raw bytes belong.

use std::fs::{Metadata, metadata};
use std::io::ErrorKind;
use std::path::Path;

use dps_client::file;
use dps_core::Key;
use dps_core::secret::{KEY_MAX, KEY_MIN};
use zeroize::Zeroizing;

use crate::finding::Problem;

/// No key file is longer, in bytes.
pub(crate) const KEY_FILE_MAX: usize = 4096;

/// What is wrong with the file.
pub(crate) fn check(path: &Path) -> Vec<Problem> {
    let (bytes, metadata) = match read(path) {
        Ok(read) => read,
        Err(error) if error.kind() == ErrorKind::FileTooLarge => {
            return vec![Problem::KeyFileLength { length: KEY_FILE_MAX + 1 }];
        }
        Err(_) => return vec![Problem::KeyFileUnreadable],
    };
    let mut problems = Vec::new();
    if is_base64(&bytes) {
        problems.push(Problem::Base64InKeyFile);
    } else if !(KEY_MIN..=KEY_MAX).contains(&bytes.len()) {
        problems.push(Problem::KeyFileLength { length: bytes.len() });
    }
    problems.extend(mode_open_to_others(&metadata).map(|mode| Problem::KeyFileMode { mode }));
    problems
}

/// The bytes of a key file, which may come through a FIFO.
pub(crate) fn read(path: &Path) -> std::io::Result<(Zeroizing<Vec<u8>>, Metadata)> {
    let metadata = metadata(path)?;
    Ok((file::read_secret(path, KEY_FILE_MAX as u64)?, metadata))
}

/// Raw bytes that all happen to be base64 digits are as good as impossible.
fn is_base64(bytes: &[u8]) -> bool {
    std::str::from_utf8(bytes).is_ok_and(|text| Key::from_base64(text.trim_ascii()).is_ok())
}

#[cfg(unix)]
fn mode_open_to_others(metadata: &Metadata) -> Option<u32> {
    use std::os::unix::fs::MetadataExt;
    let mode = metadata.mode() & 0o7777;
    (metadata.is_file() && mode & 0o077 != 0).then_some(mode)
}

#[cfg(not(unix))]
fn mode_open_to_others(_: &Metadata) -> Option<u32> {
    None
}
