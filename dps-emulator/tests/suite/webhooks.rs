//! Custom allocation in the pure service, in virtual time: when a webhook is called, with what, and how its answer, or
//! its absence, ends a registration.

use crate::common::{GROUP_KEY, KEY, OTHER_KEY, World, device_token, json, key, operation_id};
use dps_emulator::{
    AllocationPolicy, EnrollmentGroup, HttpReply, IndividualEnrollment, ReprovisionPolicy, ServiceOptions, WebhookCall,
    WebhookError, WebhookReply, WebhookUrl,
};
use serde_json::{Map, Value, json};

const URL: &str = "https://f.test/api/choose?code=c2VjcmV0";
const MASKED: &str = "https://f.test/api/choose?****";
const RESET: ReprovisionPolicy = ReprovisionPolicy { update_hub_assignment: true, migrate_device_data: false };
const NEVER: ReprovisionPolicy = ReprovisionPolicy { update_hub_assignment: false, migrate_device_data: false };

fn url() -> WebhookUrl {
    WebhookUrl::parse(URL).unwrap()
}

fn options() -> ServiceOptions {
    ServiceOptions::new().hub("hub-a.test", 1).hub("hub-b.test", 1)
}

fn enrollment(id: &str) -> IndividualEnrollment {
    IndividualEnrollment::new(id).primary_key(key(KEY)).custom_allocation(url())
}

fn world() -> World {
    let mut world = World::new(options());
    world.enroll(enrollment("dev-01"));
    world
}

fn body(call: &WebhookCall) -> Value {
    serde_json::from_slice(&call.body).unwrap()
}

/// The one call that is to be made.
fn call(world: &mut World) -> WebhookCall {
    let calls = world.service.take_webhook_calls();
    assert_eq!(calls.len(), 1, "{calls:?}");
    calls[0].clone()
}

fn answer(world: &mut World, call: &WebhookCall, status: u16, body: &Value) -> bool {
    let reply = WebhookReply { status, body: body.to_string().into_bytes() };
    let now = world.now();
    world.service.answer_webhook(now, call.id, Ok(reply))
}

fn state(reply: &HttpReply) -> Value {
    json(reply)["registrationState"].take()
}

/// Registers `dev-01`, answers its webhook, and returns the call and the final state.
fn registered(world: &mut World, reply: &Value) -> (Value, Value) {
    world.wait(1000);
    let operation = operation_id(&world.register("dev-01", KEY));
    let call = call(world);
    assert!(answer(world, &call, 200, reply));
    world.wait(1000);
    (body(&call), state(&world.poll("dev-01", KEY, &operation)))
}

#[test]
fn webhook_receives_enrollment_device_and_hubs() {
    let mut world = world();
    let token = device_token(KEY, "dev-01", world.device_s() + 60);
    world.register_with("dev-01", &token, r#"{"registrationId":"dev-01","payload":{"model":"press"}}"#);
    let call = call(&mut world);
    assert_eq!((call.url.expose(), call.limit_ms, call.registration_id.as_str()), (URL, 5000, "dev-01"));
    let body = body(&call);
    let expected = json!({ "registrationId": "dev-01", "symmetricKey": {}, "payload": { "model": "press" } });
    assert_eq!((&body["deviceRuntimeContext"], &body["linkedHubs"]), (&expected, &json!(["hub-a.test", "hub-b.test"])));
    let enrollment = &body["individualEnrollment"];
    assert_eq!(enrollment["attestation"], json!({ "type": "symmetricKey" }), "no keys");
    assert_eq!(enrollment["customAllocationDefinition"], json!({ "webhookUrl": MASKED, "apiVersion": "2021-10-01" }));
    let etag = enrollment["etag"].as_str().unwrap();
    assert!(etag.len() > 2 && etag.starts_with('"') && etag.ends_with('"'), "{etag}");
    assert_eq!(enrollment["reprovisionPolicy"], json!({ "updateHubAssignment": true, "migrateDeviceData": true }));
    assert!(!format!("{call:?}").contains("c2VjcmV0"));
}

#[test]
fn device_of_a_group_is_described_by_its_own_id() {
    let mut world = World::new(options());
    let now = world.now();
    let group = EnrollmentGroup::new("line-1").primary_key(key(GROUP_KEY)).custom_allocation(url());
    world.service.put_group(now, group).unwrap();
    world.register("dev-07", key(GROUP_KEY).derive("dev-07").expose());
    let body = body(&call(&mut world));
    assert_eq!(body["enrollmentGroup"]["enrollmentGroupId"], "line-1");
    assert_eq!(body.get("individualEnrollment"), None);
    assert_eq!(body["deviceRuntimeContext"]["registrationId"], "dev-07");
}

#[test]
fn registration_is_assigning_until_the_webhook_replies() {
    let mut world = world();
    let first = world.register("dev-01", KEY);
    assert_eq!(first.status, 202);
    let operation = operation_id(&first);
    let call = call(&mut world);
    world.wait(4000);
    assert_eq!(world.poll("dev-01", KEY, &operation).status, 202);
    assert!(answer(&mut world, &call, 200, &json!({ "iotHubHostName": "hub-b.test", "payload": { "line": 3 } })));
    let last = world.poll("dev-01", KEY, &operation);
    assert_eq!(last.status, 200);
    let state = state(&last);
    assert_eq!((&state["assignedHub"], &state["payload"]), (&json!("hub-b.test"), &json!({ "line": 3 })));
    assert!(world.service.hub_device("hub-b.test", "dev-01").is_some());
    assert!(!answer(&mut world, &call, 200, &json!({ "iotHubHostName": "hub-a.test" })), "answered once");
}

#[test]
fn quick_reply_does_not_shorten_the_assignment() {
    let mut world = world();
    let operation = operation_id(&world.register("dev-01", KEY));
    let call = call(&mut world);
    answer(&mut world, &call, 200, &json!({ "iotHubHostName": "hub-a.test" }));
    assert_eq!(world.poll("dev-01", KEY, &operation).status, 202);
    world.wait(500);
    assert_eq!(world.poll("dev-01", KEY, &operation).status, 200);
}

#[test]
fn reply_that_is_late_fails_the_registration() {
    let mut world = world();
    let operation = operation_id(&world.register("dev-01", KEY));
    let call = call(&mut world);
    world.wait(4999);
    assert_eq!(world.poll("dev-01", KEY, &operation).status, 202);
    world.wait(1);
    let state = state(&world.poll("dev-01", KEY, &operation));
    assert_eq!((&state["status"], &state["errorCode"]), (&json!("failed"), &json!(400_207)));
    assert!(state["errorMessage"].as_str().unwrap().contains("5000 ms"));
    assert!(!answer(&mut world, &call, 200, &json!({ "iotHubHostName": "hub-a.test" })));
    assert!(world.service.record("dev-01").unwrap().assigned_hub().is_none());
}

#[test]
fn failed_webhook_is_error_400207_with_its_status() {
    let mut world = world();
    let (_, state) = {
        let operation = operation_id(&world.register("dev-01", KEY));
        let call = call(&mut world);
        answer(&mut world, &call, 401, &Value::Null);
        world.wait(1000);
        (call, state(&world.poll("dev-01", KEY, &operation)))
    };
    assert_eq!(state["errorCode"], 400_207);
    assert_eq!(state["errorMessage"], "Custom allocation failed with status code: 401.");
}

#[test]
fn webhook_is_called_at_every_registration_and_told_the_current_hub() {
    let mut world = world();
    let (first, _) = registered(&mut world, &json!({ "iotHubHostName": "hub-a.test" }));
    assert_eq!(first["deviceRuntimeContext"].get("currentIotHubHostName"), None);
    let (later, state) = registered(&mut world, &json!({ "iotHubHostName": "hub-b.test" }));
    assert_eq!(later["deviceRuntimeContext"]["currentIotHubHostName"], "hub-a.test");
    assert_eq!(later["deviceRuntimeContext"]["currentDeviceId"], "dev-01");
    assert_eq!((&state["assignedHub"], &state["substatus"]), (&json!("hub-b.test"), &json!("deviceDataMigrated")));
}

#[test]
fn webhook_of_a_device_that_stays_can_choose_its_hub_only() {
    let mut world = world();
    registered(&mut world, &json!({ "iotHubHostName": "hub-b.test" }));
    world.enroll(enrollment("dev-01").reprovision(NEVER));
    let (call, state) = registered(&mut world, &json!({ "iotHubHostName": "hub-b.test", "payload": { "n": 2 } }));
    assert_eq!(call["linkedHubs"], json!(["hub-b.test"]));
    assert_eq!((&state["assignedHub"], &state["payload"]), (&json!("hub-b.test"), &json!({ "n": 2 })));
    let (_, state) = registered(&mut world, &json!({ "iotHubHostName": "hub-a.test" }));
    assert_eq!(state["errorCode"], 400_207);
}

#[test]
fn webhook_can_choose_the_linked_hubs_of_the_enrollment_only() {
    let mut world = World::new(options());
    world.enroll(enrollment("dev-01").allocation(AllocationPolicy::Custom, ["HUB-B.test", "hub-x.test"]));
    let (call, _) = registered(&mut world, &json!({ "iotHubHostName": "hub-b.test" }));
    assert_eq!(call["linkedHubs"], json!(["hub-b.test"]));
    world.service.unlink_hub("hub-b.test");
    world.wait(1000);
    assert_eq!(state(&world.provision("dev-01", KEY))["errorCode"], 400_208, "no hub is left to choose");
    assert!(world.service.take_webhook_calls().is_empty());
}

fn map(value: Value) -> Map<String, Value> {
    serde_json::from_value(value).unwrap()
}

fn tags(world: &World, hub: &str) -> Value {
    Value::Object(world.service.hub_device(hub, "dev-01").unwrap().twin.tags.clone())
}

#[test]
fn twin_of_the_webhook_replaces_that_of_the_enrollment() {
    let with_twin = || enrollment("dev-01").initial_twin(map(json!({ "from": "enrollment" })), Map::new());
    let chosen = |hub: &str, from: &str| json!({ "iotHubHostName": hub, "initialTwin": { "tags": { "from": from } } });
    let mut world = World::new(options());
    world.enroll(with_twin().reprovision(RESET));
    registered(&mut world, &chosen("hub-a.test", "first"));
    assert_eq!(tags(&world, "hub-a.test"), json!({ "from": "first" }));
    registered(&mut world, &chosen("hub-a.test", "unchanged"));
    assert_eq!(tags(&world, "hub-a.test"), json!({ "from": "first" }), "a device that stays keeps its twin");
    registered(&mut world, &chosen("hub-b.test", "moved"));
    assert_eq!(tags(&world, "hub-b.test"), json!({ "from": "moved" }), "it moved with a reset");
    registered(&mut world, &json!({ "iotHubHostName": "hub-a.test" }));
    assert_eq!(tags(&world, "hub-a.test"), json!({ "from": "enrollment" }));
    world.enroll(with_twin());
    registered(&mut world, &chosen("hub-b.test", "migrated"));
    assert_eq!(tags(&world, "hub-b.test"), json!({ "from": "enrollment" }), "data that moves along takes precedence");
}

#[test]
fn device_has_one_call_at_a_time() {
    let mut world = world();
    world.register("dev-01", KEY);
    let first = call(&mut world);
    world.wait(100);
    let second = operation_id(&world.register("dev-01", KEY));
    assert!(world.service.take_webhook_calls().is_empty());
    answer(&mut world, &first, 200, &json!({ "iotHubHostName": "hub-a.test" }));
    let later = call(&mut world);
    answer(&mut world, &later, 200, &json!({ "iotHubHostName": "hub-b.test" }));
    world.wait(1000);
    assert_eq!(state(&world.poll("dev-01", KEY, &second))["assignedHub"], "hub-b.test");
}

#[test]
fn thirty_two_calls_are_pending_at_a_time() {
    let mut world = World::new(options());
    for number in 0..40 {
        world.enroll(enrollment(&format!("dev-{number}")));
        world.register(&format!("dev-{number}"), KEY);
    }
    let calls = world.service.take_webhook_calls();
    assert_eq!(calls.len(), 32);
    let now = world.now();
    world.service.answer_webhook(now, calls[0].id, Err(WebhookError::InvalidReply));
    assert_eq!(world.service.take_webhook_calls().len(), 1);
    // All others end by their time limit.
    world.wait(5000);
    world.service.advance(world.now());
    assert_eq!(world.service.take_webhook_calls().len(), 7);
}

#[test]
fn answer_for_a_deleted_registration_is_ignored() {
    let mut world = world();
    world.register("dev-01", KEY);
    let call = call(&mut world);
    assert!(world.service.delete_record("dev-01"));
    assert!(!answer(&mut world, &call, 200, &json!({ "iotHubHostName": "hub-a.test" })));
    assert!(world.service.record("dev-01").is_none() && world.service.hub_devices().next().is_none());
}

#[test]
fn disabled_enrollment_and_refused_device_call_no_webhook() {
    let mut world = World::new(options());
    world.enroll(enrollment("dev-01").enabled(false));
    assert_eq!(json(&world.provision("dev-01", KEY))["status"], "disabled");
    world.enroll(enrollment("dev-02"));
    assert_eq!(world.register("dev-02", OTHER_KEY).status, 401);
    assert!(world.service.take_webhook_calls().is_empty());
}

#[test]
fn enrollment_that_becomes_custom_while_assigning_calls_its_webhook() {
    let mut world = World::with_device();
    let operation = operation_id(&world.register("dev-01", KEY));
    world.enroll(enrollment("dev-01"));
    world.wait(1000);
    assert_eq!(world.poll("dev-01", KEY, &operation).status, 202);
    let call = call(&mut world);
    answer(&mut world, &call, 200, &json!({ "iotHubHostName": "hub-a.test" }));
    assert_eq!(world.poll("dev-01", KEY, &operation).status, 200);
}

#[test]
fn reply_to_register_waits_for_no_webhook_even_when_assigning_at_once() {
    let mut world = World::new(options().assign_at_once(true));
    world.enroll(enrollment("dev-01"));
    let first = world.register("dev-01", KEY);
    assert_eq!(first.status, 202);
    let call = call(&mut world);
    answer(&mut world, &call, 200, &json!({ "iotHubHostName": "hub-a.test" }));
    assert_eq!(world.poll("dev-01", KEY, &operation_id(&first)).status, 200);
}

#[test]
fn webhook_call_is_an_event_without_the_function_key() {
    let mut world = world();
    for (status, reply) in [(200, json!({ "iotHubHostName": "hub-b.test" })), (401, Value::Null)] {
        world.wait(1000);
        let operation = operation_id(&world.register("dev-01", KEY));
        let call = call(&mut world);
        world.wait(700);
        answer(&mut world, &call, status, &reply);
        world.poll("dev-01", KEY, &operation);
    }
    let mut events = |query: &str| {
        let listed = world.as_owner("GET", &format!("/emulator/events?{query}"), &[], "");
        assert!(!String::from_utf8_lossy(&listed.body).contains("c2VjcmV0"));
        json(&listed)["events"].as_array().unwrap().clone()
    };
    let calls = events("kind=webhook&registrationId=dev-01");
    assert_eq!(calls.len(), 2);
    #[cfg(feature = "server")]
    calls.iter().for_each(crate::schema::check);
    for (member, values) in [
        ("url", [json!(MASKED), json!(MASKED)]),
        ("plainHttp", [json!(false), json!(false)]),
        ("transport", [json!("webhook"), json!("webhook")]),
        ("status", [json!(200), json!(401)]),
        ("tookMs", [json!(700), json!(700)]),
        ("assignedHub", [json!("hub-b.test"), Value::Null]),
        ("reason", [Value::Null, json!("webhook-failed")]),
        ("message", [Value::Null, json!("Custom allocation failed with status code: 401.")]),
    ] {
        assert_eq!([&calls[0][member], &calls[1][member]], values.each_ref(), "{member}");
    }
    let failed: Vec<Value> = events("reason=webhook-failed").iter().map(|event| event["kind"].clone()).collect();
    assert_eq!(failed, ["webhook", "refusal"], "the call, and the poll that told the device");
}

fn put(world: &mut World, definition: &Value) -> HttpReply {
    let mut body = json!({
        "registrationId": "dev-02", "attestation": { "type": "symmetricKey" }, "allocationPolicy": "custom",
    });
    if !definition.is_null() {
        body["customAllocationDefinition"] = definition.clone();
    }
    world.admin("PUT", "/enrollments/dev-02", &body.to_string())
}

#[test]
fn admin_api_masks_the_url_and_keeps_it_when_it_is_put_back() {
    let mut world = World::new(options());
    let definition = json!({ "webhookUrl": URL, "apiVersion": "2018-09-01-preview" });
    let masked = json!({ "webhookUrl": MASKED, "apiVersion": "2018-09-01-preview" });
    assert_eq!(json(&put(&mut world, &definition))["customAllocationDefinition"], masked);
    let read = world.admin("GET", "/enrollments/dev-02", "");
    assert_eq!(json(&read)["customAllocationDefinition"], masked);
    let listed = world.admin("POST", "/enrollments/query", r#"{"query":"SELECT *"}"#);
    assert_eq!(json(&listed)[0]["customAllocationDefinition"], masked);
    assert_eq!(world.admin("PUT", "/enrollments/dev-02", &String::from_utf8(read.body).unwrap()).status, 200);
    let stored = world.service.enrollment("dev-02").unwrap().settings.custom_allocation_definition.clone().unwrap();
    assert_eq!(stored.webhook_url.expose(), URL);
    let other = json!({ "webhookUrl": "https://other.test/?****", "apiVersion": "2021-10-01" });
    let refused = put(&mut world, &other);
    assert_eq!(json(&refused)["errorCode"], 400_004);
    assert!(json(&refused)["message"].as_str().unwrap().contains("send the whole URL"));
}

#[test]
fn incomplete_definition_is_refused_without_repeating_the_url() {
    let mut world = World::new(options());
    for (definition, named) in [
        (Value::Null, "'webhookUrl' and 'apiVersion'"),
        (json!({ "webhookUrl": URL }), "`apiVersion`"),
        (json!({ "apiVersion": "2021-10-01" }), "`webhookUrl`"),
        (json!({ "webhookUrl": URL, "apiVersion": "2017-11-15" }), "2018-09-01-preview or later"),
        (json!({ "webhookUrl": URL, "apiVersion": "new" }), "2018-09-01-preview or later"),
        (json!({ "webhookUrl": "https://u:c2VjcmV0@f.test/", "apiVersion": "2021-10-01" }), "user information"),
        (json!({ "webhookUrl": "f.test?code=c2VjcmV0", "apiVersion": "2021-10-01" }), "https://"),
        (json!({ "webhookUrl": ["c2VjcmV0"], "apiVersion": "2021-10-01" }), "string"),
    ] {
        let refused = put(&mut world, &definition);
        assert_eq!((refused.status, &json(&refused)["errorCode"]), (400, &json!(400_004)), "{definition}");
        let message = json(&refused)["message"].as_str().unwrap().to_owned();
        assert!(message.contains(named) && !message.contains("c2VjcmV0"), "{message}");
    }
}

#[test]
fn snapshot_keeps_the_whole_url() {
    let world = world();
    let snapshot = serde_json::to_string(&world.service.snapshot()).unwrap();
    assert!(snapshot.contains(URL));
    let mut other = World::new(options());
    other.service.restore(serde_json::from_str(&snapshot).unwrap()).unwrap();
    other.register("dev-01", KEY);
    assert_eq!(call(&mut other).url.expose(), URL);
    assert!(!format!("{:?}", world.service.enrollment("dev-01")).contains("c2VjcmV0"));
}
