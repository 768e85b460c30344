//! An enrollment in the service's shape, from the words of the command line.

use serde_json::{Map, Value, json};

use crate::admin::Kind;
use crate::args::{CreateArgs, Reprovision};
use crate::failure::{Failure, Result};
use crate::key::read_key_file;

/// The body that creates the enrollment. Reads the key files, if any are named.
pub(super) fn definition(kind: Kind, id: &str, device_id: Option<&str>, args: &CreateArgs) -> Result<Value> {
    let mut body = json!({
        "capabilities": { "iotEdge": args.edge_enabled },
        "provisioningStatus": if args.disabled { "disabled" } else { "enabled" },
        "reprovisionPolicy": reprovision_policy(args.reprovision),
    });
    body[kind.id_member()] = id.into();
    if let Some(device_id) = device_id {
        body["deviceId"] = device_id.into();
    }
    if let Some(twin) = initial_twin(args)? {
        body["initialTwin"] = twin;
    }
    match args.hubs.as_slice() {
        [] => {}
        [_] => body["allocationPolicy"] = "static".into(),
        _ => body["allocationPolicy"] = "hashed".into(),
    }
    if !args.hubs.is_empty() {
        body["iotHubs"] = args.hubs.clone().into();
    }
    body["attestation"] = attestation(args)?;
    Ok(body)
}

fn attestation(args: &CreateArgs) -> Result<Value> {
    let mut attestation = json!({ "type": "symmetricKey" });
    if let (Some(primary), Some(secondary)) = (&args.primary_key_file, &args.secondary_key_file) {
        let primary = read_key_file(primary, "the primary key")?;
        let secondary = read_key_file(secondary, "the secondary key")?;
        attestation["symmetricKey"] = json!({ "primaryKey": primary.expose(), "secondaryKey": secondary.expose() });
    }
    Ok(attestation)
}

fn reprovision_policy(policy: Reprovision) -> Value {
    let (update, migrate) = match policy {
        Reprovision::Migrate => (true, true),
        Reprovision::Reset => (true, false),
        Reprovision::Never => (false, false),
    };
    json!({ "updateHubAssignment": update, "migrateDeviceData": migrate })
}

fn initial_twin(args: &CreateArgs) -> Result<Option<Value>> {
    let mut twin = Map::new();
    if let Some(tags) = &args.initial_twin_tags {
        twin.insert("tags".into(), object("--initial-twin-tags", tags)?);
    }
    if let Some(desired) = &args.initial_twin_properties {
        twin.insert("properties".into(), json!({ "desired": object("--initial-twin-properties", desired)? }));
    }
    Ok(if twin.is_empty() { None } else { Some(Value::Object(twin)) })
}

fn object(option: &str, text: &str) -> Result<Value> {
    let wrong = |problem: &str| {
        Failure::option(format!(
            r#"{option} cannot be used: {problem}; give one JSON object, such as '{{"site":"a"}}'"#
        ))
    };
    match serde_json::from_str(text) {
        Ok(value @ Value::Object(_)) => Ok(value),
        Ok(_) => Err(wrong("it is JSON, but no object")),
        Err(error) => Err(wrong(&error.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_objects_are_twins() {
        assert!(object("--x", r#"{"a":1}"#).is_ok());
        for text in ["[]", "1", "{", "", r#"{"a":1}x"#] {
            let failure = object("--x", text).unwrap_err();
            assert!(failure.message.starts_with("--x cannot be used"), "{}", failure.message);
        }
    }
}
