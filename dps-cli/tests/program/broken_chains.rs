//! Broken chains of certificates: each is named before anything is sent where that is possible, and otherwise by the first
//! line of `dps check`.

use std::path::Path;

use dps_client::CertificateChain;
use dps_emulator::{Certificate, EnrollmentGroup, IndividualEnrollment};
use rcgen::{BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, date_time_ymd};

use super::pki::{Ca, Device, P256};
use super::run::{CLOSED, Finished, Folder, Run, dps_line};
use super::service::Service;

/// A chain whose problem can be found on the device: its name, how it is made, the name of the problem, and words of the
/// sentence about it.
type Local = (&'static str, fn() -> Device, &'static str, &'static [&'static str]);

/// A registration cannot work with any of these.
const ERRORS: &[Local] = &[
    ("gap in the chain", gap, "gap", &["certificate 1 of 3 (CN=dev-01) was issued by CN=Lower, which is not among"]),
    ("wrong order", wrong_order, "wrong-order", &["(CN=dev-01) is the device's own, and is not the first"]),
    ("expired", expired, "expired", &["(CN=dev-01) expired at 2020-01-01 00:00:00 UTC; the time is"]),
    ("not yet valid", not_yet_valid, "not-yet-valid", &["(CN=dev-01) is valid from 4000-01-01"]),
    ("other common name", other_name, "common-name-mismatch", &["common name \"dev-02\"", "id is \"dev-01\""]),
    ("key of another certificate", other_key, "key-mismatch", &["was issued for another key"]),
    ("CA certificate as the device's", ca_as_leaf, "ca-as-leaf", &["is an authority's, not a device's"]),
    ("no client authentication", for_servers, "client-auth-missing", &["lacks clientAuth"]),
    ("path too long", long_path, "path-length", &["(CN=Root) allows 1 intermediate certificates", "there are 2"]),
];

/// The service may accept these.
const WARNINGS: &[Local] = &[
    ("long common name", long_name, "common-name-length", &["a common name of 65 characters"]),
    ("signed with SHA-1", weak_signature, "weak-signature", &["is signed with SHA-1"]),
];

fn authorities() -> Ca {
    Ca::root("Root").intermediate("Upper").intermediate("Lower")
}

fn changed(change: impl FnOnce(&mut CertificateParams)) -> Device {
    Ca::root("Root").device_with("dev-01", P256, change)
}

fn gap() -> Device {
    authorities().device("dev-01").in_order(&[0, 2, 3])
}

fn wrong_order() -> Device {
    authorities().device("dev-01").in_order(&[1, 0])
}

fn expired() -> Device {
    changed(|params| params.not_after = date_time_ymd(2020, 1, 1))
}

fn not_yet_valid() -> Device {
    changed(|params| params.not_before = date_time_ymd(4000, 1, 1))
}

fn other_name() -> Device {
    Ca::root("Root").device("dev-02")
}

fn other_key() -> Device {
    Ca::root("Root").device("dev-01").with_key_of(&Device::self_signed("dev-01"))
}

fn ca_as_leaf() -> Device {
    changed(|params| params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained))
}

fn for_servers() -> Device {
    changed(|params| params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth])
}

fn long_path() -> Device {
    let root = Ca::root_with("Root", |params| params.is_ca = IsCa::Ca(BasicConstraints::Constrained(1)));
    root.intermediate("Upper").intermediate("Lower").device("dev-01")
}

fn long_name() -> Device {
    Device::self_signed(&"d".repeat(65))
}

fn weak_signature() -> Device {
    let read = |name: &str| {
        let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../dps-client/tests/data/x509");
        std::fs::read_to_string(directory.join(name)).unwrap()
    };
    Device { chain: vec![read("sha1.cert.pem")], key: read("ec-sec1.pem") }
}

/// The files of a device, and the options that name them.
struct Files {
    folder: Folder,
    id: String,
}

impl Files {
    fn new(device: &Device) -> Self {
        let folder = Folder::new();
        folder.write("device.pem", device.chain.concat());
        folder.write("device.key", &device.key);
        // The name that was meant.
        let name = device.x509().common_name().unwrap();
        Self { folder, id: if name == "dev-02" { "dev-01".to_owned() } else { name } }
    }

    fn file(&self, name: &str) -> String {
        self.folder.file(name)
    }

    /// Runs a command against an address where nothing listens.
    fn run(&self, line: &str) -> Finished {
        let (certificate, key) = (self.file("device.pem"), self.file("device.key"));
        let words = ["--rid", &self.id, "--cert-file", &certificate, "--cert-key-file", &key, "--endpoint", CLOSED];
        dps_line(&format!("{line} --scope 0ne00A1B2C3 --timeout 1s"), &words).run()
    }

    fn check_alone(&self) -> Finished {
        let (certificate, key) = (self.file("device.pem"), self.file("device.key"));
        dps_line("x509 check --json", &[&certificate, "--key-file", &key, "--rid", &self.id]).run().code(10)
    }
}

/// Asserts that `dps x509 check` and `dps check` name the problem first.
fn assert_named((chain, make, problem, words): &Local, severity: &str) -> Files {
    let files = Files::new(&make());
    let alone = files.check_alone().json();
    let first = &alone["findings"][0];
    assert_eq!((&first["id"], &first["severity"]), (&(*problem).into(), &severity.into()), "{chain}: {alone:#}");
    assert!(!first["advice"].as_str().unwrap().is_empty());
    let found = files.run("check").code(10).stdout;
    let line = format!("{severity:<7}  certificate ");
    let certificate = found.lines().find(|text| text.starts_with(&line)).unwrap_or_else(|| panic!("{chain}: {found}"));
    assert!(words.iter().all(|words| certificate.contains(words)), "{chain}: {certificate}");
    files
}

#[test]
fn chains_that_cannot_work_are_refused_before_connecting() {
    for case in ERRORS {
        let (chain, _, problem, words) = case;
        let files = assert_named(case, "error");
        let found = files.run("check").code(10).stdout;
        let first = found.lines().next().unwrap();
        assert!(first.starts_with("cause: certificate ") && words.iter().all(|words| first.contains(words)), "{chain}");
        assert!(found.contains("certificate must be fixed first") || found.contains("there is no connection"));
        // Nothing listens: a connection would end with code 5. A validity may be a matter of this machine's clock.
        let code = if matches!(*problem, "expired" | "not-yet-valid") { 7 } else { 3 };
        let refused = files.run("register").code(code);
        assert!(words.iter().all(|words| refused.stderr.contains(words)), "{chain}: {}", refused.stderr);
    }
}

#[test]
fn doubtful_chains_are_named_and_not_refused() {
    for case in WARNINGS {
        let files = assert_named(case, "warning");
        files.run("register").code(5);
    }
}

/// A chain whose problem only the service knows: its name, how service and device are made, options of `dps check`, and the
/// first of the likely causes.
type Remote = (&'static str, fn(&Service) -> Device, &'static str);

const REFUSED: &[Remote] = &[
    (
        "missing intermediate",
        missing_intermediate,
        "(1) an intermediate certificate is missing: the chain ends at CN=dev-01",
    ),
    ("unverified root", unverified_root, "(1) CN=Root is not a verified certificate of the service"),
    (
        "thumbprint of another certificate",
        other_thumbprint,
        "(1) the individual enrollment has the thumbprint of another",
    ),
    (
        "self-signed by openssl req -x509",
        self_signed_authority,
        "(1) the individual enrollment has the thumbprint of another",
    ),
    ("enrollment for another id", other_id, "(2) the enrollment is for another id than dev-01"),
    ("nearer group disabled", disabled_group, "(2) the enrollment nearest to the certificate is disabled"),
];

fn emulated(chain: &CertificateChain) -> Certificate {
    Certificate::from_der(chain.iter().next().unwrap()).unwrap()
}

fn trust(service: &Service, authority: &Ca, is_verified: bool) {
    let now = service.emulator().now();
    let certificate = emulated(&authority.certificates());
    service.set(|service| service.put_ca_certificate(now, "root", certificate, is_verified).map(drop)).unwrap();
}

fn group(service: &Service, id: &str, authority: &Ca, enabled: bool) {
    let now = service.emulator().now();
    let group = EnrollmentGroup::new(id).signing_certificate(emulated(&authority.certificates())).enabled(enabled);
    service.set(|service| service.put_group(now, group)).unwrap();
}

fn individual(service: &Service, id: &str, device: &Device) {
    let now = service.emulator().now();
    let enrollment = IndividualEnrollment::new(id).client_certificate(emulated(device.x509().chain()));
    service.set(|service| service.put_enrollment(now, enrollment)).unwrap();
}

fn missing_intermediate(service: &Service) -> Device {
    let root = Ca::root("Root");
    trust(service, &root, true);
    group(service, "line-1", &root, true);
    root.intermediate("Line").device("dev-01").in_order(&[0])
}

fn unverified_root(service: &Service) -> Device {
    let root = Ca::root("Root");
    trust(service, &root, false);
    group(service, "line-1", &root, true);
    root.intermediate("Line").device("dev-01")
}

fn other_thumbprint(service: &Service) -> Device {
    individual(service, "dev-01", &Device::self_signed("dev-01"));
    Device::self_signed("dev-01")
}

fn self_signed_authority(service: &Service) -> Device {
    individual(service, "dev-01", &Device::self_signed("dev-01"));
    let key = rcgen::KeyPair::generate().unwrap();
    let mut params = super::pki::params("dev-01");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    Device { chain: vec![params.self_signed(&key).unwrap().pem()], key: key.serialize_pem() }
}

fn other_id(service: &Service) -> Device {
    let device = Device::self_signed("dev-01");
    individual(service, "dev-02", &device);
    device
}

fn disabled_group(service: &Service) -> Device {
    let root = Ca::root("Root");
    let nearer = root.intermediate("Line");
    trust(service, &root, true);
    group(service, "all", &root, true);
    group(service, "line-1", &nearer, false);
    let device = nearer.device("dev-01");
    service.folder.write("root.pem", &root.chain[0]);
    device
}

/// `dps check` of a device without `--rid`.
fn check(service: &Service, device: &Device, words: &[&str]) -> Finished {
    let certificate = service.folder.write("device.pem", device.chain.concat());
    let key = service.folder.write("device.key", &device.key);
    let words = [&["--cert-file", &certificate, "--cert-key-file", &key], words].concat();
    service.as_device("check", "dev-01", &words).run()
}

fn first_line(found: &Finished) -> &str {
    found.stdout.lines().next().unwrap()
}

#[test]
fn refused_certificate_is_explained_by_the_first_line_of_check() {
    let service = Service::with(|options| options.mqtt_port(0));
    for (chain, make, cause) in REFUSED {
        let service = Service::start();
        let found = check(&service, &make(&service), &[]).code(10);
        let first = first_line(&found);
        assert!(first.starts_with("cause: the service refuses the certificate; likely causes: "), "{chain}: {first}");
        assert!(first.contains(cause), "{chain}: {first}");
        assert!(found.stdout.contains("Invalid certificate., code 401002"), "{}", found.stdout);
        let counters = service.set(|service| service.counters());
        assert_eq!((counters.registers, counters.polls), (0, 0), "{chain}");
    }
    // CONNACK 5 is the same refusal.
    let mqtt = service.emulator().mqtt_endpoint().unwrap();
    let device = missing_intermediate(&service);
    let found = check(&service, &device, &["--transport", "mqtt", "--endpoint", &mqtt, "--time-port", "1"]).code(10);
    assert!(first_line(&found).contains("(1) an intermediate certificate is missing"), "{}", found.stdout);
}

#[test]
fn expected_root_finds_a_missing_intermediate_before_connecting() {
    let root = Ca::root("Root");
    let device = root.intermediate("Line").device("dev-01");
    let files = Files::new(&device.in_order(&[0]));
    let expected = files.folder.write("root.pem", &root.chain[0]);
    let found = files.run(&format!("check --expect-root {expected}")).code(10);
    let first = first_line(&found);
    assert!(first.starts_with("cause: certificate 1 of 1 (CN=dev-01) ends the chain") && first.contains("CN=Line"));
    let other = files.folder.write("other.pem", &Ca::root("Other").chain[0]);
    let complete = files.folder.write("complete.pem", device.chain.concat());
    let found = dps_line("x509 check --json", &[&complete, "--expect-root", &other]).run().code(10).json();
    assert_eq!(found["findings"][0]["id"], "unexpected-root");
    dps_line("x509 check --json", &[&complete, "--expect-root", &expected]).run().code(0);
}

#[test]
fn disabled_group_is_the_first_cause_when_the_root_is_said_to_be_verified() {
    let service = Service::start();
    let device = disabled_group(&service);
    let root = service.folder.file("root.pem");
    let found = check(&service, &device, &["--expect-root", &root]).code(10);
    assert!(first_line(&found).contains("(1) the enrollment nearest to the certificate is disabled"));
}

#[test]
fn doubtful_certificate_is_the_cause_when_the_service_refuses_it() {
    let service = Service::start();
    let device = long_name();
    let certificate = service.folder.write("device.pem", device.chain.concat());
    let key = service.folder.write("device.key", &device.key);
    let words = ["--cert-file", &certificate, "--cert-key-file", &key];
    let found = service.as_device("check", &"d".repeat(65), &words).run().code(10);
    let first = first_line(&found);
    assert!(first.starts_with("cause: certificate 1 of 1 ") && first.contains("65 characters"), "{first}");
}
