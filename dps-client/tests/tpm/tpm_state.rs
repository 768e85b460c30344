//! What a diagnosis reads: the identity and the state of a TPM, without changing it.

use crate::common::service;
use crate::raw;
use crate::swtpm::{LIMIT, Swtpm};
use crate::tpm_register::client;

#[tokio::test]
#[ignore = "needs swtpm: cargo xtask tpm"]
async fn status_tells_what_is_in_the_tpm() {
    let (emulator, swtpm) = (service().await, Swtpm::start());
    let (tpm, before) = (swtpm.tpm(), swtpm.handles());
    let status = tpm.status(LIMIT).unwrap();
    assert_eq!(status.manufacturer(), "IBM");
    assert!(!status.is_in_lockout() && status.failures() == 0 && status.failures_max() > 0);
    assert!(status.failure_forgotten_after().is_some());
    assert!(!status.has_endorsement_key() && !status.has_storage_root_key() && !status.has_hub_key());
    assert!(!status.has_endorsement_certificate());
    let identity = tpm.identity(LIMIT).unwrap();
    assert_eq!(tpm.identity(LIMIT).unwrap(), identity, "it is the same each time");
    assert_eq!(swtpm.handles(), before, "nothing was changed");

    client(&emulator, &tpm).await.register().await.unwrap();
    let status = tpm.status(LIMIT).unwrap();
    assert!(status.has_endorsement_key() && status.has_storage_root_key() && status.has_hub_key());
    assert_eq!(tpm.identity(LIMIT).unwrap(), identity);
}

#[test]
#[ignore = "needs swtpm: cargo xtask tpm"]
fn certificate_of_the_endorsement_key_is_found() {
    let swtpm = Swtpm::start();
    // TPM2_NV_DefineSpace of 8 bytes, with authRead and ownerWrite.
    let public = [&raw::words(&[0x01C0_0002])[..], &[0, 11], &raw::words(&[0x0004_0002]), &[0, 0, 0, 8]].concat();
    let parameters = [&[0, 0][..], &raw::sized(&public)].concat();
    assert_eq!(swtpm.send(&raw::command(0x12A, &[raw::OWNER], Some(""), &parameters)).code, 0);
    assert!(swtpm.tpm().status(LIMIT).unwrap().has_endorsement_certificate());
}

#[test]
#[ignore = "needs swtpm: cargo xtask tpm"]
fn debug_shows_no_password() {
    let tpm = Swtpm::start().tpm().owner_password(&dps_client::SecretString::from("secret-pw"));
    assert!(!format!("{tpm:?} {tpm}").contains("secret-pw"));
}
