//! A TPM that answers with bytes of a fuzz target. Only in builds for fuzzing.

use std::io::{self, Read, Write};
use std::sync::PoisonError;
use std::time::{Duration, Instant};

use crate::connection::Connection;
use crate::error::Error;
use crate::password::{Entity, refused_by};
use crate::tcti::Tcti;
use crate::tpm::{Access, Tpm};

/// Ends long after everything that is fuzzed.
const TIME: Duration = Duration::from_secs(60);

/// Responses, read some bytes at a time. What is written is ignored.
pub(crate) struct Responses {
    left: Vec<u8>,
    piece: usize,
}

impl Read for Responses {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.piece.min(self.left.len()).min(buffer.len());
        buffer[..count].copy_from_slice(&self.left[..count]);
        self.left.drain(..count);
        Ok(count)
    }
}

impl Write for Responses {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Uses a TPM that answers with these bytes, `piece` at a time, in each way that applications do. Returns what came of it;
/// keys are not shown.
pub fn use_tpm(responses: &[u8], piece: usize, challenge: &[u8]) -> [Result<String, Error>; 5] {
    let access = Access::new(Tcti::default());
    let entities = [Entity::Endorsement, Entity::Owner, Entity::Key(access.key_handle)];
    let with = |work: &dyn Fn(&mut Tpm) -> Result<String, Error>| {
        // What another run was refused must not change this one.
        for entity in entities {
            refused_by(&access.tcti, entity).lock().unwrap_or_else(PoisonError::into_inner).clear();
        }
        let connection = Connection::fuzzed(Responses { left: responses.to_vec(), piece });
        work(&mut Tpm::on(access.clone(), connection, Instant::now() + TIME))
    };
    [
        with(&|tpm| tpm.endorsement_key().map(|key| format!("{key:?}"))),
        with(&|tpm| tpm.prepare().map(|keys| format!("{keys:?}"))),
        with(&|tpm| tpm.status().map(|status| format!("{status:?}"))),
        with(&|tpm| tpm.sign(b"data").map(|signature| format!("{signature:?}"))),
        with(&|tpm| {
            let key = tpm.import(challenge)?;
            tpm.keep(&key)?;
            tpm.sign_with(&key, b"data").map(|signature| format!("{signature:?}"))
        }),
    ]
}
