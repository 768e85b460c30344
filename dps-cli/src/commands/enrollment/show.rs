//! Prints enrollments: as JSON, unchanged from the service but for keys; as text, the important members in a fixed order.

use std::io::{self, Write};

use serde_json::{Map, Value, json};

use super::certificate_policy;
use crate::admin::{Kind, Registrations};
use crate::failure::{Exit, Result};
use crate::output::Output;

/// Prints one enrollment, with the registrations of its devices where it is a group.
pub(super) fn enrollment(
    kind: Kind,
    enrollment: Value,
    registrations: Option<Registrations>,
    output: Output,
) -> Result<Exit> {
    let mut result = Map::new();
    result.insert(kind.member().into(), enrollment);
    if let Some(registrations) = registrations {
        result.insert("registrations".into(), registrations.items.into());
        result.insert("moreRegistrations".into(), registrations.more.into());
    }
    output.result(&result, |out| {
        one(kind, &result[kind.member()], out)?;
        let registrations = result.get("registrations").and_then(Value::as_array);
        for state in registrations.into_iter().flatten() {
            registration(state, out)?;
        }
        if result.get("moreRegistrations") == Some(&json!(true)) {
            writeln!(out, "  … and more registrations")?;
        }
        Ok(())
    })?;
    Ok(Exit::Done)
}

/// Prints a list, one line per enrollment.
pub(super) fn list(kind: Kind, enrollments: Vec<Value>, output: Output) -> Result<Exit> {
    let mut result = Map::new();
    result.insert(format!("{}s", kind.member()), enrollments.into());
    output.result(&result, |out| {
        for enrollment in result.values().filter_map(Value::as_array).flatten() {
            let edge = if is_edge(enrollment) { "  edge-enabled" } else { "" };
            let id = text(enrollment, kind.id_member()).unwrap_or("?");
            let status = text(enrollment, "provisioningStatus").unwrap_or("enabled");
            writeln!(out, "{id}  {status}{edge}")?;
            keys(enrollment, out)?;
        }
        Ok(())
    })?;
    Ok(Exit::Done)
}

fn one(kind: Kind, enrollment: &Value, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "{} {}", kind.name(), text(enrollment, kind.id_member()).unwrap_or("?"))?;
    let mut line = |name: &str, value: &str| writeln!(out, "  {name:<14} {value}");
    line("status", text(enrollment, "provisioningStatus").unwrap_or("enabled"))?;
    if let Some(device_id) = text(enrollment, "deviceId") {
        line("device id", device_id)?;
    }
    line("edge-enabled", if is_edge(enrollment) { "yes" } else { "no" })?;
    if let Some(twin) = enrollment.get("initialTwin") {
        line("initial twin", &twin.to_string())?;
    }
    if let Some(policy) = text(enrollment, "allocationPolicy") {
        let hubs = enrollment.get("iotHubs").and_then(Value::as_array);
        let hubs: Vec<&str> = hubs.into_iter().flatten().filter_map(Value::as_str).collect();
        line("allocation", format!("{policy} {}", hubs.join(", ")).trim_end())?;
    }
    if let Some(url) = enrollment.pointer("/customAllocationDefinition/webhookUrl").and_then(Value::as_str) {
        line("webhook", url)?;
    }
    if let Some(policy) = certificate_policy::shown(enrollment) {
        line("issued by", &policy)?;
    }
    for (name, member) in [("created", "createdDateTimeUtc"), ("updated", "lastUpdatedDateTimeUtc"), ("etag", "etag")] {
        if let Some(value) = text(enrollment, member) {
            line(name, value)?;
        }
    }
    keys(enrollment, out)?;
    certificates(enrollment, out)?;
    if let Some(key) = enrollment.pointer("/attestation/tpm/endorsementKey").and_then(Value::as_str) {
        writeln!(out, "  {:<14} {key}", "TPM")?;
    }
    match enrollment.get("registrationState") {
        Some(state) if state.is_object() => registration(state, out),
        _ => Ok(()),
    }
}

fn keys(enrollment: &Value, out: &mut dyn Write) -> io::Result<()> {
    let Some(keys) = enrollment.pointer("/attestation/symmetricKey") else { return Ok(()) };
    for (name, member) in [("primary key", "primaryKey"), ("secondary key", "secondaryKey")] {
        if let Some(key) = text(keys, member) {
            writeln!(out, "  {name:<14} {key}")?;
        }
    }
    Ok(())
}

/// Writes one line for each certificate, or name of one.
fn certificates(enrollment: &Value, out: &mut dyn Write) -> io::Result<()> {
    let members = enrollment.pointer("/attestation/x509").and_then(Value::as_object);
    for (member, slots) in members.into_iter().flatten() {
        for slot in ["primary", "secondary"] {
            let Some(value) = slots.get(slot).filter(|value| !value.is_null()) else { continue };
            match (member.as_str(), value.as_str(), value.get("info")) {
                (_, Some(name), _) => writeln!(out, "  {:<14} {name}", "CA reference")?,
                (_, None, Some(info)) => {
                    let name = if member == "signingCertificates" { "CA certificate" } else { "certificate" };
                    writeln!(out, "  {name:<14} {}", certificate_line(info))?;
                }
                _ => {}
            }
        }
    }
    Ok(())
}

/// Returns what the service shows of a certificate in one line.
pub(crate) fn certificate_line(info: &Value) -> String {
    let part = |member: &str| text(info, member).unwrap_or("?");
    format!("{}, until {}, SHA-256 {}", part("subjectName"), part("notAfterUtc"), part("sha256Thumbprint"))
}

fn registration(state: &Value, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "  {:<14} {}", "registration", registration_line(state))
}

/// Returns one registration in one line.
pub(crate) fn registration_line(state: &Value) -> String {
    let mut line =
        format!("{} {}", text(state, "registrationId").unwrap_or("?"), text(state, "status").unwrap_or("unknown"));
    if let (Some(hub), Some(device_id)) = (text(state, "assignedHub"), text(state, "deviceId")) {
        line.push_str(&format!(": hub {hub}, device id {device_id}"));
    }
    if let Some(message) = text(state, "errorMessage") {
        line.push_str(&format!(": {message}"));
    }
    if let Some(time) = text(state, "lastUpdatedDateTimeUtc") {
        line.push_str(&format!(", {time}"));
    }
    line
}

fn text<'v>(value: &'v Value, member: &str) -> Option<&'v str> {
    value.get(member).and_then(Value::as_str)
}

fn is_edge(enrollment: &Value) -> bool {
    enrollment.pointer("/capabilities/iotEdge").and_then(Value::as_bool).unwrap_or(false)
}
