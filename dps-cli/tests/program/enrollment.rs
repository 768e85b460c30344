//! `dps enrollment` and `dps enrollment-group` against a local service.

use dps_emulator::{Limits, ServiceOptions};

use super::run::{GROUP_KEY, Run, dps, mode_of};
use super::service::Service;

#[test]
fn enrollment_is_created_shown_listed_and_deleted() {
    let service = Service::start();
    let create = "enrollment create --rid dev-01 --device-id machine-7 --edge-enabled --json";
    let made = service
        .as_owner(create, &["--initial-twin-tags", r#"{"site":"a"}"#, "--initial-twin-properties", r#"{"rate":5}"#])
        .run()
        .code(0)
        .json();
    let made = &made["enrollment"];
    assert_eq!((&made["registrationId"], &made["deviceId"]), (&"dev-01".into(), &"machine-7".into()));
    assert_eq!(made["capabilities"]["iotEdge"], true);
    assert_eq!(made["initialTwin"]["tags"]["site"], "a");
    assert_eq!(made["initialTwin"]["properties"]["desired"]["rate"], 5);
    assert_eq!(made["attestation"], serde_json::json!({ "type": "symmetricKey" }), "a key was printed");

    let shown = service.as_owner("enrollment show --rid dev-01 --json", &[]).run().code(0).json();
    assert_eq!(shown["enrollment"]["etag"], made["etag"]);
    let people = service.as_owner("enrollment show --rid dev-01", &[]).run().code(0).stdout;
    assert!(people.contains("machine-7") && people.contains("edge-enabled   yes"), "{people}");
    let list = service.as_owner("enrollment list --json", &[]).run().code(0).json();
    assert_eq!(list["enrollments"].as_array().unwrap().len(), 1);

    let gone = service.as_owner("enrollment delete --rid dev-01 --json", &[]).run().code(0).json();
    assert_eq!(gone, serde_json::json!({ "deleted": true, "registrationId": "dev-01" }));
    let error = service.as_owner("enrollment show --rid dev-01 --json", &[]).run().code(4).error();
    assert_eq!((error["httpStatus"].as_u64(), error["errorCode"].as_u64()), (Some(404), Some(404_201)));
    assert!(error["trackingId"].is_string());
    service.as_owner("enrollment delete --rid dev-01", &[]).run().code(4);
}

#[test]
fn enrollment_names_a_certificate_policy_in_each_spelling() {
    let service = Service::start();
    for (option, shown, member, value) in [
        ("--certificate-policy factory/line-ca/devices", "factory/line-ca/devices", "certificatePolicyName", "devices"),
        (
            "--certificate-policy-id /subscriptions/s",
            "/subscriptions/s",
            "certificatePolicyResourceId",
            "/subscriptions/s",
        ),
        ("--credential-policy default", "default", "credentialPolicyName", "default"),
    ] {
        let create = format!("enrollment create --replace --rid dev-01 --json {option}");
        let made = service.as_owner(&create, &[]).run().code(0).json();
        assert_eq!(made["enrollment"][member], value, "{made}");
        let people = service.as_owner("enrollment show --rid dev-01", &[]).run().code(0).stdout;
        assert!(people.contains(&format!("issued by      {shown}\n")), "{people}");
        let group = format!("enrollment-group create --replace --group-id line-1 --json {option}");
        let made = service.as_owner(&group, &[]).run().code(0).json();
        assert_eq!(made["enrollmentGroup"][member], value, "{made}");
    }
    for wrong in [
        "--certificate-policy devices",
        "--certificate-policy factory//devices",
        "--certificate-policy a/b/c --credential-policy default",
    ] {
        service.as_owner(&format!("enrollment create --rid dev-02 {wrong}"), &[]).run().code(2);
    }
}

#[test]
fn show_writes_the_key_to_a_private_file() {
    let service = Service::start();
    let (made, read) = (service.folder.file("made.key"), service.folder.file("read.key"));
    service.as_owner("enrollment create --rid dev-01", &["--key-out", &made]).run().code(0);
    let show = "enrollment show --rid dev-01";
    let shown = service.as_owner(show, &["--key-out", &read]).run().code(0);
    assert_eq!((service.folder.read("read.key"), mode_of(&read)), (service.folder.read("made.key"), 0o600));
    assert!(!shown.stdout.contains(&service.folder.read("made.key")), "the key is only in the file");
    // An existing file is not changed.
    service.as_owner(show, &["--key-out", &read]).run().code(7);
    assert_eq!(service.folder.read("read.key"), service.folder.read("made.key"));
}

#[test]
fn group_is_created_shown_listed_and_deleted() {
    let service = Service::start();
    let key = service.folder.file("group.key");
    let create = "enrollment-group create --group-id line-1 --disabled --reprovision never --hub hub-a.test --json";
    let made = service.as_owner(create, &["--key-out", &key]).run().code(0).json();
    let made = &made["enrollmentGroup"];
    assert_eq!((&made["provisioningStatus"], &made["allocationPolicy"]), (&"disabled".into(), &"static".into()));
    assert_eq!(made["reprovisionPolicy"]["updateHubAssignment"], false);
    assert_eq!((service.folder.read("group.key").len(), mode_of(&key)), (88, 0o600));

    let show = "enrollment-group show --group-id line-1 --json";
    let hidden = service.as_owner(show, &[]).run().code(0);
    assert!(!hidden.stdout.contains("primaryKey"));
    assert_eq!(hidden.json()["registrations"], serde_json::json!([]));
    let shown = service.as_owner(show, &["--show-keys"]).run().code(0).json();
    let keys = &shown["enrollmentGroup"]["attestation"]["symmetricKey"];
    assert_eq!(keys["primaryKey"].as_str().unwrap(), service.folder.read("group.key"));
    assert!(keys["secondaryKey"].is_string());

    service.as_owner("enrollment-group delete --group-id line-1", &[]).run().code(0);
    let list = service.as_owner("enrollment-group list --json", &[]).run().code(0).json();
    assert_eq!(list["enrollmentGroups"], serde_json::json!([]));
}

#[test]
fn existing_enrollment_is_replaced_only_on_request() {
    let service = Service::start();
    let create = "enrollment create --rid dev-01 --json";
    service.as_owner(create, &[]).run().code(0);
    let error = service.as_owner(create, &["--edge-enabled"]).run().code(4).error();
    assert_eq!(error["name"], "conflict");
    let shown = service.as_owner("enrollment show --rid dev-01 --json", &[]).run().code(0).json();
    assert_eq!(shown["enrollment"]["capabilities"]["iotEdge"], false);
    let replaced = service.as_owner(create, &["--edge-enabled", "--replace"]).run().code(0).json();
    assert_eq!(replaced["enrollment"]["capabilities"]["iotEdge"], true);
}

#[test]
fn create_accepts_key_files() {
    let service = Service::start();
    let (primary, secondary) =
        (service.folder.write("p", GROUP_KEY), service.folder.write("s", format!("{GROUP_KEY}\n")));
    let line = "enrollment-group create --group-id line-1 --show-keys --json";
    let files = ["--primary-key-file", &primary, "--secondary-key-file", &secondary];
    let made = service.as_owner(line, &files).run().code(0).json();
    assert_eq!(made["enrollmentGroup"]["attestation"]["symmetricKey"]["secondaryKey"], GROUP_KEY);
    service.as_owner("enrollment create --rid a", &files[..2]).run().code(2);
}

#[test]
fn list_reads_all_pages() {
    let lifted = |options: ServiceOptions| options.limits(Limits::none());
    let service = Service::with(|options| options.service(lifted));
    let now = service.emulator().now();
    for number in 0..250 {
        let enrollment = dps_emulator::IndividualEnrollment::new(format!("dev-{number:03}"));
        service.set(|service| service.put_enrollment(now, enrollment)).unwrap();
    }
    let list = service.as_owner("enrollment list --json", &[]).run().code(0).json();
    let ids: Vec<_> = list["enrollments"].as_array().unwrap().iter().map(|one| one["registrationId"].clone()).collect();
    assert_eq!((ids.len(), &ids[0], &ids[249]), (250, &"dev-000".into(), &"dev-249".into()));
}

#[test]
fn invalid_options_are_refused_before_anything_is_sent() {
    let service = Service::start();
    let empty = service.folder.write("empty.pem", "");
    for (line, words) in [
        ("enrollment create --rid", &["a b"][..]),
        ("enrollment-group create --group-id", &["a b"]),
        ("enrollment create --rid a --initial-twin-tags", &["[1]"]),
        ("enrollment create --rid a --initial-twin-tags", &["{site:1}"]),
        ("enrollment list --endpoint", &["http://localhost:1"]),
        ("enrollment list --ca-file", &[&empty]),
    ] {
        let owner = service.folder.file("owner");
        let mut command = dps(line.split(' ').chain(words.iter().copied()));
        command.args(["--connection-string-file", &owner, "--json"]).run().code(3).error();
    }
    let not_owner = service.folder.write("device", "HostName=a.test;DeviceId=b;SharedAccessKey=c2VjcmV0");
    let error = dps(["enrollment", "list", "--connection-string-file", &not_owner, "--json"]).run().code(3).error();
    assert!(error["message"].as_str().unwrap().contains("a device's"));
    assert_eq!(service.set(|service| service.counters().admin), 0);
}

#[test]
fn wrong_owner_key_is_refused_by_the_service() {
    let service = Service::start();
    service.forge_owner();
    let error = service.as_owner("enrollment list --json", &[]).run().code(4).error();
    assert_eq!((&error["name"], &error["httpStatus"]), (&"unauthorized".into(), &401.into()));
    assert!(error["trackingId"].is_string());
    assert!(!error["message"].as_str().unwrap().contains(GROUP_KEY));
}

#[test]
fn untrusted_or_unreachable_service_is_a_link_failure() {
    let service = Service::start();
    let other = Service::start();
    let (owner, other_ca) = (service.folder.file("owner"), other.folder.file("ca.pem"));
    let line = ["enrollment", "list", "--connection-string-file", &owner, "--ca-file", &other_ca, "--json"];
    assert_eq!(dps(line).run().code(5).error()["name"], "unknown-ca");
    let error = service.as_owner("enrollment list --endpoint nowhere.invalid --json", &[]).run().code(5).error();
    assert_eq!((&error["name"], &error["hints"][0]), (&"dns".into(), &"check-dns".into()));
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = silent.local_addr().unwrap().to_string();
    let line = ["--endpoint", &endpoint, "--timeout", "300ms", "--json"];
    assert_eq!(service.as_owner("enrollment list", &line).run().code(5).error()["name"], "timeout");
}

#[test]
fn create_changes_nothing_when_the_key_file_cannot_be_written() {
    let service = Service::start();
    for (kind, create) in [
        ("enrollment", "enrollment create --rid dev-01 --json"),
        ("enrollment-group", "enrollment-group create --group-id line-1 --json"),
    ] {
        let nowhere = service.folder.file("no-such-folder/key");
        service.as_owner(create, &["--key-out", &nowhere]).run().code(7);
        let list = service.as_owner(&format!("{kind} list --json"), &[]).run().code(0).stdout;
        assert!(!list.contains("dev-01") && !list.contains("line-1"), "{list}");
    }
}
