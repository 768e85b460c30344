//! Secrets planted everywhere in a file: no finding, no view, no error and no `Debug` repeats any part of them.

use dps_edge::{EdgeVersion, Format, Keys, SecretString, convert, read, set, windows_commands};
use std::time::SystemTime;

/// A valid key, a truncated one, and other secrets.
const PLANTED: [&str; 5] = [
    "Jsm0lyGpjaVYVP2g3FnmnmG9dI/9qU24wNoykUmermc=",
    "8isrFI1sGsIlvvFSSFRiMfCNzv21fjbE/+ah/lSh3lF8e2YG1Te7w1KpZhJFFXJrqYKi9yegxkqIChbqOS9Egw==",
    "O+H9VTcdJP0Tqkl7bh4nVG0OJNrAataMpuWB54D0VEc",
    "HostName=hub-a.test;DeviceId=a;SharedAccessKey=O+H9VTcdJP0Tqkl7bh4nVG0OJNrAataMpuWB54D0VEc=",
    "pkcs11:token=t;object=k?pin-value=O+H9VTcdJP0Tqkl7bh4nVG0O",
];

/// Files with a mark in the place of the secret.
const TOML: &str = r#"
hostname = "MARK"
trust_bundle_cert = "MARK"
auto_reprovisioning_mode = "MARK"
[provisioning]
source = "dps"
global_endpoint = "MARK"
id_scope = "0ne00A1B2C3"
payload = { uri = "MARK" }
[provisioning.attestation]
method = "symmetric_key"
registration_id = "dev-01"
symmetric_key = { value = "Jsm0lyGpjaVYVP2g3FnmnmG9dI/9qU24wNoykUmermc=" }
[aziot_keys]
pkcs11_lib_path = "MARK"
pkcs11_base_slot = "MARK"
[tpm]
tcti = "MARK"
[tpm.hierarchy_authorization]
owner = "MARK"
"#;
const MORE_TOML: [&str; 9] = [
    "[provisioning]\nsource = \"dps\"\nid_scope = \"MARK\"\n",
    "[provisioning]\nsource = \"MARK\"\n",
    "[provisioning]\nsource = \"manual\"\nconnection_string = \"MARK\"\n",
    "[provisioning]\nMARK\n",
    "[provisioning]\nkey = MARK\n",
    "[MARK]\n\"MARK\" = 1\n[provisioning]\n\"MARK\" = \"MARK\"\n",
    "[provisioning]\nsource = \"manual\"\niothub_hostname = \"MARK\"\ndevice_id = \"MARK\"\n[provisioning.authentication]\nmethod = \"x509\"\nidentity_cert = \"MARK\"\nidentity_pk = \"MARK\"\n",
    "[provisioning]\nsource = \"dps\"\nglobal_endpoint = \"https://x.test\"\nid_scope = \"0ne1\"\n[provisioning.attestation]\nmethod = \"symmetric_key\"\nregistration_id = \"dev-01\"\nsymmetric_key = \"MARK\"\n",
    "[provisioning]\nsource = \"dps\"\nglobal_endpoint = \"https://x.test\"\nid_scope = \"0ne1\"\n[provisioning.attestation]\nmethod = \"symmetric_key\"\nregistration_id = \"dev-01\"\nsymmetric_key = { uri = \"MARK\", value = \"MARK }\n",
];
const YAML: [&str; 5] = [
    "provisioning:\n  source: \"dps\"\n  global_endpoint: \"https://x.test\"\n  scope_id: \"0ne1\"\n  attestation:\n    method: \"symmetric_key\"\n    registration_id: \"dev-01\"\n    symmetric_key: \"MARK\"\n",
    "provisioning:\n  source: \"manual\"\n  device_connection_string: \"MARK\"\nMARK: MARK\n",
    "provisioning:\n\tsource: \"MARK\"\n",
    "provisioning:\n  source: \"dps\"\n  scope_id: MARK: MARK\n",
    "MARK\nprovisioning: [MARK, \"MARK\n",
];

/// Half of a secret would already be too much.
fn seen(shown: &str, planted: &str) -> bool {
    let secret = planted.rsplit(['=', '?']).find(|part| part.len() > 15).unwrap_or(planted);
    planted.len() > 30 && (shown.contains(&secret[..16]) || shown.contains(&secret[secret.len() - 16..]))
}

fn everything_shown(text: &str, format: Format) -> String {
    let mut reading = read(text, format, format.newest_version());
    reading.check_files(SystemTime::now());
    let mut shown = format!("{reading:?}");
    for finding in &reading.findings {
        shown.push_str(&format!("{finding} {finding:?}\n"));
    }
    if let Some(provisioning) = &reading.provisioning {
        shown.push_str(&provisioning.to_json(Keys::Hidden).to_string());
        shown.push_str(&format!("{:?}", windows_commands(provisioning, "device.key")));
    }
    shown.push_str(&format!("{:?}", convert(text)));
    for key in ["provisioning.source", "provisioning.attestation.symmetric_key", "hostname"] {
        shown.push_str(&format!("{:?}", set(text, format, EdgeVersion::V1_6, key, "dps")));
    }
    shown
}

#[test]
fn output_contains_no_secret() {
    let mut looked_at = 0;
    for planted in PLANTED {
        let files = MORE_TOML.iter().chain([&TOML]).map(|text| (*text, Format::Toml));
        for (text, format) in files.chain(YAML.map(|text| (text, Format::Yaml))) {
            let shown = everything_shown(&text.replace("MARK", planted), format);
            assert!(!seen(&shown, planted), "{planted} is shown for {text}: {shown}");
            assert!(!shown.is_empty());
            looked_at += 1;
        }
    }
    assert_eq!(looked_at, 5 * 15);
}

#[test]
fn secret_search_finds_shown_keys() {
    for planted in PLANTED {
        assert!(seen(&format!("<{planted}>"), planted), "{planted}");
    }
    let text = MORE_TOML[7].replace("MARK", PLANTED[0]);
    let reading = read(&text, Format::Toml, EdgeVersion::V1_6);
    assert!(seen(&reading.provisioning.unwrap().to_json(Keys::Shown).to_string(), PLANTED[0]));
    let changed = set(&text, Format::Toml, EdgeVersion::V1_6, "provisioning.source", "dps");
    assert!(changed.as_ref().map(SecretString::expose).unwrap().contains(PLANTED[0]));
}
