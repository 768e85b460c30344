//! `dps x509 test-ca` and `dps x509 check`.

use super::pki::Ca;
use super::run::{Folder, Run, dps, dps_line, mode_of};
use super::service::Service;

#[test]
fn test_ca_makes_certificates_that_check_and_register() {
    let folder = Folder::new();
    let directory = folder.file("new/ca");
    let made = dps(["x509", "test-ca", "--out", &directory, "--rid", "dev-01", "--rid", "dev:02", "--json"]).run();
    let made = made.code(0).json();
    let named = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
    let root = named(&made["root"]["certFile"]);
    assert_eq!(named(&made["devices"][1]["certFile"]), folder.file("new/ca/dev_02.pem"));
    for owner in [&made["root"], &made["intermediate"], &made["devices"][0], &made["devices"][1]] {
        assert_eq!(mode_of(named(&owner["keyFile"])), 0o600);
    }
    for device in made["devices"].as_array().unwrap() {
        let (certificate, key) = (named(&device["certFile"]), named(&device["keyFile"]));
        let id = named(&device["registrationId"]);
        let words = [&certificate, "--key-file", &key, "--rid", &id, "--expect-root", &root];
        assert_eq!(dps_line("x509 check", &words).run().code(0).stdout.lines().next(), Some("no problem was found"));
    }

    let service = Service::with(|options| options.assign_at_once(true));
    let (intermediate, device) = (named(&made["intermediate"]["certFile"]), &made["devices"][0]);
    service.as_owner("emulator certificate add root", &["--file", &root]).run().code(0);
    let words = ["--signing-cert-file", &intermediate];
    service.as_owner("enrollment-group create --group-id line-1", &words).run().code(0);
    let (certificate, key) = (named(&device["certFile"]), named(&device["keyFile"]));
    service.as_device("register", "dev-01", &["--cert-file", &certificate, "--cert-key-file", &key]).run().code(0);
}

#[test]
fn test_ca_overwrites_nothing_and_refuses_two_files_of_one_name() {
    let folder = Folder::new();
    let make = |words: &[&str]| dps(["x509", "test-ca", "--out", &folder.file("ca")]).args(words).run();
    let shown = make(&["--days", "1", "--key-type", "ec-p384"]).code(0).stdout;
    assert!(shown.contains("never use them in production") && shown.contains("--cert-key-file"), "{shown}");
    assert!(!shown.contains("PRIVATE KEY"));
    let before = folder.read("ca/dev-01.key.pem");
    let refused = make(&["--rid", "dev-02"]).code(7);
    assert!(refused.stderr.contains("root-ca.pem already exists and was not changed"), "{}", refused.stderr);
    assert!(!folder.path().join("ca/dev-02.pem").exists());
    assert_eq!(folder.read("ca/dev-01.key.pem"), before);

    let twice = |ids: &[&str]| {
        let ids = ids.iter().flat_map(|id| ["--rid", id]);
        dps(["x509", "test-ca", "--out", &folder.file("other")]).args(ids).run()
    };
    for ids in [&["dev-01", "DEV-01"][..], &["root-ca"], &["a:b", "a_b"]] {
        assert!(twice(ids).code(2).stderr.contains("would have the same file"));
    }
    twice(&["dev 01"]).code(3);
    assert!(!folder.path().join("other").exists());
    make(&["--days", "91"]).code(2);
}

#[test]
fn check_reads_a_chain_from_several_files_and_shows_each_certificate() {
    let folder = Folder::new();
    let device = Ca::root("Root").intermediate("Line\u{1b}[2J").device("dev-01");
    let files: Vec<String> =
        ["a", "b", "c"].iter().zip(&device.chain).map(|(name, pem)| folder.write(name, pem)).collect();
    let names: Vec<&str> = files.iter().map(String::as_str).collect();
    let shown = dps_line("x509 check", &names).run().code(0).stdout;
    assert_eq!(shown.lines().filter(|line| line.starts_with("certificate ")).count(), 3);
    assert!(!shown.contains('\u{1b}'), "{shown:?}");
    let turned = dps_line("x509 check", &[names[0], names[2], names[1]]).run().code(10).stdout;
    assert!(turned.starts_with("error[wrong-order]: certificate 1 of 3 (CN=dev-01) was issued by certificate 3"));
    let found = dps_line("x509 check --json", &names[..2]).run().code(0).json();
    assert_eq!(found["certificates"][0]["issuer"], found["certificates"][1]["subject"]);
    assert_eq!((&found["findings"], &found["files"][1]), (&serde_json::json!([]), &names[1].into()));
    let error = dps_line("x509 check --json", &[&folder.file("absent")]).run().code(7).error();
    assert_eq!(error["name"], "file");
    dps_line("x509 check", &[names[0], "--passphrase-file", names[0]]).run().code(2);
    dps_line("x509 check", &[]).run().code(2);
}
