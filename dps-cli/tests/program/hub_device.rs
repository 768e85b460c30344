//! `dps emulator hub-device`: a device is disabled, moved and deleted in the hubs of another process.

use rustix::process::Signal;
use serde_json::json;

use super::emulator::{start, stop};
use super::run::{Folder, Run, dps, dps_line};
use super::service::Service;

#[test]
fn hub_device_moves_a_device_to_another_hub() {
    let (emulator, ready) = start(&["--assign-at-once", "--hub", "hub-a.test", "--hub", "hub-b.test"]);
    let path = |member: &str| ready[member].as_str().unwrap().to_owned();
    let folder = Folder::new();
    let key = folder.file("device.key");
    let as_owner = |line: &str| {
        let files = [path("connectionStringFile"), path("caFile")];
        dps_line(line, &["--connection-string-file", &files[0], "--ca-file", &files[1], "--json"]).run()
    };
    let register = || {
        let done = dps(["register", "--rid", "dev-01", "--id-scope", &path("idScope"), "--key-file", &key, "--json"])
            .args(["--endpoint", ready["endpoints"]["https"].as_str().unwrap(), "--ca-file", &path("caFile")])
            .run();
        done.code(0).json()["assignedHub"].clone()
    };
    let device =
        |command: &str, hub: &str| as_owner(&format!("emulator hub-device {command} --hub {hub} --device-id dev-01"));
    let state = |hub: &str| device("show", hub).code(0).json()["state"].clone();

    as_owner(&format!("enrollment create --rid dev-01 --hub hub-a.test --key-out {key}")).code(0);
    assert_eq!(
        (state("hub-a.test"), register(), state("hub-a.test")),
        ("absent".into(), "hub-a.test".into(), "enabled".into())
    );
    assert_eq!(device("disable", "hub-a.test").code(0).json()["state"], "disabled");
    assert_eq!((register(), state("hub-a.test")), ("hub-a.test".into(), "disabled".into()), "the service lets it be");
    assert_eq!(device("enable", "hub-a.test").code(0).json()["state"], "enabled");

    let moved = device("move --to hub-b.test", "hub-a.test").code(0).json();
    assert_eq!((&moved["hub"], &moved["state"]), (&"hub-b.test".into(), &"enabled".into()));
    assert_eq!(state("hub-a.test"), "absent");
    as_owner("enrollment create --replace --rid dev-01 --hub hub-b.test").code(0);
    assert_eq!((register(), state("hub-a.test")), ("hub-b.test".into(), "absent".into()));

    assert_eq!(device("delete", "hub-b.test").code(0).json()["state"], "absent");
    let error = device("delete", "hub-b.test").code(4).error();
    assert_eq!((&error["name"], &error["errorCode"]), (&"not-found".into(), &404_201.into()));
    assert!(error["message"].as_str().unwrap().contains("The hub hub-b.test has no device dev-01."), "{error}");
    stop(emulator, Signal::TERM).code(0);
}

#[test]
fn hub_device_refuses_invalid_arguments() {
    let service = Service::with(|options| options.assign_at_once(true));
    let key = service.enroll(dps_emulator::IndividualEnrollment::new("dev-01"));
    service.as_device("register", "dev-01", &["--key-file", &key]).run().code(0);
    let at = "--hub hub-a.test --device-id dev-01";
    let run = |line: &str, code| service.as_owner(&format!("emulator {line}"), &[]).run().code(code);
    let shown = run(&format!("hub-device show {at}"), 0).stdout;
    assert!(shown.starts_with("dev-01 in hub-a.test: enabled\n") && shown.contains("  refused    0\n"), "{shown}");
    run(&format!("hub-device move {at}"), 2);
    run("hub-device disable --hub hub-a.test", 2);
    run("hub-device disable --hub hub-a.test --device-id=", 2);
    run(&format!("--hub hub-b.test hub-device show {at}"), 2);
    let refused = run(&format!("hub-device move {at} --to nowhere.test"), 4).stderr;
    assert!(refused.contains("'hub' must be a hub that is linked"), "{refused}");
    service.forge_owner();
    for command in ["show", "disable", "enable", "delete", "move --to hub-a.test"] {
        let error = run(&format!("hub-device {command} {at} --json"), 4).error();
        assert_eq!((&error["name"], &error["httpStatus"]), (&"unauthorized".into(), &json!(401)), "{command}");
    }
    assert!(service.set(|service| service.hub_device("hub-a.test", "dev-01").unwrap().enabled));
}
