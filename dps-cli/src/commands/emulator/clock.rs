//! `dps emulator clock`: the clock of an emulator that is running. No other clock is touched.

use std::io::{self, Write};
use std::time::Duration;

use clap::Subcommand;
use clap::builder::RangedU64ValueParser;
use serde_json::{Value, json};

use crate::admin::{OwnerArgs, connect};
use crate::connection::duration;
use crate::failure::{Exit, Result};
use crate::output::Output;

/// `dps emulator clock …`.
#[derive(Debug, Subcommand)]
pub(crate) enum ClockCommand {
    /// Show the service's date, how far it is from that of its machine, and how fast waits pass
    Show {
        #[command(flatten)]
        owner: OwnerArgs,
    },
    /// Let time pass at once: assignments become due, rate windows end, tokens and certificates expire
    Advance {
        /// The time to let pass, such as 90s, 2h or 60d
        #[arg(value_name = "TIME", value_parser = duration)]
        time: Duration,
        #[command(flatten)]
        owner: OwnerArgs,
    },
    /// Divide waits, hints, rate windows and the lives of operations by a number; the date is not changed
    Scale {
        /// 60 makes an hour of waiting a minute; 1 is the usual speed
        #[arg(value_name = "N", value_parser = RangedU64ValueParser::<u32>::new().range(1..=u64::from(dps_emulator::SCALE_MAX)))]
        factor: u32,
        #[command(flatten)]
        owner: OwnerArgs,
    },
}

impl ClockCommand {
    pub(super) fn stdin_inputs(&self) -> usize {
        match self {
            Self::Show { owner } | Self::Advance { owner, .. } | Self::Scale { owner, .. } => owner.stdin_inputs(),
        }
    }
}

/// Runs the command.
pub(super) async fn run(command: ClockCommand, output: Output) -> Result<Exit> {
    let answer = match command {
        ClockCommand::Show { owner } => connect(owner).await?.clock().await?,
        ClockCommand::Advance { time, owner } => {
            let change = json!({ "advanceMs": u64::try_from(time.as_millis()).unwrap_or(u64::MAX) });
            connect(owner).await?.change_clock(&change).await?
        }
        ClockCommand::Scale { factor, owner } => {
            connect(owner).await?.change_clock(&json!({ "scale": factor })).await?
        }
    };
    output.result(&answer, |out| show(&answer, out))?;
    Ok(Exit::Done)
}

fn show(clock: &Value, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "date    {}", clock["dateTimeUtc"].as_str().unwrap_or("?"))?;
    writeln!(out, "offset  {}", offset(clock["offsetMs"].as_i64().unwrap_or_default()))?;
    writeln!(out, "scale   {}", clock["scale"])
}

/// Describes how far the date is from the machine's.
fn offset(ms: i64) -> String {
    let (seconds, side) = (ms.unsigned_abs() / 1000, if ms < 0 { "behind" } else { "ahead of" });
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60);
    if ms == 0 {
        return "none: the date of its machine".to_owned();
    }
    let parts = [(days, "d"), (hours, "h"), (minutes, "m"), (seconds % 60, "s")];
    let parts: Vec<String> =
        parts.iter().filter(|(number, _)| *number > 0).map(|(number, unit)| format!("{number}{unit}")).collect();
    format!("{} {side} its machine", if parts.is_empty() { "less than 1s".to_owned() } else { parts.join(" ") })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offset_is_shown_in_days_hours_minutes_and_seconds() {
        for (ms, text) in [
            (0, "none: the date of its machine"),
            (5_184_000_000, "60d ahead of its machine"),
            (-7_290_000, "2h 1m 30s behind its machine"),
            (300, "less than 1s ahead of its machine"),
        ] {
            assert_eq!(offset(ms), text);
        }
    }
}
