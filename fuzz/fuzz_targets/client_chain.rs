//! The emulator on any client certificates: what it accepts is also accepted by webpki, as rustls calls it, and a
//! certificate that it parses is the same when it is read again.
#![no_main]

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use dps_emulator::{Certificate, ClientCertificates, EnrollmentGroup, HttpRequest, Now, Service, ServiceOptions};
use libfuzzer_sys::fuzz_target;
use rustls::RootCertStore;
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;

/// 2026-01-01T00:00:00Z; the certificates in the corpus are valid from 2025 to 2125.
const START_S: u64 = 1_767_225_600;
/// A device's certificate, that of its line, and the root: each after its length in two bytes.
const CHAIN: &[u8] = include_bytes!("../corpus/client_chain/chain");
const PATH: &str = "/0ne00A1B2C3/registrations/dev-01/register?api-version=2021-06-01";

fuzz_target!(|input: &[u8]| {
    let presented = split(input);
    for der in &presented {
        if let Ok(certificate) = Certificate::from_der(der) {
            assert_eq!(certificate.der(), *der);
            assert_eq!(certificate.info().sha256_thumbprint.len(), 64);
        }
    }
    if let Ok(certificate) = Certificate::from_pem(&String::from_utf8_lossy(input)) {
        assert_eq!(Certificate::from_der(certificate.der()).unwrap(), certificate);
    }
    let now = Now { monotonic_ms: 0, unix_ms: START_S * 1000 };
    let certificates = ClientCertificates::from_der(presented.iter().copied());
    let request = HttpRequest { method: "PUT", path_and_query: PATH, headers: &[], body: b"" };
    let mut service = service(now);
    let reply = service.handle_with_certificates(now, &request, &certificates);
    match reply.status {
        401 => assert!(service.refusals().next().is_some(), "a refusal without a reason"),
        202 => assert!(is_accepted_by_webpki(&presented), "webpki refuses it"),
        other => panic!("status {other}"),
    }
});

fn split(mut input: &[u8]) -> Vec<&[u8]> {
    let mut found = Vec::new();
    while let Some((length, rest)) = input.split_first_chunk() {
        let (der, rest) = rest.split_at(usize::from(u16::from_be_bytes(*length)).min(rest.len()));
        found.push(der);
        input = rest;
    }
    found
}

/// One group, below the verified root.
fn service(now: Now) -> Service {
    let [_, line, root] = split(CHAIN)[..] else { panic!("the corpus has another chain") };
    let certificate = |der| Certificate::from_der(der).unwrap();
    let mut service = Service::new(ServiceOptions::new()).unwrap();
    service.put_ca_certificate(now, "root", certificate(root), true).unwrap();
    service.put_group(now, EnrollmentGroup::new("line-1").signing_certificate(certificate(line))).unwrap();
    service
}

fn is_accepted_by_webpki(presented: &[&[u8]]) -> bool {
    static VERIFIER: OnceLock<Arc<dyn ClientCertVerifier>> = OnceLock::new();
    let verifier = VERIFIER.get_or_init(|| {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from(split(CHAIN)[2])).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build().unwrap()
    });
    let [leaf, above @ ..] = presented else { return false };
    let above: Vec<CertificateDer<'_>> = above.iter().map(|der| CertificateDer::from(*der)).collect();
    let now = UnixTime::since_unix_epoch(Duration::from_secs(START_S));
    verifier.verify_client_cert(&CertificateDer::from(*leaf), &above, now).is_ok()
}
