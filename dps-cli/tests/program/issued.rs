//! `dps register --issue`, `dps x509 show` and `dps x509 renew`.

use std::time::Duration;

use dps_client::IdentityStore;
use dps_emulator::{CertificatePolicy, IndividualEnrollment};

use super::run::{Folder, Run, dps_line, mode_of};
use super::service::Service;

const DAY_S: u64 = 86_400;

/// A service that issues certificates for 30 days, and whose hub is reached by the same name.
fn service() -> (Service, String) {
    let service = Service::with(|options| {
        options.hub("localhost", 1).mqtt_port(0).assign_at_once(true).service(|service| service.certificate_days(30))
    });
    let policy = CertificatePolicy::named("factory", "root", "devices");
    let key = service.enroll(IndividualEnrollment::new("dev-01").certificate_policy(policy));
    (service, key)
}

/// `dps x509 renew` of a directory, with the connection to the service and to its hub.
fn renew(service: &Service, directory: &str, words: &[&str]) -> std::process::Command {
    let (endpoint, ca) = (service.emulator().endpoint(), service.folder.file("ca.pem"));
    let hub_port = service.emulator().mqtt_addr().unwrap().port().to_string();
    let mut command = dps_line("x509 renew", &[directory, "--endpoint", &endpoint, "--ca-file", &ca]);
    command.args(["--hub-port", &hub_port, "--json"]).args(words);
    command
}

#[test]
fn issued_certificate_is_stored_shown_and_renewed_through_the_service_and_at_the_hub() {
    let ((service, key), folder) = (service(), Folder::new());
    let directory = folder.file("new/identity");
    let read = |name: &str| folder.read(&format!("new/identity/{name}"));
    let issued = service.as_device("register", "dev-01", &["--key-file", &key, "--issue", &directory, "--json"]).run();
    let issued = issued.code(0).json();
    assert_eq!((&issued["assignedHub"], &issued["issued"]["state"]), (&"localhost".into(), &"valid".into()));
    assert_eq!(issued["issued"]["certificates"].as_array().unwrap().len(), 3);
    for (name, mode) in [("identity.pem", 0o600), ("key.pem", 0o600), ("chain.pem", 0o644), ("assignment.json", 0o600)]
    {
        assert_eq!(mode_of(folder.file(&format!("new/identity/{name}"))), mode, "{name}");
    }
    assert_eq!(read("identity.pem"), read("key.pem") + &read("chain.pem"));

    let show = |offset: u64, words: &[&str]| {
        dps_line("x509 show", &[&directory, "--clock-offset", &offset.to_string()]).args(words).run()
    };
    let shown = show(0, &[]).code(0).stdout;
    assert!(shown.starts_with("dev-01\n  hub        localhost\n") && !shown.contains("PRIVATE KEY"), "{shown}");
    for (days, state) in [(24, "renewalDue"), (31, "expired")] {
        let shown = show(days * DAY_S, &["--json"]).code(10).json();
        assert_eq!((&shown["state"], &shown["registrationId"]), (&state.into(), &"dev-01".into()));
    }

    // It is not due: nothing is sent, so that no credential is needed.
    let first = read("identity.pem");
    assert_eq!(renew(&service, &directory, &[]).run().code(0).json()["renewed"], false);
    assert_eq!(read("identity.pem"), first);
    let forced = ["--force", "--key-file", &key, "--key-type", "ec-p384"];
    assert_eq!(renew(&service, &directory, &forced).run().code(0).json()["renewed"], true);
    let second = read("identity.pem");
    assert_ne!(second, first);

    service.emulator().advance_clock(Duration::from_secs(24 * DAY_S)).unwrap();
    let offset = (24 * DAY_S).to_string();
    let renewed = renew(&service, &directory, &["--via", "hub", "--clock-offset", &offset]).run().code(0).json();
    assert_eq!((&renewed["renewed"], &renewed["state"]), (&true.into(), &"valid".into()));
    let third = read("identity.pem");
    assert_ne!(third, second);
    assert_eq!(third, read("key.pem") + &read("chain.pem"));

    // The certificate has expired: the hub needs a valid one, the service the credential that it knows.
    service.emulator().advance_clock(Duration::from_secs(31 * DAY_S)).unwrap();
    let offset = (55 * DAY_S).to_string();
    let expired = renew(&service, &directory, &["--via", "hub", "--clock-offset", &offset]).run().code(7).error();
    assert_eq!(expired["name"], "client-certificate-expired");
    assert_eq!(read("identity.pem"), third);
    let recovered = renew(&service, &directory, &["--key-file", &key, "--clock-offset", &offset]).run().code(0).json();
    assert_eq!((&recovered["renewed"], &recovered["state"]), (&true.into(), &"valid".into()));
}

#[test]
fn identity_that_is_not_issued_leaves_the_old_one() {
    let ((service, key), folder) = (service(), Folder::new());
    let directory = folder.file("identity");
    let register = |id: &str, key: &str| {
        service.as_device("register", id, &["--key-file", key, "--issue", &directory, "--json"]).run()
    };
    register("dev-01", &key).code(0);
    let before = folder.read("identity/identity.pem");
    let refused = register("dev-02", &key).code(3).error();
    assert_eq!(refused["name"], "common-name-mismatch");
    // Without a policy.
    let key = service.enroll(IndividualEnrollment::new("dev-01"));
    let refused = register("dev-01", &key).code(4).error();
    assert_eq!((&refused["name"], &refused["errorCode"]), (&"bad-request".into(), &400_000.into()));
    assert_eq!(folder.read("identity/identity.pem"), before);
    let forced = ["--force", "--via", "hub"];
    let refused = renew(&service, &directory, &forced).run().code(4).error();
    assert_eq!((&refused["httpStatus"], &refused["errorCode"]), (&400.into(), &400_040.into()));
    assert_eq!(folder.read("identity/identity.pem"), before);
}

#[test]
fn certificate_is_issued_for_a_key_in_a_file() {
    let ((service, key), folder) = (service(), Folder::new());
    let pair = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P384_SHA384).unwrap().serialize_pem();
    let (file, directory) = (folder.write("operational.key", &pair), folder.file("identity"));
    let words = ["--key-file", &key, "--issue", &directory, "--operational-key-file", &file];
    service.as_device("register", "dev-01", &words).run().code(0);
    let bytes = |pem: &str| pem.lines().filter(|line| !line.starts_with("--")).collect::<String>();
    assert_eq!(bytes(&folder.read("identity/key.pem")), bytes(&pair));
    let words = ["--key-file", &key, "--issue", &directory, "--operational-key-file", "/no/such/file"];
    service.as_device("register", "dev-01", &words).run().code(7);
}

#[test]
fn renewal_needs_the_assignment_and_the_right_time_and_not_the_identity() {
    let ((service, key), folder) = (service(), Folder::new());
    let directory = folder.file("identity");
    service.as_device("register", "dev-01", &["--key-file", &key, "--issue", &directory]).run().code(0);
    let first = folder.read("identity/identity.pem");
    let behind = format!("-{}", 10 * DAY_S);
    let early = ["--key-file", &key, "--clock-offset", &behind];
    let early = renew(&service, &directory, &early).run().code(7).error();
    assert_eq!(early["hints"][0], "certificate-not-yet-valid", "{early}");
    let registers = service.emulator().with_service(|service| service.counters().registers);
    assert_eq!(registers, 1, "nothing was sent");

    for name in ["identity.pem", "key.pem", "chain.pem"] {
        std::fs::remove_file(folder.file(&format!("identity/{name}"))).unwrap();
    }
    let missing = renew(&service, &directory, &["--via", "hub"]).run().code(7).error();
    assert!(missing["message"].as_str().unwrap().contains("contains no issued identity"), "{missing}");
    renew(&service, &directory, &["--key-file", &key]).run().code(0);
    assert_ne!(folder.read("identity/identity.pem"), first);
}

/// The hub's certificate would be checked by the moved clock too.
#[test]
fn clock_offset_is_refused_for_a_hub_that_is_not_on_loopback() {
    let ((service, key), folder) = (service(), Folder::new());
    let directory = folder.file("identity");
    service.as_device("register", "dev-01", &["--key-file", &key, "--issue", &directory]).run().code(0);
    let assignment = folder.read("identity/assignment.json").replace("localhost", "hub-a.test");
    std::fs::write(folder.file("identity/assignment.json"), assignment).unwrap();
    let words = ["--via", "hub", "--force", "--clock-offset", "60"];
    let refused = renew(&service, &directory, &words).run().code(2).error();
    assert!(refused["message"].as_str().unwrap().contains("hub-a.test is not localhost"), "{refused}");
}

#[test]
fn identity_is_shown_while_it_is_locked_and_when_it_is_damaged() {
    let ((service, key), folder) = (service(), Folder::new());
    let directory = folder.file("identity");
    service.as_device("register", "dev-01", &["--key-file", &key, "--issue", &directory]).run().code(0);
    let lock = IdentityStore::new(&directory).lock().unwrap();
    dps_line("x509 show", &[&directory]).run().code(0);
    let locked = renew(&service, &directory, &["--force", "--key-file", &key]).run().code(7).error();
    assert_eq!(locked["name"], "file", "a renewal changes it");
    drop(lock);
    std::fs::write(folder.file("identity/identity.pem"), "-----BEGIN").unwrap();
    let damaged = dps_line("x509 show", &[&directory, "--json"]).run().code(7).error();
    assert!(damaged["message"].as_str().unwrap().contains("contains no identity"), "{damaged}");
    assert_eq!(folder.read("identity/identity.pem"), "-----BEGIN", "it is not renamed");
}

#[test]
fn directory_without_an_identity_is_an_error_with_what_to_do() {
    let folder = Folder::new();
    let missing = folder.file("missing");
    assert!(dps_line("x509 show", &[&missing]).run().code(7).stderr.contains("is not a directory"));
    let empty = folder.file("");
    assert!(dps_line("x509 show", &[&empty]).run().code(7).stderr.contains("dps register --issue"));
    assert!(dps_line("x509 renew", &[&empty]).run().code(7).stderr.contains("register with --issue first"));
    let register = "register --scope 0ne1 --rid dev-01 --key-file k";
    for words in [
        "--issue d --resume f",
        "--key-type ec-p384",
        "--operational-key-file f",
        "--operational-pkcs11-uri pkcs11:token=t",
        "--issue d --operational-pkcs11-module m",
        "--issue d --operational-key-file f --operational-pkcs11-module m",
        "--issue d --key-type ec-p384 --operational-key-file f",
        "--issue d --operational-key-file f --operational-pkcs11-uri pkcs11:token=t",
    ] {
        dps_line(&format!("{register} {words}"), &[]).run().code(2);
    }
}
