//! A service under virtual time, and a device and an owner that send HTTP requests to it.

#![allow(dead_code, unreachable_pub, reason = "which parts are used depends on the features")]

use std::path::Path;

use dps_emulator::{HttpReply, HttpRequest, IndividualEnrollment, Now, Service, ServiceOptions, SymmetricKey};
use hmac_sha256::HMAC;
use serde_json::Value;

pub const SCOPE: &str = "0ne00A1B2C3";
pub const START_S: u64 = 1_767_225_600;
pub const KEY: &str = "Jsm0lyGpjaVYVP2g3FnmnmG9dI/9qU24wNoykUmermc=";
pub const OTHER_KEY: &str = "O+H9VTcdJP0Tqkl7bh4nVG0OJNrAataMpuWB54D0VEc=";
pub const GROUP_KEY: &str = "8isrFI1sGsIlvvFSSFRiMfCNzv21fjbE/+ah/lSh3lF8e2YG1Te7w1KpZhJFFXJrqYKi9yegxkqIChbqOS9Egw==";

pub fn key(text: &str) -> SymmetricKey {
    SymmetricKey::from_base64(text).unwrap()
}

/// Signs as devices do, as independently of the code under test as possible.
pub fn sign(key: &str, message: &str) -> String {
    let key = base64::Engine::decode(&base64::prelude::BASE64_STANDARD, key).unwrap();
    base64::Engine::encode(&base64::prelude::BASE64_STANDARD, HMAC::mac(message, key))
}

/// A document of the repository's `docs`. The published package is without them, and then this is `None`.
pub fn document(name: &str) -> Option<String> {
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs");
    docs.is_dir().then(|| std::fs::read_to_string(docs.join(name)).unwrap_or_else(|error| panic!("{name}: {error}")))
}

pub fn encode(text: &str) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-._~".contains(&b);
    text.bytes().map(|b| if plain(b) { char::from(b).to_string() } else { format!("%{b:02X}") }).collect()
}

thread_local! {
    /// The signatures of all tokens of this thread, for tests that search for them.
    pub static SIGNATURES: std::cell::RefCell<Vec<String>> = const { std::cell::RefCell::new(Vec::new()) };
}

/// A token with this literal `sr`, and `tail` after `se`.
pub fn token(key: &str, sr: &str, expiry_s: u64, tail: &str) -> String {
    let signature = sign(key, &format!("{sr}\n{expiry_s}"));
    SIGNATURES.with_borrow_mut(|signatures| signatures.push(signature.clone()));
    let signature = encode(&signature);
    format!("SharedAccessSignature sr={sr}&sig={signature}&se={expiry_s}{tail}")
}

pub fn device_token(key: &str, id: &str, expiry_s: u64) -> String {
    token(key, &encode(&format!("{SCOPE}/registrations/{id}")), expiry_s, "&skn=registration")
}

pub struct World {
    pub service: Service,
    pub ms: u64,
    /// The offset of the service's wall clock from the virtual one.
    pub wall_offset_ms: i64,
}

impl World {
    pub fn new(options: ServiceOptions) -> Self {
        Self { service: Service::new(options).unwrap(), ms: 0, wall_offset_ms: 0 }
    }

    /// One individual enrollment, `dev-01` under [`KEY`].
    pub fn with_device() -> Self {
        let mut world = Self::new(ServiceOptions::new());
        world.enroll(IndividualEnrollment::new("dev-01").primary_key(key(KEY)));
        world
    }

    pub fn now(&self) -> Now {
        let unix_ms = (START_S * 1000 + self.ms).saturating_add_signed(self.wall_offset_ms);
        self.service.clock().now(Now { monotonic_ms: self.ms, unix_ms })
    }

    /// The device's clock: virtual time without the service's offset.
    pub fn device_s(&self) -> u64 {
        START_S + self.ms / 1000
    }

    pub fn wait(&mut self, ms: u64) {
        self.ms += ms;
    }

    pub fn enroll(&mut self, enrollment: IndividualEnrollment) -> IndividualEnrollment {
        let now = self.now();
        self.service.put_enrollment(now, enrollment).unwrap()
    }

    pub fn send(&mut self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> HttpReply {
        let request = HttpRequest { method, path_and_query: path, headers, body };
        self.service.handle(self.now(), &request)
    }

    pub fn register_with(&mut self, id: &str, token: &str, body: &str) -> HttpReply {
        let path = format!("/{SCOPE}/registrations/{id}/register?api-version=2021-06-01");
        self.send("PUT", &path, &[("authorization", token), ("Content-Type", "application/json")], body.as_bytes())
    }

    pub fn register(&mut self, id: &str, key: &str) -> HttpReply {
        let token = device_token(key, id, self.device_s() + 3600);
        self.register_with(id, &token, &format!("{{\"registrationId\":\"{id}\"}}"))
    }

    pub fn poll(&mut self, id: &str, key: &str, operation_id: &str) -> HttpReply {
        let token = device_token(key, id, self.device_s() + 3600);
        let path = format!("/{SCOPE}/registrations/{id}/operations/{operation_id}?api-version=2021-06-01");
        self.send("GET", &path, &[("Authorization", &token)], b"")
    }

    pub fn lookup(&mut self, id: &str, key: &str) -> HttpReply {
        let token = device_token(key, id, self.device_s() + 3600);
        let path = format!("/{SCOPE}/registrations/{id}?api-version=2021-06-01");
        let body = format!("{{\"registrationId\":\"{id}\"}}");
        self.send("POST", &path, &[("Authorization", &token)], body.as_bytes())
    }

    /// Registers, waits for the hinted time and polls until the registration is final; returns the last reply.
    pub fn provision(&mut self, id: &str, key: &str) -> HttpReply {
        let mut reply = self.register(id, key);
        let operation_id = json(&reply)["operationId"].as_str().unwrap_or_default().to_owned();
        for _ in 0..20 {
            if reply.status != 202 {
                return reply;
            }
            self.wait(1000 * reply.header("Retry-After").unwrap().parse::<u64>().unwrap());
            reply = self.poll(id, key, &operation_id);
        }
        panic!("still assigning");
    }

    pub fn admin_with(&mut self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> HttpReply {
        self.as_owner(method, &format!("{path}?api-version=2021-10-01"), headers, body)
    }

    pub fn as_owner(&mut self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> HttpReply {
        let connection = self.service.connection_string();
        let policy_key = connection.expose().split_once("SharedAccessKey=").unwrap().1.to_owned();
        let host = self.service.host_name().to_owned();
        let token = token(&policy_key, &encode(&host), self.device_s() + 3600, "&skn=provisioningserviceowner");
        let mut all = vec![("Authorization", token.as_str()), ("Content-Type", "application/json")];
        all.extend(headers);
        self.send(method, path, &all, body.as_bytes())
    }

    pub fn admin(&mut self, method: &str, path: &str, body: &str) -> HttpReply {
        self.admin_with(method, path, &[], body)
    }
}

pub fn json(reply: &HttpReply) -> Value {
    serde_json::from_slice(&reply.body).unwrap_or(Value::Null)
}

pub fn operation_id(reply: &HttpReply) -> String {
    json(reply)["operationId"].as_str().unwrap().to_owned()
}

/// Returns status and six-digit code, and checks that the body has the shape of the service's errors.
pub fn refused(reply: &HttpReply) -> (u16, u64) {
    let body = json(reply);
    assert_eq!(body["trackingId"].as_str(), reply.header("x-ms-request-id"));
    assert!(!body["message"].as_str().unwrap().is_empty());
    assert!(body["timestampUtc"].as_str().unwrap().ends_with('Z'));
    let code = body["errorCode"].as_u64().unwrap();
    assert_eq!(reply.header("x-ms-error-code"), Some(code.to_string().as_str()));
    assert_eq!(code / 1000, u64::from(reply.status));
    (reply.status, code)
}
