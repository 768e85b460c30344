//! A report for people: the cause first, then every check with what was seen, then what to do.

use std::io::{self, Write};

use super::report::{Check, Outcome, Report};

/// As wide as the longest outcome and the longest name of a check.
const OUTCOME: usize = 7;
const NAME: usize = 15;

/// Writes the report.
pub(crate) fn write(report: &Report, out: &mut dyn Write) -> io::Result<()> {
    let heading = if report.cause.is_some() { "the cause: " } else { "" };
    writeln!(out, "{heading}{}", report.headline)?;
    writeln!(out)?;
    for check in &report.checks {
        let (outcome, name) = (check.outcome.name(), check.id.name());
        writeln!(out, "{outcome:<OUTCOME$}  {name:<NAME$}  {}", check.summary)?;
        for line in &check.evidence {
            writeln!(out, "{:1$}{line}", "", OUTCOME + NAME + 6)?;
        }
    }
    let to_do = to_do(report);
    if !to_do.is_empty() {
        writeln!(out)?;
        writeln!(out, "what to do:")?;
    }
    for (number, advice) in to_do.iter().enumerate() {
        writeln!(out, "  {}. {}", number + 1, advice)?;
    }
    Ok(())
}

/// The advice of every check that found something, each once: the cause's, then that of errors, then of warnings.
fn to_do(report: &Report) -> Vec<&str> {
    let rank = |check: &Check| match check.outcome {
        _ if Some(check.id) == report.cause => Some(0),
        Outcome::Error => Some(1),
        Outcome::Warning => Some(2),
        Outcome::Ok | Outcome::Skipped => None,
    };
    let mut to_do: Vec<&str> = Vec::new();
    for wanted in 0..=2 {
        for advice in report.checks.iter().filter(|check| rank(check) == Some(wanted)).flat_map(|check| &check.advice) {
            if !to_do.contains(&advice.as_str()) {
                to_do.push(advice);
            }
        }
    }
    to_do
}

#[cfg(test)]
mod tests {
    use super::super::report::{CheckId, Checks};
    use super::*;
    use crate::output::Printable;

    #[test]
    fn the_cause_stands_first_and_its_remedy_too() {
        let mut checks = Checks::default();
        checks.add(Check::warning(CheckId::KeyFile, "others can read it").advise("chmod 600"));
        checks.add(Check::error(CheckId::Tls, "unknown\u{1b}[2J authority").seen("CN=a").advise("trust it"));
        checks.add(Check::skipped(CheckId::Clock, "tls failed").advise("look at it"));
        checks.add(Check::error(CheckId::Service, "no answer").advise("trust it"));
        let mut text = Printable(Vec::new());
        write(&Report::of(checks), &mut text).unwrap();
        let expected = "the cause: unknown\\u{1b}[2J authority\n\n\
                        warning  key-file         others can read it\n\
                        skipped  clock            tls failed\n\
                        error    tls              unknown\\u{1b}[2J authority\n                            CN=a\n\
                        error    service          no answer\n\n\
                        what to do:\n  1. trust it\n  2. chmod 600\n";
        assert_eq!(String::from_utf8(text.0).unwrap(), expected);
    }
}
