//! Keys in PKCS#11 tokens: the options, and with SoftHSM the commands that sign.

use std::process::Command;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use dps_emulator::{Certificate, CertificatePolicy, IndividualEnrollment, SymmetricKey};
use rustix::process::Signal;

use super::pki::{Ca, Device};
use super::run::{CLOSED, DEVICE_KEY, Finished, Folder, Run, dps, dps_line, finish, send};
use super::service::Service;
use super::softhsm::{PIN, Token};

const URI: &str = "pkcs11:token=dps;object=device-key";
const TLS_URI: &str = "pkcs11:token=dps;object=tls";

#[test]
fn options_of_a_token_exclude_other_keys_and_never_contain_a_pin() {
    let folder = Folder::new();
    let (file, pin) = (folder.write("file", "x"), folder.write("pin", "1234"));
    for words in [
        &["--pkcs11-uri", URI, "--key-file", &file][..],
        &["--pkcs11-uri", URI, "--group-key-file", &file],
        &["--pkcs11-uri", URI, "--cert-file", &file, "--cert-key-file", &file],
        &["--key-file", &file, "--pkcs11-module", &file],
        &["--key-file", &file, "--pkcs11-pin-file", &pin],
        &["--cert-file", &file, "--pkcs11-pin-file", &pin],
        &["--cert-file", &file, "--pkcs11-uri", URI, "--cert-key-passphrase-file", &pin],
    ] {
        dps_line(&format!("register --scope 0ne1 --rid dev-01 --endpoint {CLOSED}"), words).run().code(2);
    }
    for (query, reason) in [
        ("pin-value=open-sesame", "only in a configuration file"),
        ("module-path=/tmp/open-sesame.so", "a URI does not choose which library is loaded"),
        ("pin-source=|open-sesame", "pin-source"),
    ] {
        for command in ["register", "lookup", "check", "token"] {
            let uri = format!("{URI}?{query}");
            let words = ["--scope", "0ne1", "--rid", "dev-01", "--json", "--pkcs11-uri", &uri];
            let refused = dps_line(command, &words).run().code(3);
            let error = refused.error();
            assert_eq!(error["name"], "invalid-pkcs11-uri");
            assert!(error["message"].as_str().unwrap().contains(reason), "{error}");
            assert!(!refused.stdout.contains("sesame") && !refused.stderr.contains("sesame"));
        }
    }
    let words = ["--scope", "0ne1", "--rid", "dev-01", "--json", "--pkcs11-uri", URI, "--pkcs11-module", &file];
    assert_eq!(dps_line("token", &words).run().code(7).error()["name"], "pkcs11-module");
}

/// A token with the key of `dev-01`, which is enrolled.
fn enrolled() -> (Service, Token) {
    let service = Service::with(|options| options.assign_at_once(true).mqtt_port(0).wss_port(0));
    service.enroll(IndividualEnrollment::new("dev-01").primary_key(SymmetricKey::from_base64(DEVICE_KEY).unwrap()));
    let token = Token::new();
    token.add_secret("device-key", &STANDARD.decode(DEVICE_KEY).unwrap());
    (service, token)
}

/// A token with the private key of the enrolled certificate `device.pem`.
fn certified() -> (Service, Token) {
    let (service, token) = enrolled();
    let device: Device = Ca::root("Root").device("dev-01");
    let certificate = Certificate::from_der(device.x509().chain().iter().next().unwrap()).unwrap();
    let now = service.emulator().now();
    let enrollment = IndividualEnrollment::new("dev-01").client_certificate(certificate);
    service.set(|service| service.put_enrollment(now, enrollment)).unwrap();
    service.folder.write("device.pem", device.chain.concat());
    token.add_pair(&device.key, "tls", "01");
    (service, token)
}

/// Returns the options of the token, with its PIN in a file.
fn options(service: &Service, token: &Token, pin: &str) -> [String; 4] {
    let file = service.folder.write("pin", format!("{pin}\n"));
    ["--pkcs11-module".into(), token.module().to_str().unwrap().into(), "--pkcs11-pin-file".into(), file]
}

fn device(service: &Service, token: &Token, line: &str, words: &[&str]) -> Command {
    let mut command = service.as_device(line, "dev-01", words);
    command.args(options(service, token, PIN));
    command
}

#[test]
#[ignore = "needs SoftHSM: cargo xtask pkcs11"]
fn symmetric_key_in_a_token_registers_looks_up_and_checks() {
    let (service, token) = enrolled();
    let words = ["--pkcs11-uri", URI];
    let registered = device(&service, &token, "register --json", &words).run().code(0).json();
    assert_eq!(registered["deviceId"], "dev-01");
    device(&service, &token, "lookup", &words).run().code(0);
    let report = device(&service, &token, "check --json", &words).run().code(0).json();
    assert_eq!(report["checks"][0]["evidence"][0], format!("from {URI}"));
    // The key cannot be read.
    let none = device(&service, &token, "register --connection-string --json", &words).run().code(3).error();
    assert!(none["message"].as_str().unwrap().contains("no connection string"), "{none}");
    // The PIN comes from stdin.
    let mut command = service.as_device("lookup", "dev-01", &words);
    command.args(["--pkcs11-module", token.module().to_str().unwrap(), "--pkcs11-pin-file", "-"]);
    command.run_with_input(format!("{PIN}\n").as_bytes()).code(0);
}

#[test]
#[ignore = "needs SoftHSM: cargo xtask pkcs11"]
fn token_command_signs_the_same_as_with_the_key_in_a_file() {
    let (service, token) = enrolled();
    let key = service.folder.file("device.key");
    let line = "token --scope 0ne00A1B2C3 --rid dev-01 --json";
    let signed = |command: &mut Command| {
        let token = command.run().code(0).json();
        (token["expiresAtUnix"].clone(), token["token"].clone())
    };
    let pair = || {
        let in_token = signed(dps_line(line, &["--pkcs11-uri", URI]).args(options(&service, &token, PIN)));
        (in_token, signed(&mut dps_line(line, &["--key-file", &key])))
    };
    // Both begin in the same second, sooner or later.
    let (in_token, in_file) = std::iter::repeat_with(pair).find(|(one, other)| one.0 == other.0).unwrap();
    assert_eq!(in_token, in_file);
}

#[test]
#[ignore = "needs SoftHSM: cargo xtask pkcs11"]
fn certificate_with_its_key_in_a_token_registers_over_every_transport() {
    let (service, token) = certified();
    let certificate = service.folder.file("device.pem");
    let emulator = service.emulator();
    for (transport, endpoint) in [
        ("https", emulator.endpoint()),
        ("mqtt", emulator.mqtt_endpoint().unwrap()),
        ("mqtt-ws", emulator.wss_endpoint().unwrap()),
    ] {
        let words = ["--cert-file", &certificate, "--pkcs11-uri", TLS_URI, "--transport", transport];
        let words = [&words[..], &["--endpoint", &endpoint]].concat();
        device(&service, &token, "register", &words).run().code(0);
    }
    let words = ["--cert-file", &certificate, "--pkcs11-uri", TLS_URI];
    device(&service, &token, "check", &words).run().code(0);
}

#[test]
#[ignore = "needs SoftHSM: cargo xtask pkcs11"]
fn wrong_pin_is_tried_once_and_named_by_the_first_line_of_check() {
    let (service, token) = certified();
    let certificate = service.folder.file("device.pem");
    for words in [&["--pkcs11-uri", URI][..], &["--cert-file", &certificate, "--pkcs11-uri", TLS_URI]] {
        for line in ["check", "register"] {
            let before = token.count("logins");
            let done: Finished =
                service.as_device(line, "dev-01", words).args(options(&service, &token, "wrong-pin-0815")).run();
            assert_eq!(token.count("logins") - before, 1, "{line}");
            let named = if line == "check" {
                done.code(10).stdout.lines().next().unwrap().to_owned()
            } else {
                done.code(7).stderr
            };
            assert!(named.contains("the token refused the PIN") && !named.contains("0815"), "{named}");
        }
    }
}

#[test]
#[ignore = "needs SoftHSM: cargo xtask pkcs11"]
fn each_failure_of_a_token_is_named_and_a_locked_one_is_not_logged_in_to() {
    let (service, token) = enrolled();
    let register = |uri: &str| {
        device(&service, &token, "register --json", &["--pkcs11-uri", uri]).run().code(7).error()["name"].clone()
    };
    for (fault, name) in [
        ("final-try", "pkcs11-last-try"),
        ("locked", "pkcs11-pin-locked"),
        ("no-user-pin", "pkcs11-login"),
        ("removed", "pkcs11-no-token"),
        ("mechanism-invalid", "pkcs11-mechanism"),
    ] {
        let logins = token.count("logins");
        token.inject(fault);
        assert_eq!(register(URI), name);
        token.clear(fault);
        assert!(token.count("logins") - logins <= usize::from(!matches!(fault, "final-try" | "locked")), "{fault}");
    }
    assert_eq!(register("pkcs11:token=other;object=device-key"), "pkcs11-no-token");
    assert_eq!(register("pkcs11:token=dps;object=other"), "pkcs11-no-object");
    token.add_secret("device-key", &[1; 32]);
    assert_eq!(register(URI), "pkcs11-several-objects");
}

#[test]
#[ignore = "needs SoftHSM: cargo xtask pkcs11"]
fn token_that_blocks_delays_neither_the_deadline_nor_an_interruption() {
    let (service, token) = certified();
    let certificate = service.folder.file("device.pem");
    for words in [&["--pkcs11-uri", URI][..], &["--cert-file", &certificate, "--pkcs11-uri", TLS_URI]] {
        token.inject("block");
        let error = device(&service, &token, "register --timeout 2s --json", words).run().error();
        assert_eq!(error["name"], "signer-timeout", "{error}");
        let before = token.count("blocked");
        let child = device(&service, &token, "register --timeout 1h --json", words).start();
        while token.count("blocked") == before {
            std::thread::yield_now();
        }
        send(&child, Signal::INT);
        assert_eq!(finish(child).code(130).error()["name"], "cancelled");
        token.clear("block");
    }
}

#[test]
#[ignore = "needs SoftHSM: cargo xtask pkcs11"]
fn program_ends_after_the_calls_of_its_token() {
    let (service, token) = certified();
    let certificate = service.folder.file("device.pem");
    token.inject("close-slowly");
    let words = ["--cert-file", &certificate, "--pkcs11-uri", TLS_URI];
    device(&service, &token, "register", &words).run().code(0);
    assert_eq!(token.count("ended-in-call"), 0);

    let (service, token) = enrolled();
    let words = ["--pkcs11-uri", URI];
    token.inject("close-slowly");
    device(&service, &token, "register", &words).run().code(0);
    // A signature that nobody waits for any more.
    token.inject("block");
    let child = device(&service, &token, "register --timeout 1h", &words).start();
    while token.count("blocked") == 0 {
        std::thread::yield_now();
    }
    send(&child, Signal::INT);
    token.clear("block");
    finish(child).code(130);
    assert_eq!(token.count("ended-in-call"), 0);
}

#[test]
#[ignore = "needs SoftHSM: cargo xtask pkcs11"]
fn edge_provision_uses_a_key_in_a_token_instead_of_the_configuration_s() {
    let (service, token) = enrolled();
    let head = format!("[provisioning]\nsource = \"dps\"\nid_scope = \"{}\"\n", service.emulator().id_scope());
    let attestation = "[provisioning.attestation]\nmethod = \"symmetric_key\"\nregistration_id = \"dev-01\"\n";
    let key = "symmetric_key = { uri = \"file:///absent\" }\n";
    let config = service.folder.write("config.toml", head + attestation + key);
    let mut command = dps(["edge", "provision", "--json", "--config", &config, "--pkcs11-uri", URI]);
    command.args(["--endpoint", &service.emulator().endpoint(), "--state-dir", &service.folder.file("state")]);
    command.args(["--ca-file", &service.folder.file("ca.pem")]).args(options(&service, &token, PIN));
    assert_eq!(command.run().code(0).json()["origin"], "new");
}

/// A configuration of IoT Edge with this attestation, whose token's PIN is in the URI of the slot.
fn edge_config(service: &Service, token: &Token, attestation: &str) -> String {
    let provisioning = format!("[provisioning]\nsource = \"dps\"\nid_scope = \"{}\"\n", service.emulator().id_scope());
    let keys = format!(
        "[aziot_keys]\npkcs11_lib_path = \"{}\"\npkcs11_base_slot = \"pkcs11:token=dps?pin-value={PIN}\"\n",
        token.module().display()
    );
    service.folder.write("config.toml", format!("{provisioning}[provisioning.attestation]\n{attestation}{keys}"))
}

fn edge_provision(service: &Service, config: &str) -> Finished {
    let mut command = dps(["edge", "provision", "--json", "--config", config]);
    command.args(["--endpoint", &service.emulator().endpoint(), "--state-dir", &service.folder.file("state")]);
    command.args(["--ca-file", &service.folder.file("ca.pem")]);
    command.run()
}

#[test]
#[ignore = "needs SoftHSM: cargo xtask pkcs11"]
fn edge_provision_uses_the_configuration_s_symmetric_key_in_a_token() {
    let (service, token) = enrolled();
    let attestation = |uri: &str| {
        format!("method = \"symmetric_key\"\nregistration_id = \"dev-01\"\nsymmetric_key = {{ uri = \"{uri}\" }}\n")
    };
    // The URI's own PIN is used first; it is wrong.
    let config = edge_config(&service, &token, &attestation(&format!("{URI}?pin-value=wrong-sesame")));
    let refused = edge_provision(&service, &config);
    assert_eq!(refused.error()["name"], "pkcs11-wrong-pin");
    assert!(!refused.stdout.contains("sesame") && !refused.stderr.contains("sesame"));
    let config = edge_config(&service, &token, &attestation(URI));
    assert_eq!(edge_provision(&service, &config).code(0).json()["deviceId"], "dev-01");
    // Linting loads no module, and shows no PIN.
    let before = token.count("logins");
    let shown = dps(["edge", "show", &config]).run().code(0);
    dps(["edge", "lint", &config]).run();
    assert!(!shown.stdout.contains(PIN) && token.count("logins") == before);
}

#[test]
#[ignore = "needs SoftHSM: cargo xtask pkcs11"]
fn edge_provision_uses_the_configuration_s_certificate_with_its_key_in_a_token() {
    let (service, token) = certified();
    let certificate = service.folder.file("device.pem");
    let attestation =
        format!("method = \"x509\"\nidentity_cert = \"file://{certificate}\"\nidentity_pk = \"{TLS_URI}\"\n");
    let config = edge_config(&service, &token, &attestation);
    assert_eq!(edge_provision(&service, &config).code(0).json()["deviceId"], "dev-01");
}

#[test]
#[ignore = "needs SoftHSM: cargo xtask pkcs11"]
fn certificate_is_issued_and_renewed_for_a_key_in_a_token() {
    let service = Service::with(|options| options.hub("localhost", 1).mqtt_port(0).assign_at_once(true));
    let policy = CertificatePolicy::named("factory", "root", "devices");
    let key = service.enroll(IndividualEnrollment::new("dev-01").certificate_policy(policy));
    let (token, folder) = (Token::new(), Folder::new());
    token.add_pair(&rcgen::KeyPair::generate().unwrap().serialize_pem(), "operational", "07");
    let directory = folder.file("identity");
    let of_token = |command: &mut Command| {
        let [module, path, pin, file] = options(&service, &token, PIN);
        let names = [module, pin].map(|name| name.replace("--", "--operational-"));
        let uri = ["--operational-pkcs11-uri", "pkcs11:token=dps;object=operational"];
        command.args(uri).args([&names[0], &path, &names[1], &file]).run()
    };
    let words = ["--key-file", &key, "--issue", &directory, "--json"];
    let issued = of_token(&mut service.as_device("register", "dev-01", &words)).code(0).json();
    assert_eq!(issued["issued"]["state"], "valid");
    let first = folder.read("identity/identity.pem");
    assert!(first.starts_with("Key-URI: pkcs11:token=dps;object=operational\n"), "{first}");
    assert!(!first.contains("PRIVATE KEY") && !first.contains(PIN));

    let show = || dps_line("x509 show --json", &[&directory]);
    assert_eq!(of_token(&mut show()).code(0).json()["state"], "valid");
    let without = show().run().code(3).error();
    assert!(without["message"].as_str().unwrap().starts_with("--operational-pkcs11-uri: the key"), "{without}");

    let (endpoint, ca) = (service.emulator().endpoint(), service.folder.file("ca.pem"));
    let renew = || dps_line("x509 renew --force --json", &[&directory, "--endpoint", &endpoint, "--ca-file", &ca]);
    of_token(renew().args(["--key-file", &key])).code(0);
    let second = folder.read("identity/identity.pem");
    let port = service.emulator().mqtt_addr().unwrap().port().to_string();
    of_token(renew().args(["--via", "hub", "--hub-port", &port])).code(0);
    let third = folder.read("identity/identity.pem");
    assert!(first != second && second != third && third.starts_with("Key-URI"));
}
