//! `dps emulator`: its ready line, its files, its shutdown.

use std::io::{BufRead as _, BufReader};
use std::path::Path;

use rustix::process::Signal;
use serde_json::Value;

use super::run::{Finished, Folder, Run, Running, dps, finish, mode_of, send};

/// Starts the program and waits for its ready line.
pub(crate) fn start(words: &[&str]) -> (Running, Value) {
    let mut child = dps(["emulator", "--json"]).args(words).start();
    // Read byte by byte, so that the rest of the output remains for the caller that waits for the program.
    let mut line = String::new();
    BufReader::with_capacity(1, child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
    (child, serde_json::from_str(&line).expect("no ready line"))
}

pub(crate) fn stop(child: Running, signal: Signal) -> Finished {
    send(&child, signal);
    finish(child)
}

fn path<'v>(ready: &'v Value, member: &str) -> &'v str {
    ready[member].as_str().unwrap()
}

#[test]
fn ready_line_names_files_that_are_removed_at_the_end() {
    for signal in [Signal::TERM, Signal::INT] {
        let (child, ready) = start(&[]);
        assert_eq!(ready["idScope"], "0ne00A1B2C3");
        let endpoint = ready["endpoints"]["https"].as_str().unwrap();
        assert!(endpoint.starts_with("localhost:"));
        let (ca, owner) = (path(&ready, "caFile"), path(&ready, "connectionStringFile"));
        assert_eq!((mode_of(ca), mode_of(owner)), (0o600, 0o600));
        assert_eq!(mode_of(Path::new(ca).parent().unwrap()), 0o700);

        dps(["enrollment", "list", "--connection-string-file", owner, "--ca-file", ca]).run().code(0);
        let done = stop(child, signal).code(0);
        assert_eq!((done.stdout.as_str(), done.stderr.as_str()), ("", ""));
        assert!(!Path::new(ca).exists() && !Path::new(owner).exists());
    }
}

#[test]
fn state_directory_keeps_enrollments_and_certificate_authority() {
    let folder = Folder::new();
    let (state, copy) = (folder.file("state"), folder.file("copy.pem"));
    let options = ["--state", &state, "--ca-out", &copy, "--id-scope", "0neTEST", "--host", "dps.test"];
    let (child, ready) = start(&options);
    let (ca, owner) = (path(&ready, "caFile").to_owned(), path(&ready, "connectionStringFile").to_owned());
    assert_eq!(ready["idScope"], "0neTEST");
    assert!(ready["endpoints"]["https"].as_str().unwrap().starts_with("dps.test:"));
    assert_eq!(folder.read("copy.pem"), std::fs::read_to_string(&ca).unwrap());
    assert_eq!(mode_of(&state), 0o700);
    let port = ready["endpoints"]["https"].as_str().unwrap().rsplit(':').next().unwrap().to_owned();
    let endpoint = format!("localhost:{port}");
    let line = ["--connection-string-file", &owner, "--ca-file", &ca, "--endpoint", &endpoint, "--json"];
    dps(["enrollment-group", "create", "--group-id", "line-1"]).args(line).run().code(0);

    let second = dps(["emulator", "--state", &state, "--json"]).run().code(7);
    assert!(second.error()["message"].as_str().unwrap().contains("in use"));
    stop(child, Signal::TERM).code(0);

    let trusted = std::fs::read_to_string(&ca).unwrap();
    let (child, ready) = start(&["--state", &state]);
    assert_eq!(std::fs::read_to_string(path(&ready, "caFile")).unwrap(), trusted);
    let line = ["--connection-string-file", &owner, "--ca-file", &ca, "--json"];
    let list = dps(["enrollment-group", "list"]).args(line).run().code(0).json();
    assert_eq!(list["enrollmentGroups"][0]["enrollmentGroupId"], "line-1");
    stop(child, Signal::TERM).code(0);
}

#[test]
fn emulator_listens_for_every_transport_and_shares_a_port() {
    let (child, ready) = start(&[]);
    for front in ["https", "mqtt", "wss"] {
        assert!(ready["endpoints"][front].as_str().unwrap().starts_with("localhost:"), "{front}");
    }
    stop(child, Signal::TERM).code(0);
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port().to_string();
    let (child, ready) = start(&["--https-port", &free, "--wss-port", &free]);
    assert_eq!(ready["endpoints"]["https"], ready["endpoints"]["wss"]);
    stop(child, Signal::TERM).code(0);
}

#[test]
fn port_in_use_and_invalid_host_name_are_refused() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let error = dps(["emulator", "--https-port", &port, "--json"]).run().code(3).error();
    assert!(error["message"].as_str().unwrap().contains(&port));
    dps(["emulator", "--host", "not a name"]).run().code(3);
    dps(["emulator", "--hub", "not a name"]).run().code(3);
    dps(["emulator", "--hub", "hub-a.test=mqtt5"]).run().code(2);
    dps(["emulator", "--listen", "somewhere"]).run().code(2);
}

#[test]
fn emulator_continues_after_stdout_is_closed() {
    let (mut child, ready) = start(&[]);
    drop(child.stdout.take());
    let (ca, owner) = (path(&ready, "caFile"), path(&ready, "connectionStringFile"));
    dps(["enrollment", "list", "--connection-string-file", owner, "--ca-file", ca]).run().code(0);
    stop(child, Signal::TERM).code(0);
}

#[test]
fn verbose_emulator_logs_each_exchange_in_one_line() {
    use std::io::Read as _;

    let (mut child, ready) = start(&["-v"]);
    let (ca, owner) = (path(&ready, "caFile"), path(&ready, "connectionStringFile"));
    let folder = Folder::new();
    let key = folder.file("device.key");
    let enroll = ["enrollment", "create", "--registration-id", "dev-01", "--key-out", &key, "--ca-file", ca];
    dps(enroll).args(["--connection-string-file", owner]).run().code(0);
    for transport in ["https", "mqtt"] {
        let endpoint = path(&ready["endpoints"], transport);
        let line = ["--registration-id", "dev-01", "--key-file", &key, "--endpoint", endpoint, "--ca-file", ca];
        dps(["register", "--id-scope", "0ne00A1B2C3", "--transport", transport]).args(line).run().code(0);
    }

    let mut stderr = child.stderr.take().unwrap();
    stop(child, Signal::TERM).code(0);
    let mut logged = String::new();
    stderr.read_to_string(&mut logged).unwrap();
    for expected in [
        &["over=\"https\"", "call=\"PUT /enrollments/dev-01\"", "status=200"][..],
        &["over=\"https\"", "device=\"dev-01\"", "call=\"register\"", "status=202", "wait_s=1"],
        &["over=\"https\"", "device=\"dev-01\"", "call=\"poll\"", "status=200"],
        &["over=\"mqtt\"", "device=\"dev-01\"", "call=\"connect\"", "status=0"],
        &["over=\"mqtt\"", "device=\"dev-01\"", "call=\"subscribe\"", "status=1"],
        &["over=\"mqtt\"", "device=\"dev-01\"", "call=\"register\"", "status=202", "wait_s=1"],
        &["over=\"mqtt\"", "device=\"dev-01\"", "call=\"poll\"", "status=200"],
    ] {
        let found = logged.lines().any(|line| expected.iter().all(|part| line.contains(part)));
        assert!(found, "no line has {expected:?}:\n{logged}");
    }
    let count = |part: &str| logged.lines().filter(|line| line.contains(part)).count();
    assert_eq!(count("call=\"register\""), 2, "{logged}");
}

#[test]
fn refusals_are_printed_on_stderr_and_listed_by_log() {
    use std::io::Read as _;

    let (mut child, ready) = start(&["-v"]);
    let (ca, owner) = (path(&ready, "caFile"), path(&ready, "connectionStringFile"));
    let endpoint = path(&ready["endpoints"], "https");
    let folder = Folder::new();
    let key = folder.file("wrong.key");
    std::fs::write(&key, "d3Jvbmctd3Jvbmctd3Jvbmc=").unwrap();
    let line = ["--registration-id", "dev-01", "--key-file", &key, "--endpoint", endpoint, "--ca-file", ca];
    dps(["register", "--id-scope", "0ne00A1B2C3"]).args(line).run().code(4);

    let log = ["emulator", "log", "--connection-string-file", owner, "--ca-file", ca];
    let listed = dps(log).run().code(0).stdout;
    let line = listed.lines().find(|line| line.contains("dev-01 register: 401 (401002)")).expect("no line");
    assert!(
        line.contains("(unknown-registration)") && line.ends_with("signed with no key that the service knows"),
        "{line}"
    );
    assert!(listed.contains("connected from 127.0.0.1:") && listed.contains("TLS 1.3"), "{listed}");
    let of_device = ["--rid", "DEV-01", "--kind", "refusal", "--json"];
    let listed = dps(log).args(of_device).run().code(0).json();
    let [event] = listed["events"].as_array().unwrap().as_slice() else { panic!("not one event: {listed}") };
    assert_eq!(event["reason"], "unknown-registration");
    assert_eq!(dps(log).args(["--rid", "dev-02"]).run().code(0).stdout, "nothing happened\n");

    let mut stderr = child.stderr.take().unwrap();
    stop(child, Signal::TERM).code(0);
    let mut told = String::new();
    stderr.read_to_string(&mut told).unwrap();
    let objects: Vec<Value> = told.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    let reasons: Vec<&Value> = objects.iter().map(|object| &object["reason"]).collect();
    assert_eq!(reasons, ["unknown-registration"], "{told}");
    let exchange = told.lines().find(|line| line.contains("register")).expect("no line for the exchange");
    for part in ["https", "dev-01", "401", "401002", "no enrollment"] {
        assert!(exchange.contains(part), "{part} is not in {exchange}");
    }
}

#[test]
fn log_follow_prints_events_as_they_happen() {
    use std::io::{BufRead as _, BufReader};

    let (emulator, ready) = start(&[]);
    let (ca, owner) = (path(&ready, "caFile"), path(&ready, "connectionStringFile"));
    let log = ["emulator", "log", "--connection-string-file", owner, "--ca-file", ca, "--follow", "--json"];
    let mut follower = dps(log).args(["--kind", "refusal"]).start();
    let mut lines = BufReader::new(follower.stdout.take().unwrap()).lines();
    let folder = Folder::new();
    let key = folder.file("wrong.key");
    std::fs::write(&key, "d3Jvbmctd3Jvbmctd3Jvbmc=").unwrap();
    let endpoint = path(&ready["endpoints"], "https");
    for id in ["dev-01", "dev-02"] {
        let line = ["--registration-id", id, "--key-file", &key, "--endpoint", endpoint, "--ca-file", ca];
        dps(["register", "--id-scope", "0ne00A1B2C3"]).args(line).run().code(4);
        let event: Value = serde_json::from_str(&lines.next().expect("no event").unwrap()).unwrap();
        assert_eq!((&event["registrationId"], &event["kind"]), (&id.into(), &"refusal".into()));
    }
    stop(follower, Signal::INT).code(130);
    stop(emulator, Signal::TERM).code(0);
}

#[test]
fn emulator_options_set_timing_and_payload() {
    let (child, ready) = start(&["--assigning-ms", "0", "--echo-payload", "--retry-after", "0"]);
    assert_eq!(ready["idScope"], "0ne00A1B2C3");
    stop(child, Signal::TERM).code(0);
    dps(["emulator", "--assigning-ms", "soon"]).run().code(2);
}
