//! The two clocks that a caller hands in: the service itself has none.

/// One instant, on both clocks.
///
/// Waits, windows and lifetimes run on the monotonic clock; token expiry, the `Date` header and timestamps on the wall
/// clock. A test that moves them apart sees what a device with a wrong clock sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Now {
    /// Milliseconds since any fixed point; never goes back.
    pub monotonic_ms: u64,
    /// The service's wall clock: milliseconds since 1970-01-01 UTC.
    pub unix_ms: u64,
}

impl Now {
    /// The wall clock in whole seconds.
    #[must_use]
    pub fn unix_s(self) -> u64 {
        self.unix_ms / 1000
    }
}
