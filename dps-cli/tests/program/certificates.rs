//! `dps emulator certificate`, and the options with which an enrollment has certificates: against a local service.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustix::process::Signal;
use serde_json::{Value, json};

use super::emulator::{start, stop};
use super::run::{Folder, Run, dps, mode_of};
use super::service::Service;
use dps_emulator::test_servers::SelfSigned;

/// The `TPM2B_PUBLIC` of an RSA key that has the attributes of endorsement keys.
fn endorsement_key() -> String {
    let begin =
        [0x01, 0x1a, 0, 1, 0, 0x0b, 0, 3, 0, 0xb2, 0, 0, 0, 6, 0, 128, 0, 0x43, 0, 0x10, 8, 0, 0, 0, 0, 0, 1, 0];
    STANDARD.encode([&begin[..], &[0xff; 256]].concat())
}

/// A service with a CA certificate in the file `ca.pem`, and a device's certificate in the file `device.pem`.
fn service() -> Service {
    let service = Service::start();
    service.folder.write("device.pem", SelfSigned::new().pem());
    service
}

#[test]
fn ca_certificates_are_stored_listed_and_deleted() {
    let service = service();
    let ca = service.folder.file("ca.pem");
    let run = |line: &str, words: &[&str]| service.as_owner(&format!("emulator certificate {line}"), words).run();
    assert_eq!(run("list", &[]).code(0).stdout, "there are no CA certificates\n");
    let added = run("add root", &["--file", &ca]).code(0).stdout;
    assert!(added.starts_with("root  verified  CN=dps-emulator CA "), "{added}");
    let added = run("add second --unverified --json", &["--file", &ca]).code(0).json();
    assert_eq!((&added["name"], &added["isVerified"]), (&"second".into(), &false.into()));
    let listed = run("list", &[]).code(0).stdout;
    assert!(listed.contains("root  verified") && listed.contains("second  not verified"), "{listed}");
    let listed = run("list --json", &[]).code(0).json();
    assert_eq!(listed["certificates"].as_array().unwrap().len(), 2);
    // Adding it again replaces it: now it is verified.
    run("add second", &["--file", &ca]).code(0);
    assert_eq!(run("list --json", &[]).code(0).json()["certificates"][1]["isVerified"], true);
    assert_eq!(run("delete second", &[]).code(0).stdout, "CA certificate second deleted\n");
    let error = run("delete second --json", &[]).code(4).error();
    assert_eq!((&error["name"], &error["errorCode"]), (&"not-found".into(), &404_201.into()));
}

#[test]
fn ca_certificates_that_cannot_be_used_are_refused() {
    let service = service();
    let (two, text) = (service.folder.read("ca.pem").repeat(2), "no certificate");
    service.folder.write("two.pem", &two);
    service.folder.write("text.pem", text);
    service.folder.write("key.pem", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n");
    service.folder.write("damaged.pem", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
    for (file, code, wanted) in [
        ("two.pem", 3, "two.pem is not valid: it contains 2 certificates"),
        ("text.pem", 3, "it is neither PEM nor the DER of a certificate"),
        ("key.pem", 3, "its PEM contains no CERTIFICATE"),
        ("damaged.pem", 3, "certificate 1 in it is damaged"),
        ("absent.pem", 7, "absent.pem"),
        ("device.pem", 4, "not a CA certificate"),
    ] {
        let file = service.folder.file(file);
        let error =
            service.as_owner("emulator certificate add root --json", &["--file", &file]).run().code(code).error();
        assert!(error["message"].as_str().unwrap().contains(wanted), "{error}");
    }
    let ca = service.folder.file("ca.pem");
    for line in ["add", "add root", "add --unverified", "delete", "list root"] {
        service.as_owner(&format!("emulator certificate {line}"), &[]).run().code(2);
    }
    service.as_owner("emulator --hub hub-b.test certificate add root", &["--file", &ca]).run().code(2);
}

#[test]
fn enrollment_has_the_certificates_of_the_device() {
    let service = service();
    let device = service.folder.file("device.pem");
    // A chain, the device's own certificate first.
    service.folder.write("chain.pem", &(SelfSigned::new().pem().to_owned() + &service.folder.read("ca.pem")));
    let chain = service.folder.file("chain.pem");
    let words = ["--cert-file", &device, "--secondary-cert-file", &chain];
    let made = service.as_owner("enrollment create --rid dev-01 --json", &words).run().code(0).json();
    let attestation = &made["enrollment"]["attestation"];
    assert_eq!(attestation["type"], "x509");
    let slots = &attestation["x509"]["clientCertificates"];
    let thumbprint = |slot: &str| slots[slot]["info"]["sha256Thumbprint"].as_str().unwrap().to_owned();
    assert_ne!(thumbprint("primary"), thumbprint("secondary"));
    let shown = service.as_owner("enrollment show --rid dev-01", &["--show-keys"]).run().code(0).stdout;
    for slot in ["primary", "secondary"] {
        assert!(shown.contains(&thumbprint(slot)), "{shown}");
    }
    assert!(!shown.contains("key"), "{shown}");
}

#[test]
fn enrollment_has_the_endorsement_key_of_the_devices_tpm() {
    let service = service();
    let key = &endorsement_key();
    let create = |key: &str, words: &[&str]| {
        let words = [&["--endorsement-key", key], words].concat();
        service.as_owner("enrollment create --rid dev-01 --replace --json", &words).run()
    };
    let made = create(key, &[]).code(0).json();
    assert_eq!(made["enrollment"]["attestation"], json!({ "type": "tpm", "tpm": { "endorsementKey": key } }));
    let shown = service.as_owner("enrollment show --rid dev-01", &["--show-keys"]).run().code(0).stdout;
    assert!(shown.contains(&format!("TPM            {key}\n")), "{shown}");

    let error = create("AAAA", &[]).code(4).error();
    assert!(error["message"].as_str().unwrap().contains("not a TPM2B_PUBLIC"), "{error}");
    let device = service.folder.file("device.pem");
    for others in [["--cert-file", &device], ["--key-out", &device]] {
        let words = [&["--endorsement-key", key], &others[..]].concat();
        let done = service.as_owner("enrollment create --rid dev-01", &words).run().code(2);
        assert!(done.stderr.contains("cannot be used with"), "{}", done.stderr);
    }
    let group = ["--endorsement-key", key];
    service.as_owner("enrollment-group create --group-id line-1", &group).run().code(2);
}

#[test]
fn group_has_certificates_or_refers_to_them() {
    let service = service();
    let ca = service.folder.file("ca.pem");
    let create =
        |words: &[&str]| service.as_owner("enrollment-group create --group-id line-1 --replace --json", words).run();
    let x509 = |made: Value| made["enrollmentGroup"]["attestation"]["x509"].clone();
    let made = x509(create(&["--signing-cert-file", &ca, "--secondary-signing-cert-file", &ca]).code(0).json());
    let slots = &made["signingCertificates"];
    assert!(slots["primary"]["info"]["subjectName"].as_str().unwrap().starts_with("CN=dps-emulator CA "));
    assert_eq!(slots["primary"], slots["secondary"]);

    let error = create(&["--ca-reference", "root"]).code(4).error();
    assert!(error["message"].as_str().unwrap().contains("no CA certificate has the name 'root'"), "{error}");
    service.as_owner("emulator certificate add root", &["--file", &ca]).run().code(0);
    let made = x509(create(&["--ca-reference", "root", "--secondary-ca-reference", "root"]).code(0).json());
    assert_eq!(made, json!({ "caReferences": { "primary": "root", "secondary": "root" } }));
    let shown = service.as_owner("enrollment-group show --group-id line-1", &[]).run().code(0).stdout;
    assert!(shown.contains("CA reference   root"), "{shown}");
}

#[test]
fn certificates_exclude_keys() {
    let service = service();
    let (ca, device) = (service.folder.file("ca.pem"), service.folder.file("device.pem"));
    let key = service.folder.file("some.key");
    let keys = ["--primary-key-file", &key, "--secondary-key-file", &key];
    let key_out = ["--key-out", key.as_str()];
    for (command, certificate) in [
        ("enrollment create --rid dev-01", ["--cert-file", &device]),
        ("enrollment-group create --group-id line-1", ["--signing-cert-file", &ca]),
        ("enrollment-group create --group-id line-1", ["--ca-reference", "root"]),
    ] {
        for others in [&keys[..], &key_out] {
            let done = service.as_owner(command, &[&certificate, others].concat()).run().code(2);
            assert!(done.stderr.contains("cannot be used with"), "{}", done.stderr);
        }
    }
    for (command, words) in [
        ("enrollment create --rid dev-01", ["--secondary-cert-file", &device]),
        ("enrollment create --rid dev-01", ["--signing-cert-file", &ca]),
        ("enrollment-group create --group-id line-1", ["--secondary-signing-cert-file", &ca]),
        ("enrollment-group create --group-id line-1", ["--secondary-ca-reference", "root"]),
        ("enrollment-group create --group-id line-1", ["--cert-file", &device]),
    ] {
        service.as_owner(command, &words).run().code(2);
    }
    let both = ["--ca-reference", "root", "--signing-cert-file", &ca];
    service.as_owner("enrollment-group create --group-id line-1", &both).run().code(2);
}

#[test]
fn emulator_serves_under_a_given_authority_with_one_tls_version() {
    let folder = Folder::new();
    let state = folder.file("state");
    // The emulator's own CA serves as the one of a company.
    stop(start(&["--state", &state]).0, Signal::TERM).code(0);
    let kept: Value = serde_json::from_str(&folder.read("state/ca.json")).unwrap();
    let pem = |member: &str| kept[member].as_str().unwrap().to_owned();
    let (certificate, key) = (pem("certificatePem"), pem("keyPem"));
    folder.write("ca.pem", &certificate);
    folder.write("ca.key", &key);
    folder.write("both.pem", &(key.clone() + &certificate));
    let (ca, ca_key, both) = (folder.file("ca.pem"), folder.file("ca.key"), folder.file("both.pem"));
    for (words, version) in [
        (vec!["--tls-ca-file", ca.as_str(), "--tls-ca-key-file", &ca_key], "1.2"),
        (vec!["--tls-ca-file", both.as_str()], "1.3"),
    ] {
        let (child, ready) = start(&[&words[..], &["--tls-version", version]].concat());
        let (owner, printed) = (ready["connectionStringFile"].as_str().unwrap(), ready["caFile"].as_str().unwrap());
        assert_eq!(mode_of(printed), 0o600);
        assert!(!std::fs::read_to_string(printed).unwrap().contains("PRIVATE"), "the key is for the emulator only");
        dps(["enrollment", "list", "--connection-string-file", owner, "--ca-file", &ca]).run().code(0);
        stop(child, Signal::TERM).code(0);
    }
    let error = dps(["emulator", "--tls-ca-file", &ca, "--json"]).run().code(3).error();
    assert!(error["message"].as_str().unwrap().contains("no private key"), "{error}");
    dps(["emulator", "--tls-ca-file", &folder.file("absent.pem")]).run().code(7);
    dps(["emulator", "--tls-ca-key-file", &ca_key]).run().code(2);
    dps(["emulator", "--tls-version", "1.1"]).run().code(2);
}
