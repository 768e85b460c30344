//! The core's JSON reader compared with `serde_json`: whether it is JSON, and the fields of a reply's body.
#![no_main]

use std::collections::HashMap;
use std::fmt;

use dps_core::internal::schema::find::{find_element, find_string};
use dps_core::internal::schema::json::{self, DEPTH_MAX};
use dps_core::internal::schema::read_body;
use dps_core::{Body, ByteStr, Status};
use libfuzzer_sys::fuzz_target;
use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

fuzz_target!(|data: &[u8]| {
    let valid = json::check(data).map_err(|offset| assert!(offset <= data.len())).is_ok();
    let mut buffer = data.to_vec();
    let mut body = Body::default();
    let is_read = read_body(&mut buffer, &mut body).is_ok();
    // The core limits the nesting; `serde_json` does not when it skips values.
    if nesting(data) > DEPTH_MAX {
        return;
    }
    let text = std::str::from_utf8(data).ok();
    // `serde_json` does not check the characters of values that it skips.
    assert_eq!(valid, text.is_some() && serde_json::from_slice::<IgnoredAny>(data).is_ok());
    let is_object = data.trim_ascii_start().starts_with(b"{");
    assert_eq!(is_read, valid && is_object);
    if let (true, Some(Some(expected))) = (is_read, text.map(Said::by)) {
        let payload = body.payload.clone();
        let mut said = Said::from_body(&body);
        said.payload = payload.map(|range| String::from_utf8(buffer[range].to_vec()).unwrap());
        assert_eq!(said, expected);
    }
    if is_read {
        is_searched(&mut buffer);
    }
});

/// The second walk finds the same in what the first has changed, and again in what it has changed itself.
fn is_searched(body: &mut [u8]) {
    for path in [&["deviceId"][..], &["authenticationKey"], &["registrationState", "tpm", "authenticationKey"]] {
        let found = find_string(body, path);
        assert_eq!(find_string(body, path), found);
        assert!(found.is_none_or(|range| std::str::from_utf8(&body[range]).is_ok()));
    }
    let chain = ["registrationState", "issuedCertificateChain"];
    let found: Vec<_> = (0..4).map(|index| find_element(body, &chain, index)).collect();
    let again: Vec<_> = (0..4).map(|index| find_element(body, &chain, index)).collect();
    assert_eq!(again, found);
}

/// Returns the depth of nested brackets; those in strings are counted too, which only makes it larger.
fn nesting(data: &[u8]) -> usize {
    let (mut depth, mut most) = (0_usize, 0);
    for byte in data {
        match byte {
            b'[' | b'{' => depth += 1,
            b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        most = most.max(depth);
    }
    most
}

/// The fields of a body, owned.
#[derive(Debug, PartialEq)]
struct Said {
    operation_id: Option<String>,
    status: Option<Status>,
    substatus: Option<String>,
    assigned_hub: Option<String>,
    device_id: Option<String>,
    error_code: Option<u32>,
    message: Option<String>,
    tracking_id: Option<String>,
    timestamp: Option<String>,
    payload: Option<String>,
}

impl Said {
    /// All fields but the payload, which is in the buffer.
    fn from_body(body: &Body<'_>) -> Self {
        let owned = |text: Option<ByteStr<'_>>| text.map(|text| text.as_str().to_owned());
        Self {
            operation_id: owned(body.operation_id),
            status: body.status,
            substatus: owned(body.substatus),
            assigned_hub: owned(body.assigned_hub),
            device_id: owned(body.device_id),
            error_code: body.error_code,
            message: owned(body.message),
            tracking_id: owned(body.tracking_id),
            timestamp: owned(body.timestamp),
            payload: None,
        }
    }

    /// As `serde_json` reads it; `None` where a string holds half a surrogate pair, which it refuses and the core
    /// replaces.
    fn by(text: &str) -> Option<Self> {
        let last = Last::parse(text)?;
        let status = last.string("status")?.or(last.string("registrationState/status")?);
        Some(Self {
            operation_id: last.string("operationId")?,
            status: status.map(|word| Status::from_word(&word)),
            substatus: last.string("substatus")?,
            assigned_hub: last.string("assignedHub")?,
            device_id: last.string("deviceId")?,
            error_code: last.number("errorCode").or(last.number("code")),
            message: last.string("errorMessage")?.or(last.string("message")?),
            tracking_id: last.string("trackingId")?,
            timestamp: last.string("timestampUtc")?,
            payload: last.raw("payload").filter(|raw| *raw != "null").map(str::to_owned),
        })
    }
}

/// The last value of each member that is read. Members of the registration state count like those at the top level, except
/// for those that have another meaning there, or no meaning.
struct Last(HashMap<String, Box<RawValue>>);

impl Last {
    fn parse(text: &str) -> Option<Self> {
        let mut last = HashMap::new();
        for (key, value) in members(text)?.into_iter().filter(|(key, _)| !key.contains('/')) {
            if key != "registrationState" || !value.get().starts_with('{') {
                last.insert(key, value);
                continue;
            }
            for (key, value) in members(value.get())? {
                let own = ["status", "operationId", "trackingId", "timestampUtc"].contains(&key.as_str());
                last.insert(if own { format!("registrationState/{key}") } else { key }, value);
            }
        }
        Some(Self(last))
    }

    fn raw(&self, member: &str) -> Option<&str> {
        self.0.get(member).map(|value| value.get())
    }

    fn number(&self, member: &str) -> Option<u32> {
        serde_json::from_str(self.raw(member)?).ok()
    }

    /// The string that a member is, if it is one and not empty; `None` when it is one that cannot be decoded.
    fn string(&self, member: &str) -> Option<Option<String>> {
        let Some(raw) = self.raw(member).filter(|raw| raw.starts_with('"')) else { return Some(None) };
        let string: String = serde_json::from_str(raw).ok()?;
        Some(Some(string).filter(|string| !string.is_empty()))
    }
}

fn members(text: &str) -> Option<Vec<(String, Box<RawValue>)>> {
    serde_json::from_str::<Members>(text).ok().map(|members| members.0)
}

/// An object's members in their order, including duplicate names.
struct Members(Vec<(String, Box<RawValue>)>);

impl<'de> Deserialize<'de> for Members {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct InOrder;
        impl<'de> Visitor<'de> for InOrder {
            type Value = Members;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(InOrder)
    }
}
