//! `dps emulator fault` and `dps emulator counters`: one process plans failures of another and reads its counters.

use dps_emulator::IndividualEnrollment;
use rustix::process::Signal;
use serde_json::{Value, json};

use super::emulator::{start, stop};
use super::run::{Folder, GROUP_KEY, Run, dps, dps_line};
use super::service::Service;

#[test]
fn planned_fault_affects_another_process() {
    let (emulator, ready) = start(&["--assign-at-once"]);
    let path = |member: &str| ready[member].as_str().unwrap().to_owned();
    let (ca, owner) = (path("caFile"), path("connectionStringFile"));
    let folder = Folder::new();
    let key = folder.file("device.key");
    let as_owner = |line: &str| {
        let mut command = dps_line(line, &["--connection-string-file", &owner, "--ca-file", &ca]);
        command.arg("--json").run().code(0).json()
    };
    as_owner(&format!("enrollment create --rid dev-01 --key-out {key}"));
    let register = |transport: &str| {
        let front = if transport == "mqtt-ws" { "wss" } else { transport };
        let endpoint = ready["endpoints"][front].as_str().unwrap();
        dps(["register", "--rid", "dev-01", "--id-scope", &path("idScope"), "--transport", transport, "--endpoint"])
            .args([endpoint, "--key-file", &key, "--ca-file", &ca, "--timeout", "20s", "--json"])
            .run()
    };

    for transport in ["https", "mqtt", "mqtt-ws"] {
        as_owner("emulator fault add --kind throttle --at register --retry-after 3600 --rid DEV-01");
        let error = register(transport).code(6).error();
        assert_eq!((&error["name"], &error["retryAfterMs"]), (&"throttled".into(), &3_600_000.into()), "{transport}");
        register(transport).code(0);
    }
    as_owner("emulator fault add --kind refuse-connect --at connect --code 5");
    assert_eq!(register("mqtt").code(4).error()["name"], "unauthorized");
    register("https").code(0);
    as_owner("emulator fault add --kind drop-before --times 1000");
    assert_eq!(as_owner("emulator fault clear"), json!({ "cleared": 1 }));
    register("mqtt").code(0);

    let counted = as_owner("emulator counters --rid dev-01");
    let of = |name: &str| counted[name].as_u64().unwrap();
    assert_eq!((of("registers"), of("connects"), of("subscribes")), (8, 6, 5));
    assert_eq!((of("faults"), of("throttled"), of("unauthorized")), (4, 3, 1));
    stop(emulator, Signal::TERM).code(0);
}

#[test]
fn faults_are_added_listed_and_cleared() {
    let service = Service::start();
    let run = |line: &str| service.as_owner(line, &[]).run().code(0);
    assert_eq!(run("emulator fault list").stdout, "no faults are planned\n");
    let added = run("emulator fault add --kind throttle --at poll --retry-after 7 --registration-id dev-01 --times 2");
    assert_eq!(added.stdout, "planned: throttle at poll for dev-01, retry-after 7, 2 of 2 left\n");
    let added = run("emulator fault add --kind server-error --status 503 --retry-after-date -3 --json").json();
    let second = json!({ "at": "any", "kind": "server-error", "status": 503, "retryAfter": { "dateOffset": -3 },
        "times": 1, "left": 1 });
    assert_eq!(added, json!({ "faults": [second] }));

    let listed = run("emulator fault list --json").json();
    assert_eq!((&listed["faults"][0]["registrationId"], &listed["faults"][1]), (&"dev-01".into(), &second));
    let people = run("emulator fault list").stdout;
    assert_eq!(people.lines().count(), 2);
    assert!(people.contains("server-error at any for every device"), "{people}");

    assert_eq!(run("emulator fault clear --rid DEV-01").stdout, "1 fault removed\n");
    assert_eq!(service.set(|service| service.pending_faults()), 1);
    assert_eq!(run("emulator fault clear --json").json(), json!({ "cleared": 1 }));
    assert_eq!(run("emulator fault clear").stdout, "0 faults removed\n");
}

#[test]
fn every_fault_kind_can_be_added() {
    let service = Service::start();
    let kinds: Vec<_> = dps_emulator::FaultPlan::kinds().map(|(name, _)| name).collect();
    let help = dps_line("emulator fault add --help", &[]).run().code(0).stdout;
    for kind in &kinds {
        assert!(help.contains(&format!("- {kind}:")), "{kind}");
        let own = match *kind {
            "server-error" => "--status 500",
            "delay" => "--ms 1500",
            "oversize-reply" => "--bytes 99328 --at poll",
            "patch-reply" => "--patch {\"status\":null}",
            "refuse-connect" => "--at connect --code 3",
            "refuse-subscribe" => "--at subscribe",
            "no-ping" => "--at connect",
            // The commands that follow meet it too.
            "no-certificate-request" => "--at handshake --times 100",
            "refuse-certificate" => "--at handshake",
            "duplicate-reply" => "--at renew",
            "foreign-certificate" => "--at issue",
            "flood" => "--of publish",
            _ => "",
        };
        service.as_owner(&format!("emulator fault add --kind {kind} {own}"), &[]).run().code(0);
    }
    let listed = service.as_owner("emulator fault list --json", &[]).run().code(0).json();
    let listed: Vec<_> = listed["faults"].as_array().unwrap().iter().map(|fault| fault["kind"].clone()).collect();
    assert_eq!(listed, kinds);
}

#[test]
fn invalid_fault_options_are_refused_before_anything_is_sent() {
    let folder = Folder::new();
    // There is no listener: anything that is sent is a link failure and not a usage error.
    let nowhere = format!("HostName=localhost:1;SharedAccessKeyName=owner;SharedAccessKey={GROUP_KEY}");
    let owner = folder.write("owner", nowhere);
    let add = |line: &str| {
        let mut command = dps_line(&format!("emulator fault add {line}"), &["--json"]);
        command.args(["--connection-string-file", &owner]).run()
    };
    add("--kind silent").code(5);
    for (line, words) in [
        ("--kind throtle", "similar value exists: 'throttle'"),
        ("--kind garbage --ms 4", "--ms is not allowed for kind 'garbage', only for delay"),
        ("--kind delay", "--ms is missing; it must be a whole number from 1 to 86400000"),
        ("--kind delay --ms -4", "--ms must be a whole number from 1"),
        ("--kind server-error --status 200", "--status must be a whole number from 400 to 599"),
        ("--kind refuse-connect --code 3", "--at must be connect for kind 'refuse-connect'"),
        ("--kind refuse-connect --code 6 --at connect", "--code must be a whole number from 1 to 5"),
        ("--kind refuse-subscribe --at poll", "--at must be subscribe"),
        (
            "--kind delay --ms 5 --at connect",
            "--at must be one of register, poll, lookup, renew, issue, any for kind 'delay'",
        ),
        ("--kind silent --retry-after 4", "--retry-after is not allowed for kind 'silent'"),
        ("--kind silent --retry-after-date 4", "--retry-after-date is not allowed for kind 'silent'"),
        ("--kind throttle --retry-after-date 999999999", "--retry-after-date must be at most 315360000 seconds"),
        ("--kind throttle --retry-after 1 --retry-after-date 1", "cannot be used with"),
        ("--kind silent --times 0", "--times must be a whole number from 1"),
    ] {
        let error = add(line).code(2).error();
        assert!(error["message"].as_str().unwrap().contains(words), "{line}: {error}");
    }
    let error = add("--kind silent --rid a%b").code(3).error();
    assert_eq!(error["name"], "invalid-registration-id");
    for line in ["emulator fault clear --rid a%b", "emulator counters --rid a%b"] {
        dps_line(line, &["--connection-string-file", &owner]).run().code(3);
    }
}

#[test]
fn counters_are_printed_as_text_and_json() {
    let service = Service::with(|options| options.assign_at_once(true));
    let key = service.enroll(IndividualEnrollment::new("dev-01"));
    service.as_device("register", "dev-01", &["--key-file", &key]).run().code(0);
    let all = service.as_owner("emulator counters --json", &[]).run().code(0).json();
    assert_eq!((&all["registers"], &all["admin"], &all["registrationId"]), (&1.into(), &0.into(), &Value::Null));
    let people = service.as_owner("emulator counters --rid Dev-01", &[]).run().code(0).stdout;
    assert!(people.starts_with("registration Dev-01\n") && people.contains("  registers      1\n"), "{people}");
    let other = service.as_owner("emulator counters --rid dev-02 --json", &[]).run().code(0).json();
    assert_eq!((&other["registers"], &other["registrationId"]), (&0.into(), &"dev-02".into()));
    service.as_device("register", "dev-02", &["--key-file", &key]).run().code(4);
    let refused = service.as_owner("emulator counters", &[]).run().code(0).stdout;
    assert!(refused.contains("  refused, unknown-registration  1\n"), "{refused}");
}

#[test]
fn fault_commands_require_the_owner_key() {
    let service = Service::start();
    service.forge_owner();
    for line in ["fault add --kind silent", "fault list", "fault clear", "counters"] {
        let error = service.as_owner(&format!("emulator {line} --json"), &[]).run().code(4).error();
        assert_eq!((&error["name"], &error["httpStatus"]), (&"unauthorized".into(), &401.into()), "{line}");
    }
    assert_eq!(service.set(|service| service.pending_faults()), 0);
}

#[test]
fn run_options_are_refused_with_control_commands() {
    let service = Service::start();
    for (line, code) in [
        ("emulator --json fault list", 0),
        ("--json emulator fault list", 0),
        ("emulator -v fault --json list", 0),
        ("emulator --json --https-port 8443 fault list", 2),
        ("emulator --json --state somewhere counters", 2),
    ] {
        let done = service.as_owner(line, &[]).run().code(code);
        assert_eq!(done.json().get("error").is_some(), code != 0, "{line}");
    }
    assert!(!std::path::Path::new("somewhere").exists());
    dps_line("emulator fault", &[]).run().code(2);
    dps_line("emulator fault add --kind silent", &[]).run().code(2);
}
