//! The waits that devices were told, and how they kept them.

use std::collections::HashMap;

use crate::fault::RetryAfter;
use crate::ids::FoldedId;
use crate::time::Now;

/// How many devices' waits are remembered; anybody can send any number of ids.
const WAITING_MAX: usize = 20_000;

/// How a device kept the wait that the last reply asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct WaitKept {
    /// How long after that reply the device called again, in milliseconds.
    pub waited_ms: u64,
    /// How much too early that was, in milliseconds; 0 if it was not too early.
    pub early_by_ms: u64,
}

#[derive(Clone, Copy)]
struct Told {
    at_ms: u64,
    until_ms: u64,
}

/// The wait that each device was told last.
#[derive(Default)]
pub(crate) struct Waits(HashMap<FoldedId, Told>);

impl Waits {
    /// Records that a reply, which is sent in `delay_ms`, asks the device to wait.
    pub(crate) fn told(&mut self, now: Now, id: &FoldedId, hint: RetryAfter, delay_ms: u64) {
        if self.0.len() >= WAITING_MAX && !self.0.contains_key(id) {
            self.0.clear();
        }
        let at_ms = now.monotonic_ms.saturating_add(delay_ms);
        let wait_ms = match hint {
            RetryAfter::Seconds(seconds) => u64::from(seconds) * 1000,
            // The header has whole seconds, so that the wait is less by what has passed of the current one.
            RetryAfter::Date(offset) => {
                let date_ms = now.unix_s().saturating_add_signed(offset).saturating_mul(1000);
                date_ms.saturating_sub(now.unix_ms.saturating_add(delay_ms))
            }
        };
        self.0.insert(id.clone(), Told { at_ms, until_ms: at_ms.saturating_add(wait_ms) });
    }

    /// The wait that ends with a call of the device, if it was told to wait.
    pub(crate) fn kept(&mut self, now: Now, id: &FoldedId) -> Option<WaitKept> {
        let told = self.0.remove(id)?;
        Some(WaitKept {
            waited_ms: now.monotonic_ms.saturating_sub(told.at_ms),
            early_by_ms: told.until_ms.saturating_sub(now.monotonic_ms),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> Now {
        Now { monotonic_ms: ms, unix_ms: 1_000_000 + ms }
    }

    #[test]
    fn early_call_is_measured_and_a_later_one_is_not_early() {
        let (mut waits, id) = (Waits::default(), FoldedId::new("dev-01"));
        assert_eq!(waits.kept(at(0), &id), None);
        waits.told(at(100), &id, RetryAfter::Seconds(3), 0);
        assert_eq!(waits.kept(at(1100), &id), Some(WaitKept { waited_ms: 1000, early_by_ms: 2000 }));
        assert_eq!(waits.kept(at(1200), &id), None, "it was told no other wait");
        waits.told(at(2000), &id, RetryAfter::Seconds(3), 500);
        assert_eq!(waits.kept(at(5500), &id), Some(WaitKept { waited_ms: 3000, early_by_ms: 0 }));
    }

    #[test]
    fn date_is_a_wait_until_its_second() {
        let (mut waits, id) = (Waits::default(), FoldedId::new("dev-01"));
        // 1000.4 s; the date of the header is 1003 s.
        waits.told(at(400), &id, RetryAfter::Date(3), 0);
        assert_eq!(waits.kept(at(400), &id), Some(WaitKept { waited_ms: 0, early_by_ms: 2600 }));
        waits.told(at(400), &id, RetryAfter::Date(-3), 0);
        assert_eq!(waits.kept(at(400), &id), Some(WaitKept { waited_ms: 0, early_by_ms: 0 }));
    }

    #[test]
    fn waits_of_any_number_of_ids_use_bounded_memory() {
        let mut waits = Waits::default();
        for number in 0..=WAITING_MAX {
            waits.told(at(0), &FoldedId::new(&format!("dev-{number}")), RetryAfter::Seconds(1), 0);
        }
        assert!(waits.0.len() <= WAITING_MAX);
    }
}
