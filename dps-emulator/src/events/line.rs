//! An event in one line, for people. Made from its JSON, so that a program can show the events of an emulator of another
//! version.

use std::fmt;

use serde_json::Value;

use super::Event;

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&event_line(&serde_json::to_value(self).unwrap_or_default()))
    }
}

/// Returns an event, which is given as JSON, in one line. Control characters that a client has sent are escaped.
///
/// ```
/// use serde_json::json;
///
/// let event = json!({
///     "seq": 7, "timestampUtc": "2026-01-02T03:04:05.1230000Z", "kind": "exchange", "transport": "https",
///     "registrationId": "dev-01", "call": "poll", "status": 202, "waitToldSeconds": 3, "waitedMs": 900, "earlyByMs": 2100,
/// });
/// assert_eq!(
///     dps_emulator::event_line(&event),
///     "03:04:05.123 https dev-01 poll: 202, 2.1 s too early, told to wait 3 s",
/// );
/// ```
#[must_use]
pub fn event_line(event: &Value) -> String {
    let text = |member: &str| event[member].as_str();
    let time = text("timestampUtc").and_then(|time| time.get(11..23)).unwrap_or("?");
    let connection = event["connection"]["id"].as_u64().map(|id| format!("#{id}")).unwrap_or_default();
    let mut line = format!("{time} {}{connection}", text("transport").unwrap_or("?"));
    if let Some(id) = text("registrationId") {
        line.push_str(&format!(" {id}"));
    }
    line.push(' ');
    match text("kind").unwrap_or_default() {
        "connection" => line.push_str(&connected(event)),
        "disconnection" => line.push_str(&format!("disconnected after {}{}", seconds(event, "lastedMs"), why(event))),
        "exchange" | "refusal" => line.push_str(&exchange(event)),
        "hub-sign-in" => line.push_str(&signed_in(event)),
        "fault" => {
            let (fault, at) = (text("fault").unwrap_or("?"), text("at").unwrap_or("?"));
            line.push_str(&format!("met the planned fault {fault} at {at}"));
        }
        other => line.push_str(&format!("{other}{}", why(event))),
    }
    printable(&line)
}

fn connected(event: &Value) -> String {
    let connection = &event["connection"];
    let text = |member: &str| connection[member].as_str();
    let mut line = match text("peer") {
        Some(peer) => format!("connected from {peer}"),
        None => "connected".to_owned(),
    };
    if let Some(version) = text("tlsVersion") {
        line.push_str(&format!(", TLS {version} {}", text("cipherSuite").unwrap_or_default()));
    }
    if let Some(name) = text("serverName") {
        line.push_str(&format!(", SNI {name}"));
    }
    if let Some(subject) = connection["clientCertificate"]["subjectName"].as_str() {
        line.push_str(&format!(", certificate {subject}"));
    }
    if let Some(failure) = event["message"].as_str() {
        line.push_str(&format!("; the TLS handshake failed: {failure} (handshake-failed)"));
    }
    line
}

fn exchange(event: &Value) -> String {
    let text = |member: &str| event[member].as_str();
    let status = event["status"].as_u64().map_or("no reply".to_owned(), |status| status.to_string());
    let mut line = format!("{}: {status}", text("call").unwrap_or("?"));
    if let Some(code) = event["code"].as_u64() {
        line.push_str(&format!(" ({code})"));
    }
    let state = &event["reply"];
    if let Some(status) = state["status"].as_str() {
        line.push_str(&format!(" {status}"));
    }
    if let Some(hub) = state["registrationState"]["assignedHub"].as_str() {
        line.push_str(&format!(" to {hub}"));
    }
    if event["earlyByMs"].as_u64().is_some_and(|early| early > 0) {
        line.push_str(&format!(", {} too early", seconds(event, "earlyByMs")));
    }
    if let Some(wait) = event["waitToldSeconds"].as_i64() {
        line.push_str(&format!(", told to wait {wait} s"));
    }
    line + &why(event) + &credential(event)
}

fn signed_in(event: &Value) -> String {
    let hub = event["hub"].as_str().unwrap_or("?");
    match event["reason"].as_str() {
        Some(_) => format!("not signed in to {hub}{}{}", why(event), credential(event)),
        None => format!("signed in to {hub}"),
    }
}

/// The reason, if something was refused.
fn why(event: &Value) -> String {
    match (event["message"].as_str(), event["reason"].as_str()) {
        (Some(message), Some(reason)) => format!(": {} ({reason})", message.trim_end_matches('.')),
        _ => String::new(),
    }
}

/// What was wrong with the credential, where that explains the reason.
fn credential(event: &Value) -> String {
    let token = &event["token"];
    let text = |member: &str| token[member].as_str().unwrap_or("?");
    match event["reason"].as_str().unwrap_or_default() {
        "intermediate-missing" | "root-not-verified" => {
            event["missingIssuer"].as_str().map(|issuer| format!(", missing: {issuer}")).unwrap_or_default()
        }
        _ if token.is_null() => String::new(),
        "wrong-resource" => format!(", it is for {}", text("resource")),
        "wrong-key-name" => format!(", skn is {}", text("keyName")),
        "expired" => format!(", it ended {}", text("expiresUtc")),
        "bad-signature" | "other-device-key" | "group-key-used" | "unknown-registration" => {
            match (text("signedBy"), text("keyOf")) {
                ("nobody", _) => ", signed with no key that the service knows".to_owned(),
                ("group-key", group) => format!(", signed with the key of the group {group}"),
                ("other-device-key", id) => format!(", signed with the key of {id}"),
                (other, _) => format!(", signed with the {}", other.replace('-', " ")),
            }
        }
        _ => String::new(),
    }
}

fn seconds(event: &Value, member: &str) -> String {
    let ms = event[member].as_u64().unwrap_or_default();
    format!("{}.{} s", ms / 1000, ms % 1000 / 100)
}

fn printable(line: &str) -> String {
    let escape = |letter: char| match letter.is_control() {
        true => letter.escape_default().to_string(),
        false => letter.to_string(),
    };
    line.chars().map(escape).collect()
}
