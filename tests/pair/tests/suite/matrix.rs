//! The fault matrix in virtual time, and whether it is complete.

use std::collections::BTreeSet;
use std::time::Duration;

use dps_emulator::{Fault, FaultPlan, Flood};
use pair::matrix::{Call, Ran, Row, Transport, rehearse, rows};
use serde_json::{Map, Value};

/// Runs every row over every transport, with three latencies: the outcome must not depend on the latency. Rows with a
/// certificate are for real TLS.
#[test]
fn every_fault_has_the_expected_outcome_before_its_deadline() {
    let mut problems = Vec::new();
    let mut runs = 0;
    for row in rows().into_iter().filter(|row| row.certificate.is_none()) {
        for transport in &row.transports {
            for latency in [0, 5, 100] {
                let ran = rehearse(&row, *transport, latency);
                runs += 1;
                if let Some(problem) = ran.problem(&row, *transport, Duration::ZERO) {
                    problems.push(format!("{} over {} at {latency} ms: {problem}", row.id, transport.name()));
                }
            }
        }
    }
    assert!(problems.is_empty(), "{} of {runs}:\n{}", problems.len(), problems.join("\n"));
}

#[test]
fn other_or_late_ends_are_reported() {
    let rows = rows();
    let row = &rows[0];
    let over = row.transports[0];
    let ran = rehearse(row, over, 5);
    assert_eq!(ran.problem(row, over, Duration::ZERO), None);
    let late = Ran { took: row.client.deadline() + Duration::from_millis(1), ..ran.clone() };
    assert!(
        late.problem(row, over, Duration::ZERO).is_some() && late.problem(row, over, Duration::from_secs(1)).is_none()
    );
    let mut other = ran;
    other.ending.requests.poll += 1;
    assert!(other.problem(row, over, Duration::ZERO).is_some());
}

#[test]
fn ids_are_unique_and_rows_are_explained() {
    let rows = rows();
    let ids: BTreeSet<&str> = rows.iter().map(|row| row.id.as_str()).collect();
    assert_eq!(ids.len(), rows.len());
    for row in &rows {
        assert!(row.id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-'), "{}", row.id);
        assert!(row.about.ends_with('.') && !row.transports.is_empty(), "{}", row.id);
    }
}

#[test]
fn errors_and_hints_are_those_of_the_catalogue() {
    let catalogue: Value = serde_json::from_str(include_str!("../../../../vectors/errors.json")).unwrap();
    let listed = |list: &str, wanted: &dyn Fn(&Value) -> bool| catalogue[list].as_array().unwrap().iter().any(wanted);
    for row in rows() {
        let ending = row.expected(row.transports[0]);
        let (error, number, hint) = ending.names();
        let known =
            |entry: &Value| entry["name"].as_str() == error && entry["number"].as_u64() == number.map(u64::from);
        assert_eq!(listed("errors", &known), !ending.recovers, "{}: {ending}", row.id);
        let known = |entry: &Value| entry["name"].as_str() == hint;
        assert_eq!(listed("hints", &known), !ending.recovers, "{}: {ending}", row.id);
    }
}

/// Each kind of fault, at each point of the conversation where it can happen, over each transport that has that point. No
/// device of the matrix has a TPM, or requests a certificate of its hub.
#[test]
fn every_fault_kind_and_call_is_covered() {
    let rows = rows();
    let mut missing = Vec::new();
    for (kind, meaning) in FaultPlan::kinds().filter(|(_, meaning)| !meaning.starts_with("TPM:")) {
        let places = FaultPlan::requests().filter(|place| !["any", "renew", "issue"].contains(place));
        for place in places.filter(|place| is_possible(&rows, kind, place)) {
            for transport in [Transport::Https, Transport::Mqtt, Transport::MqttWs] {
                let https = transport == Transport::Https;
                let never = match place {
                    "connect" | "subscribe" => https,
                    "lookup" => !https,
                    _ => https && meaning.starts_with("MQTT:"),
                };
                let met = |row: &Row| {
                    row.transports.contains(&transport) && row.plans.iter().any(|plan| is(plan, kind, place))
                };
                if !never && !rows.iter().any(met) {
                    missing.push(format!("{kind} at {place} over {}", transport.name()));
                }
            }
        }
    }
    assert!(missing.is_empty(), "{missing:#?}");
}

/// Each flood instead of the answer to a registration and a poll, and of MQTT also while the client waits; once, so that
/// the client recovers, or always, so that it has to end.
#[test]
fn floods_are_bounded_during_an_exchange_and_during_a_wait() {
    let rows = rows();
    let mut missing = Vec::new();
    for of in Flood::names() {
        for (place, answered) in [("register", false), ("poll", false), ("register", true)] {
            let met = |fault: &Fault| matches!(fault, Fault::Flood { of: met, answered: after } if met.name() == of && *after == answered);
            let plans = || rows.iter().flat_map(|row| &row.plans).filter(|plan| member(plan, "at") == place);
            let of_http = ["interim-responses", "header-lines", "chunks"].contains(&of);
            let never = answered && of_http;
            if !never && !plans().any(|plan| met(plan.fault())) {
                missing.push(format!("{of} at {place}, answered {answered}"));
            }
        }
    }
    assert!(missing.is_empty(), "{missing:#?}");
    assert!(rows.iter().filter(|row| row.is_flood_that_lasts()).count() >= 7);
}

/// Whether a plan of this kind can be made for this place: one of the table, moved there, or one without members of its own.
fn is_possible(rows: &[Row], kind: &str, place: &str) -> bool {
    let mut plans = rows.iter().flat_map(|row| &row.plans);
    let planned = plans.find(|plan| member(plan, "kind") == kind).map(|plan| Map::from(plan.clone()));
    let mut object = planned.unwrap_or_else(|| Map::from_iter([("kind".to_owned(), kind.into())]));
    object.insert("at".into(), place.into());
    FaultPlan::try_from(object).is_ok()
}

fn is(plan: &FaultPlan, kind: &str, place: &str) -> bool {
    member(plan, "kind") == kind && member(plan, "at") == place
}

fn member(plan: &FaultPlan, name: &str) -> Value {
    Map::from(plan.clone()).remove(name).unwrap_or_default()
}

#[test]
fn only_https_looks_up() {
    for row in rows().iter().filter(|row| row.call == Call::Lookup) {
        assert_eq!(row.transports, [Transport::Https], "{}", row.id);
    }
}
