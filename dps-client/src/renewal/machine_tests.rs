//! Renewals in virtual time, as `vectors/renewal.json` describes them.

use serde_json::Value;

use super::*;

/// One conversation of the vectors.
struct Scenario<'a> {
    row: &'a Value,
    machine: Machine,
    now: u64,
    /// The requests that were published: request id, and what it replaces.
    published: Vec<(String, Option<String>)>,
}

impl<'a> Scenario<'a> {
    fn new(row: &'a Value) -> Self {
        let on_conflict = match row["onConflict"].as_str() {
            Some("fail") => OnConflict::Fail,
            _ => OnConflict::Replace,
        };
        let limits =
            Limits { deadline: row["deadlineMs"].as_u64().unwrap_or(120_000), answer: Duration::from_secs(30) };
        let mut machine = Machine::new("dev-01", "AAAA".into(), on_conflict, limits, 0xabc).without_jitter();
        machine.connected(0);
        let mut scenario = Self { row, machine, now: 0, published: Vec::new() };
        scenario.poll();
        scenario
    }

    fn name(&self) -> &str {
        self.row["name"].as_str().unwrap()
    }

    /// Publishes what is due, and returns until when the machine waits.
    fn poll(&mut self) -> Option<u64> {
        loop {
            match self.machine.poll(self.now) {
                Action::Publish { topic, payload } => {
                    let id = topic.strip_prefix("$iothub/credentials/POST/issueCertificate/?$rid=").unwrap();
                    assert!(answer::is_request_id(id), "{id}");
                    let body: Value = serde_json::from_str(&payload).unwrap();
                    assert_eq!((&body["id"], &body["csr"]), (&"dev-01".into(), &"AAAA".into()));
                    let replace = body["replace"].as_str().map(str::to_owned);
                    assert_eq!(body.as_object().unwrap().len(), 2 + usize::from(replace.is_some()));
                    self.published.push((id.to_owned(), replace));
                }
                Action::Wait { until } => {
                    assert!(until > self.now, "{}: it waits for the past", self.name());
                    return Some(until);
                }
                Action::Reconnect => self.machine.connected(self.now),
                Action::Finished => return None,
            }
        }
    }

    /// Lets time pass, and polls whenever the machine asks for it.
    fn wait(&mut self, until: u64) {
        while let Some(next) = self.poll().filter(|next| *next <= until) {
            self.now = next;
        }
        self.now = self.now.max(until);
        self.poll();
    }

    /// `$1` is the id of the first request that was published, and so on.
    fn with_ids(&self, text: &str) -> String {
        let numbered = self.published.iter().enumerate();
        numbered.fold(text.to_owned(), |text, (index, (id, _))| text.replace(&format!("${}", index + 1), id))
    }

    fn step(&mut self, step: &Value) {
        if let Some(ms) = step["waitMs"].as_u64() {
            return self.wait(self.now + ms);
        }
        if step["reconnect"] == true {
            self.machine.connected(self.now);
            self.poll();
            return;
        }
        let topic = match step["topic"].as_str() {
            Some(topic) => self.with_ids(topic),
            None => {
                let id = self.with_ids(step["rid"].as_str().unwrap());
                format!("$iothub/credentials/res/{}/?$rid={id}", step["status"])
            }
        };
        let body = match &step["body"] {
            Value::String(text) => text.clone(),
            Value::Null => String::new(),
            object => object.to_string(),
        };
        let body = self.with_ids(&body);
        self.machine.handle(self.now, &topic, body.as_bytes());
        self.poll();
    }

    fn check(mut self) {
        for step in self.row["steps"].as_array().unwrap() {
            self.step(step);
        }
        let expect = &self.row["expect"];
        let published: Vec<Option<String>> = self.published.iter().map(|(_, replace)| replace.clone()).collect();
        let expected = expect["replace"].as_array().unwrap();
        let expected: Vec<Option<String>> =
            expected.iter().map(|replace| replace.as_str().map(|text| self.with_ids(text))).collect();
        let name = self.name().to_owned();
        assert_eq!(published, expected, "{name}: what was published");
        if let Some(same) = expect["sameIds"].as_bool() {
            let all_same = self.published.windows(2).all(|pair| pair[0].0 == pair[1].0);
            assert_eq!(all_same, same, "{name}: {:?}", self.published);
        }
        let finished = self.poll().is_none();
        match (expect["certificates"].as_u64(), expect["error"].as_str()) {
            (Some(count), _) => {
                assert!(finished, "{name}");
                assert_eq!(self.machine.into_outcome().unwrap().len() as u64, count, "{name}");
            }
            (None, Some(code)) => {
                assert!(finished, "{name}");
                let error = self.machine.into_outcome().unwrap_err();
                assert_eq!(error.name(), code, "{name}");
                let facts = (error.http_status().map(u64::from), error.error_code().map(u64::from));
                assert_eq!(facts, (expect["status"].as_u64(), expect["errorCode"].as_u64()), "{name}");
                let retry_ms = error.retry_after().map(|wait| wait.as_millis() as u64);
                assert_eq!(retry_ms, expect["retryAfterMs"].as_u64(), "{name}");
            }
            (None, None) => assert!(!finished, "{name}: it ended"),
        }
    }
}

#[test]
fn renewal_scenarios_end_as_the_vectors_say() {
    // The published package is without them.
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../vectors");
    if !folder.is_dir() {
        return;
    }
    let vectors: Value = serde_json::from_slice(&std::fs::read(folder.join("renewal.json")).unwrap()).unwrap();
    let rows = vectors["scenarios"].as_array().unwrap();
    assert!(rows.len() >= 25);
    for row in rows {
        Scenario::new(row).check();
    }
}

#[test]
fn repeated_failures_double_the_wait_up_to_a_limit() {
    let limits = Limits { deadline: u64::MAX, answer: Duration::from_secs(30) };
    let mut machine = Machine::new("dev-01", "AAAA".into(), OnConflict::Replace, limits, 1).without_jitter();
    machine.connected(0);
    let (mut now, mut waits) = (0, Vec::new());
    for _ in 0..9 {
        assert!(matches!(machine.poll(now), Action::Publish { .. }));
        let topic = format!("$iothub/credentials/res/429/?$rid={}", machine.request_id());
        machine.handle(now, &topic, br#"{"errorCode":429002}"#);
        let Action::Wait { until } = machine.poll(now) else { panic!("it does not wait") };
        waits.push((until - now) / 1000);
        now = until;
    }
    assert_eq!(waits, [1, 2, 4, 8, 16, 32, 64, 64, 64]);
}

/// The waits of machines with different seeds after one answer, in milliseconds.
fn waits_after(status: u16, body: &str) -> Vec<u64> {
    let wait = |seed| {
        let limits = Limits { deadline: u64::MAX, answer: Duration::from_secs(30) };
        let mut machine = Machine::new("dev-01", "AAAA".into(), OnConflict::Replace, limits, seed);
        machine.connected(0);
        machine.poll(0);
        let topic = format!("$iothub/credentials/res/{status}/?$rid={}", machine.request_id());
        machine.handle(0, &topic, body.as_bytes());
        let Action::Wait { until } = machine.poll(0) else { panic!("it does not wait") };
        until
    };
    (0..200).map(wait).collect()
}

#[test]
fn waits_are_jittered_and_never_shorter_than_the_hub_states() {
    for (status, body, shortest, longest) in [
        (429, "{}", 1000, 2000),
        (503, "{}", 5000, 10_000),
        (500, r#"{"errorCode":500001}"#, 300_000, 600_000),
        (429, r#"{"retryAfter":30}"#, 30_000, 36_000),
    ] {
        let waits = waits_after(status, body);
        assert!(waits.iter().all(|wait| (shortest..=longest).contains(wait)), "{status} {body}: {waits:?}");
        let middle = shortest.midpoint(longest);
        assert!(waits.iter().any(|wait| *wait < middle), "{status} {body}: {waits:?}");
        assert!(waits.iter().any(|wait| *wait > middle), "{status} {body}: {waits:?}");
    }
}

#[test]
fn reconnect_waits_are_jittered_and_grow_up_to_a_minute() {
    let limits = Limits { deadline: u64::MAX, answer: Duration::from_secs(30) };
    let mut machine = Machine::new("dev-01", "AAAA".into(), OnConflict::Replace, limits, 1);
    for (broken, seconds) in [(0, 1), (1, 2), (5, 32), (6, 60), (u32::MAX, 60)] {
        let waits: Vec<Duration> = (0..200).map(|_| machine.reconnect_wait(broken)).collect();
        let longest = Duration::from_secs(seconds);
        assert!(waits.iter().all(|wait| *wait <= longest), "{broken}: {waits:?}");
        assert!(waits.iter().any(|wait| *wait > longest / 2), "{broken}: {waits:?}");
        assert!(waits.iter().any(|wait| *wait < longest / 2), "{broken}: {waits:?}");
    }
}
