//! What only the fuzz targets use.

use std::time::Duration;

use crate::error::DpsError;
use crate::issued::{Document, StoredKey, identity_file};
use crate::renewal::{Action, Limits, Machine, OnConflict};

/// Parses a file `identity.pem`, and returns how the same identity is written; `None` for a key in a token, which is not opened.
///
/// # Errors
/// What is wrong with the file.
pub fn rewrite_identity(text: &[u8]) -> Result<Option<Vec<u8>>, String> {
    let Document { key, chain } = Document::parse(text)?;
    let StoredKey::Here(key) = key else { return Ok(None) };
    identity_file(&key, &chain).map(|file| Some(file.to_vec())).map_err(|error| error.to_string())
}

/// What a hub publishes in a renewal, and how much later than what it published before, in milliseconds.
pub struct HubMessage<'a> {
    /// The wait before it.
    pub after: u64,
    /// The topic; `{rid}` in it is replaced by the current request id.
    pub topic: &'a str,
    /// The body.
    pub body: &'a [u8],
}

/// Renews with these answers of a hub, in virtual time. `deadline` is in milliseconds.
///
/// # Errors
/// Why no chain was received.
pub fn renew_by(messages: &[HubMessage<'_>], deadline: u64) -> Result<Vec<Vec<u8>>, DpsError> {
    let limits = Limits { deadline, answer: Duration::from_secs(30) };
    let mut machine = Machine::new("dev-01", "Y3Ny".to_owned(), OnConflict::Replace, limits, 0);
    let mut now = 0;
    for message in messages {
        if !publish_and_wait(&mut machine, now) {
            break;
        }
        now = now.saturating_add(message.after);
        let topic = message.topic.replace("{rid}", &machine.request_id());
        machine.handle(now, &topic, message.body);
    }
    machine.into_outcome()
}

/// Polls until the machine waits; `false` when it is finished.
fn publish_and_wait(machine: &mut Machine, now: u64) -> bool {
    for _ in 0..3 {
        match machine.poll(now) {
            Action::Publish { topic, payload } => {
                assert!(topic.ends_with(&machine.request_id()), "{topic}");
                assert!(payload.starts_with(r#"{"id":"dev-01","csr":"Y3Ny""#), "{payload}");
            }
            Action::Wait { until } => {
                assert!(until > now, "a wait ends in the future");
                return true;
            }
            Action::Reconnect => machine.connected(now),
            Action::Finished => return false,
        }
    }
    panic!("the renewal neither waits nor ends");
}
