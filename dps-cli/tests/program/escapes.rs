//! Control characters from outside do not reach the terminal.

use dps_emulator::{At, Fault, IndividualEnrollment, Scope};
use serde_json::json;

use super::run::{DEVICE_ID, Finished, Folder, Run, dps};
use super::service::Service;

/// Clears the screen in two ways, changes the direction of text, and forges a line.
const HOSTILE: &str = "a\u{1b}[2J\u{9b}31m\u{202e}\nerror: b";

fn is_terminal_control(character: char) -> bool {
    character != '\n' && (character.is_control() || character == '\u{202e}')
}

#[track_caller]
fn shows_no_terminal_control(done: &Finished) {
    for shown in [&done.stdout, &done.stderr] {
        assert!(!shown.contains(is_terminal_control), "{shown:?}");
    }
    let forged = done.stderr.lines().chain(done.stdout.lines()).any(|line| line.trim_start().starts_with("error: b"));
    assert!(!forged, "{}{}", done.stdout, done.stderr);
}

#[test]
fn control_characters_of_arguments_and_file_names_do_not_reach_the_terminal() {
    let folder = Folder::new();
    let name = folder.file(HOSTILE);
    for (line, code) in [
        (&["derive-key", "--rid", DEVICE_ID, "--group-key-file", &name][..], 7),
        (&["edge", "lint", &name], 7),
        (&["derive-key", "--bogus\u{1b}[2J\u{202e}"], 2),
        (&["\u{1b}[2J"], 2),
    ] {
        let done = dps(line.iter().copied()).run().code(code);
        shows_no_terminal_control(&done);
        assert!(code == 2 || done.stderr.contains(r"\u{1b}"), "{}", done.stderr);
        shows_no_terminal_control(&dps(line.iter().copied()).arg("--json").run());
    }
}

#[test]
fn control_characters_of_a_service_do_not_reach_the_terminal() {
    let service = Service::with(|options| options.assign_at_once(true));
    let key = service.enroll(IndividualEnrollment::new("dev-01"));
    let key_file = ["--key-file", &key];
    service.as_device("register", "dev-01", &key_file).run().code(0);
    let members = json!({
        "status": "failed", "substatus": HOSTILE, "assignedHub": HOSTILE, "deviceId": HOSTILE,
        "errorCode": 400_207, "errorMessage": HOSTILE, "payload": { "a": HOSTILE },
    });
    let mut whole = members.clone();
    whole["registrationState"] = members;
    let fault = Fault::PatchReply { patch: whole.as_object().unwrap().clone() };
    service.set(|service| service.inject(Scope::All, At::Any, fault, 1000));
    for line in [
        "lookup --timeout 5s",
        "check --timeout 5s",
        "register -vvv --timeout 5s",
        "lookup --json --timeout 5s",
        "check --json --timeout 5s",
        "register --json --timeout 5s",
    ] {
        let done = service.as_device(line, "dev-01", &key_file).run();
        shows_no_terminal_control(&done);
    }
}

#[test]
fn check_does_not_report_a_foreign_404_as_missing_record() {
    let service = Service::start();
    let key = service.enroll(IndividualEnrollment::new("dev-01"));
    let lookup = || service.as_device("lookup --json", "dev-01", &["--key-file", &key]).run().error();
    assert_eq!(lookup()["name"], "not-found");
    // Without the service's error body, as in a proxy's reply.
    let patch = json!({ "errorCode": null, "trackingId": null, "message": null, "timestampUtc": null });
    let fault = Fault::PatchReply { patch: patch.as_object().unwrap().clone() };
    service.set(|service| service.inject(Scope::All, At::Lookup, fault, 100));
    assert_eq!(lookup()["name"], "invalid-reply");
    let done = service.as_device("check --json", "dev-01", &["--key-file", &key]).run().json();
    assert!(!done.to_string().contains("has not registered yet"), "{done}");
}
