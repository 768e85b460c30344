//! The rows of the matrix whose flood lasts, many times each: how far past its deadline a call ends at worst.
//!
//! One after the other, so that nothing but the flood slows a call down.

use std::fmt;
use std::time::Duration;

use pair::matrix::{Row, Transport, rows};

use crate::{Client, sockets};

/// How far past its deadline a call may end, apart from a check of every change, where other work runs beside it.
const GOAL: Duration = Duration::from_millis(300);

/// One flood over one transport.
#[derive(Clone, Debug)]
pub struct Flooded {
    id: String,
    transport: Transport,
    deadline: Duration,
    /// How long each run took.
    took: Vec<Duration>,
    /// Ends that the matrix does not have, and late ones.
    problems: Vec<String>,
}

/// Runs every flood so many times and prints each with its times as soon as it is done; whether all ended well and in
/// time.
///
/// # Panics
/// When an emulator cannot be started, or a client cannot be made.
pub async fn floods(client: &Client, runs: usize, mut done: impl FnMut(&Flooded)) -> bool {
    let mut good = true;
    for row in rows().iter().filter(|row| row.is_flood_that_lasts()) {
        for transport in &row.transports {
            let flooded = flood(client, row, *transport, runs).await;
            good &= flooded.problems.is_empty();
            done(&flooded);
        }
    }
    good
}

async fn flood(client: &Client, row: &Row, transport: Transport, runs: usize) -> Flooded {
    let (mut took, mut problems) = (Vec::new(), Vec::new());
    for _ in 0..runs {
        let ran = sockets::run(client, row, transport).await;
        took.push(ran.took);
        problems.extend(ran.problem(row, transport, GOAL));
    }
    Flooded { id: row.id.clone(), transport, deadline: row.client.deadline(), took, problems }
}

impl fmt::Display for Flooded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (runs, bad) = (self.took.len(), self.problems.len());
        let (first, last) = (self.took.iter().min(), self.took.iter().max());
        let seconds = |duration: Option<&Duration>| duration.copied().unwrap_or_default().as_secs_f64();
        let late = seconds(last) - self.deadline.as_secs_f64();
        write!(
            f,
            "{:<38} {:<7}  {} of {runs} good  {:>6.2} to {:>6.2} s  deadline {:>4.1} s {late:>+7.2} s",
            self.id,
            self.transport.name(),
            runs - bad,
            seconds(first),
            seconds(last),
            self.deadline.as_secs_f64(),
        )?;
        self.problems.iter().try_for_each(|problem| write!(f, "\n  DIFFERS: {problem}"))
    }
}
