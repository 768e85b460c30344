//! A file of certificates, and one of a private key: nothing panics, every certificate that rustls' reader finds is read, and
//! each finding of the chain check is about one of them.
#![no_main]

use std::time::{Duration, UNIX_EPOCH};

use dps_client::rustls::pki_types::CertificateDer;
use dps_client::rustls::pki_types::pem::PemObject;
use dps_client::{CertificateChain, ChainCheck, ChainProblem, X509};
use libfuzzer_sys::fuzz_target;

const CERTIFICATE: &[u8] = include_bytes!("../../dps-client/tests/data/x509/ec.pem");

fuzz_target!(|bytes: &[u8]| {
    // Without a passphrase: deriving a key from one takes too long here.
    if let Ok(device) = X509::from_pem(CERTIFICATE, bytes) {
        for finding in ChainCheck::new().device(&device) {
            assert_eq!(finding.problem(), ChainProblem::KeyMismatch);
        }
    }
    let Ok(chain) = CertificateChain::from_pem(bytes) else { return };
    for found in CertificateDer::pem_slice_iter(bytes).flatten() {
        assert!(chain.iter().any(|certificate| certificate == found.as_ref()));
    }
    let check = ChainCheck::new()
        .registration_id(&"dev-01".parse().unwrap())
        .at(UNIX_EPOCH + Duration::from_secs(1_767_323_045))
        .expect_root(CertificateChain::from_pem(CERTIFICATE).unwrap());
    for finding in check.chain(&chain) {
        assert!((1..=chain.len()).contains(&finding.certificate()), "{finding:?}");
        assert!(!finding.to_string().contains(char::is_control), "{finding:?}");
    }
});
