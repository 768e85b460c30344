//! Conversion of files with unusual values: either the newest daemons read the result without an error and it means the
//! same, or the conversion is refused with a reason.

use dps_edge::{ConvertError, Format, Keys, Severity, convert, read};
use percent_encoding::percent_decode_str;
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::Value;

/// Each line is one key, with a value that 1.1 accepts.
const ROOT: &str = "hostname: \"gateway-1\"\n";
const CERTIFICATES: &str = "certificates:\n  device_ca_cert: \"/etc/gw.pem\"\n  device_ca_pk: \"/etc/gw.key.pem\"\n  \
                            trusted_ca_certs: \"/etc/ca.pem\"\n";
const DPS: &str = "provisioning:\n  source: \"dps\"\n  global_endpoint: \"https://x.test\"\n  scope_id: \"0ne00A1B2C3\"\n  \
                   always_reprovision_on_startup: true\n  dynamic_reprovisioning: false\n  attestation:\n";
const ATTESTATIONS: [&str; 3] = [
    "    method: \"symmetric_key\"\n    registration_id: \"dev-01\"\n    \
     symmetric_key: \"Jsm0lyGpjaVYVP2g3FnmnmG9dI/9qU24wNoykUmermc=\"\n",
    "    method: \"x509\"\n    registration_id: \"dev-01\"\n    identity_cert: \"file:///etc/id.pem\"\n    \
     identity_pk: \"file:///etc/id.key.pem\"\n",
    "    method: \"tpm\"\n    registration_id: \"dev-01\"\n",
];
const MANUAL: [&str; 2] = [
    "provisioning:\n  source: \"manual\"\n  device_connection_string: \"HostName=hub-a.test;DeviceId=gateway-1;\
     SharedAccessKey=Jsm0lyGpjaVYVP2g3FnmnmG9dI/9qU24wNoykUmermc=\"\n",
    "provisioning:\n  source: \"manual\"\n  authentication:\n    method: \"x509\"\n    iothub_hostname: \"hub-a.test\"\n    \
     device_id: \"gateway-1\"\n    identity_cert: \"file:///etc/id.pem\"\n    identity_pk: \"file:///etc/id.key.pem\"\n",
];
/// Values as they are written in a file.
const ODD: [&str; 40] = [
    "",
    "~",
    "null",
    "true",
    "\"true\"",
    "yes",
    "00123",
    "12e3",
    "0x1F",
    "-1",
    "99999999999999999999",
    "plain",
    "plain # comment",
    "Upper-Case",
    "\"\"",
    "'it''s'",
    "\"quote \\\" and \\\\ and \\u00e9 and \\t\"",
    "\"C:\\certs\\gw.pem\"",
    "\"C:\\\\certs\\\\gw.pem\"",
    "'C:\\certs\\gw.pem'",
    "certs/gw.pem",
    "/etc/gw.pem",
    "\"/etc/gw #1 100%/\u{fc} \u{1f511}.pem\"",
    "/etc/a?b",
    "/",
    "file:etc/gw.pem",
    "file:///etc/gw.pem",
    "\"file:///etc/gw.pem#1\"",
    "FILE://LOCALHOST/etc/gw.pem",
    "file://server/gw.pem",
    "pkcs11:token=t;object=k?pin-value=1",
    "https://x.test",
    "http://x.test",
    "\"<ADD DEVICE CONNECTION STRING HERE>\"",
    "[a, b]",
    "{ a: b }",
    "!!str 123",
    "&anchor \"anchored\"",
    "*unknown",
    "dps",
];

fn file() -> impl Strategy<Value = String> {
    let certificates = select(vec!["", CERTIFICATES]);
    let dps = select(ATTESTATIONS.to_vec()).prop_map(|attestation| format!("{DPS}{attestation}"));
    let manual = select(MANUAL.to_vec()).prop_map(str::to_owned);
    let provisioning = prop_oneof![3 => dps, 1 => manual];
    (provisioning, certificates).prop_map(|(provisioning, certificates)| format!("{ROOT}{provisioning}{certificates}"))
}

/// A value as it is written in a file: one of the list, or any string in quotes.
fn value() -> impl Strategy<Value = String> {
    prop_oneof![2 => select(ODD.to_vec()).prop_map(str::to_owned), 1 => "\\PC{0,24}".prop_map(|text| format!("{text:?}"))]
}

/// One change to a line.
#[derive(Clone, Debug)]
enum Change {
    Value(String),
    Remove,
    /// Once more, with another value.
    Again(String),
}

fn change() -> impl Strategy<Value = Change> {
    prop_oneof![6 => value().prop_map(Change::Value), 1 => Just(Change::Remove), 1 => value().prop_map(Change::Again)]
}

fn changed(text: &str, changes: &[(prop::sample::Index, Change)], indented: bool, mark: bool) -> String {
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    for (index, change) in changes {
        let index = index.index(lines.len());
        let key = lines[index].split(": ").next().unwrap_or_default().to_owned();
        match change {
            _ if key.ends_with(':') => {}
            Change::Value(value) => lines[index] = format!("{key}: {value}"),
            Change::Remove => lines[index] = String::new(),
            Change::Again(value) => lines.insert(index, format!("{key}: {value}")),
        }
    }
    let indent = if indented { " " } else { "" };
    let text: String = lines.iter().map(|line| format!("{indent}{line}\n")).collect();
    if mark { format!("\u{feff}{text}") } else { text }
}

/// What must be kept, with paths where there may be URIs.
fn meaning(text: &str, format: Format) -> String {
    let reading = read(text, format, format.newest_version());
    let json = reading.provisioning.map_or(Value::Null, |provisioning| provisioning.to_json(Keys::Shown));
    let path = |uri: &Value| {
        let Some(text) = uri.as_str() else { return String::new() };
        if text.starts_with('/') {
            return text.to_owned();
        }
        let end = if format == Format::Yaml { text.find('#') } else { None };
        let text = &text[..end.unwrap_or(text.len())];
        let text = text.trim_start_matches(|c: char| c.is_ascii_alphabetic());
        let text = text.strip_prefix(':').unwrap_or(text);
        let text = text.strip_prefix("//").unwrap_or(text);
        let text = text.strip_prefix("localhost").or(text.strip_prefix("LOCALHOST")).unwrap_or(text);
        let text = text.strip_prefix('/').unwrap_or(text);
        format!("/{}", percent_decode_str(text).decode_utf8_lossy())
    };
    let identity = [&json["dps"]["attestation"]["identity"], &json["manual"]["identity"]]
        .map(|identity| [&identity["certificate"], &identity["key"]].map(path));
    let (dps, manual) = (&json["dps"], &json["manual"]);
    let same = [
        &json["hostname"],
        &json["parentHostname"],
        &json["source"],
        &dps["globalEndpoint"],
        &dps["idScope"],
        &dps["attestation"]["method"],
        &dps["attestation"]["registrationId"],
        &dps["attestation"]["key"],
        &manual["hub"],
        &manual["deviceId"],
        &manual["key"],
    ];
    format!("{same:?} {identity:?} {:?}", path(&json["trustBundle"]))
}

fn check(text: &str) -> Result<(), TestCaseError> {
    let old = read(text, Format::Yaml, Format::Yaml.newest_version());
    match convert(text) {
        Ok(converted) => {
            let new_text = converted.text.expose();
            let new = read(new_text, Format::Toml, Format::Toml.newest_version());
            prop_assert!(!new.has_errors(), "{:?}\n{new_text}", new.findings);
            let told = converted.findings.iter().any(|finding| finding.severity() == Severity::Error);
            prop_assert_eq!(told, old.has_errors(), "{:?}", converted.findings);
            prop_assert_eq!(meaning(text, Format::Yaml), meaning(new_text, Format::Toml), "{}", new_text);
        }
        Err(ConvertError::External) => {}
        Err(error) => {
            let finding = error.finding().ok_or_else(|| TestCaseError::fail(format!("no reason: {error}")))?;
            prop_assert!((1..=text.lines().count() + 1).contains(&finding.position.line));
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn convert_result_reads_without_errors_or_is_refused(
        file in file(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), change()), 0..3),
        indented in prop::bool::weighted(0.1),
        mark in prop::bool::weighted(0.1),
    ) {
        check(&changed(&file, &changes, indented, mark))?;
    }
}

#[test]
fn convert_accepts_usual_files_without_warnings() {
    let files = ATTESTATIONS.iter().map(|attestation| format!("{ROOT}{DPS}{attestation}{CERTIFICATES}"));
    for text in files.chain(MANUAL.iter().map(|manual| format!("{ROOT}{manual}{CERTIFICATES}"))) {
        check(&text).unwrap();
        let converted = convert(&text).unwrap();
        let notes = converted.findings.iter().all(|finding| finding.severity() == Severity::Note);
        assert!(notes, "{:?}", converted.findings);
    }
}

#[test]
fn convert_keeps_a_path_of_separators() {
    for path in ["/:", "//:", "//a", "/localhost/a"] {
        let text = format!("{ROOT}{DPS}{}", ATTESTATIONS[1]).replace("file:///etc/id.pem", path);
        assert!(text.contains(path), "{text}");
        check(&text).unwrap();
    }
}

#[test]
fn convert_writes_the_trust_bundle_as_an_encoded_uri() {
    let text = format!("{ROOT}{DPS}{}{CERTIFICATES}", ATTESTATIONS[2]).replace("/etc/ca.pem", "/etc/ca #1/100%.pem");
    let converted = convert(&text).unwrap();
    let line = "trust_bundle_cert = \"file:///etc/ca%20%231/100%25.pem\"\n";
    assert!(converted.text.expose().contains(line), "{}", converted.text.expose());
}
