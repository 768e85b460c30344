//! An emulator from a file: an export starts an equal emulator, and every mistake is reported with its place.

use std::path::Path;

use crate::common::{GROUP_KEY, KEY, OTHER_KEY, key};
use crate::pki::Ca;
use crate::soft_tpm::SoftTpm;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use dps_emulator::{
    AllocationPolicy, At, CertificatePolicy, ConfigError, ConnectionProfile, Emulator, EmulatorOptions,
    EnrollmentGroup, ExportedConfig, Fault, FaultPlan, IndividualEnrollment, IssuanceCodes, Limits, ReprovisionPolicy,
    RetryAfter, Scope, Service, TlsVersion, TpmPublicKey, UnchangedSubstatus, WebhookOptions, WebhookUrl,
};
use proptest::prelude::*;
use serde_json::{Value, json};

const WEBHOOK: &str = "https://allocate.test/choose?code=open-sesame";

fn object(value: Value) -> serde_json::Map<String, Value> {
    value.as_object().unwrap().clone()
}

/// An emulator with something of everything.
async fn varied() -> Emulator {
    let limits = Limits { registrations_per_minute: None, polls_per_10_s: Some(50), ..Limits::default() };
    let options = EmulatorOptions::new()
        .wss_port(0)
        .host_name("dps.test")
        .tls_version(TlsVersion::Tls13)
        .id_scope("0neEXPORT")
        .hub("hub-a.test", 1)
        .hub("hub-b.test", 7)
        .service(|service| {
            service.hint(Some(RetryAfter::Date(-3))).assigning_ms(7).conflict_window_ms(8).operation_life_ms(9000)
        })
        .service(|service| service.challenge_life_ms(9001).clock_skew_ms(11).strict_at_connect(true).limits(limits))
        .service(|service| service.certificates_at_register(true).certificate_info(true).derive_as_sent(true))
        .service(|service| service.echo_payload(true).check_expiry_on_poll(true).assign_at_once(true))
        .service(|service| service.unchanged_substatus(UnchangedSubstatus::Reprovisioned))
        .service(|service| service.webhook_limit_ms(700).events_kept(77))
        .service(|service| service.hub_profile("hub-b.test", ConnectionProfile::MqttV5).certificate_days(9))
        .service(|service| service.p384_only(true).issuance_codes(IssuanceCodes::Early))
        .webhooks(WebhookOptions::new().host("allocate.test").roots_pem(Ca::root("webhooks").pem()));
    let emulator = Emulator::start(options).await.unwrap();
    emulator.set_clock_offset_ms(-86_400_000);
    emulator.scale_clock(60).unwrap();
    let now = emulator.now();
    emulator.with_service(|service| {
        certificates(service, now);
        let (tags, desired) = (json!({ "site": "a", "gone": null }), json!({ "deep": { "list": [1, 2.5, "x"] } }));
        let with_keys = IndividualEnrollment::new("Dev:01")
            .device_id("machine 7".replace(' ', "-"))
            .primary_key(key(KEY))
            .iot_edge(true)
            .certificate_policy(CertificatePolicy::resource_id("/subscriptions/s/policies/p"))
            .enabled(false)
            .initial_twin(object(tags), object(desired))
            .reprovision(ReprovisionPolicy { update_hub_assignment: true, migrate_device_data: false })
            .allocation(AllocationPolicy::Static, ["hub-b.test"]);
        let information = json!({ "big": u64::MAX, "quote": "\"'\n\u{7f}" });
        let with_keys = IndividualEnrollment { optional_device_information: Some(information), ..with_keys };
        service.put_enrollment(now, with_keys).unwrap();
        let tpm = TpmPublicKey::from_base64(&BASE64_STANDARD.encode(SoftTpm::new().endorsement_key())).unwrap();
        service.put_enrollment(now, IndividualEnrollment::new("dev-tpm").endorsement_key(tpm)).unwrap();
        let keys = EnrollmentGroup::new("line-1").primary_key(key(GROUP_KEY)).secondary_key(key(OTHER_KEY));
        service.put_group(now, keys.certificate_policy(CertificatePolicy::named("n", "a", "p"))).unwrap();
        let url = |text: &str| WebhookUrl::parse(text).unwrap();
        let custom = IndividualEnrollment::new("dev-custom").primary_key(key(KEY));
        service.put_enrollment(now, custom.custom_allocation(url(WEBHOOK))).unwrap();
        let group = EnrollmentGroup::new("line-custom").primary_key(key(GROUP_KEY));
        service.put_group(now, group.custom_allocation(url("http://localhost:7071/allocate"))).unwrap();
        service.inject(Scope::Registration("Dev:01"), At::Poll, Fault::Throttle { retry_after: None }, 3);
        let patch = json!({ "kind": "patch-reply", "times": 2, "patch": { "status": null, "deep": { "a": 1 } } });
        service.inject_plan(&FaultPlan::try_from(object(patch)).unwrap());
        service.inject(Scope::All, At::Any, Fault::Delay { ms: 5 }, u32::MAX);
    });
    emulator
}

fn certificates(service: &mut Service, now: dps_emulator::Now) {
    let (root, line) = (Ca::root("root"), Ca::root("line"));
    service.put_ca_certificate(now, "root", root.certificate(), true).unwrap();
    service.put_ca_certificate(now, "pending", line.certificate(), false).unwrap();
    let device = |name| root.device(name).certificate();
    let individual = IndividualEnrollment::new("dev-x509").client_certificate(device("dev-x509"));
    service.put_enrollment(now, individual.secondary_client_certificate(device("dev-x509"))).unwrap();
    service.put_group(now, EnrollmentGroup::new("line-x509").signing_certificate(line.certificate())).unwrap();
    service.put_group(now, EnrollmentGroup::new("line-ca").ca_reference("root", Some("pending"))).unwrap();
}

/// The snapshot without what the service sets: etags and dates.
fn snapshot(emulator: &Emulator) -> Value {
    let mut snapshot = emulator.with_service(|service| serde_json::to_value(service.snapshot()).unwrap());
    for list in snapshot.as_object_mut().unwrap().values_mut() {
        for entry in list.as_array_mut().unwrap() {
            let entry = entry.as_object_mut().unwrap();
            entry.retain(|member, _| {
                !["etag", "createdDateTimeUtc", "lastUpdatedDateTimeUtc"].contains(&member.as_str())
            });
        }
    }
    snapshot
}

fn keys(exported: &ExportedConfig) -> Vec<(String, Option<String>)> {
    let exposed =
        |file: &dps_emulator::KeyFile| (file.name.clone(), file.key.as_ref().map(|key| key.expose().to_owned()));
    exported.key_files().map(exposed).collect()
}

#[tokio::test]
async fn export_of_a_running_emulator_starts_an_equal_one() {
    let emulator = varied().await;
    let exported = emulator.export_config(true).unwrap();
    for member in [
        "profile = \"mqttV5\"",
        "certificateDays = 9",
        "p384Only = true",
        "issuanceCodes = \"early\"",
        "namespaceName = \"n\"",
    ] {
        assert!(exported.toml().contains(member), "{member}");
    }
    let folder = tempfile::tempdir().unwrap();
    let file = exported.save(folder.path().join("export")).unwrap();
    let equal = Emulator::start(EmulatorOptions::from_config_file(&file).unwrap()).await.unwrap();
    let again = equal.export_config(true).unwrap();
    assert_eq!(again.toml(), exported.toml());
    assert_eq!(keys(&again), keys(&exported));
    assert_eq!(snapshot(&equal), snapshot(&emulator));
    let faults =
        |emulator: &Emulator| emulator.with_service(|service| json!(service.planned_faults().collect::<Vec<_>>()));
    assert_eq!(faults(&equal), faults(&emulator));
    let clock = equal.with_service(|service| (service.clock().scale(), service.clock().offset_ms()));
    assert_eq!((equal.id_scope(), clock), ("0neEXPORT", (60, -86_400_000)));
    assert!(equal.mqtt_addr().is_none() && equal.wss_addr().is_some());
    let key_of = |emulator: &Emulator| {
        emulator.connection_string().expose().split_once("SharedAccessKey=").unwrap().1.to_owned()
    };
    assert_eq!(key_of(&equal), key_of(&emulator));
}

#[tokio::test]
async fn page_and_announced_addresses_are_exported() {
    let options = EmulatorOptions::new().mqtt_port(0).announce("localhost:9443").announce("mqtt=board.test");
    let emulator = Emulator::start(options.ui_port(0).ui_host("board.test")).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let exported = emulator.export_config(true).unwrap();
    let file = exported.save(folder.path()).unwrap();
    let equal = Emulator::start(EmulatorOptions::from_config_file(&file).unwrap()).await.unwrap();
    assert_eq!(equal.export_config(true).unwrap().toml(), exported.toml());
    assert!(
        equal.page_addr().is_some() && exported.toml().contains("uiHosts = [\"board.test\"]"),
        "{}",
        exported.toml()
    );
    assert_eq!(equal.endpoint(), "localhost:9443");
    assert!(equal.mqtt_endpoint().unwrap().starts_with("board.test:"));
}

#[tokio::test]
async fn faults_are_exported_with_the_number_left() {
    let emulator = Emulator::start(EmulatorOptions::new()).await.unwrap();
    let client = crate::client::Client::for_emulator(&emulator);
    emulator.with_service(|service| {
        service.inject(Scope::All, At::Register, Fault::ServerError { status: 503, retry_after: None }, 3)
    });
    let path = "/0ne00A1B2C3/registrations/dev-01/register?api-version=2021-06-01";
    assert_eq!(client.send("PUT", path, "", "{}").await.unwrap().status, 503);
    assert!(emulator.export_config(false).unwrap().toml().contains("times = 2"));
}

#[tokio::test]
async fn service_without_hubs_is_exported_as_one() {
    let emulator = Emulator::start(EmulatorOptions::new()).await.unwrap();
    emulator.with_service(|service| assert!(service.unlink_hub("hub-a.test")));
    let folder = tempfile::tempdir().unwrap();
    let file = emulator.export_config(true).unwrap().save(folder.path()).unwrap();
    let equal = Emulator::start(EmulatorOptions::from_config_file(&file).unwrap()).await.unwrap();
    assert_eq!(equal.with_service(|service| service.linked_hubs().count()), 0);
}

#[tokio::test]
async fn masked_export_has_no_key_and_names_the_missing_files() {
    let emulator = varied().await;
    let exported = emulator.export_config(false).unwrap();
    assert!(exported.key_files().count() > 3 && exported.key_files().all(|file| file.key.is_none()));
    for file in emulator.export_config(true).unwrap().key_files() {
        assert!(!exported.toml().contains(file.key.as_ref().unwrap().expose()), "{}", file.name);
    }
    let folder = tempfile::tempdir().unwrap();
    let file = exported.save(folder.path()).unwrap();
    let error = EmulatorOptions::from_config_file(&file).unwrap_err();
    assert!(matches!(&error, ConfigError::Invalid { line, .. } if *line > 1), "{error}");
    assert!(error.to_string().contains("does not exist: write the key to it"), "{error}");
}

#[cfg(unix)]
#[tokio::test]
async fn saved_export_is_private_and_changes_no_existing_file() {
    use std::os::unix::fs::PermissionsExt as _;
    let emulator = varied().await;
    let folder = tempfile::tempdir().unwrap();
    let exported = emulator.export_config(true).unwrap();
    let file = exported.save(folder.path().join("new/export")).unwrap();
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&file), 0o600);
    assert_eq!(mode(&file.with_file_name("keys")), 0o700);
    for key_file in exported.key_files() {
        assert_eq!(mode(&file.with_file_name(&key_file.name)), 0o600, "{}", key_file.name);
    }
    std::fs::write(&file, "mine").unwrap();
    let error = exported.save(folder.path().join("new/export")).unwrap_err();
    assert!(error.to_string().contains("emulator.toml"), "{error}");
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "mine");
}

fn read(text: &str) -> Result<EmulatorOptions, ConfigError> {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("good.key"), KEY).unwrap();
    std::fs::write(folder.path().join("short.key"), "c2hvcnQ=").unwrap();
    std::fs::write(folder.path().join("emulator.toml"), text).unwrap();
    EmulatorOptions::from_config_file(folder.path().join("emulator.toml"))
}

/// An enrollment with a webhook.
fn custom(definition: &str) -> String {
    let enrollment = "[[enrollments]]\nregistrationId = 'a'\nallocationPolicy = 'custom'";
    format!("{enrollment}\ncustomAllocationDefinition = {{ {definition} }}")
}

const TWICE: &str = "[[enrollments]]\nregistrationId = 'a'\n[[enrollments]]\nregistrationId = 'A'";

#[test]
fn mistakes_are_reported_with_line_and_column() {
    for (text, place, words) in [
        ("idScop = 'x'", (1, 1), "unknown member 'idScop'; known here: idScope, listen"),
        ("\n  seed = 'x'", (2, 10), "'seed' must be a whole number from 0"),
        ("idScope = 'a'\nidScope = 'b'", (2, 1), "duplicate key"),
        ("httpsPort = 70000", (1, 13), "from 0 to 65535"),
        ("mqttPort = true", (1, 12), "or false"),
        ("httpsPort = 1\nfixedPorts = true", (1, 13), "beside 'fixedPorts'"),
        ("listen = 'here'", (1, 10), "an IP address"),
        ("idScope = 'a b'", (1, 11), "1 to 64 letters and digits"),
        ("hostNames = ['a', 'b c']", (1, 19), "invalid host name 'b c'"),
        ("uiPort = true", (1, 10), "or false"),
        ("uiListen = 'here'", (1, 12), "an IP address"),
        ("uiHosts = ['b c']", (1, 12), "invalid host name 'b c'"),
        ("announce = ['a', 'amqp=a']", (1, 18), "FRONT is https, mqtt, wss or ui"),
        ("tlsVersion = '1.1'", (1, 14), "\"1.2\" or \"1.3\""),
        ("tlsCaFile = 'none.pem'", (1, 13), "cannot be read"),
        ("tlsCaFile = 'good.key'", (1, 13), "exactly one certificate"),
        ("tlsCaKeyFile = 'good.key'", (1, 16), "needs 'tlsCaFile'"),
        ("policyKeyFile = 'none.key'", (1, 17), "does not exist"),
        ("policyKeyFile = 'short.key'", (1, 17), "5 bytes"),
        ("retryAfter = { date = 1 }", (1, 16), "unknown member 'date'"),
        ("clockScale = 0", (1, 14), "from 1 to 1000"),
        ("[limits]\npolls = 5", (2, 1), "known here: registrationsPerMinute"),
        ("hubs = 'a'", (1, 8), "an array of tables, as [[hubs]]"),
        ("[[hubs]]\nweight = 1", (1, 1), "'name' is missing"),
        ("[[hubs]]\nname = 'a.test'\nweight = 0", (3, 10), "from 1 to 1000"),
        ("[[hubs]]\nname = 'a.test'\nprofile = 'mqtt5'", (3, 11), "\"classic\" or \"mqttV5\""),
        ("certificateDays = 91", (1, 19), "from 7 to 90"),
        ("issuanceCodes = 'old'", (1, 17), "\"early\" or \"current\""),
        ("[[hubs]]\nname = 'a.test'\n[[hubs]]\nname = 'A.test'", (4, 8), "an earlier hub"),
        ("[[certificates]]\nname = 'a'", (1, 1), "one of 'certificate' and 'certificateFile'"),
        ("[[certificates]]\nname = 'a'\ncertificate = 'x'", (3, 15), "is invalid"),
        (TWICE, (4, 18), "in an earlier table"),
        (
            "[[enrollments]]\nregistrationid = 'a'",
            (2, 1),
            "unknown member 'registrationid'; known here: registrationId",
        ),
        ("[[enrollments]]\ndeviceId = 'a'", (1, 1), "'registrationId' is missing"),
        ("[[enrollments]]\nregistrationId = 'a b'", (2, 18), "offset 1"),
        ("[[enrollments]]\nregistrationId = 'a'\netag = 'b'", (3, 1), "unknown member 'etag'"),
        ("[[enrollments]]\nregistrationId = 'a'\niotHubs = [1]", (3, 12), "must be a string"),
        ("[[enrollments]]\nregistrationId = 'a'\nallocationPolicy = 'static'", (1, 1), "needs a hub"),
        ("[[enrollments]]\nregistrationId = 'a'\ncapabilities = { edge = true }", (3, 18), "unknown member 'edge'"),
        ("[[enrollments]]\nregistrationId = 'a'\ninitialTwin = { tags = '[]' }", (3, 24), "JSON object"),
        ("[[enrollments]]\nregistrationId = 'a'\nattestation = { type = 'none' }", (3, 24), "one of symmetricKey"),
        (
            "[[enrollments]]\nregistrationId = 'a'\nattestation = { type = 'tpm' }",
            (3, 15),
            "'attestation.tpm' is missing",
        ),
        (
            "[[enrollmentGroups]]\nenrollmentGroupId = 'a'\nattestation = { type = 'x509', x509 = { caReferences = { primary = 'r' } } }",
            (1, 1),
            "no CA certificate has the name 'r'",
        ),
        ("eventsKept = -1", (1, 14), "from 0 to 1000000"),
        ("[webhooks]\nhost = 'a'", (2, 1), "known here: hosts"),
        ("[webhooks]\nca = 'x'", (2, 6), "is invalid"),
        ("[webhooks]\nca = 'x'\ncaFile = 'good.key'", (3, 10), "beside 'ca'"),
        ("[webhooks]\nlimitMs = 0", (2, 11), "from 1 to"),
        (&custom("webhookUrl = 'https://a.test/?code=sesame'"), (4, 45), "write the URL to a file"),
        (&custom("webhookUrl = 'ftp://a.test'"), (4, 45), "must begin with https://"),
        (&custom("webhookUrlFile = 'good.key'"), (4, 49), "names the file"),
        (&custom("apiVersion = '2021-10-01'"), (4, 30), "one of 'webhookUrl' and 'webhookUrlFile'"),
        (&custom("webhookUrl = 'http://localhost', apiVersion = '2017-01-01'"), (4, 30), "2018-09-01-preview or later"),
        ("[[faults]]\nkind = 'delay'", (1, 1), "'ms' is missing"),
        ("[[faults]]\nkind = 'delay'\nms = 0", (3, 6), "from 1 to 86400000"),
        ("[[faults]]\nkind = 'silent'\nstatus = 500", (3, 10), "not allowed for kind 'silent'"),
    ] {
        match read(text) {
            Err(ConfigError::Invalid { line, column, message, .. }) => {
                assert_eq!((line, column), place, "{text}: {message}");
                assert!(message.contains(words), "{text}: {message}");
            }
            other => panic!("{text}: {other:?}"),
        }
    }
}

#[test]
fn key_in_the_file_is_refused_and_never_repeated() {
    let enrollment = "[[enrollments]]\nregistrationId = 'a'\nattestation = { type = 'symmetricKey', symmetricKey = ";
    for (member, words) in [("primaryKey", "write the key to a file"), ("primaryKeyFile", "this looks like a key")] {
        let error = read(&format!("{enrollment}{{ {member} = '{KEY}' }} }}")).unwrap_err().to_string();
        assert!(error.contains(words) && !error.contains(&KEY[..10]), "{error}");
    }
}

#[cfg(unix)]
#[tokio::test]
async fn enrollment_without_a_key_keeps_the_one_of_the_state_directory() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("emulator.toml");
    let group = |description: &str| {
        format!("stateDir = 'state'\n[[enrollmentGroups]]\nenrollmentGroupId = 'line-1'\n{description}")
    };
    let mut keys = Vec::new();
    for description in ["", "provisioningStatus = 'disabled'"] {
        std::fs::write(&file, group(description)).unwrap();
        let emulator = Emulator::start(EmulatorOptions::from_config_file(&file).unwrap()).await.unwrap();
        let now = emulator.now();
        let made = emulator.with_service(|service| {
            service.put_enrollment(now, IndividualEnrollment::new("dev-01")).unwrap();
            service.group("line-1").unwrap().clone()
        });
        keys.push(made.settings.attestation.primary.unwrap().expose().to_owned());
        emulator.shutdown().await;
    }
    assert_eq!(keys[0], keys[1]);
    std::fs::write(&file, "stateDir = 'state'").unwrap();
    let emulator = Emulator::start(EmulatorOptions::from_config_file(&file).unwrap()).await.unwrap();
    let kept =
        emulator.with_service(|service| (service.group("line-1").is_some(), service.enrollment("dev-01").is_some()));
    assert_eq!(kept, (true, true), "and what the file does not name stays");
}

#[test]
fn file_that_cannot_be_read_is_named() {
    let error = EmulatorOptions::from_config_file("/nowhere/emulator.toml").unwrap_err();
    assert!(
        matches!(&error, ConfigError::Read { .. }) && error.to_string().contains("/nowhere/emulator.toml"),
        "{error}"
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn damaged_configuration_is_an_error_with_a_place_or_still_valid(
        at in 0..400_usize, length in 0..40_usize, with in "[\\[\\]{}='\"\\\\a-z0-9é\n.]{0,8}",
    ) {
        let mut text: Vec<char> = "seed = 5\nhubs = [{ name = 'a.test', weight = 3 }]\n[limits]\nadminPerMinute = false\n\
            [[enrollments]]\nregistrationId = 'dev-01'\n[enrollments.initialTwin]\ntags = { a = [1, 2.5] }\n\
            properties = { desired = '{\"x\": null}' }\n[[faults]]\nkind = 'patch-reply'\npatch = '{\"status\": null}'\n"
            .chars()
            .collect();
        let at = at.min(text.len());
        let end = (at + length).min(text.len());
        text.splice(at..end, with.chars());
        match read(&text.into_iter().collect::<String>()) {
            Ok(_) => {}
            Err(ConfigError::Invalid { line, column, .. }) => prop_assert!(line > 0 && column > 0),
            Err(other) => prop_assert!(false, "{other}"),
        }
    }
}
