//! Each failure has its family, verdict, hints, tracking id and exit code, within its deadline.

use std::net::TcpListener;
use std::time::{Duration, Instant};

use dps_emulator::{At, EnrollmentGroup, Fault, IndividualEnrollment, RetryAfter, Scope};
use serde_json::Value;

use super::run::{CLOSED, DEVICE_KEY, Finished, GROUP_KEY, Run, dps};
use super::service::Service;

const HOUR_MS: i64 = 3_600_000;
/// Far longer than any of these may run, far shorter than a wait that is not expected.
const GUARD: Duration = Duration::from_secs(25);

/// The expected failure.
struct Expected {
    exit: i32,
    name: &'static str,
    family: &'static str,
    verdict: &'static str,
    /// The first hint.
    hint: &'static str,
}

impl Expected {
    #[track_caller]
    fn check(&self, done: Finished) -> Value {
        let error = done.code(self.exit).error();
        let (name, family, verdict) = (&error["name"], &error["family"], &error["verdict"]);
        assert_eq!((name, family, verdict), (&self.name.into(), &self.family.into(), &self.verdict.into()), "{error}");
        assert_eq!(error["hints"][0], self.hint, "{error}");
        error
    }
}

const UNAUTHORIZED: Expected =
    Expected { exit: 4, name: "unauthorized", family: "service", verdict: "never", hint: "wrong-key" };

fn hints(error: &Value) -> Vec<&str> {
    error["hints"].as_array().unwrap().iter().map(|hint| hint.as_str().unwrap()).collect()
}

#[track_caller]
fn refused_by_service(expected: &Expected, done: Finished) -> Value {
    let error = expected.check(done);
    assert_eq!((&error["httpStatus"], &error["errorCode"]), (&401.into(), &401_002.into()));
    assert_eq!(error["trackingId"].as_str().unwrap().len(), 36, "{error}");
    assert_eq!(error["retryAfterMs"], Value::Null);
    error
}

fn register(service: &Service, id: &str, words: &[&str]) -> Finished {
    let started = Instant::now();
    let done = service.as_device("register --json", id, words).run();
    assert!(started.elapsed() < GUARD, "{:?}", started.elapsed());
    done
}

#[test]
fn refused_credentials_are_service_failures() {
    let service = Service::start();
    let group_key = service.enroll_group(EnrollmentGroup::new("line-1"));
    let key = service.enroll(IndividualEnrollment::new("dev-01"));
    let wrong_key = service.folder.write("wrong.key", DEVICE_KEY);

    refused_by_service(&UNAUTHORIZED, register(&service, "dev-01", &["--key-file", &wrong_key]));
    let wrong_scope = register(&service, "dev-01", &["--key-file", &key, "--id-scope", "0neFFFFFFFF"]);
    let expected = Expected { hint: "group-key-as-device-key", ..UNAUTHORIZED };
    assert!(hints(&refused_by_service(&expected, wrong_scope)).contains(&"wrong-id-scope"));
    let unknown_id = register(&service, "dev-99", &["--key-file", &wrong_key]);
    assert!(hints(&refused_by_service(&UNAUTHORIZED, unknown_id)).contains(&"no-enrollment"));
    refused_by_service(&expected, register(&service, "dev-02", &["--key-file", &group_key]));
    let upper = Expected { hint: "upper-case-id", ..UNAUTHORIZED };
    refused_by_service(&upper, register(&service, "DEV-02", &["--key-file", &wrong_key]));
    let short = service.folder.write("short.key", "AAECAwQFBgcICQoLDA0ODw==");
    let short_key = Expected { hint: "key-length", ..UNAUTHORIZED };
    refused_by_service(&short_key, register(&service, "dev-01", &["--key-file", &short]));
}

#[test]
fn refusal_text_lists_hints() {
    let service = Service::start();
    let wrong_key = service.folder.write("wrong.key", DEVICE_KEY);
    let done = service.as_device("register", "dev-01", &["--key-file", &wrong_key]).run().code(4);
    assert_eq!(done.stdout, "");
    for words in ["status 401", "code 401002", "tracking id: ", "hint: ", "will not succeed"] {
        assert!(done.stderr.contains(words), "{words}: {}", done.stderr);
    }
}

#[test]
fn disabled_and_failing_enrollments_are_service_failures() {
    let service = Service::start();
    let key = service.enroll(IndividualEnrollment::new("dev-01").enabled(false));
    let disabled = Expected { name: "enrollment-disabled", hint: "enable-enrollment", ..UNAUTHORIZED };
    disabled.check(register(&service, "dev-01", &["--key-file", &key]));

    let key = service.enroll(IndividualEnrollment::new("dev-02"));
    assert!(service.set(|service| service.unlink_hub("hub-a.test")));
    let failed = Expected { name: "registration-failed", hint: "check-linked-hubs", ..UNAUTHORIZED };
    let error = failed.check(register(&service, "dev-02", &["--key-file", &key]));
    assert_eq!(error["errorCode"], 400_208);
}

#[test]
fn clock_skew_is_reported_and_corrected_on_request() {
    // The service's clock is ahead: the device's tokens are already expired.
    let service = Service::with(|options| options.clock_offset_ms(2 * HOUR_MS));
    let key = service.enroll(IndividualEnrollment::new("dev-01"));
    let behind = Expected { hint: "clock-behind", ..UNAUTHORIZED };
    let error = refused_by_service(&behind, register(&service, "dev-01", &["--key-file", &key]));
    let message = error["message"].as_str().unwrap();
    assert!(
        message.contains("behind the service's")
            && (message.contains(" 7200 s") || message.contains(" 7199 s") || message.contains(" 7201 s")),
        "{message}"
    );
    register(&service, "dev-01", &["--key-file", &key, "--correct-clock"]).code(0);

    let service = Service::with(|options| options.clock_offset_ms(-2 * HOUR_MS));
    let key = service.enroll(IndividualEnrollment::new("dev-01"));
    register(&service, "dev-01", &["--key-file", &key]).code(0);
}

#[test]
fn throttling_beyond_the_deadline_ends_at_once() {
    let service = Service::start();
    let key = service.enroll(IndividualEnrollment::new("dev-01"));
    let throttle = Fault::Throttle { retry_after: Some(RetryAfter::Seconds(3600)) };
    let throttled = Expected { exit: 6, name: "throttled", family: "service", verdict: "after", hint: "spread-start" };
    for at in [At::Register, At::Poll] {
        service.set(|service| service.inject(Scope::All, at, throttle.clone(), 1));
        let error = throttled.check(register(&service, "dev-01", &["--key-file", &key, "--timeout", "20s"]));
        assert_eq!((&error["retryAfterMs"], &error["httpStatus"]), (&3_600_000.into(), &429.into()));
        assert!(error["trackingId"].is_string());
    }
    let service = Service::with(|options| options.default_retry_after_s(3600));
    let key = service.enroll(IndividualEnrollment::new("dev-01"));
    let late = Expected { name: "deadline-exceeded", hint: "raise-timeout", ..throttled };
    let error = late.check(register(&service, "dev-01", &["--key-file", &key, "--timeout", "20s"]));
    assert_eq!(error["retryAfterMs"], 3_600_000);
}

#[test]
fn server_errors_are_retried_until_the_deadline() {
    let service = Service::start();
    let key = service.enroll(IndividualEnrollment::new("dev-01"));
    let trouble = Fault::ServerError { status: 503, retry_after: Some(RetryAfter::Seconds(3600)) };
    service.set(|service| service.inject(Scope::All, At::Register, trouble, 1));
    let expected = Expected { name: "service-unavailable", verdict: "after", hint: "use-cached-hub", ..UNAUTHORIZED };
    expected.check(register(&service, "dev-01", &["--key-file", &key, "--timeout", "20s"]));
}

#[test]
fn untrusted_servers_are_link_failures() {
    let (service, other) = (Service::start(), Service::start());
    let key = service.enroll(IndividualEnrollment::new("dev-01"));
    let other_ca = other.folder.file("ca.pem");
    let expected = Expected { exit: 5, name: "unknown-ca", family: "link", verdict: "never", hint: "trust-ca" };
    let error = expected.check(register(&service, "dev-01", &["--key-file", &key, "--ca-file", &other_ca]));
    assert_eq!((&error["httpStatus"], &error["trackingId"]), (&Value::Null, &Value::Null));
    assert_eq!(service.set(|service| service.counters().registers), 0);
}

#[test]
fn unreachable_servers_are_link_failures() {
    let service = Service::start();
    let key = service.enroll(IndividualEnrollment::new("dev-01"));
    let with_endpoint =
        |endpoint: &str| register(&service, "dev-01", &["--key-file", &key, "--endpoint", endpoint, "--timeout", "2s"]);
    let link = Expected { exit: 5, name: "connect", family: "link", verdict: "after", hint: "check-network" };
    link.check(with_endpoint(CLOSED));
    let dns = Expected { name: "dns", hint: "check-dns", ..link };
    dns.check(with_endpoint("nowhere.invalid"));
}

#[test]
fn silent_and_invalid_servers_are_link_failures() {
    let service = Service::start();
    let key = service.enroll(IndividualEnrollment::new("dev-01"));
    let with_fault = |fault: Fault| {
        service.set(|service| {
            service.clear_faults();
            service.inject(Scope::All, At::Any, fault, 1000);
        });
        register(&service, "dev-01", &["--key-file", &key, "--timeout", "2s"])
    };
    let link = Expected { exit: 5, name: "timeout", family: "link", verdict: "after", hint: "check-network" };
    link.check(with_fault(Fault::Silent));
    Expected { name: "connection-cut", ..link }.check(with_fault(Fault::DropBefore));
    let garbage = Expected { name: "invalid-reply", hint: "check-proxy", ..link };
    garbage.check(with_fault(Fault::Garbage));
    garbage.check(with_fault(Fault::Noise));
    let large =
        Expected { exit: 7, name: "reply-too-large", family: "local", verdict: "reconfigure", hint: "enlarge-buffer" };
    large.check(with_fault(Fault::OversizeReply { bytes: 97 * 1024 }));

    // A server without TLS.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = silent.local_addr().unwrap().to_string();
    link.check(register(&service, "dev-01", &["--key-file", &key, "--endpoint", &endpoint, "--timeout", "1s"]));
}

#[test]
fn logs_contain_no_key_and_no_signature() {
    let service = Service::start();
    let group_key = service.enroll_group(EnrollmentGroup::new("line-1"));
    let wrong = service.folder.write("wrong.key", GROUP_KEY);
    let secret = service.folder.read("group.key");
    for (key, code) in [(&group_key, 0), (&wrong, 4)] {
        let mut command = service.as_device("register -vvv", "dev-01", &["--group-key-file", key]);
        let done = command.env("DPS_LOG", "trace").run().code(code);
        assert!(done.stderr.contains("TRACE") || done.stderr.contains("DEBUG"), "nothing was logged");
        for text in [&done.stdout, &done.stderr] {
            for part in [&secret[..40], &GROUP_KEY[..40], "sig=", "SharedAccessSignature", "sr="] {
                assert!(!text.contains(part), "{part} was shown");
            }
        }
    }
}

#[test]
fn refusing_proxies_are_link_failures() {
    let service = Service::start();
    let key = service.enroll(IndividualEnrollment::new("dev-01"));
    let expected =
        Expected { exit: 5, name: "proxy-unreachable", family: "link", verdict: "after", hint: "check-proxy" };
    let given =
        |words: &[&str]| register(&service, "dev-01", &[&["--key-file", &key, "--timeout", "1s"], words].concat());
    expected.check(given(&["--proxy", CLOSED]));

    let password = service.folder.write("proxy.password", "open sesame\n");
    expected.check(given(&["--proxy", &format!("http://me@{CLOSED}"), "--proxy-password-file", &password]));
    for (words, name) in [
        (&["--proxy", "http://me:open-sesame@localhost:1"][..], "invalid-option"),
        (&["--proxy", "socks5://localhost:1"], "invalid-option"),
        (&["--proxy", "http://localhost:1", "--proxy-password-file", &password], "invalid-option"),
    ] {
        let error = given(words).code(3).error();
        assert_eq!(error["name"], name, "{error}");
        assert!(!error.to_string().contains("open"), "{error}");
    }
}

#[test]
fn invalid_proxy_url_names_its_variable() {
    for variable in ["HTTPS_PROXY", "https_proxy"] {
        for transport in ["https", "mqtt", "mqtt-ws"] {
            let line = ["register", "--scope", "0ne1", "--rid", "a", "--transport", transport, "--json"];
            let mut command = dps(line);
            command.env("DPS_KEY", GROUP_KEY).env(variable, "http://me:open#sesame@127.0.0.1:1");
            let message = command.run().code(3).error()["message"].as_str().unwrap().to_owned();
            assert!(message.starts_with(&format!("{variable}: ")) && message.contains("percent-encoded"), "{message}");
            assert!(!message.contains("sesame") && !message.contains("open"), "{message}");
        }
    }
    let line = ["register", "--scope", "0ne1", "--rid", "a", "--proxy", "http://me@corp#x@127.0.0.1:1", "--json"];
    let error = dps(line).env("DPS_KEY", GROUP_KEY).run().code(3).error();
    let message = error["message"].as_str().unwrap();
    assert!(message.starts_with("--proxy: ") && message.contains("percent-encoded"), "{message}");
}

#[test]
fn environment_proxy_and_no_proxy_are_used() {
    let service = Service::start();
    let key = service.enroll(IndividualEnrollment::new("dev-01"));
    let command = || service.as_device("register --json --timeout 3s", "dev-01", &["--key-file", &key]);
    let error = command().env("HTTPS_PROXY", CLOSED).run().code(5).error();
    assert_eq!(error["name"], "proxy-unreachable");
    command().env("HTTPS_PROXY", CLOSED).env("NO_PROXY", "example.test, localhost").run().code(0);
}
