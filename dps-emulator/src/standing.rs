//! What is known of a connection's client: whether its credential was verified, and how often it was refused before.

/// How many calls are refused with 4xx on one connection before it is closed, where none was accepted.
const REFUSED_MAX: u8 = 10;

/// What the calls on one connection have shown so far.
#[derive(Debug, Default)]
pub(crate) struct Standing {
    proved: bool,
    refused: u8,
}

impl Standing {
    /// Counts a call by the status of its reply, 0 for no reply. 409, 429 and 5xx ask the client to come again; the
    /// service gives them after the credential was verified, or on command.
    pub(crate) fn judge(&mut self, status: u16) {
        match status {
            0 => {}
            400..=499 if status != 409 && status != 429 => self.refused = self.refused.saturating_add(1),
            _ => self.proved = true,
        }
    }

    /// Notes that the credential was verified.
    pub(crate) fn prove(&mut self) {
        self.proved = true;
    }

    /// Whether a credential was verified.
    pub(crate) fn has_proved(&self) -> bool {
        self.proved
    }

    /// Whether nothing but refused calls arrived, and too many of them.
    pub(crate) fn is_spent(&self) -> bool {
        !self.proved && self.refused >= REFUSED_MAX
    }
}
