//! Which API version requests use, and what of it an assignment has: the issued chain and the hub's connection profile.

use dps_client::{
    AssignmentStore, ConnectionProfile, ErrorCode, KeyAlgorithm, Loaded, OperationalKey, ProvisioningClientBuilder,
    Transport, Verdict,
};
use dps_emulator::{
    AllocationPolicy, At, CertificatePolicy, ConnectionProfile as HubProfile, Emulator, EmulatorOptions, EventFilter,
    EventKind, Fault, IndividualEnrollment, Scope,
};
use serde_json::{Value, json};

use crate::common::{DEVICE_KEY, builder, builder_over, device_key, repository_file, service, service_with};

const TRANSPORTS: [Transport; 3] = [Transport::Https, Transport::Mqtt, Transport::MqttWebSocket];
const CLASSIC: &str = "on-classic";
const MQTT_V5: &str = "on-mqtt-v5";

/// What the service sends by each API version.
fn versions() -> Vec<Value> {
    let Some(text) = repository_file("vectors/api-versions.json") else { return Vec::new() };
    let file: Value = serde_json::from_str(&text).unwrap();
    file["versions"].as_array().unwrap().clone()
}

fn word<'v>(version: &'v Value, member: &str) -> &'v str {
    version[member].as_str().unwrap()
}

/// A service with a hub of each profile, and a device on each, which gets certificates.
async fn site() -> Emulator {
    let hubs = EmulatorOptions::new().service(|service| {
        service.hub("hub-a.test", 1).hub("hub-5.test", 1).hub_profile("hub-5.test", HubProfile::MqttV5)
    });
    let emulator = service_with(hubs).await;
    let now = emulator.now();
    for (id, hub) in [(CLASSIC, "hub-a.test"), (MQTT_V5, "hub-5.test")] {
        let key = dps_emulator::SymmetricKey::from_base64(DEVICE_KEY).unwrap();
        let device = IndividualEnrollment::new(id).primary_key(key).allocation(AllocationPolicy::Static, [hub]);
        let device = device.certificate_policy(CertificatePolicy::named("factory", "root", "devices"));
        emulator.with_service(|service| service.put_enrollment(now, device)).unwrap();
    }
    emulator
}

fn device(id: &str, transport: Transport, emulator: &Emulator) -> ProvisioningClientBuilder {
    builder_over(transport, emulator).registration_id(id).symmetric_key(device_key())
}

fn request(id: &str) -> Vec<u8> {
    OperationalKey::generate(KeyAlgorithm::EcP256).unwrap().certificate_request(&id.parse().unwrap()).unwrap()
}

/// The API version of the last request of a device.
fn version_seen(emulator: &Emulator, id: &str) -> String {
    let exchanges = emulator.events(&EventFilter::new().registration_id(id).kind("exchange"));
    let version = exchanges.iter().rev().find_map(|event| match &event.kind {
        EventKind::Exchange(exchange) => exchange.api_version.clone(),
        _ => None,
    });
    version.unwrap()
}

#[test]
fn documented_table_is_that_of_the_vectors() {
    let rows = versions().into_iter().map(|version| {
        let cell = |member| word(&version, member).to_owned();
        let last = ["usedFor", "certificateRequest", "classic", "mqttV5"].map(cell).join(" | ");
        format!("| `{}` | {last} |\n", word(&version, "apiVersion"))
    });
    let table: String = rows.collect();
    let Some(document) = repository_file("docs/api-versions.md") else { return };
    assert!(document.contains(&table) && !table.is_empty(), "docs/api-versions.md needs:\n{table}");
}

#[tokio::test]
async fn profile_and_chain_follow_the_api_version_over_each_transport() {
    let emulator = site().await;
    for version in versions() {
        for transport in TRANSPORTS {
            for (id, hub) in [(CLASSIC, "classic"), (MQTT_V5, "mqttV5")] {
                let client = device(id, transport, &emulator).api_version(word(&version, "apiVersion"));
                let client = client.certificate_request(request(id)).build().unwrap();
                let assignment = client.register().await.unwrap();
                let case = format!("{version} {transport:?} {id}");
                assert_eq!(version_seen(&emulator, id), word(&version, "apiVersion"), "{case}");
                assert_eq!(assignment.connection_profile().to_string(), word(&version, hub), "{case}");
                let issued = if assignment.issued_chain().len() == 3 { "issued" } else { "ignored" };
                assert_eq!(issued, word(&version, "certificateRequest"), "{case}");
            }
        }
    }
}

#[tokio::test]
async fn requests_use_the_oldest_api_version_that_has_what_was_asked_for() {
    let versions = versions();
    if versions.is_empty() {
        return;
    }
    let emulator = site().await;
    for transport in TRANSPORTS {
        let plain = if transport == Transport::Https { "registrations over HTTPS" } else { "registrations over MQTT" };
        for (use_case, wants_certificate, wants_profile) in [
            (plain, false, false),
            ("certificate requests", true, false),
            ("the connection profile", false, true),
            ("the connection profile", true, true),
        ] {
            let mut client = device(CLASSIC, transport, &emulator).connection_profile(wants_profile);
            if wants_certificate {
                client = client.certificate_request(request(CLASSIC));
            }
            client.build().unwrap().register().await.unwrap();
            let expected = versions.iter().find(|version| word(version, "usedFor") == use_case).unwrap();
            assert_eq!(version_seen(&emulator, CLASSIC), word(expected, "apiVersion"), "{transport:?} {use_case}");
        }
    }
}

#[tokio::test]
async fn api_version_that_does_not_report_the_profile_is_refused_with_it() {
    let emulator = service().await;
    let build =
        |version: &str| builder(&emulator).symmetric_key(device_key()).connection_profile(true).api_version(version);
    let error = build("2026-11-01").build().unwrap_err();
    assert_eq!(error.code(), ErrorCode::InvalidOption);
    assert!(error.message().contains("2026-11-02-preview"), "{error}");
    assert!(build("2027-01-01").build().is_ok());
}

#[tokio::test]
async fn hub_credentials_and_connection_strings_are_refused_for_a_hub_that_is_not_classic() {
    let emulator = site().await;
    let client = device(MQTT_V5, Transport::Https, &emulator).connection_profile(true).build().unwrap();
    let assignment = client.register().await.unwrap();
    let stored = assignment.to_stored();
    assert_eq!(stored.connection_profile, ConnectionProfile::MqttV5);
    for error in [
        assignment.hub_credentials().unwrap_err(),
        assignment.connection_string().unwrap_err(),
        client.hub_credentials(&stored).unwrap_err(),
    ] {
        assert_eq!((error.code(), error.verdict()), (ErrorCode::UnsupportedProfile, Verdict::Reconfigure));
        assert!(error.message().contains("hub-5.test") && error.message().contains("mqttV5"), "{error}");
    }
    // As far as is known without the profile, the hub is a classic one.
    let unaware = device(MQTT_V5, Transport::Https, &emulator).build().unwrap().register().await.unwrap();
    assert!(unaware.hub_credentials().is_ok() && unaware.connection_string().unwrap().is_some());
    let classic = device(CLASSIC, Transport::Https, &emulator).connection_profile(true).build().unwrap();
    let assignment = classic.register().await.unwrap();
    assert!(assignment.hub_credentials().is_ok() && assignment.connection_string().unwrap().is_some());
    assert!(classic.hub_credentials(&assignment.to_stored()).unwrap().is_some());
}

#[tokio::test]
async fn lookup_reads_the_profile_if_asked_for() {
    let emulator = site().await;
    let asking = device(MQTT_V5, Transport::Https, &emulator).connection_profile(true).build().unwrap();
    asking.register().await.unwrap();
    assert_eq!(asking.lookup().await.unwrap().connection_profile, ConnectionProfile::MqttV5);
    let other = device(MQTT_V5, Transport::Https, &emulator).build().unwrap();
    assert_eq!(other.lookup().await.unwrap().connection_profile, ConnectionProfile::NotReported);
}

#[tokio::test]
async fn unknown_words_are_kept_and_unknown_members_change_nothing() {
    let unknown = json!({ "later": [{ "connectionProfile": 5 }], "registrationState": { "later": { "a": null } } });
    let profile = |word: Value| json!({ "registrationState": { "connectionProfile": word } });
    let kept = ConnectionProfile::Other("mqttV6_beta-1".to_owned());
    for (patch, expected) in [
        (unknown, Ok(ConnectionProfile::Classic)),
        (profile(Value::Null), Ok(ConnectionProfile::Classic)),
        (profile("mqttV6_beta-1".into()), Ok(kept)),
        (profile("mqtt v6".into()), Err(ErrorCode::InvalidReply)),
        (profile(6.into()), Err(ErrorCode::InvalidReply)),
    ] {
        for transport in TRANSPORTS {
            let emulator = site().await;
            let fault = Fault::PatchReply { patch: patch.as_object().unwrap().clone() };
            emulator.with_service(|service| service.inject(Scope::All, At::Poll, fault, 1000));
            let client = device(CLASSIC, transport, &emulator).connection_profile(true);
            let client = client.certificate_request(request(CLASSIC)).build().unwrap();
            let registered = client.register().await;
            if let Ok(assignment) = &registered {
                assert_eq!((assignment.hub(), assignment.device_id()), ("hub-a.test", CLASSIC), "{patch}");
                assert_eq!(assignment.issued_chain().len(), 3, "{patch}");
                let is_usable = *assignment.connection_profile() == ConnectionProfile::Classic;
                assert_eq!(assignment.hub_credentials().is_ok(), is_usable, "{patch}");
            }
            let found = registered.as_ref().map(|found| found.connection_profile().clone());
            assert_eq!(found.map_err(|error| error.code()), expected, "{patch}");
        }
    }
}

#[tokio::test]
async fn stored_assignment_keeps_the_profile_and_an_older_file_has_none() {
    let emulator = site().await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("assignment.json");
    let store = AssignmentStore::new(&path).lock().unwrap();
    let client = device(MQTT_V5, Transport::Https, &emulator).connection_profile(true).build().unwrap();
    let mut stored = client.register().await.unwrap().to_stored();
    let other = ConnectionProfile::from_word("mqttV6").unwrap();
    for profile in [ConnectionProfile::MqttV5, other, ConnectionProfile::Classic, ConnectionProfile::NotReported] {
        stored.connection_profile = profile;
        store.save(&stored).unwrap();
        assert_eq!(store.load().unwrap(), Loaded::Found(stored.clone()));
    }
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(!text.contains("connectionProfile"), "as files were before: {text}");
    std::fs::write(&path, text.replace("\"version\"", "\"connectionProfile\": \"mqtt v5\", \"version\"")).unwrap();
    let Loaded::SetAside { problem, .. } = store.load().unwrap() else { panic!("a file with two words was read") };
    assert!(problem.contains("connection profile"), "{problem}");
}

#[tokio::test]
async fn registration_goes_on_with_a_larger_reply_limit_where_the_chain_did_not_fit() {
    for transport in TRANSPORTS {
        let emulator = site().await;
        let client = |limit| {
            let client = device(CLASSIC, transport, &emulator).certificate_request(request(CLASSIC));
            client.reply_limit(limit).build().unwrap()
        };
        let error = client(1024).register().await.unwrap_err();
        assert_eq!((error.code(), error.verdict()), (ErrorCode::ReplyTooLarge, Verdict::Reconfigure));
        let (needed, token) = (error.needed_bytes().unwrap(), error.resume_token().unwrap());
        assert!((1025..8192).contains(&needed), "{needed}");
        let assignment = client(needed).resume(token).await.unwrap();
        assert_eq!(assignment.issued_chain().len(), 3, "{transport:?}");
        let registers = emulator.with_service(|service| service.counters_of(CLASSIC).registers);
        assert_eq!(registers, 1, "{transport:?}: it was not registered again");
    }
}
