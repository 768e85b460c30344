//! `dps register` and `dps lookup` against a local service.

use dps_emulator::{ConnectionProfile, EnrollmentGroup, IndividualEnrollment, ServiceOptions};
use serde_json::json;

use super::run::{DEVICE_ID, DEVICE_KEY, GROUP_KEY, Run, dps_line, mode_of};
use super::service::Service;

#[test]
fn group_device_registers_and_lookup_finds_it() {
    let service = Service::start();
    let key = service.enroll_group(EnrollmentGroup::new("line-1").iot_edge(true));
    let files = ["--group-key-file", &key, "--json"];

    let error = service.as_device("lookup", DEVICE_ID, &files).run().code(4).error();
    assert_eq!(error["name"], "not-found");

    let done = service.as_device("register", DEVICE_ID, &files).run().code(0);
    let result = done.json();
    let mut members: Vec<_> = result.as_object().unwrap().keys().map(String::as_str).collect();
    members.sort_unstable();
    let expected = [
        "assignedHub",
        "connectionProfile",
        "deviceId",
        "elapsedMs",
        "operationId",
        "payload",
        "registrationId",
        "status",
        "substatus",
    ];
    assert_eq!(members, expected);
    assert_eq!((&result["status"], &result["substatus"]), (&"assigned".into(), &"initialAssignment".into()));
    assert_eq!((&result["assignedHub"], &result["deviceId"]), (&"hub-a.test".into(), &DEVICE_ID.into()));
    assert_eq!((&result["registrationId"], &result["payload"]), (&DEVICE_ID.into(), &json!(null)));
    assert!(!result["operationId"].as_str().unwrap().is_empty() && result["elapsedMs"].as_u64().unwrap() > 0);
    assert_eq!(done.stderr, "");
    assert!(service.set(|service| service.hub_device("hub-a.test", DEVICE_ID).unwrap().iot_edge));

    let record = service.as_device("lookup", DEVICE_ID, &files).run().code(0).json();
    assert_eq!((&record["status"], &record["assignedHub"]), (&"assigned".into(), &"hub-a.test".into()));
    let people = service.as_device("lookup", DEVICE_ID, &files[..2]).run().code(0).stdout;
    assert!(people.contains("assigned") && people.contains("hub-a.test"), "{people}");

    let group = service.as_owner("enrollment-group show --group-id line-1 --json", &[]).run().code(0).json();
    assert_eq!(group["registrations"][0]["deviceId"], DEVICE_ID);
}

#[test]
fn connection_string_is_printed_only_on_request() {
    let service = Service::with(|options| options.assign_at_once(true));
    let key = service.enroll(IndividualEnrollment::new("dev-01").device_id("machine-7"));
    let expected =
        format!("HostName=hub-a.test;DeviceId=machine-7;SharedAccessKey={}", service.folder.read("device.key"));

    let plain = service.as_device("register", "dev-01", &["--key-file", &key]).run().code(0);
    assert!(!plain.stdout.contains("SharedAccessKey") && plain.stdout.contains("machine-7"), "{}", plain.stdout);
    let asked = service.as_device("register --connection-string", "dev-01", &["--key-file", &key]).run().code(0);
    assert_eq!(asked.stdout.lines().last(), Some(expected.as_str()));
    let json = service.as_device("register --connection-string --json", "dev-01", &["--key-file", &key]);
    assert_eq!({ json }.run().code(0).json()["connectionString"], expected);
}

#[test]
fn profile_of_the_hub_is_printed_on_request_and_refuses_a_connection_string() {
    let service = Service::with(|options| {
        options
            .assign_at_once(true)
            .service(|service| service.hub("hub-5.test", 1).hub_profile("hub-5.test", ConnectionProfile::MqttV5))
    });
    let key = service.enroll(IndividualEnrollment::new("dev-01"));
    let run = |line: &str| service.as_device(line, "dev-01", &["--key-file", &key]).run();
    for command in ["register", "lookup"] {
        let plain = run(&format!("{command} --json")).code(0).json();
        assert_eq!(plain["connectionProfile"], json!(null), "{command}");
        let asked = run(&format!("{command} --connection-profile --json")).code(0).json();
        assert_eq!(asked["connectionProfile"], "mqttV5", "{command}");
        let shown = run(&format!("{command} --connection-profile")).code(0).stdout;
        assert!(shown.contains("  profile    mqttV5\n"), "{shown}");
    }
    let error = run("register --connection-profile --connection-string --json").code(3).error();
    assert_eq!(error["name"], "unsupported-profile");
}

#[test]
fn connection_string_of_a_device_id_with_a_semicolon_is_refused() {
    let service = Service::with(|options| options.assign_at_once(true));
    let key = service.enroll(IndividualEnrollment::new("dev-01").device_id("x;HostName=evil"));
    let files = ["--key-file", &key, "--json"];
    let asked = service.as_device("register --connection-string", "dev-01", &files).run().code(3);
    assert!(!asked.stdout.contains("SharedAccessKey"), "{}", asked.stdout);
    let error = asked.error();
    assert_eq!(error["name"], "invalid-option");
    assert!(error["message"].as_str().unwrap().contains(';'), "{error}");
    // Without the connection string, the device id is shown as it is.
    let result = service.as_device("register", "dev-01", &files).run().code(0).json();
    assert_eq!(result["deviceId"], "x;HostName=evil");
}

#[test]
fn payload_is_sent_and_returned() {
    let service = Service::with(|options| options.service(|service: ServiceOptions| service.echo_payload(true)));
    let key = service.enroll(IndividualEnrollment::new("dev-01"));
    let payload = service.folder.write("payload.json", "\u{feff}{ \"model\": \"m1\", \"parts\": [1, {}] }\n");
    let files = ["--key-file", &key, "--payload-file", &payload, "--json"];
    let result = service.as_device("register", "dev-01", &files).run().code(0).json();
    assert_eq!(result["payload"], json!({ "model": "m1", "parts": [1, {}] }));

    for text in ["[1]", "\"text\"", "{", ""] {
        service.folder.write("payload.json", text);
        let error = service.as_device("register", "dev-01", &files).run().code(3).error();
        assert_eq!(error["name"], "invalid-payload", "{text}");
    }
    assert_eq!(service.set(|service| service.counters().registers), 1);
}

#[test]
fn every_transport_registers_and_reports_the_same_failures() {
    let service = Service::with(|options| options.mqtt_port(0).wss_port(0));
    let key = service.enroll(IndividualEnrollment::new("dev-01"));
    let wrong = service.folder.write("wrong.key", DEVICE_KEY);
    let emulator = service.emulator();
    let doors = [
        ("https", emulator.endpoint()),
        ("mqtt", emulator.mqtt_endpoint().unwrap()),
        ("mqtt-ws", emulator.wss_endpoint().unwrap()),
    ];
    for (transport, endpoint) in doors {
        let over = ["--transport", transport, "--endpoint", &endpoint, "--json", "--key-file"];
        let register = |key: &str| service.as_device("register", "dev-01", &[&over[..], &[key]].concat()).run();
        let result = register(&key).code(0).json();
        assert_eq!((&result["assignedHub"], &result["deviceId"]), (&"hub-a.test".into(), &"dev-01".into()));
        let error = register(&wrong).code(4).error();
        assert_eq!((&error["name"], &error["httpStatus"]), (&"unauthorized".into(), &401.into()), "{transport}");
        assert_eq!(error["trackingId"].as_str().unwrap().len(), 36);

        // Pipelined over MQTT; the option has no effect over HTTPS.
        let pipelined = [&over[..], &[&key, "--pipelined"]].concat();
        let code = if transport == "https" { 3 } else { 0 };
        service.as_device("register", "dev-01", &pipelined).run().code(code);

        let looked = service.as_device("lookup", "dev-01", &[&over[..], &[&key]].concat()).run();
        if transport == "https" {
            looked.code(0);
        } else {
            assert_eq!(looked.code(3).error()["name"], "unsupported-by-transport");
        }
    }
}

#[test]
fn every_connecting_command_accepts_resolve() {
    let service = Service::with(|options| options.host_name("dps.test").mqtt_port(0));
    let key = service.enroll(IndividualEnrollment::new("dev-01"));
    let (https, mqtt) = (service.emulator().endpoint(), service.emulator().mqtt_endpoint().unwrap());
    let told = format!("{https}:127.0.0.1");
    let at = ["--key-file", &key, "--resolve", &told, "--json"];
    assert!(https.starts_with("dps.test:"));
    for command in ["register", "lookup", "check"] {
        let untold = ["--key-file", &key, "--timeout", "2s"];
        let error = service.as_device(command, "dev-01", &untold).run();
        assert!(format!("{}{}", error.stdout, error.stderr).contains("cannot be resolved"), "{error:?}");
        let done = service.as_device(command, "dev-01", &at).run().code(0);
        assert!(command != "check" || done.stdout.contains("set by --resolve"), "{}", done.stdout);
    }
    let told = format!("{mqtt}:127.0.0.1,[::1]");
    let over_mqtt = ["--key-file", &key, "--transport", "mqtt", "--endpoint", &mqtt, "--resolve", &told];
    service.as_device("register", "dev-01", &over_mqtt).run().code(0);
    for line in ["enrollment list", "emulator counters"] {
        service.as_owner(line, &at[2..]).run().code(0);
        service.as_owner(line, &[]).run().code(5);
    }
}

#[test]
fn operation_is_resumed_after_a_timeout() {
    let slow = |service: ServiceOptions| service.assigning_ms(5_000);
    let service = Service::with(|options| options.service(slow));
    let key = service.enroll(IndividualEnrollment::new("dev-01"));
    let resume = service.folder.file("operation");
    let files = ["--key-file", &key, "--resume", &resume, "--json"];

    let error = service.as_device("register --timeout 3500ms", "dev-01", &files).run().code(6).error();
    assert_eq!((&error["name"], &error["verdict"]), (&"deadline-exceeded".into(), &"after".into()));
    assert_eq!(mode_of(&resume), 0o600);
    assert!(!service.folder.read("operation").contains(service.folder.read("device.key").as_str()));

    let other = service.as_device("register", "dev-02", &files).run().code(3).error();
    assert_eq!(other["name"], "operation-mismatch");

    service.as_device("register", "dev-01", &files).run().code(0);
    assert_eq!(service.set(|service| service.counters().registers), 1, "it registered anew");
    assert!(!std::path::Path::new(&resume).exists());

    service.folder.write("operation", "not an operation");
    let error = service.as_device("register", "dev-01", &files).run().code(3).error();
    assert_eq!(error["name"], "operation-unreadable");
    assert_eq!(service.folder.read("operation"), "not an operation");
}

#[test]
fn retry_after_beyond_the_deadline_stores_the_operation() {
    let service = Service::with(|options| options.default_retry_after_s(3600));
    let key = service.enroll(IndividualEnrollment::new("dev-01"));
    let resume = service.folder.file("operation");
    let files = ["--key-file", &key, "--resume", &resume, "--json"];
    let error = service.as_device("register --timeout 20s", "dev-01", &files).run().code(6).error();
    assert_eq!((&error["name"], &error["retryAfterMs"]), (&"deadline-exceeded".into(), &3_600_000.into()));
    assert_eq!(mode_of(&resume), 0o600);
}

#[test]
fn ca_files_replace_or_add_roots() {
    let service = Service::with(|options| options.assign_at_once(true));
    let key = service.enroll(IndividualEnrollment::new("dev-01"));
    let ca = service.folder.file("ca.pem");
    let added = ["--key-file", &key, "--add-ca-file", &ca];
    service.as_device("register", "dev-01", &added).run().code(0);
    let https = format!("https://{}", service.emulator().endpoint());
    service.as_device("register", "dev-01", &["--key-file", &key, "--endpoint", &https]).run().code(0);

    service
        .as_device("register", "dev-01", &["--key-file", &key, "--add-ca-file", &ca, "--ca-file", &ca])
        .run()
        .code(2);
    let empty = service.folder.write("empty.pem", "");
    for (wrong, word) in [(&key, "not PEM"), (&empty, "empty")] {
        let error = service.as_device("register --json", "dev-01", &["--key-file", &key, "--ca-file", wrong]).run();
        let error = error.code(3).error();
        assert!(error["message"].as_str().unwrap().contains(word), "{error}");
    }
}

#[test]
fn invalid_values_are_refused_before_anything_is_sent() {
    for (words, name) in [
        (&["--endpoint", "http://localhost:1"][..], "invalid-endpoint"),
        (&["--endpoint", "localhost:99999"], "invalid-endpoint"),
    ] {
        for command in ["register", "lookup"] {
            let mut line = dps_line(command, &["--scope", "0ne1", "--rid", "a", "--json"]);
            let error = line.args(words).env("DPS_GROUP_KEY", GROUP_KEY).run().code(3).error();
            assert_eq!(error["name"], name);
        }
    }
    dps_line("register --scope 0ne1 --rid a --transport carrier-pigeon", &[]).run().code(2);
    dps_line("register --scope 0ne1 --rid a --timeout 0s", &[]).run().code(2);
}
