//! `dps check` of a healthy device, over every transport, and what ends it without a report. The faults that it reports
//! are in `check_faults`.

use std::net::TcpListener;

use dps_emulator::{EnrollmentGroup, IndividualEnrollment};
use rustix::process::Signal;
use serde_json::Value;

use super::run::{DEVICE_KEY, Run, dps_line, finish, send};
use super::service::Service;
use dps_emulator::test_servers::proxy_server::Manner;

const IDS: [&str; 13] = [
    "key",
    "key-file",
    "registration-id",
    "id-scope",
    "proxy",
    "dns",
    "tcp",
    "clock",
    "tls",
    "service",
    "throttling",
    "authentication",
    "registration",
];

fn members(object: &Value) -> Vec<&str> {
    let mut members: Vec<_> = object.as_object().unwrap().keys().map(String::as_str).collect();
    members.sort_unstable();
    members
}

/// Returns the report, after checking its members.
#[track_caller]
fn report(done: &super::run::Finished) -> Value {
    let report = done.json();
    assert_eq!(members(&report), ["cause", "checks", "endpoint", "headline", "idScope", "registrationId", "transport"]);
    let checks = report["checks"].as_array().unwrap();
    let ids: Vec<_> = checks.iter().map(|check| check["id"].as_str().unwrap()).collect();
    assert_eq!(ids, IDS);
    for check in checks {
        let with_facts = ["advice", "evidence", "facts", "id", "outcome", "summary"];
        let without: Vec<_> = with_facts.into_iter().filter(|member| *member != "facts").collect();
        assert!([&with_facts[..], &without].contains(&members(check).as_slice()), "{check}");
        assert!(["ok", "warning", "error", "skipped"].contains(&check["outcome"].as_str().unwrap()));
        let texts = [&check["evidence"], &check["advice"]].map(|texts| texts.as_array().unwrap());
        assert!(texts.into_iter().flatten().all(Value::is_string));
    }
    report
}

fn found<'r>(report: &'r Value, id: &str) -> &'r Value {
    report["checks"].as_array().unwrap().iter().find(|check| check["id"] == id).unwrap()
}

fn outcomes<'r>(report: &'r Value, outcome: &str) -> Vec<&'r str> {
    let checks = report["checks"].as_array().unwrap().iter().filter(|check| check["outcome"] == outcome);
    checks.map(|check| check["id"].as_str().unwrap()).collect()
}

#[test]
fn check_of_a_healthy_device_has_no_findings() {
    let service = Service::start();
    let key = service.enroll(IndividualEnrollment::new("dev-01"));
    let check = || service.as_device("check --json", "dev-01", &["--key-file", &key]).run().code(0);
    let report_before = report(&check());
    assert_eq!((&report_before["cause"], outcomes(&report_before, "ok").len()), (&Value::Null, IDS.len()));
    assert!(found(&report_before, "registration")["summary"].as_str().unwrap().contains("not registered yet"));
    assert_eq!(found(&report_before, "authentication")["evidence"][0], "it refuses a wrong key");
    assert_eq!(service.set(|service| service.counters().registers), 0);

    service.as_device("register", "dev-01", &["--key-file", &key]).run().code(0);
    service.set(|service| service.reset_counters());
    let report_after = report(&check());
    assert_eq!(outcomes(&report_after, "ok").len(), IDS.len());
    assert_eq!(found(&report_after, "registration")["summary"], "assigned to hub-a.test as dev-01");
    assert_eq!(found(&report_after, "registration")["facts"]["assignedHub"], "hub-a.test");
    let counters = service.set(|service| service.counters());
    assert_eq!((counters.registers, counters.lookups), (0, 1));
}

#[test]
fn check_shows_server_certificates_and_trusted_authorities() {
    let service = Service::start();
    let key = service.enroll(IndividualEnrollment::new("dev-01"));
    let ca = service.folder.file("ca.pem");
    let done = service.as_device("check --json", "dev-01", &["--key-file", &key, "--add-ca-file", &ca]).run().code(0);
    let report = report(&done);
    let facts = &found(&report, "tls")["facts"];
    let own = &facts["presented"][0];
    assert_eq!(members(own), ["issuer", "names", "notAfter", "notBefore", "sha256", "subject"]);
    assert_eq!(own["names"], serde_json::json!(["localhost", "127.0.0.1", "::1", "hub-a.test"]));
    assert_eq!(own["sha256"].as_str().unwrap().len(), 64);
    assert_eq!(own["issuer"], facts["trusted"]["given"][0]["subject"]);
    assert_eq!((&facts["version"], &facts["trusted"]["platform"]), (&"TLS 1.3".into(), &true.into()));

    // The certificate of an untrusted server is shown too.
    let empty = service.folder.write("empty.pem", "");
    let done = service.as_device("check --json", "dev-01", &["--key-file", &key, "--ca-file", &empty]).run();
    assert_eq!(done.code(3).error()["name"], "invalid-certificate");
    let stranger = service.folder.write("stranger.pem", Service::start().emulator().ca_pem());
    let done = service.as_device("check", "dev-01", &["--key-file", &key, "--ca-file", &stranger]).run().code(10);
    let first = done.stdout.lines().next().unwrap();
    assert!(first.starts_with("cause: ") && first.contains("authority"), "{first}");
    for words in ["error    tls ", "CN=dps-emulator by CN=", "SHA-256 ", "instead of this system's", "what to do:"] {
        assert!(done.stdout.contains(words), "{words}: {}", done.stdout);
    }
}

#[test]
fn check_over_mqtt_asks_for_the_time_over_https() {
    let service = Service::with(|options| options.mqtt_port(0).clock_offset_ms(7_200_000));
    let key = service.enroll(IndividualEnrollment::new("dev-01"));
    let (endpoint, port) = (service.emulator().mqtt_endpoint().unwrap(), service.emulator().https_addr().port());
    let port = port.to_string();
    let words = ["--transport", "mqtt", "--endpoint", &endpoint, "--time-port", &port, "--key-file", &key];
    let ill = report(&service.as_device("check", "dev-01", &[&words[..], &["--json"]].concat()).run().code(10));
    assert_eq!(ill["cause"], "clock");
    let evidence = found(&ill, "clock")["evidence"].to_string();
    assert!(evidence.contains("with the service's time the same key is accepted"), "{evidence}");
    // With the reported options, the device registers.
    service.as_device("register", "dev-01", &[&words[..], &["--correct-clock"]].concat()).run().code(0);
}

#[test]
fn check_over_mqtt_skips_what_it_cannot_check() {
    for strict in [false, true] {
        let service = Service::with(|options| {
            options.mqtt_port(0).wss_port(0).service(|service| service.strict_at_connect(strict))
        });
        let key = service.enroll(IndividualEnrollment::new("dev-01"));
        let group = service.enroll_group(EnrollmentGroup::new("line-1"));
        let wrong = service.folder.write("wrong.key", DEVICE_KEY);
        let emulator = service.emulator();
        for (transport, endpoint) in
            [("mqtt", emulator.mqtt_endpoint().unwrap()), ("mqtt-ws", emulator.wss_endpoint().unwrap())]
        {
            let check = |id: &str, key: &str| {
                let words = ["--transport", transport, "--endpoint", &endpoint, "--json", "--key-file", key];
                service.as_device("check", id, &words).run()
            };
            let well = report(&check("dev-01", &key).code(0));
            assert_eq!(outcomes(&well, "skipped"), ["clock", "throttling", "registration"]);
            let clock = found(&well, "clock");
            assert!(clock["advice"][0].as_str().unwrap().contains("date -u"));
            assert!(
                clock.to_string().contains("MQTT carries no time, and the request for it over HTTPS failed"),
                "{clock}"
            );
            if !strict {
                // The service checks the credential when the device registers, and this command never registers.
                let unseen = report(&check("dev-01", &wrong).code(0));
                let evidence = found(&unseen, "authentication")["evidence"][0].as_str().unwrap();
                assert!(evidence.contains("may still refuse") && evidence.contains("https"), "{evidence}");
                continue;
            }
            let refused = report(&check("dev-01", &wrong).code(10));
            assert_eq!(refused["cause"], "authentication");
            let advice = found(&refused, "authentication")["advice"].to_string();
            assert!(advice.contains("carries no time"), "{advice}");
            assert_eq!(report(&check("dev-02", &group).code(10))["cause"], "key");
        }
        let counters = service.set(|service| service.counters());
        assert_eq!((counters.registers, counters.lookups), (0, 0));
        assert!(counters.connects > 0 && counters.connects == counters.subscribes + counters.unauthorized);
    }
}

#[test]
fn check_reports_the_proxy_and_skips_dns_and_tcp() {
    let service = Service::start();
    let key = service.enroll(IndividualEnrollment::new("dev-01"));
    let proxy = service.start_proxy(Manner::Opens);
    let mut command = service.as_device("check --json", "dev-01", &["--key-file", &key]);
    let through = report(&command.env("https_proxy", &proxy).run().code(0));
    assert_eq!(outcomes(&through, "skipped"), ["dns", "tcp"]);
    let facts = &found(&through, "proxy")["facts"];
    assert_eq!((&facts["proxy"], &facts["source"]), (&proxy.as_str().into(), &"https_proxy".into()));
    let mut command = service.as_device("check --json", "dev-01", &["--key-file", &key]);
    let around = report(&command.env("HTTPS_PROXY", &proxy).env("NO_PROXY", "localhost").run().code(0));
    let evidence = found(&around, "proxy")["evidence"][0].as_str().unwrap();
    assert!(evidence.contains("NO_PROXY") && evidence.contains("localhost"), "{evidence}");
}

#[test]
fn check_reports_wrong_clock_and_wrong_key_together() {
    let service = Service::with(|options| options.clock_offset_ms(7_200_000));
    service.enroll(IndividualEnrollment::new("dev-01"));
    let wrong = service.folder.write("wrong.key", DEVICE_KEY);
    let both = report(&service.as_device("check --json", "dev-01", &["--key-file", &wrong]).run().code(10));
    assert_eq!((outcomes(&both, "warning"), outcomes(&both, "error")), (vec!["clock"], vec!["authentication"]));
    assert!(found(&both, "authentication")["evidence"].to_string().contains("with the service's time: refused too"));
}

#[test]
fn check_examines_the_route_despite_local_errors() {
    let service = Service::start();
    let key = service.enroll(IndividualEnrollment::new("dev-01"));
    let pem = service.folder.write("pem", "-----BEGIN PRIVATE KEY-----\n");
    for (id, words, cause, word) in [
        ("dev-01", &["--key-file", &pem][..], "key", "PEM"),
        ("dev-01", &["--key-file", "/no/such/file"], "key", "/no/such/file"),
        ("dev_", &["--key-file", &key], "registration-id", "offset 3"),
        ("dev-01", &["--key-file", &key, "--id-scope", "0ne/1"], "id-scope", "offset 3"),
    ] {
        let bad = report(&service.as_device("check --json", id, words).run().code(10));
        assert_eq!((&bad["cause"], outcomes(&bad, "error")), (&cause.into(), vec![cause]));
        assert!(bad["headline"].as_str().unwrap().contains(word), "{bad:#}");
        assert_eq!(found(&bad, "tls")["outcome"], "ok");
        let why = found(&bad, "authentication")["summary"].as_str().unwrap();
        assert_eq!((&found(&bad, "authentication")["outcome"], why.contains(cause)), (&"skipped".into(), true));
    }
    assert_eq!(service.set(|service| service.counters().lookups), 0);
    let mut command = service.as_device("check --json", "dev-01", &[]);
    let from_environment = report(&command.env("DPS_KEY", service.folder.read("device.key")).run().code(0));
    assert_eq!(outcomes(&from_environment, "skipped"), ["key-file"]);
}

#[test]
fn check_refuses_an_invalid_command_line() {
    let usage = dps_line("check --scope 0ne1 --rid a --json", &[]).run().code(2);
    assert!(usage.error()["message"].as_str().unwrap().contains("--key-file"));
    dps_line("check --rid a --key-file key", &[]).run().code(2);
    for (words, name) in [
        (&["--endpoint", "http://localhost"][..], "invalid-endpoint"),
        (&["--proxy", "socks5://localhost:1"], "invalid-option"),
        (&["--proxy", "http://me:open-sesame@localhost:1"], "invalid-option"),
    ] {
        let done = dps_line("check --scope 0ne1 --rid a --json", words).env("DPS_KEY", DEVICE_KEY).run().code(3);
        assert_eq!(done.error()["name"], name);
        assert!(!done.stdout.contains("sesame"));
    }
}

#[test]
fn check_is_interrupted_at_once() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = silent.local_addr().unwrap().to_string();
    let line = ["--scope", "0ne1", "--rid", "a", "--endpoint", &endpoint, "--timeout", "1h", "--json"];
    let child = dps_line("check", &line).env("DPS_KEY", DEVICE_KEY).start();
    let _connection = silent.accept().unwrap();
    send(&child, Signal::INT);
    assert_eq!(finish(child).code(130).error()["name"], "cancelled");
}
