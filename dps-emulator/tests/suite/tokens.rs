//! Tokens as real clients write them, and tokens that must be refused.

use crate::common::{
    self, GROUP_KEY, KEY, OTHER_KEY, SCOPE, START_S, World, device_token, encode, json, key, refused, sign, token,
};
use dps_emulator::{EnrollmentGroup, IndividualEnrollment, RefusalReason, ServiceOptions};

fn reason(world: &World) -> RefusalReason {
    world.service.refusals().last().unwrap().reason
}

fn register(world: &mut World, token: &str) -> u16 {
    world.wait(100);
    world.register_with("dev-01", token, "{}").status
}

#[test]
fn token_resource_in_every_encoding_is_accepted() {
    let mut world = World::with_device();
    let end = START_S + 3600;
    for sr in [
        format!("{SCOPE}%2Fregistrations%2Fdev-01"),
        format!("{SCOPE}%2fregistrations%2fdev-01"),
        format!("{SCOPE}/registrations/dev-01"),
        format!("{SCOPE}%2Fregistrations%2Fdev%2D01"),
        format!("{}%2fregistrations%2fdev-01", SCOPE.to_lowercase()),
        format!("{SCOPE}%2FREGISTRATIONS%2FDEV-01"),
    ] {
        for tail in ["&skn=registration", "&skn=", "", "&new=1"] {
            assert_eq!(register(&mut world, &token(KEY, &sr, end, tail)), 202, "{sr} {tail}");
        }
    }
}

#[test]
fn token_members_in_any_order_are_accepted() {
    let mut world = World::with_device();
    let (sr, end) = (format!("{SCOPE}%2Fregistrations%2Fdev-01"), START_S + 3600);
    let raw = sign(KEY, &format!("{sr}\n{end}"));
    let lower = encode(&raw).replace("%2B", "%2b").replace("%2F", "%2f").replace("%3D", "%3d");
    for signature in [&raw, &encode(&raw), &lower, raw.trim_end_matches('=')] {
        let token = format!("SharedAccessSignature sig={signature}&se={end}&skn=registration&sr={sr}");
        assert_eq!(register(&mut world, &token), 202, "{signature}");
    }
}

#[test]
fn plus_in_an_unencoded_signature_stays_a_plus() {
    let mut world = World::with_device();
    let sr = format!("{SCOPE}%2Fregistrations%2Fdev-01");
    let with_plus = |end: &u64| sign(KEY, &format!("{sr}\n{end}")).contains('+');
    let end = (START_S + 60..START_S + 3600).find(with_plus).unwrap();
    let bare = format!("SharedAccessSignature sr={sr}&sig={}&se={end}", sign(KEY, &format!("{sr}\n{end}")));
    assert_eq!(register(&mut world, &bare), 202);
    assert_eq!(register(&mut world, &bare.replace('+', " ")), 401);
}

#[test]
fn either_key_of_an_individual_enrollment_is_accepted() {
    let mut world = World::new(ServiceOptions::new());
    world.enroll(IndividualEnrollment::new("dev-01").primary_key(key(KEY)).secondary_key(key(OTHER_KEY)));
    for one in [KEY, OTHER_KEY] {
        world.wait(100);
        assert_eq!(world.register("dev-01", one).status, 202);
    }
}

#[test]
fn refused_tokens_have_a_reason() {
    let mut world = World::with_device();
    let (end, good_sr) = (START_S + 3600, format!("{SCOPE}%2Fregistrations%2Fdev-01"));
    let another = format!("{SCOPE}%2Fregistrations%2Fdev-02");
    let hub = "hub-a.test%2Fdevices%2Fdev-01";
    let longer = format!("{good_sr}%2Fregister");
    for (token, why) in [
        (token(OTHER_KEY, &good_sr, end, ""), RefusalReason::BadSignature),
        (token(KEY, &another, end, ""), RefusalReason::WrongResource),
        (token(KEY, hub, end, ""), RefusalReason::WrongResource),
        (token(KEY, &longer, end, ""), RefusalReason::WrongResource),
        (token(KEY, &good_sr, end, "&skn=provisioningserviceowner"), RefusalReason::WrongKeyName),
        (token(KEY, &good_sr, START_S - 1, ""), RefusalReason::Expired { for_ms: 1100 }),
        ("Bearer abc".into(), RefusalReason::Malformed),
        (String::new(), RefusalReason::Malformed),
    ] {
        world.ms = 0;
        let reply = {
            world.wait(100);
            world.register_with("dev-01", &token, "{}")
        };
        assert_eq!(refused(&reply), (401, 401_002));
        assert_eq!(json(&reply)["message"], "Unauthorized");
        assert_eq!(reason(&world), why);
    }
    let path = format!("/{SCOPE}/registrations/dev-01/register?api-version=2021-06-01");
    assert_eq!(refused(&world.send("PUT", &path, &[], b"{}")), (401, 401_002));
    assert_eq!(reason(&world), RefusalReason::NoToken);
    let elsewhere = path.replace(SCOPE, "0neFFFFFFFF");
    let sr = "0neFFFFFFFF%2Fregistrations%2Fdev-01";
    let reply = world.send("PUT", &elsewhere, &[("Authorization", &token(KEY, sr, end, ""))], b"{}");
    assert_eq!(refused(&reply), (401, 401_002));
    assert_eq!(reason(&world), RefusalReason::WrongIdScope);
    assert_eq!(refused(&world.register("dev-99", KEY)), (401, 401_002));
    assert_eq!(reason(&world), RefusalReason::UnknownRegistration);
    assert!(world.service.record("dev-01").is_none());
}

#[test]
fn token_changed_after_signing_is_refused() {
    let mut world = World::with_device();
    let good = device_token(KEY, "dev-01", START_S + 100);
    assert_eq!(register(&mut world, &good.replace(&(START_S + 100).to_string(), &(START_S + 9999).to_string())), 401);
    // The signature covers the literal text: the same resource in another encoding is another text.
    assert_eq!(register(&mut world, &good.replace("%2F", "%2f")), 401);
    assert_eq!(register(&mut world, &good), 202);
}

#[test]
fn group_key_is_refused_as_device_key() {
    let mut world = World::new(ServiceOptions::new());
    let now = world.now();
    world.service.put_group(now, EnrollmentGroup::new("line").primary_key(key(GROUP_KEY))).unwrap();
    assert_eq!(refused(&world.register("dev-01", GROUP_KEY)), (401, 401_002));
    assert_eq!(reason(&world), RefusalReason::GroupKeyUsed);
}

#[test]
fn token_expiry_uses_the_services_clock() {
    // The device's clock is two hours behind the service's: its token of one hour has expired. Two hours ahead is fine.
    let mut world = World::with_device();
    world.wall_offset_ms = 2 * 3600 * 1000;
    assert_eq!(refused(&world.register("dev-01", KEY)), (401, 401_002));
    assert_eq!(reason(&world), RefusalReason::Expired { for_ms: 3600 * 1000 });
    world.wall_offset_ms = -2 * 3600 * 1000;
    assert_eq!(world.register("dev-01", KEY).status, 202);
}

#[test]
fn clock_skew_option_allows_expired_tokens() {
    let mut world = World::new(ServiceOptions::new().clock_skew_ms(5 * 60_000));
    world.enroll(IndividualEnrollment::new("dev-01").primary_key(key(KEY)));
    assert_eq!(register(&mut world, &device_token(KEY, "dev-01", START_S - 299)), 202);
    assert_eq!(register(&mut world, &device_token(KEY, "dev-01", START_S - 301)), 401);
}

#[test]
fn expiry_on_polls_is_checked_only_on_request() {
    for check in [false, true] {
        let mut world = World::new(ServiceOptions::new().check_expiry_on_poll(check).assigning_ms(60_000));
        world.enroll(IndividualEnrollment::new("dev-01").primary_key(key(KEY)));
        let token = device_token(KEY, "dev-01", START_S + 30);
        let operation = common::operation_id(&world.register_with("dev-01", &token, "{}"));
        world.wait(31_000);
        let path = format!("/{SCOPE}/registrations/dev-01/operations/{operation}?api-version=2021-06-01");
        let status = world.send("GET", &path, &[("Authorization", &token)], b"").status;
        assert_eq!(status, if check { 401 } else { 202 });
        // The signature is always checked, and so is a register call.
        let forged = device_token(OTHER_KEY, "dev-01", START_S + 3600);
        assert_eq!(world.send("GET", &path, &[("Authorization", &forged)], b"").status, 401);
        assert_eq!(world.register_with("dev-01", &token, "{}").status, 401);
    }
}

#[test]
fn registration_ids_with_special_characters_are_accepted() {
    let mut world = World::new(ServiceOptions::new());
    let id = "dev_1.a:b-c";
    world.enroll(IndividualEnrollment::new(id).primary_key(key(KEY)));
    assert_eq!(world.register(id, KEY).status, 202);
    let end = START_S + 3600;
    for (path_id, sr_id) in [("dev_1.a%3Ab-c", "dev_1.a:b-c"), ("dev_1.a:b-c", "dev_1.a%3ab-c")] {
        world.wait(100);
        let sr = format!("{SCOPE}%2Fregistrations%2F{sr_id}");
        assert_eq!(world.register_with(path_id, &token(KEY, &sr, end, ""), "").status, 202);
    }
}
