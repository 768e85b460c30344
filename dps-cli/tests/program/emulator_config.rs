//! `dps emulator --config` and `export`, and the options beside a configuration.

use std::path::Path;

use rustix::process::Signal;
use serde_json::Value;

use super::emulator::{start, stop};
use super::run::{DEVICE_KEY, Folder, GROUP_KEY, Run as _, dps};
use super::service::Service;
use dps_emulator::{EnrollmentGroup, IndividualEnrollment};

fn text<'v>(ready: &'v Value, member: &str) -> &'v str {
    ready[member].as_str().unwrap()
}

/// A command line for the owner of an emulator that is ready.
fn as_owner(ready: &Value, line: &str, words: &[&str]) -> std::process::Command {
    let mut command = dps(line.split_whitespace().chain(words.iter().copied()));
    command.args(["--connection-string-file", text(ready, "connectionStringFile"), "--ca-file", text(ready, "caFile")]);
    command
}

/// The page that documents configurations, and its example.
fn page() -> (String, String) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/emulator-config.md");
    let page = std::fs::read_to_string(path).unwrap();
    let example = page.split("```toml\n").nth(1).unwrap().split("```").next().unwrap().to_owned();
    (page, example)
}

#[test]
fn documented_example_starts_an_emulator_and_documents_every_member() {
    let folder = Folder::new();
    let (page, example) = page();
    // Its port may be used here.
    folder.write("emulator.toml", example.replace("httpsPort = 8443", "httpsPort = 0"));
    std::fs::create_dir(folder.file("keys")).unwrap();
    folder.write("keys/policy.key", GROUP_KEY);
    folder.write("keys/dev-01.key", DEVICE_KEY);
    folder.write("root.pem", Service::start().folder.read("ca.pem"));
    let (child, ready) = start(&["--config", &folder.file("emulator.toml")]);
    assert_eq!(ready["endpoints"]["wss"], Value::Null);
    let shown =
        as_owner(&ready, "enrollment show --registration-id dev-01 --show-keys --json", &[]).run().code(0).json();
    let enrollment = &shown["enrollment"];
    assert_eq!(enrollment["attestation"]["symmetricKey"]["primaryKey"], DEVICE_KEY);
    assert_eq!(enrollment["deviceId"], "machine-7");
    stop(child, Signal::TERM).code(0);

    folder.write("unknown.toml", "unknown = 1");
    let error = dps(["emulator", "--config", &folder.file("unknown.toml"), "--json"]).run().code(3).error();
    let message = error["message"].as_str().unwrap();
    let (place, known) = message.split_once("known here: ").unwrap();
    assert!(place.contains("unknown.toml:1:1: unknown member 'unknown'"), "{place}");
    for member in known.split(", ") {
        assert!(page.contains(&format!("`{member}`")) || page.contains(&format!("`[[{member}]]`")), "{member}");
    }
}

#[test]
fn options_of_the_command_line_replace_those_of_the_file() {
    let folder = Folder::new();
    folder.write("keys.b64", DEVICE_KEY);
    let config = "idScope = '0neFILE'\nmqttPort = false\nhostNames = ['file.test']\n[[hubs]]\nname = 'file-hub.test'\n\
                  [[enrollments]]\nregistrationId = 'dev-01'\n";
    let config = folder.write("emulator.toml", config);
    let (child, ready) = start(&["--config", &config]);
    assert_eq!((text(&ready, "idScope"), &ready["endpoints"]["mqtt"]), ("0neFILE", &Value::Null));
    assert!(text(&ready["endpoints"], "https").starts_with("file.test:"));
    stop(child, Signal::TERM).code(0);

    let words = ["--id-scope", "0neLINE", "--mqtt-port", "0", "--host", "localhost", "--hub", "line-hub.test"];
    let (child, ready) =
        start(&[&["--config", &config, "--policy-key-file", &folder.file("keys.b64")][..], &words].concat());
    assert_eq!(text(&ready, "idScope"), "0neLINE");
    assert!(text(&ready["endpoints"], "mqtt").starts_with("localhost:"));
    let owner = std::fs::read_to_string(text(&ready, "connectionStringFile")).unwrap();
    assert!(owner.ends_with(&format!("SharedAccessKey={DEVICE_KEY}")), "{owner}");
    let exported = as_owner(&ready, "emulator export", &[]).run().code(0).stdout;
    assert!(exported.contains("\"line-hub.test\"") && !exported.contains("file-hub.test"), "{exported}");
    assert!(exported.contains("registrationId = \"dev-01\""), "{exported}");
    stop(child, Signal::TERM).code(0);
}

#[test]
fn configuration_that_cannot_be_used_starts_nothing() {
    let folder = Folder::new();
    let config = folder.write("emulator.toml", "[[enrollments]]\nregistrationId = 'dev 01'\n");
    let error = dps(["emulator", "--config", &config, "--json"]).run().code(3).error();
    assert!(error["message"].as_str().unwrap().contains("emulator.toml:2:18: 'registrationId' is invalid"), "{error}");
    let error = dps(["emulator", "--config", &folder.file("absent.toml"), "--json"]).run().code(7).error();
    assert!(error["message"].as_str().unwrap().contains("absent.toml"), "{error}");
}

#[test]
fn options_of_issued_certificates_are_those_of_the_service() {
    let options = ["--certificate-days", "7", "--p384-only", "--issuance-codes", "early", "--hub", "hub-5.test=mqttV5"];
    let (child, ready) = start(&options);
    let exported = as_owner(&ready, "emulator export", &[]).run().code(0).stdout;
    for line in ["certificateDays = 7", "p384Only = true", "issuanceCodes = \"early\"", "profile = \"mqttV5\""] {
        assert!(exported.contains(line), "{line} in {exported}");
    }
    stop(child, Signal::TERM).code(0);
    dps(["emulator", "--certificate-days", "6"]).run().code(2);
}

#[test]
fn export_masks_keys_unless_they_are_written_to_files() {
    let service = Service::start();
    service.enroll(IndividualEnrollment::new("dev-01"));
    service.enroll_group(EnrollmentGroup::new("line-1"));
    let keys = [service.folder.read("device.key"), service.folder.read("group.key")];
    let printed = service.as_owner("emulator export", &[]).run().code(0);
    assert!(printed.stdout.contains("primaryKeyFile = \"keys/enrollment-dev-01-primary.key\""), "{}", printed.stdout);
    let json = service.as_owner("emulator export --json", &[]).run().code(0).json();
    assert_eq!(json["configuration"].as_str().unwrap().trim(), printed.stdout.trim());
    service.as_owner("emulator export --show-keys", &[]).run().code(2);

    let (masked, shown) = (service.folder.file("masked"), service.folder.file("shown"));
    let done = service.as_owner("emulator export", &["--dir", &masked]).run().code(0);
    assert!(done.stdout.contains("keys are masked"), "{}", done.stdout);
    assert!(!Path::new(&masked).join("keys").exists());
    let done = service.as_owner("emulator export --show-keys --json", &["--dir", &shown]).run().code(0);
    for output in [&printed.stdout, &done.stdout, &done.stderr] {
        assert!(keys.iter().all(|key| !output.contains(key)), "a key is printed");
    }
    assert_eq!(service.folder.read("shown/keys/enrollment-dev-01-primary.key"), keys[0]);
    assert_eq!(service.folder.read("shown/keys/enrollment-group-line-1-primary.key"), keys[1]);
    // Nothing is overwritten.
    service.as_owner("emulator export --show-keys", &["--dir", &shown]).run().code(7);

    let (child, ready) = start(&["--config", &service.folder.file("shown/emulator.toml")]);
    let endpoint = text(&ready["endpoints"], "https");
    let key = service.folder.file("device.key");
    let line = [
        "--registration-id",
        "dev-01",
        "--key-file",
        &key,
        "--endpoint",
        endpoint,
        "--ca-file",
        text(&ready, "caFile"),
    ];
    dps(["register", "--id-scope", "0ne00A1B2C3"]).args(line).run().code(0);
    stop(child, Signal::TERM).code(0);
}

#[test]
fn seed_repeats_keys_on_loopback() {
    let folder = Folder::new();
    let key = |name: &str| {
        let (child, ready) = start(&["--seed", "7"]);
        let key = folder.file(name);
        as_owner(&ready, "enrollment create --registration-id dev-01", &["--key-out", &key]).run().code(0);
        stop(child, Signal::TERM).code(0);
        folder.read(name)
    };
    assert_eq!(key("first"), key("second"));
    dps(["emulator", "--seed", "-1"]).run().code(2);
}

#[test]
fn fixed_ports_that_cannot_be_had_are_named_in_one_error() {
    // Where ports below 1024 are not allowed, that is the reason for the first.
    let held = [443, 8883].map(|port| std::net::TcpListener::bind(("127.86.19.4", port)));
    assert!(held[1].is_ok());
    let error = dps(["emulator", "--fixed-ports", "--listen", "127.86.19.4", "--json"]).run().code(3).error();
    let message = error["message"].as_str().unwrap();
    for part in ["127.86.19.4:443 (", " and 127.86.19.4:8883 (", "stop the program that uses the port"] {
        assert!(message.contains(part), "{part} is not in {message}");
    }
    dps(["emulator", "--fixed-ports", "--https-port", "0"]).run().code(2);
}
