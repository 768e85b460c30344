//! `--clock-offset`: tests move the clock of a device, for its tokens and for the server's certificate, on loopback
//! only.

use dps_emulator::IndividualEnrollment;

use super::run::{DEVICE_KEY, Folder, Run, dps_line};
use super::service::Service;

/// 40 years, longer than any certificate of the emulator is valid.
const FORTY_YEARS: &str = "1262304000";

#[test]
fn clock_offset_expires_the_server_certificate() {
    let service = Service::with(|options| options.mqtt_port(0).assign_at_once(true));
    let key = service.enroll(IndividualEnrollment::new("dev-01"));
    let mqtt = service.emulator().mqtt_endpoint().unwrap();
    for (transport, endpoint) in [("https", service.emulator().endpoint()), ("mqtt", mqtt)] {
        let words = ["--key-file", &key, "--endpoint", &endpoint, "--transport", transport];
        let moved = |offset| [&words[..], &["--clock-offset", offset]].concat();
        let register = |offset| service.as_device("register --json", "dev-01", &moved(offset)).run();
        register("60").code(0);
        assert_eq!(register(FORTY_YEARS).code(5).error()["name"], "certificate-expired", "{transport}");
        assert_eq!(register("-1262304000").code(5).error()["name"], "certificate-expired", "{transport}");
    }
    let words = ["--key-file", &key, "--clock-offset", FORTY_YEARS];
    let error = service.as_device("lookup --json", "dev-01", &words).run().code(5).error();
    assert_eq!(error["name"], "certificate-expired");
}

#[test]
fn clock_offset_moves_the_clock_that_check_compares() {
    let service = Service::with(|options| options.assign_at_once(true));
    let key = service.enroll(IndividualEnrollment::new("dev-01"));
    let words = ["--key-file", &key, "--clock-offset", "-7200"];
    let report = service.as_device("check --json", "dev-01", &words).run().code(10).json();
    assert_eq!(report["cause"], "clock", "{report}");
    assert!(report["headline"].as_str().unwrap().contains("s behind the service's"), "{report}");
}

#[test]
fn clock_offset_is_refused_unless_the_endpoint_is_on_loopback() {
    let refused = |more: &[&str]| {
        let words = ["--scope", "0ne1", "--rid", "a", "--key-file", "none", "--clock-offset", "5", "--json"];
        for command in ["register", "lookup", "check"] {
            let error = dps_line(command, &[&words[..], more].concat()).run().code(2).error();
            assert!(error["message"].as_str().unwrap().contains("--clock-offset"), "{error}");
        }
    };
    refused(&[]);
    refused(&["--endpoint", "global.azure-devices-provisioning.net"]);
    refused(&["--endpoint", "192.0.2.1:8443"]);
    refused(&["--endpoint", "localhost:1", "--resolve", "localhost:1:192.0.2.1"]);
    refused(&["--endpoint", "localhost:1", "--proxy", "http://proxy.test:3128"]);

    let folder = Folder::new();
    let config = format!(
        "[provisioning]\nsource = \"dps\"\nglobal_endpoint = \"https://global.azure-devices-provisioning.net\"\n\
         id_scope = \"0ne00A1B2C3\"\n\n[provisioning.attestation]\nmethod = \"symmetric_key\"\n\
         registration_id = \"a\"\nsymmetric_key = {{ value = \"{DEVICE_KEY}\" }}\n"
    );
    let config = folder.write("config.toml", config);
    let words = ["--config", &config, "--clock-offset", "5", "--json"];
    let error = dps_line("edge provision", &words).run().code(2).error();
    assert!(error["message"].as_str().unwrap().contains("global.azure-devices-provisioning.net"), "{error}");
}
