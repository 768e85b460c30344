//! Reads what an emulator recorded of a device.

use dps_emulator::{Emulator, Event, EventKind, Exchange, RetryAfter};

use crate::seen::{Call, CallKind, Seen};

/// Faults that keep a reply, and so its hint, from the device.
const UNREADABLE: [&str; 8] =
    ["drop-before", "drop-after", "garbage", "noise", "silent", "wrong-request-id", "missing-request-id", "flood"];

/// Returns what the service saw of the device with this registration id.
pub(crate) fn observe(emulator: &Emulator, registration_id: &str) -> Seen {
    emulator.with_service(|service| {
        let record = service.record(registration_id).map(dps_emulator::Record::status);
        let mut seen = Seen { record, ..Seen::default() };
        let mut fault = None;
        for event in service.events() {
            fault = add(&mut seen, event, registration_id, fault);
        }
        seen
    })
}

/// Adds an event. `fault` is the fault that it met; returns the one that the next event meets.
fn add(seen: &mut Seen, event: &Event, registration_id: &str, fault: Option<&'static str>) -> Option<&'static str> {
    let is_own = event.registration_id.as_ref().is_none_or(|id| id.eq_ignore_ascii_case(registration_id));
    match &event.kind {
        EventKind::Fault(met) => return Some(met.fault),
        EventKind::Connection(_) => seen.connections.push(event.monotonic_ms),
        EventKind::Exchange(_) if !is_own => seen.other_id.clone_from(&event.registration_id),
        EventKind::Exchange(exchange) => {
            for place in &exchange.exposed {
                seen.secret_in.push(format!("the {}", place.replace('-', " ")));
            }
            seen.calls.extend(call(exchange, event.monotonic_ms, fault));
        }
        _ => {}
    }
    None
}

fn call(exchange: &Exchange, at_ms: u64, fault: Option<&str>) -> Option<Call> {
    let kind = match exchange.call.as_str() {
        "connect" => CallKind::Connect,
        "subscribe" => CallKind::Subscribe,
        "register" => CallKind::Register,
        "poll" => CallKind::Poll,
        "lookup" => CallKind::Lookup,
        _ => return None,
    };
    let is_readable = fault.is_none_or(|fault| !UNREADABLE.contains(&fault));
    let told_ms = exchange.wait_told.filter(|_| is_readable).and_then(told_ms);
    let token_life_s = exchange.token.as_ref().map(|token| token.expires_in_ms / 1000);
    Some(Call { at_ms, kind, status: exchange.status, is_readable, told_ms, token_life_s })
}

/// A wait in seconds; the service never sends a date, so that a device need not keep one exactly.
fn told_ms(wait: RetryAfter) -> Option<u64> {
    match wait {
        RetryAfter::Seconds(seconds) => Some(u64::from(seconds) * 1000),
        RetryAfter::Date(_) => None,
    }
}
