//! A file that is being written. It gets its final name in one step, once it is complete.
//!
//! An unfinished file may contain a key, so it must not remain. On Linux a draft has no name, and the kernel removes it
//! when the process ends, even if it is killed. A draft that replaces a file has a temporary name between its link and
//! its rename; on a file system without unnamed files it has one from the beginning. Temporary names are
//! `.dps-*.unfinished`, and the process holds a lock on the file: the next write into the directory removes the files
//! that are not locked.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tempfile::{NamedTempFile, TempPath};

use crate::FileError;
use crate::ownership::Ownership;
use crate::read::{check_regular, open_no_link};

const PREFIX: &str = ".dps-";
const SUFFIX: &str = ".unfinished";

/// The drafts of this process that have a temporary name. Locked while a draft gets a name.
static NAMED: Mutex<Named> = Mutex::new(Named { paths: Vec::new(), closed: false });

struct Named {
    paths: Vec<PathBuf>,
    closed: bool,
}

/// Removes every unfinished file of this process, and prevents that any is finished later: for a program that is about to
/// exit. A file that is being renamed to its final name is finished first.
pub fn abandon_drafts() {
    let mut named = lock_named();
    named.closed = true;
    for path in named.paths.drain(..) {
        _ = fs::remove_file(path);
    }
}

fn lock_named() -> MutexGuard<'static, Named> {
    NAMED.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What to do if a file exists at the path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WhenThere {
    /// Return an error and leave the file unchanged.
    Refuse,
    /// Replace the file in one step.
    Replace,
}

/// The steps of writing a file, at which tests can stop it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum WritePoint {
    Owned,
    OnDisk,
    /// Only if a file is replaced, or the file system has no unnamed files.
    Named,
    Renamed,
    Done,
}

/// A file that is being written, by [`Write`]. If it is dropped before [`finish`](Self::finish), it is removed.
#[derive(Debug)]
pub struct Draft {
    file: File,
    target: PathBuf,
    ownership: Ownership,
    when_there: WhenThere,
    /// On a file system without unnamed files.
    name: Option<TempPath>,
}

impl Draft {
    pub(crate) fn begin(target: &Path, ownership: Ownership, when_there: WhenThere) -> io::Result<Self> {
        remove_abandoned(folder(target));
        check_target(target, when_there)?;
        Self::in_file(make_nameless(folder(target)), target, ownership, when_there)
    }

    /// A draft in this unnamed file; without one, in a new file with a temporary name.
    fn in_file(nameless: Option<File>, target: &Path, ownership: Ownership, when_there: WhenThere) -> io::Result<Self> {
        let (file, name) = match nameless {
            Some(file) => (file, None),
            None => make_named(folder(target))?,
        };
        Ok(Self { file, target: target.to_owned(), ownership, when_there, name })
    }

    /// Writes the file to the disk and gives it its name.
    ///
    /// # Errors
    /// [`FileError`] of the file system; of the kind [`io::ErrorKind::AlreadyExists`] with [`WhenThere::Refuse`] if a file
    /// exists now.
    pub fn finish(self) -> Result<(), FileError> {
        let target = self.target.clone();
        self.finish_watched(&mut |_| {}).map_err(|error| FileError::not_written(&target, error))
    }

    fn finish_watched(self, watch: &mut dyn FnMut(WritePoint)) -> io::Result<()> {
        self.ownership.set(&self.file, &self.target, folder(&self.target))?;
        watch(WritePoint::Owned);
        self.file.sync_all()?;
        watch(WritePoint::OnDisk);
        self.take_place(watch)?;
        watch(WritePoint::Renamed);
        sync_folder(folder(&self.target))?;
        watch(WritePoint::Done);
        Ok(())
    }

    fn take_place(&self, watch: &mut dyn FnMut(WritePoint)) -> io::Result<()> {
        let named = lock_named();
        if named.closed {
            return Err(io::Error::other("the program was interrupted"));
        }
        let linked;
        let name: &Path = match &self.name {
            Some(name) => name,
            None => {
                match link(&self.file, &self.target) {
                    Err(error)
                        if error.kind() == io::ErrorKind::AlreadyExists && self.when_there == WhenThere::Replace => {}
                    done => return done,
                }
                linked = with_name(folder(&self.target), |path| link(&self.file, path))?.into_temp_path();
                &linked
            }
        };
        watch(WritePoint::Named);
        check_target(&self.target, self.when_there)?;
        // After the rename, dropping the temporary path removes nothing.
        match self.when_there {
            WhenThere::Replace => fs::rename(name, &self.target),
            WhenThere::Refuse => {
                TempPath::try_from_path(name)?.persist_noclobber(&self.target).map_err(|error| error.error)
            }
        }
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
        if let Some(name) = &self.name {
            lock_named().paths.retain(|path| path.as_path() != &**name);
        }
    }
}

/// Returns an error if something at the path must not be replaced.
pub(crate) fn check_target(target: &Path, when_there: WhenThere) -> io::Result<()> {
    match fs::symlink_metadata(target) {
        Err(_) => Ok(()),
        Ok(there) if there.is_symlink() => Err(io::Error::other("it is a link, which is not followed")),
        Ok(there) if !there.is_file() => Err(io::Error::other("it exists and is not a regular file")),
        Ok(_) if when_there == WhenThere::Refuse => {
            Err(io::Error::new(io::ErrorKind::AlreadyExists, "it exists already and was not changed"))
        }
        Ok(_) => Ok(()),
    }
}

pub(crate) fn folder(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Creates something under a random temporary name in this folder.
fn with_name<R>(folder: &Path, make: impl FnMut(&Path) -> io::Result<R>) -> io::Result<NamedTempFile<R>> {
    tempfile::Builder::new().prefix(PREFIX).suffix(SUFFIX).make_in(folder, make)
}

fn make_named(folder: &Path) -> io::Result<(File, Option<TempPath>)> {
    let mut named = lock_named();
    let made = with_name(folder, |path| {
        let file = open_no_link(OpenOptions::new().write(true).create_new(true), path)?;
        // On a file system without locks, other processes cannot lock it either, and so do not remove it.
        _ = file.try_lock();
        // Another process may have removed it before it was locked: the next attempt has another name.
        if was_removed(&file) { Err(io::ErrorKind::AlreadyExists.into()) } else { Ok(file) }
    })?;
    let (file, name) = made.into_parts();
    named.paths.push(name.to_path_buf());
    Ok((file, Some(name)))
}

/// Removes the drafts in this folder whose processes were killed. Errors are ignored, since they prevent no write.
pub(crate) fn remove_abandoned(folder: &Path) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let name = name.as_encoded_bytes();
        if name.starts_with(PREFIX.as_bytes()) && name.ends_with(SUFFIX.as_bytes()) {
            _ = remove_if_abandoned(&entry.path());
        }
    }
}

fn remove_if_abandoned(path: &Path) -> io::Result<()> {
    let file = open_no_link(OpenOptions::new().write(true), path)?;
    check_regular(&file)?;
    file.try_lock()?;
    // Before the lock, its process may have renamed it, so that another file has this path now.
    if is_at(&file, path)? { fs::remove_file(path) } else { Ok(()) }
}

#[cfg(unix)]
fn is_at(file: &File, path: &Path) -> io::Result<bool> {
    use std::os::unix::fs::MetadataExt;
    let (ours, there) = (file.metadata()?, fs::symlink_metadata(path)?);
    Ok((ours.dev(), ours.ino()) == (there.dev(), there.ino()))
}

/// Outside Unix, only the random name can tell: it is not used twice.
#[cfg(not(unix))]
fn is_at(_: &File, path: &Path) -> io::Result<bool> {
    fs::symlink_metadata(path).map(|_| true)
}

#[cfg(unix)]
fn was_removed(file: &File) -> bool {
    use std::os::unix::fs::MetadataExt;
    file.metadata().is_ok_and(|metadata| metadata.nlink() == 0)
}

#[cfg(not(unix))]
fn was_removed(_: &File) -> bool {
    false
}

/// A new unnamed file, locked; `None` where that is not supported.
#[cfg(target_os = "linux")]
fn make_nameless(folder: &Path) -> Option<File> {
    use rustix::fs::OFlags;
    use std::os::unix::fs::OpenOptionsExt;
    let flags = OFlags::TMPFILE.bits().cast_signed();
    let file = OpenOptions::new().write(true).mode(0o600).custom_flags(flags).open(folder).ok()?;
    // It gets its name by a link to this path.
    fs::symlink_metadata(name_in_proc(&file)).ok()?;
    _ = file.try_lock();
    Some(file)
}

#[cfg(target_os = "linux")]
fn name_in_proc(file: &File) -> PathBuf {
    use std::os::fd::AsRawFd;
    format!("/proc/self/fd/{}", file.as_raw_fd()).into()
}

/// Links an unnamed file to a name.
#[cfg(target_os = "linux")]
fn link(file: &File, path: &Path) -> io::Result<()> {
    use rustix::fs::{AtFlags, CWD, linkat};
    Ok(linkat(CWD, name_in_proc(file), CWD, path, AtFlags::SYMLINK_FOLLOW)?)
}

#[cfg(not(target_os = "linux"))]
fn make_nameless(_: &Path) -> Option<File> {
    None
}

#[cfg(not(target_os = "linux"))]
fn link(_: &File, _: &Path) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

/// Writes a directory with a new name to the disk, if the file system supports that and the directory can be read.
#[cfg(unix)]
pub(crate) fn sync_folder(folder: &Path) -> io::Result<()> {
    match File::open(folder).and_then(|folder| folder.sync_all()) {
        Err(error) if matches!(error.kind(), io::ErrorKind::PermissionDenied | io::ErrorKind::InvalidInput) => Ok(()),
        done => done,
    }
}

#[cfg(not(unix))]
pub(crate) fn sync_folder(_: &Path) -> io::Result<()> {
    Ok(())
}

#[cfg(all(test, unix))]
mod tests {
    use std::io::{BufRead, BufReader};
    use std::process::{Command, Stdio};

    use super::*;
    use crate::PrivateFile;

    /// For the process that is killed: how it writes, the point at which it stops, and where.
    const WRITER: [&str; 3] = ["DPS_TEST_DRAFT", "DPS_TEST_POINT", "DPS_TEST_TARGET"];
    const POINTS: [WritePoint; 5] =
        [WritePoint::Owned, WritePoint::OnDisk, WritePoint::Named, WritePoint::Renamed, WritePoint::Done];

    fn draft(named: bool, target: &Path, when_there: WhenThere) -> Draft {
        let nameless = if named { None } else { make_nameless(folder(target)) };
        Draft::in_file(nameless, target, Ownership::Private, when_there).unwrap()
    }

    /// Is the process that is killed, in the test below; by itself, it does nothing.
    #[test]
    fn writer_that_stops_at_a_point() {
        let [Ok(named), Ok(point), Ok(target)] = WRITER.map(std::env::var) else { return };
        let stop_at = |reached: WritePoint| {
            if format!("{reached:?}") == point {
                io::stderr().write_all(b"reached\n").unwrap();
                loop {
                    std::thread::park();
                }
            }
        };
        let mut draft = draft(named == "named", Path::new(&target), WhenThere::Replace);
        draft.write_all(b"the new key").unwrap();
        draft.finish_watched(&mut { stop_at }).unwrap();
    }

    fn names(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<String> = entries.collect();
        names.sort_unstable();
        names
    }

    fn kill_writer_at(point: WritePoint, kind: &str, target: &Path) -> bool {
        let mut writer = Command::new(std::env::current_exe().unwrap());
        writer.args(["--exact", "--nocapture", "draft::tests::writer_that_stops_at_a_point"]);
        let values = [kind.to_owned(), format!("{point:?}"), target.to_str().unwrap().to_owned()];
        let mut writer = writer.envs(WRITER.into_iter().zip(values)).stderr(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(writer.stderr.take().unwrap()).lines();
        let reached = lines.map(Result::unwrap).any(|line| line.contains("reached"));
        writer.kill().unwrap();
        writer.wait().unwrap();
        reached
    }

    #[test]
    fn killed_writer_leaves_no_unfinished_file_after_the_next_start() {
        for (kind, old) in [("nameless", None), ("nameless", Some("old")), ("named", None), ("named", Some("old"))] {
            for point in POINTS {
                let folder = tempfile::tempdir().unwrap();
                let file = PrivateFile::new(folder.path().join("a"));
                if let Some(old) = old {
                    fs::write(file.path(), old).unwrap();
                }
                let reached = kill_writer_at(point, kind, file.path());
                let linked_in_place = cfg!(target_os = "linux") && kind == "nameless" && old.is_none();
                assert_eq!(reached, point != WritePoint::Named || !linked_in_place, "{kind} {old:?} {point:?}");
                if cfg!(target_os = "linux") && kind == "nameless" && point != WritePoint::Named {
                    let left = names(folder.path());
                    assert!(left.iter().all(|name| name == "a"), "{point:?}: {left:?}");
                }
                drop(file.lock().unwrap());
                let is_new = !reached || matches!(point, WritePoint::Renamed | WritePoint::Done);
                let expected = if is_new { Some("the new key") } else { old };
                assert_eq!(fs::read_to_string(file.path()).ok().as_deref(), expected, "{kind} {point:?}");
                let left = names(folder.path());
                assert!(left.iter().all(|name| ["a", "a.lock"].contains(&name.as_str())), "{kind} {point:?}: {left:?}");
            }
        }
    }

    #[test]
    fn draft_of_a_running_process_is_not_removed() {
        let folder = tempfile::tempdir().unwrap();
        let file = PrivateFile::new(folder.path().join("a"));
        let mut draft = draft(true, file.path(), WhenThere::Replace);
        draft.write_all(b"first").unwrap();
        file.replace(b"second", Ownership::Private).unwrap();
        assert_eq!(names(folder.path()).len(), 2);
        draft.finish().unwrap();
        assert_eq!(fs::read(file.path()).unwrap(), b"first");
        assert_eq!(names(folder.path()), ["a"]);
    }

    #[test]
    fn draft_is_written_whole_or_not_at_all() {
        use std::os::unix::fs::PermissionsExt;
        for named in [false, true] {
            let folder = tempfile::tempdir().unwrap();
            let target = folder.path().join("a");
            let write = |content: &[u8], when_there| {
                let mut draft = draft(named, &target, when_there);
                draft.write_all(content).unwrap();
                draft.finish()
            };
            draft(named, &target, WhenThere::Replace).write_all(b"half").unwrap();
            assert_eq!(names(folder.path()), [""; 0]);
            write(b"one", WhenThere::Refuse).unwrap();
            assert_eq!(write(b"two", WhenThere::Refuse).unwrap_err().kind(), io::ErrorKind::AlreadyExists);
            assert_eq!(fs::read(&target).unwrap(), b"one");
            write(b"two", WhenThere::Replace).unwrap();
            assert_eq!(fs::read(&target).unwrap(), b"two");
            assert_eq!(fs::metadata(&target).unwrap().permissions().mode() & 0o7777, 0o600);
            assert_eq!(names(folder.path()), ["a"]);
        }
    }

    #[test]
    fn links_folders_and_devices_are_not_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let link = folder.path().join("link");
        std::os::unix::fs::symlink("elsewhere", &link).unwrap();
        for path in [link.as_path(), folder.path(), Path::new("/dev/null")] {
            let file = PrivateFile::new(path);
            for when_there in [WhenThere::Refuse, WhenThere::Replace] {
                assert!(file.check(when_there).is_err(), "{}", path.display());
                assert!(file.draft(Ownership::Private, when_there).is_err(), "{}", path.display());
            }
        }
        assert_eq!(names(folder.path()), ["link"]);
    }

    /// Each point stands for a loss of power: what is then in a copy of the folder, with no destructor run.
    #[test]
    fn stop_at_any_point_of_writing_leaves_the_old_content_or_the_new() {
        let (folder, crashed) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let file = PrivateFile::new(folder.path().join("a"));
        for (content, before) in [(&b"the first"[..], None), (b"the second, which is longer", Some(&b"the first"[..]))]
        {
            let look = |point: &str| {
                let copy = crashed.path().join(format!("{}-{point}", content.len()));
                fs::create_dir(&copy).unwrap();
                for name in names(folder.path()) {
                    fs::copy(folder.path().join(&name), copy.join(&name)).unwrap();
                }
                let found = PrivateFile::new(copy.join("a")).read(100).unwrap();
                let expected = if ["Renamed", "Done"].contains(&point) { Some(content) } else { before };
                assert_eq!(found.as_deref().map(Vec::as_slice), expected, "{point}");
            };
            let mut draft = file.draft(Ownership::Private, WhenThere::Replace).unwrap();
            look("Begun");
            draft.write_all(&content[..5]).unwrap();
            look("HalfWritten");
            draft.write_all(&content[5..]).unwrap();
            look("Written");
            draft.finish_watched(&mut |point| look(&format!("{point:?}"))).unwrap();
        }
        assert_eq!(names(folder.path()), ["a"]);
    }

    #[test]
    fn mode_is_that_of_the_replaced_file_where_that_is_asked_for() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let file = PrivateFile::new(folder.path().join("a"));
        let mode = || fs::metadata(file.path()).unwrap().permissions().mode() & 0o7777;
        file.replace(b"1", Ownership::Kept).unwrap();
        assert_eq!(mode(), 0o600);
        fs::set_permissions(file.path(), fs::Permissions::from_mode(0o640)).unwrap();
        file.replace(b"2", Ownership::Kept).unwrap();
        assert_eq!(mode(), 0o640);
        // Set-uid and set-gid were granted for the old content.
        fs::set_permissions(file.path(), fs::Permissions::from_mode(0o6640)).unwrap();
        file.replace(b"2", Ownership::Kept).unwrap();
        assert_eq!(mode(), 0o640);
        file.replace(b"3", Ownership::Private).unwrap();
        assert_eq!(mode(), 0o600);
    }
}
