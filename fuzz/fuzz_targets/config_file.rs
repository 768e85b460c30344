//! Configuration files. A gateway's, read as either generation: every finding has a position in the file, the result of a
//! conversion can be read without errors, and an edit changes only one line. The emulator's: a mistake has a place in the
//! file, and without one the service can be made.
#![no_main]

use dps_edge::{EdgeVersion, Finding, Format, Severity, convert, read, set};
use dps_emulator::configured_service;
use libfuzzer_sys::fuzz_target;

const KEYS: [&str; 4] = [
    "provisioning.source",
    "provisioning.global_endpoint",
    "provisioning.attestation.symmetric_key",
    "auto_reprovisioning_mode",
];

fuzz_target!(|text: &str| {
    for format in [Format::Toml, Format::Yaml] {
        findings_have_places(text, format);
        for key in KEYS {
            edit_changes_one_line(text, format, key);
        }
    }
    conversion_is_read(text);
    emulator_is_made_or_the_mistake_has_a_place(text);
});

fn findings_have_places(text: &str, format: Format) {
    let lines = text.matches('\n').count() + 1;
    for finding in read(text, format, format.newest_version()).findings {
        assert!((1..=lines).contains(&finding.position.line) && finding.position.column >= 1, "{finding}");
    }
}

fn edit_changes_one_line(text: &str, format: Format, key: &str) {
    let Ok(changed) = set(text, format, format.newest_version(), key, "dps") else { return };
    let changed = changed.expose();
    let differ = text.lines().zip(changed.lines()).filter(|(old, new)| old != new).count();
    assert!(differ <= 1 && changed.lines().count() == text.lines().count(), "{changed}");
}

fn conversion_is_read(text: &str) {
    let Ok(converted) = convert(text) else { return };
    let refused = read(text, Format::Yaml, EdgeVersion::V1_1).has_errors();
    assert_eq!(refused, converted.findings.iter().any(is_error), "{:?}", converted.findings);
    let after = read(converted.text.expose(), Format::Toml, EdgeVersion::V1_6);
    assert!(!after.has_errors(), "{:?}\n{}", after.findings, converted.text.expose());
}

fn emulator_is_made_or_the_mistake_has_a_place(text: &str) {
    match configured_service(text) {
        Ok(made) => made.unwrap(),
        Err((line, column, message)) => {
            let lines = text.matches('\n').count() + 1;
            assert!((1..=lines).contains(&line) && column >= 1 && !message.is_empty(), "{line}:{column}: {message}");
        }
    }
}

fn is_error(finding: &Finding) -> bool {
    finding.severity() == Severity::Error
}
