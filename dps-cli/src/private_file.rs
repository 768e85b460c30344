//! The files that the program writes, by `dps_client::PrivateFile`; its errors become the program's failures.

use std::error::Error as _;
use std::io::{self, Write};
use std::path::Path;

use dps_client::{DpsError, Ownership, PrivateFile};
use tempfile::TempDir;

use crate::failure::{Failure, Result};

pub(crate) use dps_client::WhenThere;

/// A file that is being written. Dropped before it is finished, it leaves nothing behind.
pub(crate) struct Draft {
    draft: dps_client::Draft,
    target: PrivateFile,
}

impl Draft {
    /// Begins a file for `target`.
    pub(crate) fn begin(target: &Path, when_there: WhenThere) -> Result<Self> {
        Self::owned(target, Ownership::Private, when_there)
    }

    fn owned(target: &Path, ownership: Ownership, when_there: WhenThere) -> Result<Self> {
        let target = PrivateFile::new(target);
        let draft = target.draft(ownership, when_there).map_err(|error| not_written(&target, error))?;
        Ok(Self { draft, target })
    }

    /// Writes all of a small file and puts it on the disk under its name.
    pub(crate) fn write_whole(mut self, bytes: &[u8]) -> Result<()> {
        self.write_all(bytes).map_err(|error| Failure::file("write", self.target.path(), &error))?;
        self.finish()
    }

    /// Puts the file on the disk under its name.
    pub(crate) fn finish(self) -> Result<()> {
        self.draft.finish().map_err(|error| match error.kind() {
            io::ErrorKind::AlreadyExists => already_there(self.target.path()),
            _ => Failure::file("write", self.target.path(), &error),
        })
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
    let target = PrivateFile::new(target);
    target.check(when_there).map_err(|error| not_written(&target, error))
}

fn not_written(target: &PrivateFile, error: DpsError) -> Failure {
    let source = error.source().and_then(|source| source.downcast_ref::<io::Error>());
    match source.map(io::Error::kind) {
        Some(io::ErrorKind::AlreadyExists) => already_there(target.path()),
        _ => error.into(),
    }
}

fn already_there(target: &Path) -> Failure {
    Failure::new(
        dps_core::ErrorCode::File,
        format!(
            "{} is there already and was left as it is; remove it, name another file, or say --force where the command has it",
            target.display()
        ),
    )
}
