//! The phases of an exchange, so that a timeout can name the one that stalled.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use dps_core::Hint;

/// A phase of an exchange over the network, in the order in which they occur.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
#[repr(u8)]
pub enum Phase {
    /// A name, the server's or the proxy's, is being resolved.
    NameResolution = 1,
    /// A TCP connection to the server is being opened.
    Connect,
    /// The proxy is being connected to, or has been asked for a tunnel.
    Proxy,
    /// The TLS handshake.
    Tls,
    /// Bytes are exchanged inside TLS.
    Reply,
}

impl Phase {
    const ALL: [Self; 5] = [Self::NameResolution, Self::Connect, Self::Proxy, Self::Tls, Self::Reply];

    /// Returns what a timeout in this phase is reported as.
    ///
    /// ```
    /// assert_eq!(dps_net::Phase::NameResolution.stalled(), "stalled during name resolution");
    /// ```
    #[must_use]
    pub const fn stalled(self) -> &'static str {
        match self {
            Self::NameResolution => "stalled during name resolution",
            Self::Connect => "stalled during the TCP connection",
            Self::Proxy => "stalled at the proxy",
            Self::Tls => "stalled during the TLS handshake",
            Self::Reply => "stalled while waiting for the server's reply",
        }
    }

    /// Returns a hint for a timeout in this phase, where it can be more precise than for any timeout.
    #[must_use]
    pub const fn hint(self) -> Option<Hint> {
        match self {
            Self::NameResolution => Some(Hint::CheckDns),
            Self::Proxy => Some(Hint::CheckProxy),
            Self::Connect | Self::Tls | Self::Reply => None,
        }
    }
}

/// A cell that shows the phase of an exchange. Clones share the cell, so that it can still be read after the exchange's
/// future was dropped.
#[derive(Clone, Debug, Default)]
pub struct CurrentPhase(Arc<AtomicU8>);

impl CurrentPhase {
    /// Sets the phase.
    pub fn enter(&self, phase: Phase) {
        self.0.store(phase as u8, Ordering::Relaxed);
    }

    /// Clears the phase: the exchange has ended, with a reply or an error.
    pub fn end(&self) {
        self.0.store(0, Ordering::Relaxed);
    }

    /// Returns the phase of an exchange that is under way or was dropped, or `None` after one that ended.
    #[must_use]
    pub fn get(&self) -> Option<Phase> {
        let number = self.0.load(Ordering::Relaxed);
        Phase::ALL.into_iter().find(|phase| *phase as u8 == number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clones_share_the_current_phase() {
        let cell = CurrentPhase::default();
        let seen = cell.clone();
        assert_eq!(seen.get(), None);
        for phase in Phase::ALL {
            cell.enter(phase);
            assert_eq!(seen.get(), Some(phase));
        }
        cell.end();
        assert_eq!(seen.get(), None);
    }
}
