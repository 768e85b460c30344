//! The scenarios of `vectors/renewal.json` that have `emulator`, over sockets: what the renewal returns, and what the hub recorded.

use std::time::Duration;

use dps_client::{CertificateChain, DpsError, HubRenewal, OnConflict, Transport};
use dps_emulator::{
    At, Emulator, EmulatorOptions, EventFilter, EventKind, Fault, FaultPlan, IssuanceCodes, Limits, Scope,
};
use serde_json::{Map, Value};
use tokio::task::JoinSet;

use crate::common::repository_file;
use crate::hub_renewal::Site;

const PATIENCE: Duration = Duration::from_secs(60);

/// One scenario, with the emulator that is prepared for it.
struct Scenario {
    row: Value,
    expect: Map<String, Value>,
    site: Site,
    /// The id of the request that is active when the renewal begins.
    active: Option<String>,
}

/// A certificate request as the hub recorded it.
#[derive(Debug)]
struct Recorded {
    id: String,
    bytes: usize,
    /// The six-digit code of the answer, or else its status.
    answer: Option<u64>,
}

impl Scenario {
    async fn prepare(row: Value) -> Self {
        let emulator = &row["emulator"];
        let codes = match row["generation"].as_str() {
            Some("recorded") => IssuanceCodes::Early,
            _ => IssuanceCodes::Current,
        };
        let mut limits = Limits::none();
        limits.renewals_per_minute = emulator["renewalsPerMinute"].as_u64().map(|limit| limit.try_into().unwrap());
        let options = EmulatorOptions::new().service(move |service| service.issuance_codes(codes).limits(limits));
        let site = Site::with_policy(options).await;
        let active = if emulator["active"] == true { Some(leave_active(&site).await) } else { None };
        for plan in emulator["faults"].as_array().into_iter().flatten() {
            let plan: FaultPlan = serde_json::from_value(plan.clone()).unwrap();
            site.emulator.with_service(|service| service.inject_plan(&plan));
        }
        let mut expect = row["expect"].as_object().unwrap().clone();
        expect.extend(emulator["expect"].as_object().cloned().unwrap_or_default());
        Self { row, expect, site, active }
    }

    fn name(&self) -> &str {
        self.row["name"].as_str().unwrap()
    }

    fn expect(&self, member: &str) -> Option<u64> {
        self.expect.get(member)?.as_u64()
    }

    fn renewal(&self) -> HubRenewal {
        let renewal = self.site.renewal(Transport::Mqtt);
        let renewal = match self.row["onConflict"].as_str() {
            Some("fail") => renewal.on_conflict(OnConflict::Fail),
            _ => renewal,
        };
        match self.row["emulator"]["requestTimeoutMs"].as_u64() {
            Some(ms) => renewal.request_timeout(Duration::from_millis(ms)),
            // Longer than the whole renewal.
            None => renewal.request_timeout(Duration::from_secs(3600)),
        }
    }

    fn certificate_request(&self) -> Vec<u8> {
        match self.row["emulator"]["certificateRequest"].as_str() {
            Some("empty") => Vec::new(),
            Some("foreign") => self.site.key.certificate_request(&"dev-02".parse().unwrap()).unwrap(),
            _ => self.site.request(),
        }
    }

    async fn run(self) {
        let issued = self.renewal().issue(&self.certificate_request()).await;
        self.check(issued).await;
    }

    /// Checks what the renewal returned, and what the hub recorded.
    async fn check(&self, issued: Result<CertificateChain, DpsError>) {
        let name = self.name();
        match (self.expect("certificates"), issued) {
            (Some(count), Ok(chain)) => {
                assert_eq!(chain.len() as u64, count, "{name}");
                let accepted = self.expect.get("accepted").is_none_or(|accepted| *accepted == true);
                let identity = self.site.accept(chain);
                assert_eq!(identity.is_ok(), accepted, "{name}: {identity:?}");
            }
            (None, Err(error)) => {
                assert_eq!(self.expect["error"], error.name(), "{name}: {}", error.report());
                let facts = (error.http_status().map(u64::from), error.error_code().map(u64::from));
                assert_eq!(facts, (self.expect("status"), self.expect("errorCode")), "{name}");
                let retry_ms = error.retry_after().map(|wait| wait.as_millis() as u64);
                assert_eq!(retry_ms, self.expect("retryAfterMs"), "{name}");
            }
            (_, issued) => panic!("{name}: {:?}", issued.map_err(|error| error.report().to_string())),
        }
        connections_closed(&self.site.emulator).await;
        let left = self.site.emulator.with_service(|service| service.pending_faults());
        assert_eq!(left, 0, "{name}: a planned fault was not met");
        self.check_requests();
    }

    fn check_requests(&self) {
        let name = self.name();
        let requests = recorded(&self.site.emulator).split_off(usize::from(self.active.is_some()));
        let answers: Vec<Value> = requests.iter().map(|request| request.answer.into()).collect();
        assert_eq!(self.row["emulator"]["answers"], Value::Array(answers), "{name}: {requests:?}");
        // The hub accepts a request that replaces another only by its id or by `*`; the size tells which.
        let first = requests[0].bytes;
        let grown: Vec<usize> = requests.iter().map(|request| request.bytes - first).collect();
        let replace = self.expect["replace"].as_array().unwrap().iter();
        let expected: Vec<usize> = replace
            .map(|replace| match replace.as_str() {
                Some("$0") => self.active.as_ref().unwrap().len() + r#","replace":"""#.len(),
                Some(id) => id.len() + r#","replace":"""#.len(),
                None => 0,
            })
            .collect();
        assert_eq!(grown, expected, "{name}: what was replaced: {requests:?}");
        if let Some(same) = self.expect.get("sameIds").and_then(Value::as_bool) {
            assert_eq!(requests.windows(2).all(|pair| pair[0].id == pair[1].id), same, "{name}: {requests:?}");
        }
    }
}

/// Makes a request that the hub accepts and never answers, and returns its id.
async fn leave_active(site: &Site) -> String {
    site.emulator.with_service(|service| service.inject(Scope::All, At::Issue, Fault::Silent, 1));
    let (renewal, request) = (site.renewal(Transport::Mqtt), site.request());
    let first = tokio::spawn(async move { renewal.issue(&request).await });
    site.emulator.wait_for(&EventFilter::new().kind("fault"), PATIENCE).await.unwrap();
    first.abort();
    let _ = first.await;
    connections_closed(&site.emulator).await;
    recorded(&site.emulator).remove(0).id
}

/// Waits until no device is connected to the hub.
async fn connections_closed(emulator: &Emulator) {
    loop {
        let last = emulator.last_event();
        let connections = |kind: &str| -> Vec<u64> {
            let events = emulator.events(&EventFilter::new().kind(kind));
            events.iter().filter_map(|event| event.connection.as_ref().map(|connection| connection.id)).collect()
        };
        let closed = connections("disconnection");
        if connections("hub-sign-in").iter().all(|id| closed.contains(id)) {
            return;
        }
        emulator.wait_for(&EventFilter::new().kind("disconnection").after(last), PATIENCE).await.unwrap();
    }
}

/// The certificate requests that the hub got, in order.
fn recorded(emulator: &Emulator) -> Vec<Recorded> {
    let (mut ids, mut requests) = (Vec::new(), Vec::new());
    for event in emulator.events(&EventFilter::new()) {
        let EventKind::Exchange(exchange) = &event.kind else { continue };
        let topics =
            exchange.packets.iter().filter(|packet| packet.from_client).filter_map(|packet| packet.topic.as_deref());
        let prefix = "$iothub/credentials/POST/issueCertificate/?$rid=";
        ids.extend(topics.filter_map(|topic| topic.strip_prefix(prefix)).map(str::to_owned));
        if exchange.call == "hub-renew" {
            requests.push((exchange.request_bytes, exchange.code.or(exchange.status.map(u32::from)).map(u64::from)));
        }
    }
    assert_eq!(ids.len(), requests.len(), "{ids:?} {requests:?}");
    let rows = ids.into_iter().zip(requests);
    rows.map(|(id, (bytes, answer))| Recorded { id, bytes, answer }).collect()
}

/// The scenarios for the emulator, at least so many: those that end by the timeout, or all others.
fn rows(by_timeout: bool, least: usize) -> Vec<Value> {
    let Some(text) = repository_file("vectors/renewal.json") else { return Vec::new() };
    let vectors: Value = serde_json::from_str(&text).unwrap();
    let rows = vectors["scenarios"].as_array().unwrap();
    let driven = rows.iter().filter(|row| {
        assert_ne!(row["emulator"].is_object(), row["machineOnly"].is_string(), "{}", row["name"]);
        row["emulator"].is_object()
    });
    let rows: Vec<_> = driven.filter(|row| (row["expect"]["error"] == "timeout") == by_timeout).cloned().collect();
    assert!(rows.len() >= least);
    rows
}

#[tokio::test]
async fn hub_renewals_end_as_the_vectors_say() {
    let mut running = JoinSet::new();
    for row in rows(false, 50) {
        running.spawn(async { Scenario::prepare(row).await.run().await });
    }
    running.join_all().await;
}

/// The clock is paused once the hub has met all faults: the timeout passes then, without a real wait, and not before.
#[tokio::test]
async fn hub_renewals_without_an_answer_end_by_the_timeout() {
    let mut running = Vec::new();
    for row in rows(true, 3) {
        let scenario = Scenario::prepare(row).await;
        let (renewal, request) = (scenario.renewal(), scenario.certificate_request());
        running.push((scenario, tokio::spawn(async move { renewal.issue(&request).await })));
    }
    for (scenario, _) in &running {
        let emulator = &scenario.site.emulator;
        let mut met = EventFilter::new().kind("fault");
        while emulator.with_service(|service| service.pending_faults()) > 0 {
            let event = emulator.wait_for(&met, PATIENCE).await.unwrap();
            met = met.after(event.seq);
        }
    }
    tokio::time::pause();
    let mut ended = Vec::new();
    for (scenario, renewal) in running {
        ended.push((scenario, renewal.await.unwrap()));
    }
    tokio::time::resume();
    for (scenario, issued) in ended {
        scenario.check(issued).await;
    }
}
