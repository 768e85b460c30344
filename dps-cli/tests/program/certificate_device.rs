//! Devices with certificates: `register`, `lookup`, `check` and `edge provision`, and where certificate, key and
//! passphrase come from.

use dps_emulator::{Certificate, IndividualEnrollment};

use super::pki::{Ca, Device};
use super::run::{CLOSED, DEVICE_KEY, Folder, Run, dps, dps_line, set_mode};
use super::service::Service;

/// A service with the enrollment `dev-01` of a certificate; the files are `device.pem` and `device.key`.
fn enrolled() -> Service {
    let service = Service::with(|options| options.assign_at_once(true).mqtt_port(0).wss_port(0));
    let device = Ca::root("Root").intermediate("Line").device("dev-01");
    enroll(&service, &device);
    service.folder.write("device.pem", device.chain.concat());
    service.folder.write("device.key", &device.key);
    service
}

fn enroll(service: &Service, device: &Device) {
    let certificate = Certificate::from_der(device.x509().chain().iter().next().unwrap()).unwrap();
    let now = service.emulator().now();
    let enrollment = IndividualEnrollment::new("dev-01").client_certificate(certificate);
    service.set(|service| service.put_enrollment(now, enrollment)).unwrap();
}

/// A command line without a registration id.
fn device(service: &Service, line: &str, words: &[&str]) -> std::process::Command {
    let emulator = service.emulator();
    let mut command = dps_line(line, &["--id-scope", emulator.id_scope(), "--ca-file", &service.folder.file("ca.pem")]);
    command.args(["--cert-file", &service.folder.file("device.pem")]).args(words);
    if !words.contains(&"--endpoint") {
        command.args(["--endpoint", &emulator.endpoint()]);
    }
    command
}

#[test]
fn device_with_a_certificate_registers_by_its_common_name_over_every_transport() {
    let service = enrolled();
    let key = service.folder.file("device.key");
    let emulator = service.emulator();
    for (transport, endpoint) in [
        ("https", emulator.endpoint()),
        ("mqtt", emulator.mqtt_endpoint().unwrap()),
        ("mqtt-ws", emulator.wss_endpoint().unwrap()),
    ] {
        let words = ["--cert-key-file", &key, "--transport", transport, "--endpoint", &endpoint];
        let registered = device(&service, "register --json", &words).run().code(0).json();
        assert_eq!((&registered["registrationId"], &registered["deviceId"]), (&"dev-01".into(), &"dev-01".into()));
        let credentials = serde_json::json!({
            "clientId": "dev-01", "userName": "hub-a.test/dev-01/?api-version=2021-04-12", "certificate": true
        });
        assert_eq!(registered["hubCredentials"], credentials);
    }
    let shown = device(&service, "register --connection-string", &["--cert-key-file", &key]).run().code(0).stdout;
    assert!(shown.ends_with("HostName=hub-a.test;DeviceId=dev-01;x509=true\n"), "{shown}");
    assert!(shown.contains("with the same certificate and no password"), "{shown}");
    let found = device(&service, "lookup --json", &["--cert-key-file", &key]).run().code(0).json();
    assert_eq!((&found["registrationId"], &found["status"]), (&"dev-01".into(), &"assigned".into()));
    // A key in the environment is not the one that was chosen.
    device(&service, "lookup", &["--cert-key-file", &key]).env("DPS_KEY", DEVICE_KEY).run().code(0);
}

#[test]
fn check_of_a_healthy_device_with_a_certificate_has_no_findings() {
    let service = enrolled();
    let key = service.folder.file("device.key");
    let report = device(&service, "check --json", &["--cert-key-file", &key]).run().code(0).json();
    assert_eq!(report["registrationId"], "dev-01");
    let check = |id: &str| report["checks"].as_array().unwrap().iter().find(|check| check["id"] == id).unwrap();
    assert!(report["checks"].as_array().unwrap().iter().all(|check| check["outcome"] == "ok"), "{report:#}");
    assert_eq!(check("certificate")["facts"]["certificates"].as_array().unwrap().len(), 3);
    assert_eq!(check("authentication")["evidence"][0], "it refuses a wrong certificate");
    set_mode(key.as_ref(), 0o644);
    let report = device(&service, "check --json", &["--cert-key-file", &key]).run().code(10).json();
    assert_eq!(report["cause"], "key-file", "{report:#}");
}

#[test]
fn check_reports_certificate_and_key_that_cannot_be_read() {
    let service = enrolled();
    let (absent, text) = (service.folder.file("absent"), service.folder.write("text", "no key"));
    let cause = |words: &[&str]| {
        let report = device(&service, "check --json", words).run().code(10).json();
        (report["cause"].as_str().unwrap().to_owned(), report["headline"].as_str().unwrap().to_owned())
    };
    for (key, words) in [(&absent, "absent"), (&text, "there is no private key")] {
        let (cause, headline) = cause(&["--cert-key-file", key]);
        assert!(cause == "key" && headline.contains(words), "{cause}: {headline}");
    }
    let key = service.folder.file("device.key");
    service.folder.write("device.pem", "no certificate");
    let (cause, headline) = cause(&["--cert-key-file", &key]);
    assert!(cause == "certificate" && headline.contains("device.pem"), "{cause}: {headline}");
}

#[test]
fn passphrase_comes_from_a_file_stdin_or_the_environment() {
    let service = Service::with(|options| options.assign_at_once(true));
    let data = |name: &str| {
        let directory = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../dps-client/tests/data/x509");
        std::fs::read_to_string(directory.join(name)).unwrap()
    };
    let plain = Device { chain: vec![data("ec.pem")], key: data("ec-sec1.pem") };
    enroll(&service, &plain);
    service.folder.write("device.pem", plain.chain.concat());
    let key = service.folder.write("encrypted.key", data("ec-pbkdf2.pem"));
    let passphrase = service.folder.write("passphrase", "correct-horse\n");
    let register = |words: &[&str]| device(&service, "register --json", words);
    let from_file = ["--cert-key-file", &key, "--cert-key-passphrase-file", &passphrase];
    register(&from_file).run().code(0);
    let from_stdin = ["--cert-key-file", &key, "--cert-key-passphrase-file", "-"];
    register(&from_stdin).run_with_input(b"correct-horse\n").code(0);
    register(&["--cert-key-file", "-"]).run_with_input(plain.key.as_bytes()).code(0);
    let from_environment = &["--cert-key-file", &key];
    register(from_environment).env("DPS_CERT_KEY_PASSPHRASE", "correct-horse").run().code(0);

    let error = register(from_environment).run().code(3).error();
    let message = error["message"].as_str().unwrap();
    assert!(error["name"] == "wrong-passphrase" && message.contains("DPS_CERT_KEY_PASSPHRASE"), "{error}");
    let wrong = register(from_environment).env("DPS_CERT_KEY_PASSPHRASE", "battery-staple").run().code(3);
    assert_eq!(wrong.error()["name"], "wrong-passphrase");
    assert!(!wrong.stdout.contains("battery") && !wrong.stderr.contains("battery"));
    register(&["--cert-key-file", "-", "--cert-key-passphrase-file", "-"]).run().code(2);
}

#[test]
fn certificate_excludes_keys_and_requires_its_own() {
    let folder = Folder::new();
    let (certificate, key) = (folder.file("device.pem"), folder.file("device.key"));
    let both = ["--cert-file", &certificate, "--cert-key-file", &key];
    for words in [
        &[&both[..], &["--key-file", &key]].concat()[..],
        &[&both[..], &["--group-key-file", &key]].concat(),
        &both[..2],
        &both[2..],
        &["--rid", "dev-01", "--key-file", &key, "--cert-key-passphrase-file", &key],
        &["--rid", "dev-01", "--key-file", &key, "--cert-key-file", &key],
        // Only a certificate has an id in itself.
        &["--key-file", &key],
    ] {
        for command in ["register", "lookup", "check"] {
            dps_line(&format!("{command} --scope 0ne00A1B2C3 --endpoint {CLOSED}"), words).run().code(2);
        }
    }
    dps_line("check --scope 0ne00A1B2C3 --rid a --expect-root root.pem", &["--key-file", &key]).run().code(2);
    // A token is signed with a key.
    dps_line("token --scope 0ne00A1B2C3 --rid dev-01", &both).run().code(2);
}

#[test]
fn rehearsal_fails_for_a_device_that_trusts_only_the_present_root() {
    let folder = Folder::new();
    for name in ["old", "new"] {
        dps(["x509", "test-ca", "--out", &folder.file(name)]).run().code(0);
    }
    let serve = |name: &str| {
        let (root, key) =
            (folder.read(&format!("{name}/root-ca.pem")), folder.read(&format!("{name}/root-ca.key.pem")));
        let service = Service::with(|options| options.authority(root, key));
        service.enroll(IndividualEnrollment::new("dev-01"));
        service
    };
    let (old, new) = (folder.file("old/root-ca.pem"), folder.file("new/root-ca.pem"));
    let both = folder.write("both.pem", folder.read("old/root-ca.pem") + &folder.read("new/root-ca.pem"));
    let check = |service: &Service, trusted: &str, words: &[&str]| {
        let key = service.folder.file("device.key");
        let words = [&["--json", "--key-file", &key, "--ca-file", trusted], words].concat();
        service.as_device("check", "dev-01", &words).run()
    };
    let today = serve("old");
    let failed = check(&today, &old, &["--rehearse-root", &new]).code(10).json();
    assert_eq!(failed["cause"], "rehearsal");
    let headline = failed["headline"].as_str().unwrap();
    assert!(headline.starts_with("this device does not trust CN=dps test root CA ") && headline.contains("reject"));
    check(&today, &old, &["--rehearse-root", &old]).code(0);
    check(&today, &both, &["--rehearse-root", &new]).code(0);
    // The rehearsal tells what happens when the service has changed.
    let tomorrow = serve("new");
    assert_eq!(check(&tomorrow, &old, &[]).code(10).json()["cause"], "tls");
    check(&tomorrow, &both, &[]).code(0);
    let error = check(&today, &old, &["--rehearse-root", &folder.write("text", "no root")]).code(3).error();
    assert_eq!(error["name"], "invalid-certificate");
}

#[test]
fn edge_provision_uses_the_certificate_of_the_options_instead_of_the_configuration_s() {
    let service = enrolled();
    let scope = service.emulator().id_scope();
    let config = |method: &str| {
        let head = format!("[provisioning]\nsource = \"dps\"\nid_scope = \"{scope}\"\n");
        service.folder.write("config.toml", format!("{head}[provisioning.attestation]\nmethod = {method}\n"))
    };
    let gateway = "\"x509\"\nidentity_cert = \"file:///etc/device.pem\"\nidentity_pk = \"file:///etc/device.key\"";
    let provision = |config: &str| {
        let mut command = dps(["edge", "provision", "--json", "--config", config]);
        command.args(["--endpoint", &service.emulator().endpoint(), "--state-dir", &service.folder.file("state")]);
        command.args(["--ca-file", &service.folder.file("ca.pem"), "--cert-file", &service.folder.file("device.pem")]);
        command.args(["--cert-key-file", &service.folder.file("device.key")]).run()
    };
    let done = provision(&config(gateway)).code(0).json();
    assert_eq!((&done["origin"], &done["registrationId"]), (&"new".into(), &"dev-01".into()), "{done}");
    let other =
        format!("\"symmetric_key\"\nregistration_id = \"dev-01\"\nsymmetric_key = {{ value = \"{DEVICE_KEY}\" }}");
    let error = provision(&config(&other)).code(3).error();
    assert!(error["message"].as_str().unwrap().contains("attestation is not x509"), "{error}");
}
