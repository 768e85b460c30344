//! Randomness for waits: not secret, and the same for the same seed and registration id.

use crate::ids::RegistrationId;
use crate::time::Millis;

/// A small generator (xorshift, G. Marsaglia 2003) seeded from a number and a registration id.
#[derive(Clone, Copy, Debug)]
pub(super) struct Jitter(u32);

impl Jitter {
    /// Mixes the id in (FNV-1a), so that a fleet with one seed still spreads out.
    pub(super) fn new(seed: u32, registration_id: RegistrationId<'_>) -> Self {
        let mut mixed = seed ^ 0x811C_9DC5;
        for byte in registration_id.as_bytes().iter().copied() {
            mixed = (mixed ^ u32::from(byte)).wrapping_mul(0x0100_0193);
        }
        let mut jitter = Self(if mixed == 0 { 1 } else { mixed });
        // The first numbers of near seeds are near each other.
        for _ in 0..8 {
            jitter.next();
        }
        jitter
    }

    fn next(&mut self) -> u32 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 17;
        self.0 ^= self.0 << 5;
        self.0
    }

    /// A length of time from zero to `most`, all equally likely.
    pub(super) fn up_to(&mut self, most: Millis) -> Millis {
        Millis::new(most.get().saturating_add(1).saturating_mul(u64::from(self.next())) >> 32)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jitter_depends_on_seed_and_id_only() {
        let series = |seed, id| {
            let mut jitter = Jitter::new(seed, RegistrationId::new(id).unwrap());
            [0; 4].map(|_| jitter.up_to(Millis::from_secs(100)).get())
        };
        assert_eq!(series(1, "dev-01"), series(1, "dev-01"));
        assert_ne!(series(1, "dev-01"), series(1, "dev-02"));
        assert_ne!(series(1, "dev-01"), series(2, "dev-01"));
    }

    #[test]
    fn jitter_numbers_match_the_reference_generator() {
        let mut jitter = Jitter(1);
        assert_eq!([0; 4].map(|_| jitter.next()), [270_369, 67_634_689, 2_647_435_461, 307_599_695]);
    }

    #[test]
    fn jitter_stays_within_bounds_and_covers_them() {
        let mut jitter = Jitter::new(7, RegistrationId::new("dev-01").unwrap());
        let mut quarters = [0_u32; 4];
        for _ in 0..4000 {
            let value = jitter.up_to(Millis::new(399)).get();
            quarters[(value / 100) as usize] += 1;
        }
        assert!(quarters.iter().all(|count| (800..1200).contains(count)), "{quarters:?}");
        assert_eq!(jitter.up_to(Millis::ZERO), Millis::ZERO);
    }
}
