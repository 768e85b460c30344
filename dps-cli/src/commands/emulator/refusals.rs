//! Refused credentials: printed on stderr while an emulator runs, and listed by `dps emulator log`. What a client sent
//! is made printable by the output below.

use std::io::{self, Write};

use dps_emulator::{Emulator, Refusal};
use serde_json::Value;

use crate::failure::{Failure, Result};
use crate::output::{Output, note};

/// Prints refusals on stderr as they happen: a line each, or a JSON object each. Never returns.
pub(super) async fn tell(emulator: &Emulator, output: Output) -> Result<()> {
    let mut seen = 0;
    loop {
        let refusals = emulator.refusals_after(seen).await;
        for refusal in refusals {
            if !output.is_json() && refusal.number > seen + 1 {
                note(format_args!("{} refusals are not shown", refusal.number - seen - 1));
            }
            seen = refusal.number;
            tell_one(&refusal, output)?;
        }
    }
}

fn tell_one(refusal: &Refusal, output: Output) -> Result<()> {
    if output.is_json() {
        note(serde_json::to_string(refusal).map_err(|error| Failure::internal(error.to_string()))?);
    } else {
        note(line(&refusal.registration_id, refusal.reason.name(), &refusal.reason.to_string()));
    }
    Ok(())
}

/// The refusals that an emulator keeps, as it lists them.
pub(super) fn show(answer: &Value, out: &mut dyn Write) -> io::Result<()> {
    let refusals = answer["refusals"].as_array().map(Vec::as_slice).unwrap_or_default();
    if refusals.is_empty() {
        return writeln!(out, "no credential was refused");
    }
    for refusal in refusals {
        let word = |member: &str| refusal[member].as_str().unwrap_or_default();
        writeln!(out, "{} {}", word("timestampUtc"), line(word("registrationId"), word("reason"), word("message")))?;
    }
    Ok(())
}

fn line(registration_id: &str, reason: &str, message: &str) -> String {
    let who = if registration_id.is_empty() { "an admin call" } else { registration_id };
    format!("refused {who}: {message} ({reason})")
}
