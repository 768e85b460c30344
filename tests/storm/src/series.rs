//! How often something happened, second by second of virtual time.

/// Counts, one a second.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Series(Vec<u32>);

impl Series {
    pub(crate) fn add(&mut self, at_ms: u64, times: u32) {
        let second = (at_ms / 1000) as usize;
        if second >= self.0.len() {
            self.0.resize(second + 1, 0);
        }
        self.0[second] += times;
    }

    /// The counts.
    #[must_use]
    pub fn seconds(&self) -> &[u32] {
        &self.0
    }

    /// The counts of each minute.
    #[must_use]
    pub fn minutes(&self) -> Vec<u64> {
        self.0.chunks(60).map(|minute| minute.iter().copied().map(u64::from).sum()).collect()
    }

    /// All of it.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.0.iter().copied().map(u64::from).sum()
    }

    /// The most in one second.
    #[must_use]
    pub fn peak(&self) -> u32 {
        self.0.iter().copied().max().unwrap_or_default()
    }

    /// The seconds it took until this much of the total, in per cent, had happened.
    #[must_use]
    pub fn seconds_until(&self, per_cent: u64) -> u64 {
        let wanted = (self.total() * per_cent).div_ceil(100);
        let mut so_far = 0;
        let before = self.0.iter().take_while(|count| {
            so_far += u64::from(**count);
            so_far < wanted
        });
        before.count() as u64 + 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_fall_into_their_seconds_and_minutes() {
        let mut series = Series::default();
        for (at_ms, times) in [(0, 3), (999, 1), (1000, 2), (61_500, 4)] {
            series.add(at_ms, times);
        }
        assert_eq!(&series.seconds()[..3], [4, 2, 0]);
        assert_eq!(series.minutes(), [6, 4]);
        assert_eq!((series.total(), series.peak()), (10, 4));
        assert_eq!([40, 60, 61, 100].map(|per_cent| series.seconds_until(per_cent)), [1, 2, 62, 62]);
    }
}
