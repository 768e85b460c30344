//! What the HTTPS listener answers to anybody: whether the emulator runs, whether it can be used, and the CA certificate to
//! trust. These are not calls of the service, so they are neither counted nor throttled, and meet no planned fault.

use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Map, Value, json};

use super::listener::PortProtocol;
use super::shared::Shared;
use crate::http::HttpReply;
use crate::time::http_date;
use crate::wire::to_json;

const JSON: &str = "application/json; charset=utf-8";
const PEM: &str = "application/x-pem-file";

/// What the emulator shows of itself.
#[derive(Default)]
pub(super) struct Public {
    pub(super) ca_pem: String,
    pub(super) https: Front,
    pub(super) mqtt: Front,
    pub(super) wss: Front,
}

/// One way to reach the service.
#[derive(Default)]
pub(super) struct Front {
    /// `host:port`; absent if the front is disabled.
    pub(super) endpoint: Option<String>,
    /// Whether its listener ended, at a shutdown or by a panic.
    ended: AtomicBool,
}

impl Front {
    pub(super) fn new(endpoint: Option<String>) -> Self {
        Self { endpoint, ended: AtomicBool::new(false) }
    }

    fn is_down(&self) -> bool {
        self.endpoint.is_some() && self.ended.load(Ordering::Relaxed)
    }
}

impl Public {
    fn fronts(&self) -> [(&'static str, &Front); 3] {
        [("https", &self.https), ("mqtt", &self.mqtt), ("wss", &self.wss)]
    }

    /// Records that a listener accepts no more connections.
    pub(super) fn end(&self, protocol: PortProtocol) {
        let fronts: &[&Front] = match protocol {
            PortProtocol::Https => &[&self.https],
            PortProtocol::Mqtt => &[&self.mqtt],
            PortProtocol::WebSocket => &[&self.wss],
            PortProtocol::HttpsAndWebSocket => &[&self.https, &self.wss],
        };
        fronts.iter().for_each(|front| front.ended.store(true, Ordering::Relaxed));
    }
}

/// Returns the reply if the request is for one of these paths.
pub(super) fn reply(shared: &Shared, method: &str, path_and_query: &str) -> Option<HttpReply> {
    let path = path_and_query.split('?').next().unwrap_or_default();
    if !matches!(method, "GET" | "HEAD") {
        return None;
    }
    let (status, content_type, body) = match path {
        "/healthz" => (200, JSON, to_json(&json!({ "status": "ok" }))),
        "/readyz" => {
            let (status, body) = readiness(shared);
            (status, JSON, to_json(&body))
        }
        "/ca.pem" => (200, PEM, shared.public.ca_pem.clone().into_bytes()),
        _ => return None,
    };
    let date = http_date(shared.clock.now().unix_s());
    let headers =
        vec![("Date", date), ("Content-Type", content_type.to_owned()), ("Cache-Control", "no-store".to_owned())];
    Some(HttpReply { status, headers, body, fault: None })
}

/// The state of the fronts, null for a disabled one, and in `message` what is wrong.
fn readiness(shared: &Shared) -> (u16, Value) {
    let fronts = shared.public.fronts();
    let down = fronts.iter().filter(|(_, front)| front.is_down());
    let mut problems: Vec<String> = down.map(|(name, _)| format!("{name} accepts no connections")).collect();
    if shared.saver.as_ref().is_some_and(|saver| saver.has_failed()) {
        problems.push("the latest change of enrollments could not be saved, see the log".into());
    }
    let endpoints: Map<String, Value> =
        fronts.iter().map(|(name, front)| ((*name).to_owned(), json!(front.endpoint))).collect();
    match problems.as_slice() {
        [] => (200, json!({ "status": "ready", "endpoints": endpoints })),
        _ => (503, json!({ "status": "not-ready", "message": problems.join("; "), "endpoints": endpoints })),
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::shared;
    use super::*;

    fn ready(shared: &Shared) -> (u16, Value) {
        let reply = reply(shared, "GET", "/readyz?api-version=2021-10-01").unwrap();
        (reply.status, serde_json::from_slice(&reply.body).unwrap())
    }

    #[test]
    fn listener_that_ended_makes_the_emulator_not_ready_unless_the_front_is_disabled() {
        let shared = shared();
        shared.public.end(PortProtocol::WebSocket);
        assert_eq!(ready(&shared).0, 200, "the test's service has no WebSocket");
        shared.public.end(PortProtocol::Https);
        let (status, body) = ready(&shared);
        assert_eq!((status, &body["status"]), (503, &"not-ready".into()));
        assert_eq!(body["message"], "https accepts no connections");
    }

    #[test]
    fn other_methods_and_paths_are_the_services() {
        let shared = shared();
        for (method, path) in [("POST", "/healthz"), ("GET", "/"), ("GET", "/healthz/"), ("GET", "/ca.pem/x")] {
            assert!(reply(&shared, method, path).is_none(), "{method} {path}");
        }
        assert_eq!(reply(&shared, "HEAD", "/healthz").unwrap().status, 200);
    }
}
