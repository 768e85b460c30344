//! The written error catalogue: `docs/errors.md` for people, `vectors/errors.json` for the bindings' tests.
//!
//! Both are generated from `dps_core::ErrorCode`. A published number or name is never changed or removed.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use dps_core::{ErrorCode, Hint};
use serde_json::{Value, json};

use crate::run::{Outcome, read, report, root};

const PAGE: &str = "docs/errors.md";
const DATA: &str = "vectors/errors.json";

pub(crate) fn write() -> Outcome {
    report(&broken_promises(&published()?))?;
    for (path, text) in [(PAGE, page()), (DATA, data())] {
        let path = root().join(path);
        std::fs::write(&path, text).map_err(|error| format!("{}: {error}", path.display()))?;
    }
    Ok(())
}

pub(crate) fn check() -> Outcome {
    let mut problems = broken_promises(&published()?);
    for (path, text) in [(PAGE, page()), (DATA, data())] {
        if read(path)? != text {
            problems.push(format!("{path} does not match the code; run `cargo xtask write-errors`"));
        }
    }
    report(&problems)
}

/// Returns number and name of every published error.
fn published() -> Result<BTreeMap<u64, String>, String> {
    if !root().join(DATA).exists() {
        return Ok(BTreeMap::new());
    }
    let data: Value = serde_json::from_str(&read(DATA)?).map_err(|error| format!("{DATA}: {error}"))?;
    let errors = data["errors"].as_array().into_iter().flatten();
    Ok(errors.filter_map(|error| Some((error["number"].as_u64()?, error["name"].as_str()?.to_owned()))).collect())
}

fn broken_promises(published: &BTreeMap<u64, String>) -> Vec<String> {
    let now: BTreeMap<u64, &str> = ErrorCode::ALL.iter().map(|code| (code.number().into(), code.name())).collect();
    let kept = |number: &u64, name: &String| now.get(number) == Some(&name.as_str());
    let broken = published.iter().filter(|(number, name)| !kept(number, name));
    broken.map(|(number, name)| format!("error {number} `{name}` was published, and is missing or renamed")).collect()
}

fn data() -> String {
    let error = |code: &ErrorCode| json!({ "number": code.number(), "name": code.name(), "family": code.family().name(), "text": code.text() });
    let hint = |hint: &Hint| json!({ "name": hint.name(), "text": hint.text() });
    let errors: Vec<Value> = ErrorCode::ALL.iter().map(error).collect();
    let hints: Vec<Value> = Hint::ALL.iter().map(hint).collect();
    let mut text = String::from("{\n  \"errors\": [\n");
    lines(&mut text, &errors);
    text.push_str("  ],\n  \"hints\": [\n");
    lines(&mut text, &hints);
    text.push_str("  ]\n}\n");
    text
}

/// Writes one entry per line, so that a diff shows single entries.
fn lines(text: &mut String, entries: &[Value]) {
    for (index, entry) in entries.iter().enumerate() {
        let comma = if index + 1 < entries.len() { "," } else { "" };
        let _ = writeln!(text, "    {entry}{comma}");
    }
}

fn page() -> String {
    let mut text = String::from(
        "# Errors\n\nWritten by `cargo xtask write-errors` from the code. Numbers and names are a promise: never changed, never \
         used again.\n\nA verdict goes with each failure: `never` (trying again cannot help), `after` a time, or `reconfigure` \
         (a value on this\ndevice has to change). Hints name the likely causes, the likeliest first.\n\n\
         | number | name | family | meaning |\n|---|---|---|---|\n",
    );
    for code in ErrorCode::ALL {
        let _ =
            writeln!(text, "| {} | `{}` | {} | {} |", code.number(), code.name(), code.family().name(), code.text());
    }
    text.push_str("\n## Hints\n\n| name | what to do |\n|---|---|\n");
    for hint in Hint::ALL {
        let _ = writeln!(text, "| `{}` | {} |", hint.name(), hint.text());
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn removed_and_renamed_errors_are_reported() {
        let code = ErrorCode::ALL[0];
        let same = BTreeMap::from([(u64::from(code.number()), code.name().to_owned())]);
        assert_eq!(broken_promises(&same), Vec::<String>::new());
        assert_eq!(broken_promises(&BTreeMap::from([(u64::from(code.number()), "other".to_owned())])).len(), 1);
        assert_eq!(broken_promises(&BTreeMap::from([(1999, "gone".to_owned())])).len(), 1);
    }
}
