//! The files that the program writes, by `dps_files`; its errors become the program's failures.

use std::io::{self, Write};
use std::path::Path;

use dps_core::ErrorCode;
use dps_files::{FileError, Ownership, PrivateFile};
use tempfile::TempDir;

use crate::failure::{Failure, Result};

pub(crate) use dps_files::WhenThere;

/// A file that is being written. Dropped before it is finished, it leaves nothing behind.
pub(crate) struct Draft {
    draft: dps_files::Draft,
    target: PrivateFile,
}

impl Draft {
    /// Begins a file for `target`.
    pub(crate) fn begin(target: &Path, when_there: WhenThere) -> Result<Self> {
        Self::owned(target, Ownership::Private, when_there)
    }

    fn owned(target: &Path, ownership: Ownership, when_there: WhenThere) -> Result<Self> {
        let target = PrivateFile::new(target);
        let draft = target.draft(ownership, when_there)?;
        Ok(Self { draft, target })
    }

    /// Writes all of a small file and puts it on the disk under its name.
    pub(crate) fn write_whole(mut self, bytes: &[u8]) -> Result<()> {
        self.write_all(bytes).map_err(|error| Failure::file("write", self.target.path(), &error))?;
        self.finish()
    }

    /// Puts the file on the disk under its name.
    pub(crate) fn finish(self) -> Result<()> {
        Ok(self.draft.finish()?)
    }
}

impl Write for Draft {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.draft.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.draft.flush()
    }
}

impl From<FileError> for Failure {
    fn from(error: FileError) -> Self {
        let message = match error.kind() {
            io::ErrorKind::AlreadyExists => format!(
                "{} is there already and was left as it is; remove it, name another file, or say --force where the command has it",
                error.path().display()
            ),
            _ => error.to_string(),
        };
        Self::new(ErrorCode::File, message)
    }
}

/// Writes a small file at once.
pub(crate) fn write(target: &Path, bytes: &[u8], when_there: WhenThere) -> Result<()> {
    Draft::begin(target, when_there)?.write_whole(bytes)
}

/// Writes a small file that everybody may read, in place of what is there.
pub(crate) fn write_public(target: &Path, bytes: &[u8]) -> Result<()> {
    Draft::owned(target, Ownership::Public, WhenThere::Replace)?.write_whole(bytes)
}

/// A folder for its owner alone, gone when it is dropped.
pub(crate) fn temporary_folder() -> Result<TempDir> {
    let mut builder = tempfile::Builder::new();
    builder.prefix("dps-");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        builder.permissions(std::fs::Permissions::from_mode(0o700));
    }
    builder.tempdir().map_err(|error| Failure::file("make a folder in", &std::env::temp_dir(), &error))
}

/// Finds out early whether `target` can be written.
pub(crate) fn check_target(target: &Path, when_there: WhenThere) -> Result<()> {
    Ok(PrivateFile::new(target).check(when_there)?)
}
