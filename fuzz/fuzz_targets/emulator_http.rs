//! The emulator's HTTP on any requests, one after another: no panic, and replies that keep the invariants.
#![no_main]

use dps_emulator::{CertificatePolicy, HttpRequest, IndividualEnrollment, Now, Service, ServiceOptions, SymmetricKey};
use libfuzzer_sys::fuzz_target;

/// 2026-01-01T00:00:00Z; the tokens in the corpus expire later.
const START_MS: u64 = 1_767_225_600_000;
const KEY: &str = "Jsm0lyGpjaVYVP2g3FnmnmG9dI/9qU24wNoykUmermc=";
const POLICY_KEY: &str = "c2VydmljZS1wb2xpY3kta2V5LTAxMjM0NTY3ODlhYmM=";
const REQUESTS_MAX: usize = 8;
const HEADERS_MAX: usize = 16;

fuzz_target!(|input: &[u8]| {
    let (mut service, mut monotonic_ms, mut rest) = (service(), 0, input);
    for _ in 0..REQUESTS_MAX {
        let Some((head, body, next)) = split(rest) else { return };
        let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
        let mut request = httparse::Request::new(&mut headers);
        if !matches!(request.parse(head), Ok(httparse::Status::Complete(_))) {
            return;
        }
        let headers: Vec<(&str, &str)> = request
            .headers
            .iter()
            .filter_map(|header| Some((header.name, std::str::from_utf8(header.value).ok()?)))
            .collect();
        let request = HttpRequest {
            method: request.method.unwrap_or_default(),
            path_and_query: request.path.unwrap_or_default(),
            headers: &headers,
            body,
        };
        answer(&mut service, Now { monotonic_ms, unix_ms: START_MS + monotonic_ms }, &request);
        monotonic_ms += 1000;
        rest = next;
    }
});

fn service() -> Service {
    let policy_key = SymmetricKey::from_base64(POLICY_KEY).unwrap();
    let mut service = Service::new(ServiceOptions::new().policy_key(policy_key)).unwrap();
    let device = IndividualEnrollment::new("dev-01").primary_key(SymmetricKey::from_base64(KEY).unwrap());
    let now = Now { monotonic_ms: 0, unix_ms: START_MS };
    let policy = CertificatePolicy::named("factory", "root", "devices");
    service.put_enrollment(now, device.certificate_policy(policy)).unwrap();
    service
}

/// Splits off head and body of the first request. A body ends at a NUL byte, or at the end of the input.
fn split(input: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let end = input.windows(4).position(|window| window == b"\r\n\r\n")? + 4;
    let (head, rest) = input.split_at(end);
    let body = rest.split(|byte| *byte == 0).next().unwrap_or_default();
    Some((head, body, rest.get(body.len() + 1..).unwrap_or_default()))
}

fn answer(service: &mut Service, now: Now, request: &HttpRequest<'_>) {
    let reply = service.handle(now, request);
    // Only an owner can plan a fault of the network; then there may be nothing to send.
    if reply.fault.is_some() {
        return;
    }
    assert!((200..600).contains(&reply.status), "status {}", reply.status);
    for (name, value) in &reply.headers {
        assert!(!value.contains(['\r', '\n', '\0']), "{name} could split the reply: {value:?}");
    }
    let code: Option<u32> = reply.header("x-ms-error-code").map(|code| code.parse().unwrap());
    assert!(code.is_none_or(|code| code / 1000 == u32::from(reply.status)), "{code:?} with {}", reply.status);
    let keys = [KEY, POLICY_KEY];
    let admin = request.method == "PUT" || request.path_and_query.to_ascii_lowercase().contains("attestation");
    let body = String::from_utf8_lossy(&reply.body);
    let repeats = |key: &&str| body.contains(*key) && !admin && !contains(request.body, key.as_bytes());
    assert!(!keys.iter().any(repeats), "a key is in the reply to {} {}", request.method, request.path_and_query);
}

fn contains(bytes: &[u8], wanted: &[u8]) -> bool {
    bytes.windows(wanted.len()).any(|window| window == wanted)
}
