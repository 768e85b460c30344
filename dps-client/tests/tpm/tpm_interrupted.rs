//! A TPM that goes away in the middle: each point of a registration, and what is in the TPM afterwards.

use dps_client::{ErrorCode, Hint};

use crate::common::{service, what};
use crate::swtpm::Swtpm;
use crate::tap::{ACTIVATE_CREDENTIAL, EVICT_CONTROL, HMAC, IMPORT, LOAD, POLICY_SECRET, READ_PUBLIC, Tap, Then};
use crate::tpm_register::{HUB_KEY, client, sign_in};

#[tokio::test]
#[ignore = "needs swtpm: cargo xtask tpm"]
async fn tpm_that_goes_away_ends_the_registration_and_keeps_the_old_key() {
    let (emulator, swtpm) = (service().await, Swtpm::start());
    let tap = Tap::start(swtpm);
    let client = client(&emulator, &tap.tpm()).await;
    client.register().await.unwrap();
    let key = tap.with_swtpm(|swtpm| swtpm.public(HUB_KEY));
    for (code, after) in [
        (POLICY_SECRET, 0),
        (READ_PUBLIC, 0),
        (ACTIVATE_CREDENTIAL, 0),
        (IMPORT, 0),
        (LOAD, 0),
        (HMAC, 0),
        // With the key of the assignment.
        (ACTIVATE_CREDENTIAL, 1),
        (IMPORT, 1),
        (LOAD, 1),
        (HMAC, 1),
        (EVICT_CONTROL, 0),
    ] {
        tap.at(code, after, Then::Kill);
        let failed = client.register().await.map(drop).unwrap_err();
        assert_eq!(what(&failed), (ErrorCode::TpmLost, Some(Hint::CheckTpm)), "{code:#x} {after} {failed}");
        tap.with_swtpm(Swtpm::start_again);
        assert_eq!(tap.with_swtpm(|swtpm| swtpm.public(HUB_KEY)), key, "{code:#x} {after}");
    }
    tap.rule(|_| Then::Pass);
    client.register().await.unwrap();
}

#[tokio::test]
#[ignore = "needs swtpm: cargo xtask tpm"]
async fn stop_between_eviction_and_persisting_is_noticed_at_the_next_use() {
    let (emulator, swtpm) = (service().await, Swtpm::start());
    let tap = Tap::start(swtpm);
    let client = client(&emulator, &tap.tpm()).await;
    let stored = client.register().await.unwrap().to_stored();
    tap.at(EVICT_CONTROL, 1, Then::Kill);
    let failed = client.register().await.map(drop).unwrap_err();
    assert_eq!(failed.code(), ErrorCode::TpmLost);
    tap.with_swtpm(Swtpm::start_again);
    assert!(!tap.with_swtpm(|swtpm| swtpm.handles().persistent.contains(&HUB_KEY)));

    let mut credentials = client.hub_credentials(&stored).unwrap().unwrap();
    let missing = credentials.password().await.map(drop).unwrap_err();
    assert_eq!(what(&missing), (ErrorCode::TpmKeyMissing, Some(Hint::RegisterAgain)));
    assert!(missing.message().contains("0x81000100 is empty"), "{missing}");

    tap.rule(|_| Then::Pass);
    let assignment = client.register().await.unwrap();
    assert_eq!(sign_in(&emulator, &mut assignment.hub_credentials().unwrap()).await, 0);
    assert_eq!(sign_in(&emulator, &mut credentials).await, 0, "it is the same device with the same key");
}

#[tokio::test]
#[ignore = "needs swtpm: cargo xtask tpm"]
async fn command_that_fails_leaves_no_object_behind() {
    let (emulator, swtpm) = (service().await, Swtpm::start());
    let tap = Tap::start(swtpm);
    let client = client(&emulator, &tap.tpm()).await;
    client.register().await.unwrap();
    for code in [POLICY_SECRET, ACTIVATE_CREDENTIAL, IMPORT, HMAC, EVICT_CONTROL] {
        for after in 0..2 {
            tap.at(code, after, Then::refuse(0x143));
            let ended = client.register().await;
            let handles = tap.with_swtpm(|swtpm| swtpm.handles());
            assert_eq!((handles.transient, handles.sessions), (vec![], vec![]), "{code:#x} {after}");
            if let Err(failed) = ended {
                assert_eq!(failed.code(), ErrorCode::TpmFailed, "{failed}");
                assert!(failed.message().contains("returned 0x143"), "{failed}");
            }
        }
    }
}
