//! The data in `vectors/`, through this service's own derivation and verification. A program of its own, since it reads
//! files outside of this crate: the package leaves it out.

#[path = "suite/common.rs"]
mod common;

use common::{World, key, token};
use dps_emulator::{IndividualEnrollment, Service, ServiceOptions, SymmetricKey};
use serde_json::Value;

fn data(name: &str) -> Value {
    let path = format!("{}/../vectors/{name}.json", env!("CARGO_MANIFEST_DIR"));
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

fn text<'v>(entry: &'v Value, member: &str) -> &'v str {
    entry[member].as_str().unwrap_or_else(|| panic!("{member} of {entry}"))
}

#[test]
fn derived_keys() {
    let data = data("keys");
    let mut checked = 0;
    for entry in data["positive"].as_array().unwrap().iter().filter(|entry| entry["layer"] == "key") {
        let derived = key(text(entry, "groupKey")).derive(text(entry, "registrationId"));
        assert_eq!(derived.expose(), text(entry, "deviceKey"), "{}", entry["name"]);
        checked += 1;
    }
    assert!(checked >= 5);
}

#[test]
fn refused_keys() {
    for entry in data("refused")["keys"].as_array().unwrap() {
        let name = text(entry, "name");
        // Hexadecimal digits are valid base64 too, and decode to a key of 48 bytes: the service cannot detect that.
        let taken = SymmetricKey::from_base64(text(entry, "text")).is_ok();
        assert_eq!(taken, name == "hex", "{name}");
    }
}

/// The token that a device of each vector would send, one second before it expires.
#[test]
fn device_tokens() {
    let mut checked = 0;
    for entry in data("tokens")["signatures"].as_array().unwrap() {
        let (sr, end) = (text(entry, "sr"), entry["se"].as_u64().unwrap());
        let decoded = sr.replace("%2F", "/").replace("%2f", "/");
        let Some((scope, id)) = decoded.split_once("/registrations/") else { continue };
        if SymmetricKey::from_base64(text(entry, "key")).is_err() {
            continue;
        }
        let mut world = World::new(ServiceOptions::new().id_scope(scope));
        world.wall_offset_ms = ((end - 1) as i64 - common::START_S as i64) * 1000;
        world.enroll(IndividualEnrollment::new(id).primary_key(key(text(entry, "key"))));
        let path = format!("/{scope}/registrations/{id}/register?api-version=2021-06-01");
        let signature = common::encode(text(entry, "signature"));
        let sent = entry["token"]
            .as_str()
            .map_or_else(|| format!("SharedAccessSignature sr={sr}&sig={signature}&se={end}"), str::to_owned);
        assert!(sent.contains(&signature), "{}", entry["name"]);
        assert_eq!(world.send("PUT", &path, &[("Authorization", &sent)], b"").status, 202, "{}", entry["name"]);
        let forged = token(common::GROUP_KEY, sr, end, "");
        assert_eq!(world.send("PUT", &path, &[("Authorization", &forged)], b"").status, 401);
        world.wait(1000);
        assert_eq!(world.send("PUT", &path, &[("Authorization", &sent)], b"").status, 401, "expired");
        checked += 1;
    }
    assert!(checked >= 8, "{checked}");
}

#[test]
fn the_service_token() {
    let data = data("tokens");
    let entry = data["signatures"].as_array().unwrap().iter().find(|entry| entry["name"] == "service").unwrap();
    let options = ServiceOptions::new().host_name(text(entry, "sr")).policy_key(key(text(entry, "key")));
    assert!(Service::new(options.clone()).is_ok());
    let mut world = World::new(options);
    world.wall_offset_ms = -1000;
    let path = "/enrollments/none?api-version=2021-10-01";
    assert_eq!(world.send("GET", path, &[("Authorization", text(entry, "token"))], b"").status, 404);
}
