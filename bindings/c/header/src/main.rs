//! Writes `bindings/c/include/dps.h` to stdout: the comments and types of `bindings/c/src`, section by section, around
//! the catalogue's numbers and the words of the protocol from `dps-core`.
//!
//! `cargo xtask header` runs it and compares. A crate of its own, so that nothing else waits for cbindgen.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a tool")]

mod abi;
mod catalogue;
mod plain;
mod section;

use std::path::Path;
use std::process::ExitCode;

use section::Section;

/// What every target has, in the order of reading.
const EVERYWHERE: &[Section] = &[
    Section { title: "Version", file: "version.rs", include: &[] },
    Section { title: "Memory", file: "span.rs", include: &["dps_buffer"] },
    Section { title: "Results", file: "result.rs", include: &["dps_result", "dps_verdict"] },
    Section { title: "Keys", file: "key.rs", include: &[] },
    Section { title: "Tokens by hand", file: "sas.rs", include: &["dps_sas_audience"] },
    Section { title: "Keys and tokens as text", file: "flat.rs", include: &[] },
    Section { title: "The configuration of a registration", file: "config.rs", include: &[] },
    Section { title: "What a registration asks for", file: "action.rs", include: &["dps_action", "dps_call"] },
    Section { title: "A registration", file: "registration.rs", include: &[] },
    Section { title: "A registration by a certificate", file: "x509.rs", include: &[] },
    Section { title: "A registration by a TPM", file: "tpm.rs", include: &["dps_tpm"] },
    Section { title: "Failures of the link", file: "link.rs", include: &[] },
    Section { title: "The outcome", file: "outcome.rs", include: &[] },
    Section { title: "MQTT", file: "mqtt.rs", include: &[] },
    Section { title: "MQTT by hand", file: "wire.rs", include: &[] },
    Section { title: "HTTP", file: "http.rs", include: &[] },
    Section { title: "Other API versions, and the hub's protocol", file: "api_version.rs", include: &[] },
    Section {
        title: "Certificates that the service issues",
        file: "issuance.rs",
        include: &["dps_certificate_request_reader"],
    },
];

/// What an operating system adds.
const HOSTED: &[Section] = &[
    Section { title: "Hosted: cancelling", file: "hosted/cancel.rs", include: &[] },
    Section { title: "Hosted: the log", file: "hosted/log.rs", include: &["dps_log_level", "dps_log_function"] },
    Section {
        title: "Hosted: progress",
        file: "hosted/progress.rs",
        include: &["dps_progress_kind", "dps_progress", "dps_progress_function"],
    },
    Section { title: "Hosted: errors", file: "hosted/error.rs", include: &[] },
    Section {
        title: "Hosted: issued certificates",
        file: "hosted/issued.rs",
        include: &["dps_key_algorithm", "dps_issued_state"],
    },
    Section { title: "Hosted: credentials", file: "hosted/credential.rs", include: &["dps_credential"] },
    Section {
        title: "Hosted: the configuration of a call",
        file: "hosted/config.rs",
        include: &["dps_transport", "dps_clock_function", "dps_client_config"],
    },
    Section { title: "Hosted: renewal at the hub", file: "hosted/renewal.rs", include: &["dps_hub_renewal"] },
    Section { title: "Hosted: sizes of objects and structs", file: "hosted/sized.rs", include: &[] },
    Section { title: "Hosted: assignments", file: "hosted/assignment.rs", include: &[] },
    Section { title: "Hosted: the calls", file: "hosted/client.rs", include: &[] },
    Section { title: "Hosted: passwords for the hub", file: "hosted/hub.rs", include: &[] },
    Section { title: "Hosted: the directory of an issued identity", file: "hosted/store.rs", include: &[] },
];

/// The numbers of results follow their type.
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
    text.push_str(&catalogue::versions());
    text.push_str(&abi::bare(&EVERYWHERE.iter().map(|section| section.read(&source)).collect::<Result<Vec<_>, _>>()?)?);
    text.push_str(include_str!("helpers.h"));
    for section in EVERYWHERE {
        text.push_str(&section.write(&source)?.replace(RESULT, &format!("{RESULT}{}", catalogue::results())));
        if section.title == "MQTT" {
            text.push_str(&catalogue::mqtt());
        }
        if section.file == "api_version.rs" {
            text.push_str(&catalogue::api_versions());
        }
    }
    text.push_str("\n#ifdef DPS_HOSTED\n");
    for section in HOSTED {
        text.push_str(&section.write(&source)?);
        if section.file == "hosted/sized.rs" {
            text.push_str(&abi::hosted(&section.read(&source)?));
        }
    }
    text.push_str("\n#endif\n");
    text.push_str(include_str!("closing.h"));
    Ok(text)
}
