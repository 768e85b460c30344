//! `dps emulator accept`: the score of a well-behaved device, of one that does nothing, and the forms of the card. That
//! every scenario is passed by each of this project's clients is checked by `cargo xtask accept`.

use rustix::process::Signal;
use serde_json::Value;

use super::run::{Folder, Run, dps, dps_line, finish, send};

/// Scenarios that take a second or two with a client that is well-behaved.
const SHORT: [&str; 12] = [
    "registers",
    "throttled-without-a-hint",
    "server-error-at-register",
    "cut-after-register",
    "cut-at-poll",
    "not-json-at-poll",
    "forgotten-operation",
    "wrong-key",
    "failed-assignment",
    "id-of-128-characters",
    "unknown-members",
    "server-of-another-name",
];

/// The arguments of `dps register`, as those of a device's command.
const REGISTER: &str = "register --id-scope {idScope} --registration-id {registrationId} --key-file {keyFile} \
                        --endpoint {endpoint} --ca-file {caFile} --transport {transport}";

fn accept(options: &[&str]) -> std::process::Command {
    let names = SHORT.iter().flat_map(|name| ["--only", name]);
    let register = [env!("CARGO_BIN_EXE_dps")].into_iter().chain(REGISTER.split_whitespace());
    dps(["emulator", "accept"].into_iter().chain(options.iter().copied()).chain(names).chain(["--"]).chain(register))
}

fn outcomes(card: &Value) -> Vec<(&str, &str)> {
    let scenarios = card["scenarios"].as_array().unwrap().iter();
    scenarios.map(|one| (one["name"].as_str().unwrap(), one["outcome"].as_str().unwrap())).collect()
}

#[test]
fn well_behaved_device_passes_over_every_transport() {
    for transport in ["https", "mqtt", "mqtt-ws"] {
        let card = accept(&["--json", "--transport", transport]).run().code(0).json();
        assert_eq!((&card["score"], &card["transport"]), (&100.into(), &transport.into()), "{card:#}");
        assert_eq!((&card["credential"], &card["isPartial"]), (&"key".into(), &true.into()));
        assert!(card["version"].as_u64().unwrap() >= 1);
        assert!(outcomes(&card).iter().all(|(_, outcome)| *outcome == "passed"), "{card:#}");
    }
}

#[test]
fn device_that_does_nothing_fails_and_the_card_is_written_in_each_form() {
    let folder = Folder::new();
    let junit = folder.file("card.xml");
    let names = ["--only", "registers", "--only", "cut-at-connect", "--skip", "registers", "--only", "tls-1.3"];
    let line = [&["emulator", "accept", "--junit", &junit][..], &names, &["--", "true"]].concat();
    let shown = dps(line).run().code(10).stdout;
    assert!(shown.contains("not applicable cut-at-connect") && shown.contains("skipped        registers"), "{shown}");
    assert!(shown.contains("failed         tls-1.3 (recommended)"), "{shown}");
    assert!(shown.contains("nothing of it reached the service (exit status: 0)"), "{shown}");
    let last = shown.lines().last().unwrap();
    assert!(
        last.starts_with("score 0: 0 of 1 required scenarios passed, 0 of 1 recommended; https with key"),
        "{last}"
    );
    let xml = folder.read("card.xml");
    assert!(xml.contains("tests=\"3\" failures=\"2\" errors=\"0\" skipped=\"1\""), "{xml}");
}

#[test]
fn exit_code_follows_the_least_score() {
    let run = |at_least: &str, command: &str| {
        let line = format!("emulator accept --json --only registers --at-least {at_least} -- {command}");
        dps_line(&line, &[]).run()
    };
    run("1", "true").code(10).json();
    run("0", "true").code(0).json();
    run("101", "true").code(2);
}

#[test]
fn list_names_each_scenario_with_its_documents() {
    let shown = dps_line("emulator accept --list", &[]).run().code(0).stdout;
    assert!(shown.contains("cut-at-connect (required; only mqtt, mqtt-ws)\n"), "{shown}");
    let list = dps_line("emulator accept --list --json", &[]).run().code(0).json();
    let scenarios = list["scenarios"].as_array().unwrap();
    assert!(scenarios.len() > 40);
    assert!(scenarios.iter().all(|scenario| !scenario["documents"].as_array().unwrap().is_empty()));
}

#[test]
fn what_cannot_work_is_a_usage_error() {
    for (line, why) in [
        ("emulator accept", "COMMAND"),
        ("emulator accept --only no-such-name -- true", "no scenario is named 'no-such-name'"),
        ("emulator accept -- true {key}", "unknown placeholder {key}"),
        ("emulator accept --wait --registration-id dev-01", "--key-file"),
        (
            "emulator accept --wait --registration-id dev-01 --key-file no-such-file --reset-command true",
            "--tls-ca-file",
        ),
    ] {
        let done = dps_line(line, &[]).run().code(2);
        assert!(done.stderr.contains(why), "{line}: {}", done.stderr);
    }
    let folder = Folder::new();
    let (started, missing) = (folder.file("started"), folder.file("missing/card.xml"));
    let line = ["emulator", "accept", "--only", "registers", "--junit", &missing, "--", "touch", &started];
    let done = dps(line).run().code(7);
    assert!(done.stderr.contains("missing") && !std::path::Path::new(&started).exists(), "{}", done.stderr);
    let done = dps_line("emulator accept --only registers -- /no/such/program", &[]).run().code(7);
    assert!(done.stderr.contains("'/no/such/program' cannot be started"), "{}", done.stderr);
}

/// The reset starts the "board" in the background, in a session of its own.
#[cfg(target_os = "linux")]
#[test]
fn board_is_restarted_for_each_scenario_and_keeps_its_identity() {
    const KEY: &str = "Jsm0lyGpjaVYVP2g3FnmnmG9dI/9qU24wNoykUmermc=";
    // Other tests get their ports on 127.0.0.1: the one that is found here stays free.
    const ADDRESS: &str = "127.0.0.77";
    let folder = Folder::new();
    let (key, ca) = (folder.write("board.key", KEY), folder.file("ca"));
    dps(["x509", "test-ca", "--out", &ca]).run().code(0);
    let root = [format!("{ca}/root-ca.pem"), format!("{ca}/root-ca.key.pem")];
    let port = std::net::TcpListener::bind((ADDRESS, 0)).unwrap().local_addr().unwrap().port();
    let program = env!("CARGO_BIN_EXE_dps");
    let reset = format!(
        "setsid {program} register --id-scope $DPS_ID_SCOPE --registration-id board-7 --key-file {key} \
         --endpoint {ADDRESS}:{port} --ca-file {} >/dev/null 2>&1 &",
        root[0]
    );
    let port = port.to_string();
    let options = [
        ["--registration-id", "board-7"],
        ["--key-file", &key],
        ["--reset-command", &reset],
        ["--quiet", "10s"],
        ["--listen", ADDRESS],
        ["--host", ADDRESS],
        ["--https-port", &port],
        ["--tls-ca-file", &root[0]],
        ["--tls-ca-key-file", &root[1]],
        ["--only", "registers"],
        ["--only", "wrong-key"],
        ["--only", "id-of-64-characters"],
    ];
    let line = [&["emulator", "accept", "--json", "--wait"][..], options.as_flattened()].concat();
    let card = dps(line).run().code(0).json();
    let expected = [("registers", "passed"), ("wrong-key", "passed"), ("id-of-64-characters", "not-applicable")];
    assert_eq!(outcomes(&card), expected, "{card:#}");
}

#[test]
fn interruption_ends_the_device() {
    let folder = Folder::new();
    let started = folder.file("started");
    let script = format!("echo $$ > {started}.new; mv {started}.new {started}; exec sleep 600");
    let child = dps(["emulator", "accept", "--only", "registers", "--", "sh", "-c", &script]).start();
    while !std::path::Path::new(&started).exists() {
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    send(&child, Signal::INT);
    finish(child).code(130);
    let device = folder.read("started").trim().parse().unwrap();
    let device = rustix::process::Pid::from_raw(device).unwrap();
    // It was killed before the program ended; its parent is gone, so that another process collects it.
    let is_alive = || {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", device.as_raw_nonzero())).unwrap_or_default();
        !stat.is_empty() && !stat.contains(") Z ")
    };
    let began = std::time::Instant::now();
    while is_alive() {
        assert!(began.elapsed() < std::time::Duration::from_secs(60), "the device is still running");
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
}
