//! Writes `bindings/c/include/dps.h` to stdout: the comments and types of `bindings/c/src`, section by section, around
//! the catalogue's numbers and the words of the protocol from `dps-core`.
//!
//! `cargo xtask header` runs it and compares. A crate of its own, so that nothing else waits for cbindgen.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a tool")]

mod catalogue;
mod plain;
mod section;

use std::path::Path;
use std::process::ExitCode;

use section::Section;

/// The parts of the header after the numbers, in the order of reading.
const SECTIONS: &[Section] = &[
    Section { title: "Memory", file: "memory.rs", include: &["dps_buffer"] },
    Section { title: "Results", file: "result.rs", include: &["dps_result", "dps_verdict"] },
    Section { title: "Keys", file: "key.rs", include: &[] },
    Section { title: "Tokens by hand", file: "sas.rs", include: &["dps_sas_audience"] },
    Section { title: "The configuration of a registration", file: "config.rs", include: &[] },
    Section { title: "What a registration asks for", file: "action.rs", include: &["dps_action"] },
    Section { title: "A registration", file: "registration.rs", include: &[] },
    Section { title: "Failures of the link", file: "link.rs", include: &[] },
    Section { title: "The outcome", file: "outcome.rs", include: &[] },
    Section { title: "MQTT", file: "mqtt.rs", include: &[] },
    Section { title: "HTTP", file: "http.rs", include: &[] },
];

/// Behind the type of results come their numbers.
const RESULT: &str = "typedef int32_t dps_result;\n";

fn main() -> ExitCode {
    match header() {
        Ok(text) => {
            print!("{text}");
            ExitCode::SUCCESS
        }
        Err(problem) => {
            eprintln!("{problem}");
            ExitCode::FAILURE
        }
    }
}

fn header() -> Result<String, String> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("../src");
    let mut text = include_str!("opening.h").to_owned();
    for section in SECTIONS {
        text.push_str(&section.write(&source)?.replace(RESULT, &format!("{RESULT}{}", catalogue::results())));
        if section.title == "MQTT" {
            text.push_str(&catalogue::mqtt());
        }
    }
    text.push_str(include_str!("closing.h"));
    Ok(text)
}
