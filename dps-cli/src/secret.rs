//! The one reader of secret inputs: keys and connection strings, from a file, a FIFO or stdin.
//!
//! It bounds what it reads, wipes it, and says what is wrong with a file without repeating any of it.

use std::io::{self, IsTerminal as _, Read};
use std::path::Path;

use dps_core::{ConfigError, ErrorCode};
use dps_files::{SecretString, mode_open_to_others};
use zeroize::{Zeroize as _, Zeroizing};

use crate::args::is_stdin;
use crate::failure::{Failure, Result};
use crate::output::note;

/// The most that is read. A key has 88 characters at most, a connection string a few hundred.
const MOST: usize = 4096;

/// Reads a secret from `path`, or from stdin for `-`. Blanks and line ends around it, and a byte order mark, are not
/// part of it. `what` names it in messages, as in "the device's key". A file that others can read is warned of.
pub(crate) fn read(path: &Path, what: &str) -> Result<SecretString> {
    if !is_stdin(path)
        && let Ok(metadata) = std::fs::metadata(path)
        && let Some(mode) = mode_open_to_others(&metadata)
    {
        note(format_args!(
            "warning: {} can be read by others (mode {mode:04o}); make it yours alone with chmod 600",
            path.display()
        ));
    }
    read_unwarned(path, what)
}

/// The same for who looks at the file's mode apart.
pub(crate) fn read_unwarned(path: &Path, what: &str) -> Result<SecretString> {
    let (bytes, source) = if is_stdin(path) {
        let stdin = io::stdin();
        if stdin.is_terminal() {
            note(format_args!("reading {what} from the terminal; end it with Enter and Ctrl-D"));
        }
        (read_bounded(stdin.lock()), "stdin".to_owned())
    } else {
        (dps_files::read_secret(path, MOST as u64), path.display().to_string())
    };
    let bytes = bytes.map_err(|error| match error.kind() {
        io::ErrorKind::FileTooLarge => too_long(what).in_source(&source),
        _ => Failure::new(ErrorCode::File, format!("cannot read {source}: {error}")),
    })?;
    text_of(&bytes, what).map_err(|failure| failure.in_source(source))
}

/// Says where a value was wrong that [`read`] gave.
pub(crate) fn wrong_in(path: &Path) -> impl Fn(ConfigError) -> Failure {
    move |error| {
        let source = if is_stdin(path) { "stdin".into() } else { path.display().to_string() };
        Failure::from(error).in_source(source)
    }
}

/// Reads one byte more than is taken, so that too much can be told from just enough.
fn read_bounded(mut from: impl Read) -> io::Result<Zeroizing<Vec<u8>>> {
    // Allocated whole: a vector that grew would leave copies behind.
    let mut bytes = Zeroizing::new(vec![0; MOST + 1]);
    let mut len = 0;
    while len < bytes.len() {
        match from.read(&mut bytes[len..]) {
            Ok(0) => break,
            Ok(count) => len += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    bytes.truncate(len);
    Ok(bytes)
}

fn text_of(bytes: &[u8], what: &str) -> Result<SecretString> {
    let wrong = |message: String| Failure::new(ErrorCode::InvalidKey, message);
    if contains(bytes, b"-----BEGIN") {
        return Err(ConfigError::Key(dps_core::KeyProblem::LooksLikePem).into());
    }
    if bytes.starts_with(&[0xff, 0xfe]) || bytes.starts_with(&[0xfe, 0xff]) {
        return Err(wrong(format!("{what} is saved as UTF-16; save it as UTF-8 or ASCII")));
    }
    if bytes.len() > MOST {
        return Err(too_long(what));
    }
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let text = std::str::from_utf8(bytes).map_err(|_| {
        wrong(format!(
            "it holds bytes that are no text; if they are {what} itself, give them in base64 (base64 -w0 FILE)"
        ))
    })?;
    let mut secret = String::with_capacity(text.len());
    secret.push_str(text.trim_ascii());
    if secret.is_empty() {
        secret.zeroize();
        return Err(wrong(format!("it is empty; {what} should be in it")));
    }
    Ok(Zeroizing::new(secret).into())
}

fn too_long(what: &str) -> Failure {
    Failure::new(ErrorCode::InvalidKey, format!("it has more than {MOST} bytes; that is not {what}"))
}

fn contains(bytes: &[u8], needle: &[u8]) -> bool {
    bytes.windows(needle.len()).any(|window| window == needle)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_text(bytes: &[u8]) -> Result<SecretString> {
        text_of(&read_bounded(bytes).unwrap(), "the key")
    }

    #[test]
    fn what_stands_around_a_secret_is_not_part_of_it() {
        for bytes in [&b"AAAA"[..], b"AAAA\n", b"AAAA\r\n", b"\xef\xbb\xbfAAAA\r\n", b"  AAAA\n\n"] {
            assert_eq!(read_text(bytes).unwrap().expose(), "AAAA");
        }
    }

    #[test]
    fn what_is_no_text_or_too_long_is_named() {
        for (bytes, word) in [
            (&b""[..], "empty"),
            (b"\n", "empty"),
            (b"\xff\xfeA\0", "UTF-16"),
            (&[0x80; 32], "base64"),
            (&[b'A'; MOST + 1], "4096"),
            (b"-----BEGIN PRIVATE KEY-----\n", "PEM"),
        ] {
            let failure = read_text(bytes).unwrap_err();
            assert!(failure.message.contains(word), "{}", failure.message);
        }
        assert_eq!(read_text(&[b'A'; MOST]).unwrap().expose().len(), MOST);
    }
}
