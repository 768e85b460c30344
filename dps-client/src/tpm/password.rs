//! Files with the password of a hierarchy.

use std::path::Path;

use dps_core::ErrorCode;
use dps_files::SecretString;

use crate::error::DpsError;

/// No file of a password is longer, in bytes.
const FILE_MAX: u64 = 4096;

/// Reads the file's one line, without its end.
pub(super) fn read(path: &Path, whose: &str) -> Result<SecretString, DpsError> {
    let shown = path.display();
    let refused =
        |code, words: String| DpsError::config(code, format!("{shown}, the file with {whose} password, {words}"));
    let bytes = dps_files::read_secret(path, FILE_MAX)
        .map_err(|error| refused(ErrorCode::File, format!("cannot be read: {error}")))?;
    let text = std::str::from_utf8(&bytes).map_err(|_| refused(ErrorCode::InvalidOption, "is not text".into()))?;
    let text = text.strip_suffix('\n').unwrap_or(text);
    let text = text.strip_suffix('\r').unwrap_or(text);
    if text.is_empty() {
        let words = "is empty: where the hierarchy has no password, leave the file out";
        return Err(refused(ErrorCode::InvalidOption, words.into()));
    }
    Ok(SecretString::from(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_of_a_password_has_one_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("password");
        for (content, password) in [("a b\n", "a b"), ("x\r\n", "x"), ("x", "x"), (" x\n\n", " x\n")] {
            std::fs::write(&path, content).unwrap();
            assert_eq!(read(&path, "the owner's").unwrap().expose(), password);
        }
        for (content, reason) in [(&b""[..], "is empty"), (b"\n", "is empty"), (b"\xff", "is not text")] {
            std::fs::write(&path, content).unwrap();
            let error = read(&path, "the owner's").unwrap_err();
            assert!(error.message().contains(reason) && error.code() == ErrorCode::InvalidOption, "{error}");
        }
        assert_eq!(read(&folder.path().join("absent"), "the owner's").unwrap_err().code(), ErrorCode::File);
    }
}
