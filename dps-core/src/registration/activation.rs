//! The keys that the service sends to a TPM: a challenge that has to be activated before tokens can be signed, and the
//! key for the hub. Both stay in the reply buffer.

use super::report::End;
use super::{Registration, Step};
use crate::attestation::sealed::KeyIn;
use crate::attestation::{Attestation, read_key};
use crate::error::{ErrorCode, Misuse, Verdict};
use crate::message::{ActivateError, Reply, RequestId};
use crate::time::Instant;

impl<A: Attestation> Registration<'_, A> {
    /// Whether the reply is a 401 with a challenge, which is then asked to be activated.
    pub(super) fn takes_challenge(&mut self, reply: &Reply<'_>) -> bool {
        let takes = reply.status == 401
            && !self.signs
            && self.attestation.find_key(reply.body.json.text, KeyIn::Challenge).is_some();
        if takes {
            self.forget();
            self.challenged = true;
            self.step = Step::Ready;
        }
        takes
    }

    /// The challenge that is to be activated, as bytes in the `buffer` that the last reply was read into and that was not
    /// changed since. It is decoded there. `None` when no activation is awaited, or the challenge is not base64.
    #[must_use]
    pub fn challenge<'b>(&self, buffer: &'b mut [u8]) -> Option<&'b [u8]> {
        if self.step == Step::Activating { self.key(buffer, KeyIn::Challenge) } else { None }
    }

    /// The key for the hub that an assignment holds for a TPM, wrapped for it as the challenge was; otherwise as
    /// [`Registration::challenge`].
    #[must_use]
    pub fn hub_key<'b>(&self, buffer: &'b mut [u8]) -> Option<&'b [u8]> {
        if self.report.end == End::Assigned { self.key(buffer, KeyIn::Assignment) } else { None }
    }

    fn key<'b>(&self, buffer: &'b mut [u8], key: KeyIn) -> Option<&'b [u8]> {
        read_key(&self.attestation, buffer.get_mut(self.body_start..)?, key)
    }

    /// Takes word that the challenge was activated: from now on tokens are signed with the key that it held.
    ///
    /// # Errors
    /// [`Misuse`] when no activation with this id is awaited.
    pub fn handle_activation(&mut self, now: Instant, id: RequestId) -> Result<(), Misuse> {
        let _ = now;
        self.expect(Step::Activating, id)?;
        self.challenged = false;
        self.signs = true;
        self.step = Step::Ready;
        Ok(())
    }

    /// Takes word that the challenge was not activated. The registration ends with it.
    ///
    /// # Errors
    /// [`Misuse`] when no activation with this id is awaited.
    pub fn handle_activate_error(&mut self, now: Instant, id: RequestId, error: ActivateError) -> Result<(), Misuse> {
        let _ = (now, error);
        self.expect(Step::Activating, id)?;
        self.fail(ErrorCode::ActivationFailed, Verdict::Never);
        Ok(())
    }
}
