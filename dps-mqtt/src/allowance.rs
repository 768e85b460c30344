//! How much a server may send that answers nothing before its connection is given up.

use std::time::Duration;

use dps_core::LinkError;
use dps_net::NetError;
use tokio::time::Instant;

/// How many packets may answer nothing during one exchange, or during a minute without one. A server that follows
/// the protocol sends hardly any.
const PACKETS_MAX: u32 = 100;
/// After which time an idle connection has its whole allowance again.
const IDLE_PERIOD: Duration = Duration::from_secs(60);

/// What is left of the packets that may answer nothing.
pub(crate) struct Allowance {
    left: u32,
    /// When the allowance is full again; never during an exchange.
    renewed_at: Option<Instant>,
}

impl Allowance {
    /// The allowance of one exchange.
    pub(crate) fn of_exchange() -> Self {
        Self { left: PACKETS_MAX, renewed_at: None }
    }

    /// The allowance of a connection on which nothing is asked, for each minute.
    pub(crate) fn of_idling() -> Self {
        Self { left: PACKETS_MAX, renewed_at: Some(Instant::now() + IDLE_PERIOD) }
    }

    /// Counts one packet, or one WebSocket frame without a packet, that answers nothing.
    ///
    /// # Errors
    /// `InvalidReply` when there were too many.
    pub(crate) fn spend(&mut self) -> Result<(), NetError> {
        if self.renewed_at.is_some_and(|at| Instant::now() >= at) {
            *self = Self::of_idling();
        }
        let Some(left) = self.left.checked_sub(1) else {
            let detail = format!("the server sent more than {PACKETS_MAX} packets that answer nothing");
            return Err(NetError::new(LinkError::InvalidReply, detail));
        };
        self.left = left;
        Ok(())
    }
}
