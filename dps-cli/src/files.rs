//! The files that the program reads and writes: secrets from a file, a FIFO or stdin, and output through `dps_files`.
//!
//! Reads of secrets are bounded and wiped; an error names what is wrong with a file without repeating any of its
//! content.

use std::ffi::OsStr;
use std::io::{self, IsTerminal as _, Read, Write};
use std::path::Path;

use dps_core::{ConfigError, ErrorCode};
use dps_files::{FileError, Ownership, PrivateFile, SecretString, mode_open_to_others};
use tempfile::TempDir;
use zeroize::{Zeroize as _, Zeroizing};

pub(crate) use dps_files::WhenThere;

use crate::failure::{Failure, Result};
use crate::output::note;

/// The most bytes that are read. A key has at most 88 characters, a connection string a few hundred.
const SECRET_MAX: usize = 4096;

/// Whether the path is `-`, which means stdin.
pub(crate) fn is_stdin(path: &Path) -> bool {
    path.as_os_str() == OsStr::new("-")
}

/// Names the source of an input in messages.
pub(crate) fn source_name(path: &Path) -> String {
    if is_stdin(path) { "stdin".to_owned() } else { path.display().to_string() }
}

/// Prints a warning when others can read the file of a secret.
pub(crate) fn warn_if_open(path: &Path) {
    if !is_stdin(path)
        && let Ok(metadata) = std::fs::metadata(path)
        && let Some(mode) = mode_open_to_others(&metadata)
    {
        note(format_args!(
            "warning: {} can be read by others (mode {mode:04o}); restrict it with chmod 600",
            path.display()
        ));
    }
}

/// Reads a secret from `path`, or from stdin for `-`, without surrounding whitespace and byte order mark. `what` names
/// it in messages, such as "the device's key". Prints a warning when others can read the file.
pub(crate) fn read_secret(path: &Path, what: &str) -> Result<SecretString> {
    warn_if_open(path);
    read_secret_unwarned(path, what)
}

/// Reads a secret like [`read_secret`], for callers that check the file's mode themselves.
pub(crate) fn read_secret_unwarned(path: &Path, what: &str) -> Result<SecretString> {
    let bytes = read_secret_bytes(path, SECRET_MAX, what)?;
    parse_secret(&bytes, what).map_err(|failure| failure.in_source(source_name(path)))
}

/// Reads at most `max` bytes of a secret as they are, from `path`, or from stdin for `-`.
pub(crate) fn read_secret_bytes(path: &Path, max: usize, what: &str) -> Result<Zeroizing<Vec<u8>>> {
    let bytes = if is_stdin(path) {
        let stdin = io::stdin();
        if stdin.is_terminal() {
            note(format_args!("reading {what} from the terminal; end it with Enter and Ctrl-D"));
        }
        read_bounded(stdin.lock(), max)
    } else {
        dps_files::read_secret(path, max as u64)
    };
    let source = source_name(path);
    bytes.map_err(|error| match error.kind() {
        io::ErrorKind::FileTooLarge => too_long(max, what).in_source(&source),
        _ => Failure::new(ErrorCode::File, format!("cannot read {source}: {error}")),
    })
}

/// Reads a secret such as a passphrase or a PIN, of which a line break at the end is not part, and every other character is.
pub(crate) fn read_line_secret(path: &Path, what: &str) -> Result<SecretString> {
    let bytes = read_secret_bytes(path, SECRET_MAX, what)?;
    let wrong = |problem: &str| Failure::option(format!("{}: {what} {problem}", source_name(path)));
    let text = std::str::from_utf8(&bytes).map_err(|_| wrong("is not text"))?;
    let text = text.strip_suffix('\n').unwrap_or(text);
    match text.strip_suffix('\r').unwrap_or(text) {
        "" => Err(wrong("is empty")),
        text => Ok(SecretString::from(Zeroizing::new(text.to_owned()))),
    }
}

/// Returns a conversion that names the source of an invalid value from [`read_secret`].
pub(crate) fn invalid_in(path: &Path) -> impl Fn(ConfigError) -> Failure {
    move |error| Failure::from(error).in_source(source_name(path))
}

/// Reads at most `max` bytes, and one more to detect an input that is too long.
fn read_bounded(mut from: impl Read, max: usize) -> io::Result<Zeroizing<Vec<u8>>> {
    // Allocated at once: a growing vector would leave copies behind.
    let mut bytes = Zeroizing::new(vec![0; max + 1]);
    let mut len = 0;
    while len < bytes.len() {
        match from.read(&mut bytes[len..]) {
            Ok(0) => break,
            Ok(count) => len += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    if len > max {
        return Err(io::ErrorKind::FileTooLarge.into());
    }
    bytes.truncate(len);
    Ok(bytes)
}

fn parse_secret(bytes: &[u8], what: &str) -> Result<SecretString> {
    let wrong = |message: String| Failure::new(ErrorCode::InvalidKey, message);
    if contains(bytes, b"-----BEGIN") {
        return Err(ConfigError::Key(dps_core::KeyProblem::LooksLikePem).into());
    }
    if bytes.starts_with(&[0xff, 0xfe]) || bytes.starts_with(&[0xfe, 0xff]) {
        return Err(wrong(format!("{what} is saved as UTF-16; save it as UTF-8 or ASCII")));
    }
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let text = std::str::from_utf8(bytes).map_err(|_| {
        wrong(format!(
            "it contains bytes that are not text; if they are {what} itself, encode them in base64 (base64 -w0 FILE)"
        ))
    })?;
    let mut secret = String::with_capacity(text.len());
    secret.push_str(text.trim_ascii());
    if secret.is_empty() {
        secret.zeroize();
        return Err(wrong(format!("it is empty; it must contain {what}")));
    }
    Ok(Zeroizing::new(secret).into())
}

fn too_long(max: usize, what: &str) -> Failure {
    Failure::new(ErrorCode::InvalidKey, format!("it is longer than {max} bytes and cannot be {what}"))
}

fn contains(bytes: &[u8], needle: &[u8]) -> bool {
    bytes.windows(needle.len()).any(|window| window == needle)
}

/// A file that is being written. Dropped before it is finished, it leaves no file behind.
pub(crate) struct Draft {
    draft: dps_files::Draft,
    target: PrivateFile,
}

impl Draft {
    /// Starts writing a private file for `target`.
    pub(crate) fn begin(target: &Path, when_there: WhenThere) -> Result<Self> {
        Self::owned(target, Ownership::Private, when_there)
    }

    fn owned(target: &Path, ownership: Ownership, when_there: WhenThere) -> Result<Self> {
        let target = PrivateFile::new(target);
        let draft = target.draft(ownership, when_there)?;
        Ok(Self { draft, target })
    }

    /// Writes the content of a small file and stores the file under its name.
    pub(crate) fn write_whole(mut self, bytes: &[u8]) -> Result<()> {
        self.write_all(bytes).map_err(|error| Failure::file("write", self.target.path(), &error))?;
        self.finish()
    }

    /// Stores the file under its name.
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
                "{} already exists and was not changed; remove it, use another file, or --force where the command has it",
                error.path().display()
            ),
            _ => error.to_string(),
        };
        Self::new(ErrorCode::File, message)
    }
}

/// Writes a small private file.
pub(crate) fn write_private(target: &Path, bytes: &[u8], when_there: WhenThere) -> Result<()> {
    Draft::begin(target, when_there)?.write_whole(bytes)
}

/// Writes a small file that everybody can read, and replaces an existing one.
pub(crate) fn write_public(target: &Path, bytes: &[u8]) -> Result<()> {
    Draft::owned(target, Ownership::Public, WhenThere::Replace)?.write_whole(bytes)
}

/// Writes a small file that everybody can read, and refuses an existing one.
pub(crate) fn write_new_public(target: &Path, bytes: &[u8]) -> Result<()> {
    Draft::owned(target, Ownership::Public, WhenThere::Refuse)?.write_whole(bytes)
}

/// Creates a directory that only its owner can read, and whose name begins with `prefix`; it is removed when dropped.
pub(crate) fn temporary_directory(prefix: &str) -> Result<TempDir> {
    let mut builder = tempfile::Builder::new();
    builder.prefix(prefix);
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        builder.permissions(std::fs::Permissions::from_mode(0o700));
    }
    builder.tempdir().map_err(|error| Failure::file("create a directory in", &std::env::temp_dir(), &error))
}

/// Checks early whether `target` can be written.
pub(crate) fn check_target(target: &Path, when_there: WhenThere) -> Result<()> {
    Ok(PrivateFile::new(target).check(when_there)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_text(bytes: &[u8]) -> Result<SecretString> {
        let bytes = read_bounded(bytes, SECRET_MAX).map_err(|_| too_long(SECRET_MAX, "the key"))?;
        parse_secret(&bytes, "the key")
    }

    #[test]
    fn whitespace_around_a_secret_is_removed() {
        for bytes in [&b"AAAA"[..], b"AAAA\n", b"AAAA\r\n", b"\xef\xbb\xbfAAAA\r\n", b"  AAAA\n\n"] {
            assert_eq!(read_text(bytes).unwrap().expose(), "AAAA");
        }
    }

    #[test]
    fn secrets_that_are_not_text_or_too_long_are_refused() {
        for (bytes, word) in [
            (&b""[..], "empty"),
            (b"\n", "empty"),
            (b"\xff\xfeA\0", "UTF-16"),
            (&[0x80; 32], "base64"),
            (&[b'A'; SECRET_MAX + 1], "4096"),
            (b"-----BEGIN PRIVATE KEY-----\n", "PEM"),
        ] {
            let failure = read_text(bytes).unwrap_err();
            assert!(failure.message.contains(word), "{}", failure.message);
        }
        assert_eq!(read_text(&[b'A'; SECRET_MAX]).unwrap().expose().len(), SECRET_MAX);
    }
}
