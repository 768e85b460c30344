//! The service API: shapes, keys, etags, pages, bulk, records, and authorization.

use crate::common::{self, GROUP_KEY, KEY, OTHER_KEY, START_S, World, encode, json, key, refused, token};
use dps_emulator::{EnrollmentGroup, IndividualEnrollment, ServiceOptions};
use serde_json::{Value, json};

const MINIMAL: &str = r#"{"registrationId":"dev-01","attestation":{"type":"symmetricKey"}}"#;

fn keys(value: &Value) -> (&str, &str) {
    let keys = &value["attestation"]["symmetricKey"];
    (keys["primaryKey"].as_str().unwrap(), keys["secondaryKey"].as_str().unwrap())
}

#[test]
fn put_returns_generated_keys_and_get_does_not() {
    let mut world = World::new(ServiceOptions::new());
    let reply = world.admin("PUT", "/enrollments/dev-01", MINIMAL);
    assert_eq!((reply.status, reply.header("Content-Type")), (200, Some("application/json; charset=utf-8")));
    let put = json(&reply);
    assert_eq!((keys(&put).0.len(), keys(&put).1.len()), (88, 88));
    assert_eq!(put["provisioningStatus"], "enabled");
    assert_eq!(put["allocationPolicy"], "hashed");
    assert_eq!(put["capabilities"], json!({"iotEdge": false}));
    assert_eq!(put["reprovisionPolicy"], json!({"updateHubAssignment": true, "migrateDeviceData": true}));
    assert_eq!(put["createdDateTimeUtc"], "2026-01-01T00:00:00.0000000Z");
    assert!(!put["etag"].as_str().unwrap().is_empty());

    let got = json(&world.admin("GET", "/Enrollments/DEV-01", ""));
    assert_eq!(got["attestation"], json!({"type": "symmetricKey"}));
    assert_eq!(got["etag"], put["etag"]);
    let mechanism = json(&world.admin("POST", "/enrollments/dev-01/attestationMechanism", ""));
    assert_eq!(mechanism, put["attestation"]);
    let listed = world.admin("POST", "/enrollments/query", r#"{"query":"SELECT * FROM enrollments"}"#);
    assert!(!String::from_utf8(listed.body).unwrap().contains(keys(&put).0));
    assert_eq!(world.register("dev-01", keys(&put).1).status, 202);
}

#[test]
fn groups_support_the_same_calls_as_enrollments() {
    let mut world = World::new(ServiceOptions::new());
    let body = json!({
        "enrollmentGroupId": "line-1",
        "attestation": {"type": "symmetricKey", "symmetricKey": {"primaryKey": GROUP_KEY, "secondaryKey": null}},
        "capabilities": {"iotEdge": true},
        "initialTwin": {"tags": {"site": "a"}, "properties": {"desired": {"rate": 5}}},
    });
    let put = json(&world.admin("PUT", "/enrollmentgroups/line-1", &body.to_string()));
    assert_eq!(keys(&put).0, GROUP_KEY);
    assert_eq!(put["initialTwin"], body["initialTwin"]);
    let got = json(&world.admin("GET", "/enrollmentGroups/line-1", ""));
    assert_eq!(
        (&got["capabilities"]["iotEdge"], &got["attestation"]),
        (&true.into(), &json!({"type": "symmetricKey"}))
    );
    let mechanism = json(&world.admin("POST", "/enrollmentGroups/line-1/attestationmechanism", ""));
    assert_eq!(mechanism, put["attestation"]);
    assert_eq!(world.admin("DELETE", "/enrollmentGroups/line-1", "").status, 204);
    assert_eq!(refused(&world.admin("GET", "/enrollmentGroups/line-1", "")), (404, 404_201));
    assert_eq!(refused(&world.admin("DELETE", "/enrollmentGroups/line-1", "")), (404, 404_201));
}

#[test]
fn put_without_keys_keeps_existing_keys() {
    let mut world = World::with_device();
    let got = json(&world.admin("GET", "/enrollments/dev-01", ""));
    world.wait(5000);
    let put = json(&world.admin("PUT", "/enrollments/dev-01", &got.to_string()));
    assert_eq!(keys(&put).0, KEY);
    assert_eq!(put["createdDateTimeUtc"], got["createdDateTimeUtc"]);
    assert_ne!(put["lastUpdatedDateTimeUtc"], got["lastUpdatedDateTimeUtc"]);
    let body = json!({"registrationId": "dev-01",
        "attestation": {"type": "symmetricKey", "symmetricKey": {"primaryKey": OTHER_KEY}}});
    let rotated = json(&world.admin("PUT", "/enrollments/dev-01", &body.to_string()));
    assert_eq!(keys(&rotated), (OTHER_KEY, keys(&put).1));
}

#[test]
fn etags_are_checked_on_put_and_delete() {
    let mut world = World::with_device();
    let etag =
        |world: &mut World| json(&world.admin("GET", "/enrollments/dev-01", ""))["etag"].as_str().unwrap().to_owned();
    let put = |world: &mut World, id: &str, if_match: &str| {
        let body = MINIMAL.replace("dev-01", id);
        world.admin_with("PUT", &format!("/enrollments/{id}"), &[("If-Match", if_match)], &body)
    };
    let first = etag(&mut world);
    assert_eq!(put(&mut world, "dev-01", &first).status, 200);
    let second = etag(&mut world);
    assert_ne!(first, second);
    assert_eq!(refused(&put(&mut world, "dev-01", &first)).0, 412);
    assert_eq!(put(&mut world, "dev-01", &format!("\"{second}\"")).status, 200);
    assert_eq!(put(&mut world, "dev-01", "*").status, 200);
    assert_eq!(refused(&put(&mut world, "dev-02", "*")), (404, 404_201));
    assert_eq!(refused(&put(&mut world, "dev-02", "abc")).0, 412);
    assert_eq!(refused(&world.admin_with("DELETE", "/enrollments/dev-01", &[("if-match", &first)], "")).0, 412);
    let last = etag(&mut world);
    assert_eq!(world.admin_with("DELETE", "/enrollments/dev-01", &[("if-match", &last)], "").status, 204);
}

#[test]
fn enrollments_are_listed_in_pages() {
    let mut world = World::new(ServiceOptions::new());
    for n in 0..25 {
        world.enroll(IndividualEnrollment::new(format!("Dev-{n:02}")));
    }
    let (mut seen, mut continuation) = (Vec::new(), String::new());
    for page in 0.. {
        let headers = [("X-MS-Max-Item-Count", "10"), ("x-ms-continuation", continuation.as_str())];
        let reply = world.admin_with("POST", "/enrollments/query", &headers, r#"{"query":"select *"}"#);
        assert_eq!(reply.header("x-ms-item-type"), Some("Enrollment"));
        assert_eq!(reply.header("x-ms-max-item-count"), Some("10"));
        let body = json(&reply);
        assert!(body[0].get("registrationState").is_none());
        seen.extend(body.as_array().unwrap().iter().map(|one| one["registrationId"].as_str().unwrap().to_owned()));
        match reply.header("x-ms-continuation") {
            Some(next) => continuation = next.to_owned(),
            None => {
                assert_eq!(page, 2);
                break;
            }
        }
    }
    assert_eq!(seen, (0..25).map(|n| format!("Dev-{n:02}")).collect::<Vec<_>>());

    for (headers, body) in [
        (vec![("x-ms-max-item-count", "0")], r#"{"query":"SELECT *"}"#),
        (vec![("x-ms-max-item-count", "many")], r#"{"query":"SELECT *"}"#),
        (vec![("x-ms-continuation", "***")], r#"{"query":"SELECT *"}"#),
        (vec![], r#"{"query":"SELECT * FROM enrollmentGroups"}"#),
        (vec![], r#"{"query":"SELECT * FROM enrollments WHERE deviceId = 'x'"}"#),
        (vec![], "{}"),
        (vec![], ""),
    ] {
        assert_eq!(refused(&world.admin_with("POST", "/enrollments/query", &headers, body)).0, 400, "{body}");
    }
}

#[test]
fn records_of_a_group_are_listed_in_pages() {
    let mut world = World::new(ServiceOptions::new().assign_at_once(true));
    let now = world.now();
    world.service.put_group(now, EnrollmentGroup::new("line-1").primary_key(key(GROUP_KEY))).unwrap();
    world.enroll(IndividualEnrollment::new("dev-02").primary_key(key(KEY)));
    world.register("dev-02", KEY);
    for id in ["dev-01", "dev-03", "dev-04"] {
        world.register(id, &common::sign(GROUP_KEY, id));
    }
    let first = world.admin_with("POST", "/registrations/LINE-1/query", &[("x-ms-max-item-count", "2")], "");
    assert_eq!(first.header("x-ms-item-type"), Some("DeviceRegistration"));
    let next = first.header("x-ms-continuation").unwrap().to_owned();
    let second = world.admin_with("POST", "/registrations/line-1/query", &[("x-ms-continuation", &next)], "");
    assert_eq!(second.header("x-ms-continuation"), None);
    let ids: Vec<Value> = [first, second]
        .iter()
        .flat_map(|page| json(page).as_array().unwrap().clone())
        .map(|record| record["registrationId"].clone())
        .collect();
    assert_eq!(ids, ["dev-01", "dev-03", "dev-04"]);
    assert_eq!(refused(&world.admin("POST", "/registrations/line-2/query", "")).0, 404);
}

#[test]
fn records_are_read_and_deleted() {
    let mut world = World::with_device();
    assert_eq!(refused(&world.admin("GET", "/registrations/dev-01", "")), (404, 404_201));
    assert!(json(&world.admin("GET", "/enrollments/dev-01", "")).get("registrationState").is_none());
    world.provision("dev-01", KEY);
    let record = json(&world.admin("GET", "/registrations/DEV-01", ""));
    assert_eq!((&record["status"], &record["deviceId"]), (&"assigned".into(), &"dev-01".into()));
    assert!(record.get("symmetricKey").is_none());
    assert_eq!(json(&world.admin("GET", "/enrollments/dev-01", ""))["registrationState"], record);

    let stale = [("If-Match", "old")];
    assert_eq!(refused(&world.admin_with("DELETE", "/registrations/dev-01", &stale, "")).0, 412);
    let etag = record["etag"].as_str().unwrap().to_owned();
    assert_eq!(world.admin_with("DELETE", "/registrations/dev-01", &[("If-Match", &etag)], "").status, 204);
    assert_eq!(refused(&world.admin("DELETE", "/registrations/dev-01", "")).0, 404);
    assert!(world.service.hub_device("hub-a.test", "dev-01").is_some());
}

#[test]
fn bulk_applies_each_item_and_lists_errors() {
    let mut world = World::new(ServiceOptions::new());
    let item = |id: &str| json!({"registrationId": id, "attestation": {"type": "symmetricKey"}});
    let post = |world: &mut World, mode: &str, items: Vec<Value>| {
        json(&world.admin("POST", "/enrollments", &json!({"mode": mode, "enrollments": items}).to_string()))
    };
    let made = post(&mut world, "create", vec![item("dev-01"), item("dev-02")]);
    assert_eq!(made, json!({"isSuccessful": true, "errors": []}));

    let again = post(&mut world, "Create", vec![item("dev-02"), item("dev-03"), item("dev 4")]);
    assert_eq!(again["isSuccessful"], false);
    let errors = again["errors"].as_array().unwrap();
    assert_eq!((&errors[0]["registrationId"], &errors[0]["errorCode"]), (&"dev-02".into(), &409_201.into()));
    assert_eq!((&errors[1]["registrationId"], &errors[1]["errorCode"]), (&"dev 4".into(), &400_004.into()));
    assert!(world.service.enrollment("dev-03").is_some());

    assert_eq!(post(&mut world, "update", vec![item("dev-09")])["errors"][0]["errorCode"], 404_201);
    let stale = post(&mut world, "updateIfMatchETag", vec![item("dev-01")]);
    assert_eq!(stale["errors"][0]["errorCode"], 412_000);
    let mut fresh = item("dev-01");
    fresh["etag"] = world.service.enrollment("dev-01").unwrap().settings.etag.clone().into();
    assert_eq!(post(&mut world, "updateIfMatchETag", vec![fresh])["isSuccessful"], true);
    let gone =
        post(&mut world, "delete", vec![json!({"registrationId": "dev-01"}), json!({"registrationId": "dev-08"})]);
    assert_eq!(gone["errors"].as_array().unwrap().len(), 1);
    assert!(world.service.enrollment("dev-01").is_none());

    for body in [
        json!({"enrollments": [item("a")]}),
        json!({"mode": "replace", "enrollments": [item("a")]}),
        json!({"mode": "create"}),
        json!({"mode": "create", "enrollments": []}),
        json!({"mode": "create", "enrollments": vec![item("a"); 11]}),
    ] {
        assert_eq!(refused(&world.admin("POST", "/enrollments", &body.to_string())).0, 400);
    }
    let groups = json!({"mode": "create", "enrollmentGroups": [{"enrollmentGroupId": "a b"}]});
    let reply = json(&world.admin("POST", "/enrollmentGroups", &groups.to_string()));
    assert_eq!(reply["errors"][0]["enrollmentGroupId"], "a b");
}

#[test]
fn invalid_enrollments_are_refused() {
    let mut world = World::new(ServiceOptions::new());
    let with = |member: &str, value: Value| {
        let mut body: Value = serde_json::from_str(MINIMAL).unwrap();
        body[member] = value;
        body.to_string()
    };
    let secret = "c2VjcmV0c2VjcmV0";
    for (body, part) in [
        ("{}".to_owned(), "registrationId"),
        (r#"{"registrationId":"dev-01"}"#.into(), "attestation"),
        (with("registrationId", "dev-02".into()), "path"),
        (with("deviceId", "a b".into()), "deviceId"),
        (with("attestation", json!({"type": "tpm"})), "attestation.tpm"),
        (with("attestation", json!({"type": "none"})), "not modelled"),
        (with("attestation", json!({"type": "x509"})), "clientCertificates"),
        (with("attestation", json!({"type": "tpm", "tpm": {"endorsementKey": "AA=="}})), "endorsementKey"),
        (with("attestation", json!({"type": "magic"})), "type"),
        (with("attestation", json!({})), "type"),
        (with("attestation", json!({"type": "symmetricKey", "symmetricKey": {"primaryKey": secret}})), "12 bytes"),
        (with("attestation", json!({"type": "symmetricKey", "symmetricKey": {"primaryKey": "!!"}})), "base64"),
        (with("attestation", json!({"type": "symmetricKey", "symmetricKey": secret})), "object"),
        (with("attestation", json!(secret)), "type"),
        (with("provisioningStatus", "paused".into()), "paused"),
        (with("allocationPolicy", "custom".into()), "customAllocationDefinition"),
        (with("allocationPolicy", "static".into()), "iotHubs"),
        (with("iotHubs", json!(["hub a"])), "host name"),
        (with("initialTwin", json!({"tags": "text"})), "map"),
    ] {
        let reply = world.admin("PUT", "/enrollments/dev-01", &body);
        assert_eq!(refused(&reply), (400, 400_004), "{body}");
        let message = json(&reply)["message"].as_str().unwrap().to_owned();
        assert!(message.contains(part) && !message.contains(secret), "{body}: {message}");
    }
    assert_eq!(refused(&world.admin("PUT", "/enrollments/dev%2001", &MINIMAL.replace("dev-01", "dev 01"))).0, 400);
    assert!(world.service.enrollment("dev-01").is_none());
    let nulls = r#"{"registrationId":"dev-01","attestation":{"type":"symmetricKey","tpm":null,"x509":null},"deviceId":null,
        "capabilities":null,"initialTwin":null,"etag":null,"provisioningStatus":null,"reprovisionPolicy":null,
        "allocationPolicy":null,"iotHubs":null,"customAllocationDefinition":null,"registrationState":null}"#;
    assert_eq!(world.admin("PUT", "/enrollments/dev-01", nulls).status, 200);
}

#[test]
fn admin_calls_require_an_owner_token() {
    let mut world = World::with_device();
    let connection = world.service.connection_string();
    let policy_key = connection.expose().split_once("SharedAccessKey=").unwrap().1.to_owned();
    assert!(connection.expose().starts_with("HostName=dps.test;SharedAccessKeyName=provisioningserviceowner;"));
    let (end, owner) = (START_S + 3600, "&skn=provisioningserviceowner");
    let mut get = |token: &str| {
        let path = "/enrollments/dev-01?api-version=2021-10-01";
        world.send("GET", path, &[("Authorization", token)], b"").status
    };
    for sr in [
        "dps.test",
        "DPS.test",
        "dps.test%3A443",
        "dps.test/enrollments",
        "dps.test%2fenrollments%2Fdev-01",
        "dps.test/",
    ] {
        assert_eq!(get(&token(&policy_key, sr, end, owner)), 200, "{sr}");
    }
    for (sr, signed_with, end, tail) in [
        ("dps.test", KEY, end, owner),
        ("dps.test", &policy_key, START_S, owner),
        ("dps.test", &policy_key, end, ""),
        ("dps.test", &policy_key, end, "&skn=registrationstatusread"),
        ("other.test", &policy_key, end, owner),
        ("dps.test.evil", &policy_key, end, owner),
        ("dps.test/enroll", &policy_key, end, owner),
        ("dps.test/enrollmentGroups", &policy_key, end, owner),
        ("dps.test/enrollments/dev-01/more", &policy_key, end, owner),
    ] {
        assert_eq!(get(&token(signed_with, sr, end, tail)), 401, "{sr} {tail}");
    }
    assert_eq!(get(""), 401);
    // A device's token is refused for admin calls, and an owner's token for device calls.
    assert_eq!(get(&common::device_token(KEY, "dev-01", end)), 401);
    let policy = token(&policy_key, &encode("dps.test"), end, owner);
    assert_eq!(world.register_with("dev-01", &policy, "").status, 401);
}

#[test]
fn restore_brings_back_a_snapshot() {
    let mut world = World::with_device();
    let now = world.now();
    world.service.put_group(now, EnrollmentGroup::new("line-1").primary_key(key(GROUP_KEY)).iot_edge(true)).unwrap();
    let before = json(&world.admin("GET", "/enrollmentGroups/line-1", ""));
    let kept = serde_json::to_string(&world.service.snapshot()).unwrap();

    let mut world = World::new(ServiceOptions::new());
    world.service.restore(serde_json::from_str(&kept).unwrap()).unwrap();
    assert_eq!(json(&world.admin("GET", "/enrollmentGroups/line-1", "")), before);
    assert_eq!(world.register("dev-01", KEY).status, 202);
    let broken = kept.replace("dev-01", "dev 01");
    assert!(world.service.restore(serde_json::from_str(&broken).unwrap()).is_err());
}

#[test]
fn revision_changes_only_with_enrollments() {
    let mut world = World::with_device();
    let first = world.service.revision();
    world.provision("dev-01", KEY);
    world.admin("GET", "/enrollments/dev-01", "");
    world.admin("DELETE", "/registrations/dev-01", "");
    world.admin("DELETE", "/enrollments/dev-09", "");
    assert_eq!(world.service.revision(), first);
    world.admin("PUT", "/enrollments/dev-01", MINIMAL);
    assert!(world.service.revision() > first);
}

#[test]
fn bulk_accepts_a_trailing_slash() {
    let mut world = World::new(ServiceOptions::new());
    let bulk = json!({"mode": "create", "enrollments": [serde_json::from_str::<Value>(MINIMAL).unwrap()]});
    let reply = world.admin("POST", "/enrollments/", &bulk.to_string());
    assert_eq!((reply.status, &json(&reply)["isSuccessful"]), (200, &true.into()));
    let group = json!({"enrollmentGroupId": "line-1", "attestation": {"type": "symmetricKey"}});
    let bulk = json!({"mode": "create", "enrollmentGroups": [group]});
    let reply = world.admin("POST", "/enrollmentGroups/", &bulk.to_string());
    assert_eq!((reply.status, &json(&reply)["isSuccessful"]), (200, &true.into()));
    assert_eq!(world.admin("GET", "/enrollments/dev-01/", "").status, 404, "no other path takes it");
}

#[test]
fn query_accepts_a_star_alone() {
    let mut world = World::new(ServiceOptions::new());
    world.admin("PUT", "/enrollments/dev-01", MINIMAL);
    for list in ["enrollments", "enrollmentGroups"] {
        let reply = world.admin("POST", &format!("/{list}/query"), r#"{"query":"*"}"#);
        assert_eq!(reply.status, 200, "{list}");
        assert_eq!(json(&reply).as_array().unwrap().len(), usize::from(list == "enrollments"));
    }
    assert_eq!(world.admin("POST", "/enrollments/query", r#"{"query":"* FROM"}"#).status, 400);
}

#[test]
fn port_443_is_left_out_of_host_names() {
    for (host, shown) in [("dps.test:443", "dps.test"), ("dps.test:8443", "dps.test:8443"), ("[::1]:443", "[::1]")] {
        let mut world = World::new(ServiceOptions::new().host_name(host));
        assert!(world.service.connection_string().expose().starts_with(&format!("HostName={shown};")));
        world.enroll(IndividualEnrollment::new("dev-01").primary_key(key(KEY)));
        let location = world.register("dev-01", KEY).header("Location").unwrap().to_owned();
        assert!(location.starts_with(&format!("https://{shown}/")), "{location}");
    }
}

#[test]
fn location_follows_the_host_of_the_request() {
    let mut world = World::with_device();
    let mut location = |host: &str| {
        world.wait(60_000);
        let token = common::device_token(KEY, "dev-01", world.device_s() + 3600);
        let headers = [("Host", host), ("Authorization", &token)];
        let path = "/0ne00A1B2C3/registrations/dev-01/register?api-version=2021-06-01";
        world.send("PUT", path, &headers, b"").header("Location").unwrap().to_owned()
    };
    for (host, shown) in
        [("localhost:9443", "localhost:9443"), ("board.test:443", "board.test"), ("[::1]:1", "[::1]:1")]
    {
        assert_eq!(location(host), format!("https://{shown}/0ne00A1B2C3/registrations/dev-01/register"));
    }
    for invalid in
        ["", "a b", "user@host", "host/path", "host:port", "host:+1", "host:99999", "host\r\nX: y", "[::1", "::1"]
    {
        assert!(location(invalid).starts_with("https://dps.test/"), "{invalid}");
    }
}
