//! The fault matrix of `vectors/faults.json`: each fault, and how a client must handle it.
//!
//! Reads the rows and compares the result of a run with the file. [`rehearse`] runs rows in virtual time, another crate runs
//! them over sockets.

mod ending;
mod rehearsal;

use std::time::Duration;

use dps_emulator::{Fault, FaultPlan, RetryAfter, ServiceOptions};
use serde::Deserialize;
use serde_json::{Value, json};

pub use ending::{Ending, Ran, Requests};
pub use rehearsal::rehearse;

/// The registration id of the device that every row is about.
pub const DEVICE: &str = "dev-01";

/// One fault, with all settings of the client and the service.
#[derive(Clone, Debug)]
pub struct Row {
    /// The name, which is never changed.
    pub id: String,
    /// One sentence.
    pub about: String,
    /// What the client is asked to do.
    pub call: Call,
    /// The transports over which it can happen.
    pub transports: Vec<Transport>,
    /// The faults of the service.
    pub plans: Vec<FaultPlan>,
    /// The faults of the proxy; `None` without a proxy.
    pub proxy: Option<ProxyPlan>,
    /// The device's certificate, instead of a key.
    pub certificate: Option<CertificatePlan>,
    /// The client's settings.
    pub client: ClientSettings,
    service: ServiceSettings,
    expect: Ending,
}

/// The self-signed certificate of a device with an individual enrollment. Virtual time has no TLS and knows no dates of
/// certificates: such rows are for sockets only.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CertificatePlan {
    /// The number of seconds for which it is still valid when the row begins; `None` for long enough.
    pub valid_seconds: Option<u32>,
}

/// The faults of a proxy: it answers the first CONNECT requests with an error, and opens tunnels afterwards.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProxyPlan {
    /// The status of these answers.
    pub status: u16,
    /// How many requests are answered so.
    pub times: usize,
}

/// What the client is asked to do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Call {
    /// Register.
    #[default]
    Register,
    /// Look up the record of a device that registered before.
    Lookup,
}

/// The transport between client and service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Transport {
    /// HTTPS.
    Https,
    /// MQTT over TLS.
    Mqtt,
    /// MQTT over WebSocket.
    MqttWs,
}

/// The client's settings.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ClientSettings {
    /// Of the jitter, so that waits are the same everywhere.
    pub seed: u32,
    deadline_ms: u32,
    request_timeout_ms: u32,
    poll_interval_ms: u32,
    minimum_spacing_ms: u32,
    /// MQTT's.
    pub keep_alive_seconds: u16,
    /// The largest reply that is accepted, in bytes.
    pub reply_limit_bytes: usize,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct ServiceSettings {
    assigning_ms: u64,
    retry_after: Value,
    check_expiry_on_poll: bool,
}

/// The contents of the file.
#[derive(Deserialize)]
struct File {
    defaults: Settings,
    faults: Vec<WrittenRow>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenRow {
    id: String,
    about: String,
    #[serde(default)]
    call: Call,
    transports: Vec<Transport>,
    #[serde(default)]
    plans: Vec<FaultPlan>,
    proxy: Option<ProxyPlan>,
    certificate: Option<CertificatePlan>,
    #[serde(default)]
    client: Value,
    #[serde(default)]
    service: Value,
    expect: Ending,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    client: Value,
    service: Value,
}

/// Returns every row of the file.
///
/// # Panics
/// If the file does not have the documented form.
#[must_use]
pub fn rows() -> Vec<Row> {
    let file: File = serde_json::from_str(include_str!("../../../../vectors/faults.json")).expect("the file is good");
    file.faults.into_iter().map(|row| Row::from_written(row, &file.defaults)).collect()
}

impl Row {
    fn from_written(row: WrittenRow, defaults: &Settings) -> Self {
        let settings = |own: Value, all: &Value| {
            let mut all = all.as_object().cloned().unwrap_or_default();
            all.extend(own.as_object().cloned().unwrap_or_default());
            Value::Object(all)
        };
        let good = "the settings are good";
        Self {
            client: serde_json::from_value(settings(row.client, &defaults.client)).expect(good),
            service: serde_json::from_value(settings(row.service, &defaults.service)).expect(good),
            id: row.id,
            about: row.about,
            call: row.call,
            transports: row.transports,
            plans: row.plans,
            proxy: row.proxy,
            certificate: row.certificate,
            expect: row.expect,
        }
    }

    /// Returns the expected outcome over this transport. Only MQTT counts connections.
    #[must_use]
    pub fn expected(&self, transport: Transport) -> Ending {
        let mut ending = self.expect.clone();
        if transport == Transport::Https {
            ending.requests.connect = 0;
        }
        ending
    }

    /// Returns whether the fault is endless and happens every time.
    #[must_use]
    pub fn is_flood_that_lasts(&self) -> bool {
        self.plans.iter().any(|plan| matches!(plan.fault(), Fault::Flood { .. }) && plan.times() > 1)
    }

    /// The service's options.
    #[must_use]
    pub fn service(&self, options: ServiceOptions) -> ServiceOptions {
        let ServiceSettings { assigning_ms, retry_after, check_expiry_on_poll } = &self.service;
        options.assigning_ms(*assigning_ms).hint(hint(retry_after)).check_expiry_on_poll(*check_expiry_on_poll)
    }
}

/// A hint has the same form as in a fault.
fn hint(value: &Value) -> Option<RetryAfter> {
    if value.is_null() {
        return None;
    }
    let plan: FaultPlan =
        serde_json::from_value(json!({ "kind": "throttle", "retryAfter": value })).expect("the hint is good");
    match plan.fault() {
        Fault::Throttle { retry_after } => *retry_after,
        other => panic!("{other:?}"),
    }
}

impl Transport {
    /// As the file names it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Https => "https",
            Self::Mqtt => "mqtt",
            Self::MqttWs => "mqtt-ws",
        }
    }
}

impl ClientSettings {
    /// How long it may take in all.
    #[must_use]
    pub fn deadline(&self) -> Duration {
        Duration::from_millis(self.deadline_ms.into())
    }

    /// How long one request may take.
    #[must_use]
    pub fn request_timeout(&self) -> Duration {
        Duration::from_millis(self.request_timeout_ms.into())
    }

    /// The wait between polls if the service sends no hint.
    #[must_use]
    pub fn poll_interval(&self) -> Duration {
        Duration::from_millis(self.poll_interval_ms.into())
    }

    /// The least wait before a poll.
    #[must_use]
    pub fn minimum_spacing(&self) -> Duration {
        Duration::from_millis(self.minimum_spacing_ms.into())
    }
}
