//! What is in the file of `--resume`: one line with an operation, or nothing yet.

use dps_client::ResumeToken;

/// Longer than any operation: two names, an endpoint and an operation id.
pub(crate) const MOST: u64 = 8 * 1024;

/// The file holds something else.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Unreadable;

/// Reads the content; `None` for a file without an operation.
pub(crate) fn parse(bytes: &[u8]) -> Result<Option<ResumeToken>, Unreadable> {
    if bytes.len() as u64 > MOST {
        return Err(Unreadable);
    }
    let text = std::str::from_utf8(bytes).map_err(|_| Unreadable)?.trim();
    if text.is_empty() { Ok(None) } else { text.parse().map(Some).map_err(|_| Unreadable) }
}
