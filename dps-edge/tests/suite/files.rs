//! Files that a configuration names, as the daemons read them: a symmetric key is raw bytes, only the owner can read
//! keys, a certificate is valid.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, SystemTime};

use dps_edge::{EdgeVersion, Format, KeySource, Problem, read, windows_commands};

fn config(uri: &str) -> String {
    format!(
        "[provisioning]\nsource = \"dps\"\nglobal_endpoint = \"https://global.azure-devices-provisioning.net\"\n\
         id_scope = \"0ne00A1B2C3\"\n\n[provisioning.attestation]\nmethod = \"symmetric_key\"\n\
         registration_id = \"dev-01\"\nsymmetric_key = {{ uri = \"{uri}\" }}\n"
    )
}

fn found(content: &[u8], mode: u32) -> Vec<Problem> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("device.key");
    fs::write(&path, content).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
    let mut reading = read(&config(&format!("file://{}", path.display())), Format::Toml, EdgeVersion::V1_6);
    assert!(reading.findings.is_empty(), "{:?}", reading.findings);
    assert_eq!(reading.key_file(), Some(path.as_path()));
    reading.check_files(SystemTime::now());
    assert!(reading.findings.iter().all(|finding| (finding.position.line, finding.position.column) == (9, 25)));
    reading.findings.iter().map(|finding| finding.problem).collect()
}

#[test]
fn check_files_reports_problems_of_the_key_file() {
    let raw = [0x26; 32];
    assert_eq!(found(&raw, 0o600), []);
    assert_eq!(found(&raw, 0o400), []);
    assert_eq!(found(&raw, 0o644), [Problem::KeyFileMode { mode: 0o644 }]);
    for base64 in ["Jsm0lyGpjaVYVP2g3FnmnmG9dI/9qU24wNoykUmermc=", "Jsm0lyGpjaVYVP2g3FnmnmG9dI/9qU24wNoykUmermc\n"] {
        assert_eq!(found(base64.as_bytes(), 0o600), [Problem::Base64InKeyFile]);
    }
    assert_eq!(found(b"", 0o600), [Problem::KeyFileLength { length: 0 }]);
    assert_eq!(found(&[1; 65], 0o600), [Problem::KeyFileLength { length: 65 }]);
    assert_eq!(found(&[1; 70_000], 0o600), [Problem::KeyFileLength { length: 4097 }]);
}

#[test]
fn check_files_notes_an_unreadable_key_file() {
    let mut reading = read(&config("file:///nowhere/device.key"), Format::Toml, EdgeVersion::V1_6);
    reading.check_files(SystemTime::now());
    let problems: Vec<Problem> = reading.findings.iter().map(|finding| finding.problem).collect();
    assert_eq!(problems, [Problem::KeyFileUnreadable]);
}

#[test]
fn check_files_reports_problems_of_certificates_and_private_keys() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let made = rcgen::generate_simple_self_signed(["dev-01".to_owned()]).unwrap();
    fs::write(path("id.pem"), made.cert.pem()).unwrap();
    fs::write(path("id.key"), made.signing_key.serialize_pem()).unwrap();
    fs::write(path("text.pem"), "no certificate").unwrap();
    let mode = |mode| fs::set_permissions(path("id.key"), fs::Permissions::from_mode(mode)).unwrap();
    let found = |cert: &str, key: &str, now: SystemTime| {
        let uri = |name| format!("file://{}", path(name).display());
        let text = format!(
            "[provisioning]\nsource = \"none\"\n\n[edge_ca]\ncert = \"{}\"\npk = \"{}\"\n",
            uri(cert),
            uri(key)
        );
        let mut reading = read(&text, Format::Toml, EdgeVersion::V1_6);
        reading.check_files(now);
        let found = reading.findings.iter().filter(|finding| finding.key != Some("source"));
        found.map(|finding| (finding.key.unwrap(), finding.problem)).collect::<Vec<_>>()
    };
    mode(0o600);
    assert_eq!(found("id.pem", "id.key", SystemTime::now()), []);
    let year_5000 = SystemTime::UNIX_EPOCH + Duration::from_secs(3030 * 365 * 24 * 3600);
    let ended = found("id.pem", "id.key", year_5000);
    assert!(matches!(ended[..], [("cert", Problem::CertificateEnded { days: 1.. })]), "{ended:?}");
    let before = SystemTime::UNIX_EPOCH;
    assert_eq!(found("id.pem", "id.key", before), [("cert", Problem::CertificateNotYetValid)]);
    mode(0o644);
    let key_mode = ("pk", Problem::KeyFileMode { mode: 0o644 });
    assert_eq!(found("text.pem", "id.key", SystemTime::now()), [("cert", Problem::NotACertificate), key_mode]);
    let gone = [("cert", Problem::FileUnreadable), ("pk", Problem::KeyFileUnreadable)];
    assert_eq!(found("gone.pem", "gone.key", SystemTime::now()), gone);
}

#[test]
fn windows_commands_read_the_key_from_a_file() {
    let inline = config("x").replace("{ uri = \"x\" }", "{ value = \"Jsm0lyGpjaVYVP2g3FnmnmG9dI/9qU24wNoykUmermc=\" }");
    let provisioning = read(&inline, Format::Toml, EdgeVersion::V1_6).provisioning.unwrap();
    let commands = windows_commands(&provisioning, "C:\\keys\\it's.key").unwrap();
    assert_eq!(
        commands.lines().filter(|line| !line.starts_with('#') && !line.is_empty()).collect::<Vec<_>>(),
        [
            "$key = (Get-Content -Raw -LiteralPath 'C:\\keys\\it''s.key').Trim()",
            "Provision-EflowVm -provisioningType DpsSymmetricKey -scopeId '0ne00A1B2C3' -registrationId 'dev-01' -symmKey $key",
            ". {Invoke-WebRequest -useb https://aka.ms/iotedge-win} | Invoke-Expression; `",
            "Initialize-IoTEdge -DpsSymmetricKey -ScopeId '0ne00A1B2C3' -RegistrationId 'dev-01' -SymmetricKey $key",
            "Remove-Variable key",
        ]
    );
    let of_file = read(&config("file:///var/device.key"), Format::Toml, EdgeVersion::V1_6).provisioning.unwrap();
    assert!(windows_commands(&of_file, "device.key").unwrap().contains("ReadAllBytes"));
    let elsewhere = inline.replace("global.azure-devices-provisioning.net", "mydps.azure-devices-provisioning.net");
    let elsewhere = read(&elsewhere, Format::Toml, EdgeVersion::V1_6).provisioning.unwrap();
    let commands = windows_commands(&elsewhere, "device.key").unwrap();
    assert!(commands.contains("-globalEndpoint 'https://mydps.azure-devices-provisioning.net'"), "{commands}");
    let tpm = inline.replace("\"symmetric_key\"", "\"tpm\"");
    assert!(windows_commands(&read(&tpm, Format::Toml, EdgeVersion::V1_6).provisioning.unwrap(), "k").is_err());
    let token = config("pkcs11:token=t;object=k") + "[aziot_keys]\npkcs11_lib_path = \"/usr/lib/p11.so\"\n";
    let token = read(&token, Format::Toml, EdgeVersion::V1_6).provisioning.unwrap();
    assert!(matches!(
        &token.dps().unwrap().attestation,
        dps_edge::Attestation::SymmetricKey { key: KeySource::Pkcs11(_), .. }
    ));
    assert!(windows_commands(&token, "k").is_err());
}
