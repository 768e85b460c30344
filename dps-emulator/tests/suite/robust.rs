//! Arbitrary requests: no panic, a valid HTTP status, and no change by unauthenticated clients.

use crate::common::{self, KEY, World};
use dps_emulator::Now;
use proptest::prelude::*;

const PATHS: [&str; 9] = [
    "/0ne00A1B2C3/registrations/dev-01/register",
    "/0ne00A1B2C3/registrations/dev-01/operations/5.x",
    "/0ne00A1B2C3/registrations/dev-01",
    "/enrollments/dev-01",
    "/enrollments",
    "/enrollmentGroups/query",
    "/registrations/dev-01",
    "/registrations/line-1/query",
    "/emulator/faults",
];

fn path() -> impl Strategy<Value = String> {
    let known = (proptest::sample::select(&PATHS[..]), "(\\?api-version=2021-(06|13)-01)?|\\?\\PC{0,20}");
    prop_oneof![known.prop_map(|(path, query)| format!("{path}{query}")), "\\PC{0,60}", "/[%0-9a-z/?=&-]{0,60}"]
}

fn token() -> impl Strategy<Value = String> {
    prop_oneof![
        "\\PC{0,60}",
        "SharedAccessSignature (sr|sig|se|skn)=[%0-9a-zA-Z+/=]{0,20}(&(sr|sig|se|skn)=[%0-9a-zA-Z+/=]{0,20}){0,4}",
        Just(common::device_token(KEY, "dev-01", common::START_S + 3600)),
    ]
}

fn body() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        proptest::collection::vec(any::<u8>(), 0..80),
        "\\{\"(registrationId|payload|csr|mode)\":[\\[\\]{}\",:a-z0-9]{0,30}\\}?".prop_map(String::into_bytes),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_request_gets_a_reply(
        method in "GET|PUT|POST|DELETE|HEAD|[a-z]{0,5}",
        path in path(),
        token in token(),
        body in body(),
        monotonic_ms in any::<u64>(),
        unix_ms in any::<u64>(),
    ) {
        let mut world = World::with_device();
        let headers = [("Authorization", token.as_str()), ("x-ms-continuation", token.as_str()), ("If-Match", "x")];
        let request = dps_emulator::HttpRequest { method: &method, path_and_query: &path, headers: &headers, body: &body };
        let reply = world.service.handle(Now { monotonic_ms, unix_ms }, &request);
        prop_assert!((200..600).contains(&reply.status));
        prop_assert!(reply.header("Date").is_some() && reply.header("x-ms-request-id").is_some());
        prop_assert!(world.service.enrollment("dev-01").is_some());
    }

    #[test]
    fn any_change_of_a_token_is_refused(at in 0_usize..400, new in "[0-9A-Za-z%+/=&]") {
        let mut world = World::with_device();
        let good = common::device_token(KEY, "dev-01", common::START_S + 3600);
        let mut bad = good.clone();
        // The key name is not part of what is signed.
        let at = at % good.find("&skn").unwrap();
        bad.replace_range(at..=at, &new);
        let status = world.register_with("dev-01", &bad, "").status;
        // The same token may be accepted in another spelling: letter case of the scheme and of a signature's escapes.
        if status == 202 {
            prop_assert_eq!(bad.to_ascii_lowercase(), good.to_ascii_lowercase());
        }
    }
}
