//! A timer queue for very many waiting tasks.
//!
//! Taking from a heap of a million reads memory all over it. Here only the tasks of the current second are ordered; later
//! ones are grouped by second.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BinaryHeap};

const SECOND_MS: u64 = 1000;

/// A waiting task.
pub(crate) struct Waiting<T> {
    /// The time at which it is due, in milliseconds.
    pub(crate) until: u64,
    /// Of tasks that are due at the same time, the lowest number comes first.
    pub(crate) number: usize,
    /// The task.
    pub(crate) who: T,
}

/// The queue. A time that is earlier than the last one taken must not be added.
pub(crate) struct Due<T> {
    /// Tasks that are due in the current second.
    now: BinaryHeap<Waiting<T>>,
    /// Tasks that are due in later seconds.
    later: BTreeMap<u64, Vec<Waiting<T>>>,
    second: u64,
}

impl<T> Due<T> {
    pub(crate) fn new() -> Self {
        Self { now: BinaryHeap::new(), later: BTreeMap::new(), second: 0 }
    }

    pub(crate) fn add(&mut self, waiting: Waiting<T>) {
        let second = waiting.until / SECOND_MS;
        if second <= self.second {
            self.now.push(waiting);
        } else {
            self.later.entry(second).or_default().push(waiting);
        }
    }

    pub(crate) fn take(&mut self) -> Option<Waiting<T>> {
        if self.now.is_empty() {
            let (second, waiting) = self.later.pop_first()?;
            self.second = second;
            self.now = waiting.into();
        }
        self.now.pop()
    }
}

impl<T> Ord for Waiting<T> {
    /// Reversed, since the heap returns its greatest element first.
    fn cmp(&self, other: &Self) -> Ordering {
        (other.until, other.number).cmp(&(self.until, self.number))
    }
}

impl<T> PartialOrd for Waiting<T> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<T> PartialEq for Waiting<T> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl<T> Eq for Waiting<T> {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queue_is_ordered_by_time_and_number() {
        let mut due = Due::new();
        let add = |due: &mut Due<()>, until, number| due.add(Waiting { until, number, who: () });
        for (until, number) in [(5000, 1), (10, 2), (10, 1), (90_000, 3), (999, 4)] {
            add(&mut due, until, number);
        }
        let mut taken = Vec::new();
        while let Some(waiting) = due.take() {
            taken.push((waiting.until, waiting.number));
            if waiting.number == 4 {
                add(&mut due, 999, 5);
                add(&mut due, 5000, 0);
            }
        }
        assert_eq!(taken, [(10, 1), (10, 2), (999, 4), (999, 5), (5000, 0), (5000, 1), (90_000, 3)]);
    }
}
