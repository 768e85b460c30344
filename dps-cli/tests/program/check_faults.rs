//! `dps check` reports the cause of each seeded fault first, and never registers.

use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use dps_emulator::{At, EnrollmentGroup, Fault, IndividualEnrollment, RetryAfter, Scope, SymmetricKey};
use serde_json::Value;

use super::run::{CLOSED, DEVICE_ID, DEVICE_KEY, Finished, GROUP_KEY, Run, set_mode};
use super::service::Service;
use dps_emulator::test_servers::proxy_server::{FORBIDDEN, Manner};

/// me:open sesame
const WANTS_PASSWORD: Manner = Manner::Wants("Basic bWU6b3BlbiBzZXNhbWU=");
const HOUR_MS: i64 = 3_600_000;
/// Far longer than any of these may run.
const GUARD: Duration = Duration::from_secs(25);

/// A device that cannot register, and the command that checks it.
struct Seeded {
    service: Service,
    command: Command,
    /// Kept open while the command runs.
    _sockets: Vec<OwnedFd>,
}

impl Seeded {
    fn new(service: Service, id: &str, words: &[&str]) -> Self {
        let command = service.as_device("check --json", id, words);
        Self { service, command, _sockets: Vec::new() }
    }
}

/// A fault: how it is seeded, the expected check, and a part of the headline.
struct Case {
    fault: &'static str,
    seed: fn() -> Seeded,
    cause: &'static str,
    headline: &'static [&'static str],
}

const CASES: &[Case] = &[
    Case { fault: "wrong key", seed: wrong_key, cause: "authentication", headline: &["refuses the credential", "key"] },
    Case {
        fault: "group key as device key",
        seed: group_key,
        cause: "key",
        headline: &["enrollment group", "derived"],
    },
    Case { fault: "device key as group key", seed: device_key, cause: "key", headline: &["device's key", "as it is"] },
    Case {
        fault: "upper-case id",
        seed: upper_case_id,
        cause: "registration-id",
        headline: &[DEVICE_ID, "letter case"],
    },
    Case {
        fault: "upper-case key",
        seed: upper_case_key,
        cause: "registration-id",
        headline: &["DEV-01", "letter case"],
    },
    Case { fault: "wrong scope", seed: wrong_scope, cause: "authentication", headline: &["refuses", "id scope"] },
    Case { fault: "mistyped scope", seed: mistyped_scope, cause: "id-scope", headline: &["One00A1B2C3"] },
    Case { fault: "short key", seed: short_key, cause: "key", headline: &["16 bytes", "64"] },
    Case { fault: "disabled enrollment", seed: disabled, cause: "registration", headline: &["enrollment is disabled"] },
    Case { fault: "no hub", seed: no_hub, cause: "registration", headline: &["failed", "hub"] },
    Case {
        fault: "clock 2 h behind",
        seed: clock_behind,
        cause: "clock",
        headline: &["s behind the service's", "expired"],
    },
    Case { fault: "clock 2 h ahead", seed: clock_ahead, cause: "clock", headline: &["s ahead of the service's"] },
    Case { fault: "unknown CA", seed: unknown_ca, cause: "tls", headline: &["not trusted"] },
    Case { fault: "wrong host name", seed: wrong_name, cause: "tls", headline: &["localhost", "not for 127.0.0.2"] },
    Case { fault: "DNS failure", seed: no_such_name, cause: "dns", headline: &["nowhere.invalid cannot be resolved"] },
    Case { fault: "refused port", seed: refused_port, cause: "tcp", headline: &["nothing listens"] },
    Case { fault: "silent port", seed: silent_port, cause: "tls", headline: &["sends nothing"] },
    Case { fault: "silent host", seed: silent_host, cause: "tcp", headline: &["does not respond"] },
    Case { fault: "proxy needed", seed: proxy_needed, cause: "proxy", headline: &["a proxy is needed", "HTTP_PROXY"] },
    Case {
        fault: "proxy excepted",
        seed: proxy_excepted,
        cause: "proxy",
        headline: &["a proxy is needed", "HTTPS_PROXY"],
    },
    Case {
        fault: "proxy's wrong password",
        seed: proxy_password,
        cause: "proxy",
        headline: &["rejects the user name or"],
    },
    Case { fault: "proxy without password", seed: proxy_wants, cause: "proxy", headline: &["requires a user name"] },
    Case { fault: "proxy forbids", seed: proxy_forbids, cause: "proxy", headline: &["does not open a tunnel"] },
    Case { fault: "proxy hangs", seed: proxy_hangs, cause: "proxy", headline: &["does not respond"] },
    Case { fault: "proxy gone", seed: proxy_gone, cause: "proxy", headline: &["cannot be reached"] },
    Case { fault: "throttled", seed: throttled, cause: "throttling", headline: &["throttles", "3600 s"] },
    Case { fault: "service in trouble", seed: trouble, cause: "service", headline: &["in trouble", "503"] },
    Case { fault: "no service at all", seed: nonsense, cause: "service", headline: &["not a reply"] },
    Case {
        fault: "unknown to the service",
        seed: unknown,
        cause: "authentication",
        headline: &["wrong key in the same way"],
    },
    Case { fault: "world-readable key file", seed: readable, cause: "key-file", headline: &["0644", "device.key"] },
];

#[test]
fn check_reports_each_fault_as_cause_and_registers_nothing() {
    for case in CASES {
        let mut seeded = (case.seed)();
        let started = Instant::now();
        let done = seeded.command.run();
        assert!(started.elapsed() < GUARD, "{}: {:?}", case.fault, started.elapsed());
        assert_eq!(done.code, 10, "{}: {}{}", case.fault, done.stdout, done.stderr);
        let report = done.json();
        assert_eq!(report["cause"], case.cause, "{}: {report:#}", case.fault);
        let headline = report["headline"].as_str().unwrap();
        assert!(case.headline.iter().all(|words| headline.contains(words)), "{}: {headline}", case.fault);
        let advice = &found(&report, case.cause)["advice"];
        assert!(!advice.as_array().unwrap().is_empty(), "{}: what is to be done? {report:#}", case.fault);
        shows_no_secret(&done, &seeded.service);
        let counters = seeded.service.set(|service| service.counters());
        assert_eq!((counters.registers, counters.polls), (0, 0), "{}", case.fault);
    }
}

fn found<'r>(report: &'r Value, id: &str) -> &'r Value {
    let checks = report["checks"].as_array().unwrap();
    checks.iter().find(|check| check["id"] == id).unwrap_or_else(|| panic!("no {id} in {report:#}"))
}

fn shows_no_secret(done: &Finished, service: &Service) {
    let kept = |name: &&str| service.folder.path().join(name).exists();
    let files = ["device.key", "group.key", "wrong.key", "proxy.password"].iter().filter(|name| kept(name));
    let secrets: Vec<String> = files.map(|name| service.folder.read(name).trim().to_owned()).collect();
    for text in [&done.stdout, &done.stderr] {
        for secret in secrets.iter().map(String::as_str).chain(["sig=", "SharedAccessSignature", "sr="]) {
            assert!(!text.contains(secret), "{secret} was shown: {text}");
        }
    }
}

/// A service with the enrollment `dev-01`; its key is in `device.key`.
fn enrolled(service: Service) -> (Service, String) {
    let key = service.enroll(IndividualEnrollment::new("dev-01"));
    (service, key)
}

/// A service with the group of the documentation.
fn group(service: Service) -> Service {
    let key = SymmetricKey::from_base64(GROUP_KEY).unwrap();
    service.enroll_group(EnrollmentGroup::new("line-1").primary_key(key));
    service
}

/// A healthy device with its own connection options.
fn healthy(words: &[&str]) -> Seeded {
    let (service, key) = enrolled(Service::start());
    Seeded::new(service, "dev-01", &[&["--key-file", &key], words].concat())
}

fn wrong_key() -> Seeded {
    let (service, _) = enrolled(Service::start());
    let key = service.folder.write("wrong.key", DEVICE_KEY);
    Seeded::new(service, "dev-01", &["--key-file", &key])
}

fn group_key() -> Seeded {
    let service = group(Service::start());
    let key = service.folder.file("group.key");
    Seeded::new(service, DEVICE_ID, &["--key-file", &key])
}

fn device_key() -> Seeded {
    let service = group(Service::start());
    let key = service.folder.write("device.key", DEVICE_KEY);
    Seeded::new(service, DEVICE_ID, &["--group-key-file", &key])
}

fn upper_case_id() -> Seeded {
    let service = group(Service::with(|options| options.service(|service| service.derive_as_sent(true))));
    let key = service.folder.write("device.key", DEVICE_KEY);
    Seeded::new(service, &DEVICE_ID.to_uppercase(), &["--key-file", &key])
}

fn upper_case_key() -> Seeded {
    let service = group(Service::start());
    let derived = SymmetricKey::from_base64(GROUP_KEY).unwrap().derive("DEV-01");
    let key = service.folder.write("device.key", derived.expose());
    Seeded::new(service, "dev-01", &["--key-file", &key])
}

fn wrong_scope() -> Seeded {
    healthy(&["--id-scope", "0neFFFFFFFF"])
}

fn mistyped_scope() -> Seeded {
    healthy(&["--id-scope", "One00A1B2C3"])
}

fn short_key() -> Seeded {
    let (service, _) = enrolled(Service::start());
    let key = service.folder.write("wrong.key", "AAECAwQFBgcICQoLDA0ODw==");
    Seeded::new(service, "dev-01", &["--key-file", &key])
}

/// A device that has tried to register; the result is on record.
fn after_registering(service: Service, key: &str) -> Seeded {
    let registered = service.as_device("register", "dev-01", &["--key-file", key]).run().code(4);
    assert_eq!(registered.stdout, "");
    service.set(|service| service.reset_counters());
    Seeded::new(service, "dev-01", &["--key-file", key])
}

fn disabled() -> Seeded {
    let service = Service::start();
    let key = service.enroll(IndividualEnrollment::new("dev-01").enabled(false));
    after_registering(service, &key)
}

fn no_hub() -> Seeded {
    let (service, key) = enrolled(Service::start());
    assert!(service.set(|service| service.unlink_hub("hub-a.test")));
    after_registering(service, &key)
}

fn with_clock(offset_ms: i64) -> Seeded {
    let (service, key) = enrolled(Service::with(|options| options.clock_offset_ms(offset_ms)));
    Seeded::new(service, "dev-01", &["--key-file", &key])
}

fn clock_behind() -> Seeded {
    with_clock(2 * HOUR_MS)
}

fn clock_ahead() -> Seeded {
    with_clock(-2 * HOUR_MS)
}

fn unknown_ca() -> Seeded {
    let (service, key) = enrolled(Service::start());
    let other = service.folder.write("other.pem", Service::start().emulator().ca_pem());
    Seeded::new(service, "dev-01", &["--key-file", &key, "--ca-file", &other])
}

fn wrong_name() -> Seeded {
    let elsewhere = Ipv4Addr::new(127, 0, 0, 2);
    let (service, key) = enrolled(Service::with(|options| options.listen(elsewhere.into())));
    let endpoint = service.emulator().https_addr().to_string();
    Seeded::new(service, "dev-01", &["--key-file", &key, "--endpoint", &endpoint])
}

fn no_such_name() -> Seeded {
    healthy(&["--endpoint", "nowhere.invalid"])
}

fn refused_port() -> Seeded {
    healthy(&["--endpoint", CLOSED])
}

fn silent_port() -> Seeded {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = silent.local_addr().unwrap().to_string();
    Seeded { _sockets: vec![silent.into()], ..healthy(&["--endpoint", &endpoint, "--timeout", "1s"]) }
}

/// A host that drops connection requests.
fn silent_host() -> Seeded {
    use rustix::net::{AddressFamily, SocketType, bind, listen, socket};
    let listener = socket(AddressFamily::INET, SocketType::STREAM, None).unwrap();
    bind(&listener, &SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).unwrap();
    listen(&listener, 0).unwrap();
    let listener = TcpListener::from(listener);
    let address = listener.local_addr().unwrap();
    let mut sockets: Vec<OwnedFd> = vec![listener.into(), TcpStream::connect(address).unwrap().into()];
    let connect = || TcpStream::connect_timeout(&address, Duration::from_secs(1)).ok();
    sockets.extend(std::iter::from_fn(connect).map(OwnedFd::from));
    Seeded { _sockets: sockets, ..healthy(&["--endpoint", &address.to_string(), "--timeout", "1s"]) }
}

/// A service whose name only a proxy resolves.
fn behind_proxy() -> (Service, String, String) {
    let (service, key) = enrolled(Service::with(|options| options.host_name("dps.inside.test")));
    let proxy = service.start_proxy(Manner::Opens);
    (service, key, proxy)
}

fn proxy_needed() -> Seeded {
    let (service, key, proxy) = behind_proxy();
    let mut seeded = Seeded::new(service, "dev-01", &["--key-file", &key]);
    // Other programs use this variable; this program uses HTTPS_PROXY.
    seeded.command.env("HTTP_PROXY", format!("http://{proxy}"));
    seeded
}

fn proxy_excepted() -> Seeded {
    let (service, key, proxy) = behind_proxy();
    let mut seeded = Seeded::new(service, "dev-01", &["--key-file", &key]);
    seeded.command.env("HTTPS_PROXY", proxy).env("NO_PROXY", "localhost,.test");
    seeded
}

fn through(manner: Manner, user: &str) -> Seeded {
    let (service, key) = enrolled(Service::start());
    let proxy = format!("http://{user}{}", service.start_proxy(manner));
    let password = service.folder.write("proxy.password", "open barley\n");
    let words = ["--key-file", &key, "--timeout", "2s", "--proxy", &proxy, "--proxy-password-file", &password];
    Seeded::new(service, "dev-01", if user.is_empty() { &words[..6] } else { &words })
}

fn proxy_password() -> Seeded {
    through(WANTS_PASSWORD, "me@")
}

fn proxy_wants() -> Seeded {
    through(WANTS_PASSWORD, "")
}

fn proxy_forbids() -> Seeded {
    through(FORBIDDEN, "")
}

fn proxy_hangs() -> Seeded {
    through(Manner::Hangs, "")
}

fn proxy_gone() -> Seeded {
    let mut seeded = healthy(&[]);
    seeded.command.env("HTTPS_PROXY", CLOSED);
    seeded
}

fn with_fault(fault: Fault) -> Seeded {
    let seeded = healthy(&[]);
    seeded.service.set(|service| service.inject(Scope::All, At::Lookup, fault, 10));
    seeded
}

fn throttled() -> Seeded {
    with_fault(Fault::Throttle { retry_after: Some(RetryAfter::Seconds(3600)) })
}

fn trouble() -> Seeded {
    with_fault(Fault::ServerError { status: 503, retry_after: None })
}

fn nonsense() -> Seeded {
    with_fault(Fault::Garbage)
}

fn unknown() -> Seeded {
    with_fault(Fault::ServerError { status: 404, retry_after: None })
}

fn readable() -> Seeded {
    let seeded = healthy(&[]);
    set_mode(Path::new(&seeded.service.folder.file("device.key")), 0o644);
    seeded
}
