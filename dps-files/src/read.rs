//! Reads files whole or not at all, up to a limit, and without waiting for a FIFO or a device.
//!
//! A path that a user names can be anything. A FIFO without a writer would block the open itself, a device could be read
//! endlessly, and a file that is truncated at a limit would be mistaken for the whole. These functions return an error
//! instead.

use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, Read};
use std::path::Path;

use zeroize::Zeroizing;

/// Opens a regular file for reading. Links are followed.
///
/// # Errors
/// Those of the file system; [`io::ErrorKind::InvalidInput`] if a directory, a FIFO or a device is at the path.
pub fn open(path: impl AsRef<Path>) -> io::Result<File> {
    let file = open_without_waiting(OpenOptions::new().read(true), path.as_ref(), 0)?;
    check_regular(&file)?;
    Ok(file)
}

/// Reads a regular file of at most `limit` bytes. The bytes are wiped when they are dropped.
///
/// # Errors
/// As [`open`], and [`io::ErrorKind::FileTooLarge`] if the file has more bytes.
pub fn read(path: impl AsRef<Path>, limit: u64) -> io::Result<Zeroizing<Vec<u8>>> {
    read_regular(open(path)?, limit)
}

/// Reads a regular file, or what comes through a FIFO within 30 s: for secrets, which a parent process may pass that
/// way. Blocks until the other end of a FIFO is closed.
///
/// # Errors
/// As [`read`], and [`io::ErrorKind::TimedOut`] if a FIFO was not written and closed in time.
pub fn read_secret(path: impl AsRef<Path>, limit: u64) -> io::Result<Zeroizing<Vec<u8>>> {
    let file = open_without_waiting(OpenOptions::new().read(true), path.as_ref(), 0)?;
    #[cfg(unix)]
    if std::os::unix::fs::FileTypeExt::is_fifo(&file.metadata()?.file_type()) {
        return read_limited(fifo::Fifo::new(file), limit, limit);
    }
    check_regular(&file)?;
    read_regular(file, limit)
}

/// Reads a regular file that was opened.
pub(crate) fn read_regular(file: File, limit: u64) -> io::Result<Zeroizing<Vec<u8>>> {
    let length = file.metadata()?.len();
    read_limited(file, limit, length)
}

/// Opens without waiting for the other end of a FIFO, and without taking a terminal as the process's own.
#[cfg(unix)]
fn open_without_waiting(options: &mut OpenOptions, path: &Path, more_flags: i32) -> io::Result<File> {
    use rustix::fs::OFlags;
    use std::os::unix::fs::OpenOptionsExt;
    let flags = (OFlags::NONBLOCK | OFlags::NOCTTY).bits().cast_signed();
    options.mode(0o600).custom_flags(flags | more_flags).open(path)
}

#[cfg(not(unix))]
fn open_without_waiting(options: &mut OpenOptions, path: &Path, _: i32) -> io::Result<File> {
    options.open(path)
}

/// Opens without following a link. A new file is for its owner alone.
#[cfg(unix)]
pub(crate) fn open_no_link(options: &mut OpenOptions, path: &Path) -> io::Result<File> {
    let opened = open_without_waiting(options, path, rustix::fs::OFlags::NOFOLLOW.bits().cast_signed());
    opened.map_err(|error| match rustix::io::Errno::from_io_error(&error) {
        Some(rustix::io::Errno::LOOP) => io::Error::new(error.kind(), "it is a link, which is not followed"),
        _ => error,
    })
}

#[cfg(not(unix))]
pub(crate) fn open_no_link(options: &mut OpenOptions, path: &Path) -> io::Result<File> {
    open_without_waiting(options, path, 0)
}

/// Returns the mode of a regular file if others than its owner have permissions on it; `None` where files have no mode.
#[cfg(unix)]
#[must_use]
pub fn mode_open_to_others(metadata: &Metadata) -> Option<u32> {
    use std::os::unix::fs::MetadataExt;
    const GROUP_AND_OTHERS: u32 = 0o077;
    let open = metadata.is_file() && metadata.mode() & GROUP_AND_OTHERS != 0;
    open.then_some(metadata.mode() & 0o7777)
}

/// Returns `None`: files have no mode on this system.
#[cfg(not(unix))]
#[must_use]
pub fn mode_open_to_others(_: &Metadata) -> Option<u32> {
    None
}

/// Returns an error if the opened file is not a regular file; the path is not checked again.
pub(crate) fn check_regular(file: &File) -> io::Result<()> {
    let kind = file.metadata()?.file_type();
    if kind.is_file() {
        return Ok(());
    }
    Err(io::Error::new(io::ErrorKind::InvalidInput, format!("it is {}, not a regular file", name_of(kind))))
}

#[cfg(unix)]
fn name_of(kind: std::fs::FileType) -> &'static str {
    use std::os::unix::fs::FileTypeExt;
    match kind {
        kind if kind.is_dir() => "a directory",
        kind if kind.is_fifo() => "a FIFO",
        kind if kind.is_char_device() || kind.is_block_device() => "a device",
        _ => "something else",
    }
}

#[cfg(not(unix))]
fn name_of(kind: std::fs::FileType) -> &'static str {
    if kind.is_dir() { "a directory" } else { "something else" }
}

fn read_limited(from: impl Read, limit: u64, expected: u64) -> io::Result<Zeroizing<Vec<u8>>> {
    // Allocated whole: a vector that grew would leave copies behind.
    let capacity = usize::try_from(limit.min(expected)).unwrap_or(usize::MAX).saturating_add(1);
    let mut bytes = Zeroizing::new(Vec::with_capacity(capacity));
    from.take(limit.saturating_add(1)).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > limit {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, format!("it has more than {limit} bytes")));
    }
    Ok(bytes)
}

#[cfg(unix)]
mod fifo {
    use std::fs::File;
    use std::io::{self, Read};
    use std::time::{Duration, Instant};

    use rustix::event::{PollFd, PollFlags, Timespec, poll};

    /// The timeout for reading from a FIFO.
    const WAIT: Duration = Duration::from_secs(30);

    /// A FIFO that was opened without waiting. Its first read waits for a writer.
    pub(super) struct Fifo {
        file: File,
        until: Instant,
    }

    impl Fifo {
        pub(super) fn new(file: File) -> Self {
            Self { file, until: Instant::now() + WAIT }
        }

        fn wait_readable(&self) -> io::Result<()> {
            let left = self.until.saturating_duration_since(Instant::now());
            let left = Timespec::try_from(left).map_err(io::Error::other)?;
            match poll(&mut [PollFd::new(&self.file, PollFlags::IN)], Some(&left)) {
                Ok(0) => {
                    let seconds = WAIT.as_secs();
                    Err(io::Error::new(
                        io::ErrorKind::TimedOut,
                        format!("it is a FIFO, and nobody wrote and closed it within {seconds} s"),
                    ))
                }
                Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
                Err(error) => Err(error.into()),
            }
        }
    }

    impl Read for Fifo {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            // Before the first writer, a read would return an end of file.
            loop {
                self.wait_readable()?;
                match self.file.read(buffer) {
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                    other => return other,
                }
            }
        }
    }
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    fn fifo(folder: &Path) -> std::path::PathBuf {
        use rustix::fs::{CWD, FileType, Mode, mknodat};
        let path = folder.join("fifo");
        mknodat(CWD, &path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
        path
    }

    #[test]
    fn read_refuses_fifos_devices_and_directories_without_waiting() {
        let folder = tempfile::tempdir().unwrap();
        let fifo = fifo(folder.path());
        for (path, word) in [(fifo.as_path(), "FIFO"), (folder.path(), "directory"), (Path::new("/dev/zero"), "device")]
        {
            let error = read(path, 10).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
            assert!(error.to_string().contains(word), "{error}");
        }
    }

    #[test]
    fn read_returns_an_error_instead_of_the_first_part_of_a_long_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        std::fs::write(&path, b"0123456789").unwrap();
        assert_eq!(read(&path, 10).unwrap().as_slice(), b"0123456789");
        assert_eq!(read(&path, 9).unwrap_err().kind(), io::ErrorKind::FileTooLarge);
        assert_eq!(read_secret(&path, 9).unwrap_err().kind(), io::ErrorKind::FileTooLarge);
    }

    #[test]
    fn error_of_a_link_names_the_link() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        std::os::unix::fs::symlink("elsewhere", &path).unwrap();
        let error = crate::PrivateFile::new(&path).read(10).unwrap_err();
        assert!(error.to_string().ends_with("it is a link, which is not followed"), "{error}");
    }

    #[test]
    fn read_secret_waits_for_the_writer_of_a_fifo() {
        let folder = tempfile::tempdir().unwrap();
        let path = fifo(folder.path());
        std::thread::scope(|threads| {
            let reader = threads.spawn(|| read_secret(&path, 10));
            std::fs::write(&path, b"secret").unwrap();
            assert_eq!(reader.join().unwrap().unwrap().as_slice(), b"secret");
        });
        assert!(read_secret("/dev/zero", 10).unwrap_err().to_string().contains("device"));
    }
}
