//! `dps emulator health`: for scripts and containers that wait for an emulator.

use super::run::{Run as _, dps};
use super::service::Service;

#[test]
fn health_exits_with_0_and_names_the_fronts() {
    let service = Service::with(|options| options.mqtt_port(0));
    let shown = service.as_owner("emulator health", &[]).run().code(0).stdout;
    let mqtt = service.emulator().mqtt_endpoint().unwrap();
    assert!(shown.starts_with("ready\n") && shown.contains(&mqtt) && shown.contains("wss    disabled"), "{shown}");
    let json = service.as_owner("emulator health --json", &[]).run().code(0).json();
    assert_eq!(json["endpoints"]["https"], service.emulator().endpoint());
}

#[test]
fn health_needs_no_key_but_a_host_and_the_certificate_authority() {
    let service = Service::start();
    let (endpoint, ca) = (service.emulator().endpoint(), service.folder.file("ca.pem"));
    dps(["emulator", "health", "--endpoint", &endpoint, "--ca-file", &ca]).run().code(0);
    let error = dps(["emulator", "health", "--endpoint", &endpoint, "--json"]).run().code(5).error();
    assert_eq!(error["name"], "unknown-ca");
}

#[test]
fn health_of_an_emulator_that_is_not_there_is_a_link_failure() {
    dps(["emulator", "health", "--endpoint", "localhost:1", "--json"]).run().code(5);
}
