//! `docs/events.schema.json` describes every member of every event. Only the keywords that the schema uses are checked.

#![allow(unreachable_pub, reason = "a module of a test program")]

use std::sync::LazyLock;

use dps_emulator::{EventFilter, RefusalReason};
use serde_json::Value;

use crate::common::document;

/// `None` in the published package, which is without the documents.
static SCHEMA: LazyLock<Option<Value>> =
    LazyLock::new(|| document("events.schema.json").map(|text| serde_json::from_str(&text).unwrap()));

/// Checks an event against the schema. A member that the schema does not describe is an error.
pub fn check(event: &Value) {
    let Some(schema) = &*SCHEMA else { return };
    if let Err(error) = valid(schema, schema, event, "event") {
        panic!("{error}: {event}");
    }
}

fn valid(root: &Value, schema: &Value, value: &Value, place: &str) -> Result<(), String> {
    if let Some(name) = schema["$ref"].as_str() {
        let target = root.pointer(name.trim_start_matches('#')).ok_or(format!("{name} does not exist"))?;
        return valid(root, target, value, place);
    }
    let is_type = match schema["type"].as_str() {
        Some("object") => value.is_object(),
        Some("array") => value.is_array(),
        Some("string") => value.is_string(),
        Some("boolean") => value.is_boolean(),
        Some("integer") => value.is_i64() || value.is_u64(),
        None => true,
        Some(other) => return Err(format!("unknown type {other}")),
    };
    if !is_type {
        return Err(format!("{place} is not of the type {}", schema["type"]));
    }
    if schema["enum"].as_array().is_some_and(|allowed| !allowed.contains(value)) {
        return Err(format!("{place} has a value that the schema does not have"));
    }
    if let Some(properties) = schema["properties"].as_object() {
        for (name, value) in value.as_object().into_iter().flatten() {
            let schema = properties.get(name).ok_or(format!("{place}.{name} is not in the schema"))?;
            valid(root, schema, value, &format!("{place}.{name}"))?;
        }
    }
    let required = schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str);
    if let Some(missing) = required.into_iter().find(|name| value.get(name).is_none()) {
        return Err(format!("{place}.{missing} is missing"));
    }
    let items = value.as_array().into_iter().flatten();
    items.into_iter().try_for_each(|item| valid(root, &schema["items"], item, &format!("{place}[]")))
}

#[test]
fn schema_has_every_kind_and_every_reason() {
    let Some(schema) = &*SCHEMA else { return };
    let names = |place: &str| -> Vec<&str> {
        schema.pointer(place).unwrap()["enum"].as_array().unwrap().iter().filter_map(Value::as_str).collect()
    };
    assert_eq!(names("/properties/kind"), EventFilter::kinds().collect::<Vec<_>>());
    let reasons: Vec<&str> = RefusalReason::ALL.iter().map(|reason| reason.name()).collect();
    assert_eq!(names("/properties/reason"), reasons);
}
