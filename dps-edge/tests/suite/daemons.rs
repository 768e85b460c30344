//! What the daemons of each version read, as data: `daemons/keys.csv` has a line for each key, with its type, whether
//! it is required, and the versions that read it. Every key is tried with every version: valid, of a wrong type,
//! missing.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use dps_edge::{EdgeVersion, Finding, Format, Severity, read};

const KEYS: &str = include_str!("../daemons/keys.csv");
const BASES: &str = include_str!("../daemons/bases.csv");

/// The versions in which some daemon began to read a key, or to read it differently.
const VERSIONS: [&str; 12] =
    ["1.1.0", "1.2.0", "1.2.2", "1.2.4", "1.3.0", "1.4.0", "1.4.9", "1.4.16", "1.4.20", "1.5.0", "1.6.0", "1.6"];

/// One line of the table.
struct Key {
    base: &'static str,
    path: &'static str,
    kind: &'static str,
    required: bool,
    since: EdgeVersion,
    until: Option<EdgeVersion>,
}

fn lines(data: &'static str) -> impl Iterator<Item = &'static str> {
    data.lines().filter(|line| !line.starts_with('#') && !line.is_empty())
}

fn keys() -> Vec<Key> {
    let key = |line: &'static str| {
        let [base, path, kind, required, since, until] = line.split(',').collect::<Vec<_>>()[..] else {
            panic!("{line}");
        };
        let until = (!until.is_empty()).then(|| until.parse().unwrap());
        Key { base, path, kind, required: required == "yes", since: since.parse().unwrap(), until }
    };
    lines(KEYS).skip(1).map(key).collect()
}

/// The keys and values of a base, by their paths.
fn base(name: &str) -> BTreeMap<&'static str, String> {
    let mut values = BTreeMap::new();
    for line in lines(BASES) {
        let (of, rest) = line.split_once(',').unwrap();
        let (path, value) = rest.split_once(',').unwrap();
        match of == name {
            true if path == "from" => values.extend(base(value)),
            true => drop(values.insert(path, value.to_owned())),
            false => {}
        }
    }
    assert!(!values.is_empty(), "no base {name}");
    values
}

/// Valid values, and values that the daemons refuse.
fn values(kind: &str) -> (&'static str, &'static [&'static str]) {
    match kind {
        "text" => ("\"words\"", &["1", "true"]),
        "filled" => ("\"words\"", &["1", "\" \""]),
        "flag" => ("false", &["\"false\"", "0"]),
        "number" => ("7", &["\"7\"", "-1", "4294967296", "true"]),
        "timeout" => ("70", &["\"70\"", "0", "-70"]),
        "days" => ("7", &["0", "\"7\""]),
        "index" => ("0x100", &["0x81000100", "\"256\""]),
        "policy" => ("\"20day\"", &["\"20\"", "\"100%\"", "\"0%\"", "\"1year\"", "20"]),
        "retries" => ("\"infinite\"", &["\"many\"", "-1", "true"]),
        "mode" => ("\"OnErrorOnly\"", &["\"onerroronly\"", "1"]),
        "tls" => ("\"tls1.2\"", &["\"tls1.3\"", "1.2"]),
        "pull-policy" => ("\"never\"", &["\"always\"", "1"]),
        "issuance" => ("\"self_signed\"", &["\"selfsigned\"", "1"]),
        "certificate" | "file" => ("\"file:///etc/a.pem\"", &["\"/etc/a.pem\"", "\"a.pem\"", "1"]),
        "private-key" => ("\"file:///etc/a.key\"", &["\"/etc/a.key\"", "\"pkcs11:object=k\"", "1"]),
        "url" => ("\"https://est.example/a\"", &["\"est.example/a\"", "1"]),
        "unix" => ("\"unix:///run/a.sock\"", &["\"/run/a.sock\"", "1"]),
        "source" => ("\"dps\"", &["\"DPS\"", "1"]),
        "method" => ("\"symmetric_key\"", &["\"symmetric\"", "1"]),
        "sas" => ("\"sas\"", &["\"symmetric_key\"", "1"]),
        "x509" => ("\"x509\"", &["\"X509\"", "1"]),
        "endpoint" => ("\"https://dps.example\"", &["\"dps.example\"", "1"]),
        "scope" => ("\"0ne00000FFF\"", &["1"]),
        "id" => ("\"dev-02\"", &["\"dev 02\"", "1"]),
        "key" => ("\"O+H9VTcdJP0Tqkl7bh4nVG0OJNrAataMpuWB54D0VEc=\"", &["\"words\"", "1"]),
        "hub" => ("\"hub-b.azure-devices.net\"", &["1"]),
        "device" => ("\"dev-02\"", &["1"]),
        "connection-string" => (
            "\"HostName=hub-b.azure-devices.net;DeviceId=dev-02;SharedAccessKey=O+H9VTcdJP0Tqkl7bh4nVG0OJNrAataMpuWB54D0VEc=\"",
            &["\"HostName=hub-b.azure-devices.net\"", "1"],
        ),
        other => panic!("no such type: {other}"),
    }
}

/// A file with these keys, and the line of each.
fn file(values: &BTreeMap<&'static str, String>, format: Format) -> String {
    let mut text = String::new();
    if format == Format::Toml {
        for (path, value) in values {
            writeln!(text, "{path} = {value}").unwrap();
        }
        return text;
    }
    let mut above: Vec<&str> = Vec::new();
    for (path, value) in values {
        let mut parts: Vec<&str> = path.split('.').collect();
        let last = parts.pop().unwrap();
        let common = parts.iter().zip(&above).take_while(|(one, other)| one == other).count();
        for (depth, part) in parts.iter().enumerate().skip(common) {
            writeln!(text, "{}{part}:", "  ".repeat(depth)).unwrap();
        }
        writeln!(text, "{}{last}: {value}", "  ".repeat(parts.len())).unwrap();
        above = parts;
    }
    text
}

fn line_of(text: &str, path: &str, format: Format) -> usize {
    let begins = |line: &str| match format {
        Format::Toml => line.starts_with(&format!("{path} = ")),
        Format::Yaml => line.trim_start().starts_with(&format!("{}: ", path.rsplit('.').next().unwrap())),
    };
    text.lines().position(begins).unwrap() + 1
}

fn errors(findings: &[Finding]) -> Vec<String> {
    findings.iter().filter(|finding| finding.severity() == Severity::Error).map(ToString::to_string).collect()
}

struct Try {
    text: String,
    line: usize,
    findings: Vec<Finding>,
}

fn try_with(key: &Key, value: &str, version: EdgeVersion) -> Try {
    let mut values = base(key.base);
    values.insert(key.path, value.to_owned());
    let text = file(&values, version.format());
    let line = line_of(&text, key.path, version.format());
    let findings = read(&text, version.format(), version).findings;
    Try { text, line, findings }
}

/// Every key with every version that reads its format.
fn each(mut check: impl FnMut(&Key, EdgeVersion)) -> usize {
    let mut count = 0;
    for key in keys() {
        for version in VERSIONS.map(|version| version.parse::<EdgeVersion>().unwrap()) {
            if version.format() == key.since.format() && key.until.is_none_or(|until| version <= until) {
                check(&key, version);
                count += 1;
            }
        }
    }
    count
}

#[test]
fn keys_are_read_since_their_version_and_ignored_before() {
    let count = each(|key, version| {
        let tried = try_with(key, values(key.kind).0, version);
        assert_eq!(errors(&tried.findings), [""; 0], "{version} {}\n{}", key.path, tried.text);
        // If a whole table is newer, the finding is at its first key.
        let is_too_new = |finding: &Finding| finding.id() == "too-new-key" && finding.severity() == Severity::Warning;
        let too_new = tried.findings.iter().any(is_too_new);
        assert_eq!(too_new, key.since > version, "{version} {}: {:?}\n{}", key.path, tried.findings, tried.text);
    });
    assert!(count > 700, "{count}");
}

#[test]
fn values_of_wrong_types_are_errors_at_their_place() {
    each(|key, version| {
        for value in values(key.kind).1 {
            let tried = try_with(key, value, version);
            let is_error =
                |finding: &Finding| finding.severity() == Severity::Error && finding.position.line == tried.line;
            let refused = tried.findings.iter().any(is_error);
            assert_eq!(refused, key.since <= version, "{version} {} = {value}: {:?}", key.path, tried.findings);
        }
    });
}

#[test]
fn missing_required_keys_are_errors() {
    each(|key, version| {
        let mut values = base(key.base);
        values.remove(key.path);
        let text = file(&values, version.format());
        let found = read(&text, version.format(), version).findings;
        let is_missed = errors(&found).iter().any(|error| error.contains("missing"));
        assert_eq!(is_missed, key.required && key.since <= version, "{version} {}: {found:?}\n{text}", key.path);
    });
}

#[test]
fn short_timeouts_are_refused_since_1_4_9() {
    let text = |seconds: u32| format!("cloud_timeout_sec = {seconds}\n{}", file(&base("dps"), Format::Toml));
    for (version, least) in [("1.2.2", 1), ("1.4.8", 1), ("1.4.9", 70), ("1.6", 70)] {
        let version: EdgeVersion = version.parse().unwrap();
        let refused = |seconds| !errors(&read(&text(seconds), Format::Toml, version).findings).is_empty();
        assert!(refused(least - 1) && !refused(least), "{version}");
    }
}
