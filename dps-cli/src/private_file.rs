//! Files that hold secrets: for their owner alone, whole or not at all.
//!
//! A draft stands beside its target under a random name and takes its name when it is complete. What is unfinished
//! when the program is interrupted is removed.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tempfile::{NamedTempFile, TempDir, TempPath};

use crate::failure::{Failure, Result};

/// The unfinished file of this process, and whether any may still be made or finished.
static UNFINISHED: Mutex<Unfinished> = Mutex::new(Unfinished { path: None, closed: false });

struct Unfinished {
    path: Option<TempPath>,
    closed: bool,
}

/// What to do when the target is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WhenThere {
    Refuse,
    Replace,
}

/// A file in the making. Dropped unfinished, it leaves nothing.
pub(crate) struct Draft {
    file: File,
    target: PathBuf,
    when_there: WhenThere,
}

impl Draft {
    /// Begins a file for `target`; there is one at a time.
    pub(crate) fn begin(target: &Path, when_there: WhenThere) -> Result<Self> {
        check_target(target, when_there)?;
        let folder = match target.parent() {
            Some(parent) if parent != Path::new("") => parent,
            _ => Path::new("."),
        };
        let mut unfinished = lock()?;
        let (file, path) = make_temporary(folder).map_err(|error| Failure::file("write", target, &error))?.into_parts();
        unfinished.path = Some(path);
        Ok(Self { file, target: target.to_owned(), when_there })
    }

    /// Writes all of a small file and puts it on the disk under its name.
    pub(crate) fn write_whole(mut self, bytes: &[u8]) -> Result<()> {
        self.write_all(bytes).map_err(|error| Failure::file("write", &self.target, &error))?;
        self.finish()
    }

    /// Puts the file on the disk under its name.
    pub(crate) fn finish(self) -> Result<()> {
        let failed = |error: &io::Error| Failure::file("write", &self.target, error);
        self.file.sync_all().map_err(|error| failed(&error))?;
        let mut unfinished = lock()?;
        let Some(path) = unfinished.path.take() else { return Err(Failure::internal("the unfinished file is gone")) };
        let named = match self.when_there {
            WhenThere::Replace => path.persist(&self.target),
            WhenThere::Refuse => path.persist_noclobber(&self.target),
        };
        named.map_err(|error| match error.error.kind() {
            io::ErrorKind::AlreadyExists => already_there(&self.target),
            _ => failed(&error.error),
        })?;
        sync_folder(&self.target);
        Ok(())
    }
}

impl Write for Draft {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        // Removes it from the disk, unless it was finished.
        drop(UNFINISHED.lock().unwrap_or_else(PoisonError::into_inner).path.take());
    }
}

/// Writes a small file at once.
pub(crate) fn write(target: &Path, bytes: &[u8], when_there: WhenThere) -> Result<()> {
    Draft::begin(target, when_there)?.write_whole(bytes)
}

/// Writes a small file that everybody may read, in place of what is there. A link is replaced, not followed.
pub(crate) fn write_public(target: &Path, bytes: &[u8]) -> Result<()> {
    let failed = |error: io::Error| Failure::file("write", target, &error);
    let mut draft = Draft::begin(target, WhenThere::Replace)?;
    draft.write_all(bytes).map_err(failed)?;
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        draft.file.set_permissions(std::fs::Permissions::from_mode(0o644)).map_err(failed)?;
    }
    draft.finish()
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

/// Removes what is unfinished and lets nothing new begin: the program is about to end.
pub(crate) fn abandon_unfinished() {
    let mut unfinished = UNFINISHED.lock().unwrap_or_else(PoisonError::into_inner);
    unfinished.closed = true;
    drop(unfinished.path.take());
    // Held until the process has ended.
    std::mem::forget(dps_client::pause_writes());
}

/// Finds out early whether `target` can be written.
pub(crate) fn check_target(target: &Path, when_there: WhenThere) -> Result<()> {
    match std::fs::symlink_metadata(target) {
        Err(_) => Ok(()),
        Ok(metadata) if metadata.is_file() || metadata.is_symlink() => match when_there {
            WhenThere::Replace => Ok(()),
            WhenThere::Refuse => Err(already_there(target)),
        },
        Ok(_) => Err(Failure::new(
            dps_core::ErrorCode::File,
            format!("cannot write {}: it is there and is no regular file", target.display()),
        )),
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

fn lock() -> Result<MutexGuard<'static, Unfinished>> {
    let unfinished = UNFINISHED.lock().unwrap_or_else(PoisonError::into_inner);
    if unfinished.closed { Err(Failure::interrupted()) } else { Ok(unfinished) }
}

fn make_temporary(folder: &Path) -> io::Result<NamedTempFile> {
    let mut builder = tempfile::Builder::new();
    builder.prefix(".dps-").suffix(".tmp");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        builder.permissions(std::fs::Permissions::from_mode(0o600));
    }
    builder.tempfile_in(folder)
}

/// A renamed file is only safe once its folder is on the disk; not every file system can do it, and the file is
/// complete either way.
fn sync_folder(target: &Path) {
    let folder = target.parent().filter(|parent| *parent != Path::new("")).unwrap_or(Path::new("."));
    if let Ok(folder) = File::open(folder) {
        _ = folder.sync_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // One test: drafts are one at a time in a process.
    #[test]
    fn a_file_is_made_whole_or_not_at_all() {
        let folder = tempfile::tempdir().unwrap();
        let entries = || std::fs::read_dir(folder.path()).unwrap().count();
        let target = folder.path().join("keys");

        let mut draft = Draft::begin(&target, WhenThere::Refuse).unwrap();
        draft.write_all(b"half").unwrap();
        drop(draft);
        assert_eq!(entries(), 0);

        write(&target, b"one", WhenThere::Refuse).unwrap();
        assert_eq!(std::fs::read(&target).unwrap(), b"one");
        assert!(write(&target, b"two", WhenThere::Refuse).unwrap_err().message.contains("already"));
        assert_eq!(std::fs::read(&target).unwrap(), b"one");
        write(&target, b"two", WhenThere::Replace).unwrap();
        assert_eq!(std::fs::read(&target).unwrap(), b"two");
        assert_eq!(entries(), 1);
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            assert_eq!(std::fs::metadata(&target).unwrap().permissions().mode() & 0o777, 0o600);
        }
        assert!(write(folder.path(), b"", WhenThere::Replace).is_err(), "a folder was replaced");
    }
}
