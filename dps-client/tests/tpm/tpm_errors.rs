//! What can go wrong with a TPM: each failure is an error of its own with its hint, and leaves the TPM as it was.

use dps_client::{DpsError, ErrorCode, Family, Hint, SecretString, Tpm, Transport};
use dps_emulator::{At, Fault, Scope};

use crate::common::{builder, builder_over, service, what};
use crate::raw;
use crate::swtpm::{LIMIT, Swtpm};
use crate::tap::{
    ACTIVATE_CREDENTIAL, CREATE_PRIMARY, EVICT_CONTROL, HMAC, IMPORT, LOAD, POLICY_SECRET, READ_PUBLIC,
    START_AUTH_SESSION, Tap, Then,
};
use crate::tpm_register::{HUB_KEY, STORAGE_ROOT_KEY, client, enroll, enrolled, sign_in};

fn secret(text: &str) -> SecretString {
    SecretString::from(text)
}

/// The failure of a registration, which has to leave the TPM as it was.
async fn fails_and_leaves(
    swtpm: &Swtpm,
    register: impl Future<Output = Result<dps_client::Assignment, DpsError>>,
) -> DpsError {
    let (handles, key) = (swtpm.handles(), swtpm.public(HUB_KEY));
    let failed = register.await.map(drop).unwrap_err();
    assert_eq!((swtpm.handles(), swtpm.public(HUB_KEY)), (handles, key), "{failed}");
    failed
}

#[test]
#[ignore = "needs swtpm: cargo xtask tpm"]
fn tcti_string_that_cannot_be_used_is_refused() {
    for tcti in ["", "tabrmd", "mssim:host=localhost,port=2321", "libtss2-tcti-swtpm.so:port=1", "swtpm:port=x"] {
        let refused = Tpm::new(tcti).unwrap_err();
        assert_eq!(what(&refused), (ErrorCode::InvalidTcti, Some(Hint::CheckTcti)), "{tcti}");
        assert_eq!(refused.family(), Family::Configuration);
    }
    for offset in [0x1, 0x1_0001, 0x80_0000] {
        let refused = Tpm::new("device").unwrap().key_offset(offset).unwrap_err();
        assert_eq!(refused.code(), ErrorCode::InvalidOption);
    }
}

#[tokio::test]
#[ignore = "needs swtpm: cargo xtask tpm"]
async fn tpm_over_mqtt_is_refused_before_it_is_opened() {
    let emulator = service().await;
    let tpm = Tpm::new("device:/nonexistent").unwrap();
    for transport in [Transport::Mqtt, Transport::MqttWebSocket] {
        let refused = builder_over(transport, &emulator).tpm(tpm.clone()).build().unwrap_err();
        assert_eq!(refused.code(), ErrorCode::UnsupportedByTransport);
        assert!(refused.message().contains("HTTPS only"), "{refused}");
    }
}

#[tokio::test]
#[ignore = "needs swtpm: cargo xtask tpm"]
async fn missing_tpm_is_reported_before_anything_is_sent() {
    let emulator = service().await;
    let file = tempfile::NamedTempFile::new().unwrap();
    let file = format!("device:{}", file.path().display());
    for tcti in ["device:/nonexistent/tpm", "swtpm:path=/nonexistent/tpm", "swtpm:host=127.0.0.1,port=1", file.as_str()]
    {
        let tpm = Tpm::new(tcti).unwrap();
        let client = builder(&emulator).tpm(tpm.clone()).build().unwrap();
        for failed in [
            client.register().await.map(drop).unwrap_err(),
            client.lookup().await.map(drop).unwrap_err(),
            tpm.identity(LIMIT).map(drop).unwrap_err(),
            tpm.status(LIMIT).map(drop).unwrap_err(),
        ] {
            assert_eq!(what(&failed), (ErrorCode::TpmUnavailable, Some(Hint::CheckTpm)), "{tcti}");
            assert_eq!(failed.family(), Family::Local);
            assert!(failed.message().contains(tcti), "{failed}");
        }
    }
    assert_eq!(emulator.with_service(|service| service.counters().registers), 0);
}

#[tokio::test]
#[ignore = "needs swtpm: cargo xtask tpm"]
async fn wrong_password_of_a_hierarchy_is_tried_once_and_nothing_is_sent() {
    let (emulator, swtpm) = (service().await, Swtpm::start());
    client(&emulator, &swtpm.tpm()).await.register().await.unwrap();
    emulator.with_service(dps_emulator::Service::reset_counters);
    for (hierarchy, password) in [(raw::OWNER, "owner-pw"), (raw::ENDORSEMENT, "endorsement-pw")] {
        assert_eq!(swtpm.send(&raw::change_password(hierarchy, "", password)).code, 0);
    }
    let right = swtpm.tpm().owner_password(&secret("owner-pw")).endorsement_password(&secret("endorsement-pw"));
    let tap = Tap::start(swtpm);
    let via_tap = || tap.tpm().owner_password(&secret("owner-pw")).endorsement_password(&secret("endorsement-pw"));
    // The endorsement hierarchy comes first; its right password may be tried.
    for (tpm, words, others) in [
        (via_tap().owner_password(&secret("wrong-1")), "owner hierarchy is wrong", 3),
        (via_tap().owner_password(&secret("")), "owner hierarchy is missing", 3),
        (via_tap().endorsement_password(&secret("wrong-2")), "endorsement hierarchy is wrong", 0),
    ] {
        let client = builder(&emulator).tpm(tpm).build().unwrap();
        let tries = || tap.count(POLICY_SECRET);
        let failed = client.register().await.map(drop).unwrap_err();
        assert_eq!(what(&failed), (ErrorCode::TpmWrongPassword, Some(Hint::CheckTpmPassword)));
        assert!(failed.message().contains(words) && !failed.message().contains("wrong-"), "{failed}");
        let before = tries();
        for _ in 0..3 {
            let again = client.register().await.map(drop).unwrap_err();
            assert!(
                again.code() == ErrorCode::TpmWrongPassword && again.message().contains("not tried again"),
                "{again}"
            );
        }
        assert_eq!(tries() - before, others);
    }
    assert_eq!(emulator.with_service(|service| service.counters().registers), 0);
    let assignment = enrolled(&emulator, &right).build().unwrap().register().await.unwrap();
    assert_eq!(sign_in(&emulator, &mut assignment.hub_credentials().unwrap()).await, 0);
}

#[test]
#[ignore = "needs swtpm: cargo xtask tpm"]
fn threads_with_the_same_wrong_password_try_it_once() {
    let swtpm = Swtpm::start();
    assert_eq!(swtpm.send(&raw::change_password(raw::ENDORSEMENT, "", "right")).code, 0);
    let tap = Tap::start(swtpm);
    std::thread::scope(|threads| {
        for _ in 0..8 {
            threads.spawn(|| {
                let refused = tap.tpm().endorsement_password(&secret("wrong")).identity(LIMIT).unwrap_err();
                assert_eq!(refused.code(), ErrorCode::TpmWrongPassword, "{refused}");
            });
        }
    });
    assert_eq!(tap.count(CREATE_PRIMARY), 1);
    // Trailing zeros are not part of a password.
    tap.tpm().endorsement_password(&secret("right\0")).identity(LIMIT).unwrap();
}

#[tokio::test]
#[ignore = "needs swtpm: cargo xtask tpm"]
async fn missing_time_is_reported_before_anything_is_sent() {
    let (emulator, swtpm) = (service().await, Swtpm::start());
    let client = enrolled(&emulator, &swtpm.tpm()).clock(|| None).build().unwrap();
    let failed = client.register().await.map(drop).unwrap_err();
    assert_eq!(failed.code(), ErrorCode::ClockNeeded);
    assert!(swtpm.handles().persistent.is_empty());
    assert_eq!(emulator.with_service(|service| service.counters().registers), 0);
}

#[tokio::test]
#[ignore = "needs swtpm: cargo xtask tpm"]
async fn unknown_endorsement_key_is_refused_by_the_service() {
    let (emulator, swtpm, other) = (service().await, Swtpm::start(), Swtpm::start());
    let known = client(&emulator, &swtpm.tpm()).await;
    known.register().await.unwrap();
    // The same id, enrolled with the key of another TPM.
    enroll(&emulator, "dev-01", &other.tpm());
    let failed = fails_and_leaves(&swtpm, known.register()).await;
    assert_eq!(what(&failed), (ErrorCode::NotFound, Some(Hint::NoEnrollment)));
    assert_eq!(failed.error_code(), Some(404_201));
    assert!(failed.hints().contains(&Hint::CompareEndorsementKey));
}

#[tokio::test]
#[ignore = "needs swtpm: cargo xtask tpm"]
async fn challenge_for_another_tpm_and_replayed_challenge_are_told_apart() {
    let (emulator, swtpm) = (service().await, Swtpm::start());
    let client = client(&emulator, &swtpm.tpm()).await;
    client.register().await.unwrap();
    for (fault, expected) in [
        (Fault::ForeignChallenge, (ErrorCode::TpmForeignChallenge, Some(Hint::CompareEndorsementKey))),
        (Fault::ReplayedChallenge, (ErrorCode::Unauthorized, Some(Hint::StaleChallenge))),
    ] {
        emulator.with_service(|service| service.inject(Scope::All, At::Register, fault.clone(), 1));
        let failed = fails_and_leaves(&swtpm, client.register()).await;
        assert_eq!(what(&failed), expected, "{failed}");
        assert!(!failed.hints().contains(&Hint::WrongKey), "{failed:?}");
    }
    client.register().await.unwrap();
}

#[tokio::test]
#[ignore = "needs swtpm: cargo xtask tpm"]
async fn hub_key_for_another_tpm_leaves_the_old_key() {
    let (emulator, swtpm) = (service().await, Swtpm::start());
    let client = client(&emulator, &swtpm.tpm()).await;
    client.register().await.unwrap();
    emulator.with_service(|service| service.inject(Scope::All, At::Poll, Fault::ForeignChallenge, 9));
    let failed = fails_and_leaves(&swtpm, client.register()).await;
    assert_eq!(what(&failed), (ErrorCode::TpmForeignChallenge, Some(Hint::CompareEndorsementKey)));
    emulator.with_service(dps_emulator::Service::clear_faults);
    let assignment = client.register().await.unwrap();
    assert_eq!(sign_in(&emulator, &mut assignment.hub_credentials().unwrap()).await, 0);
}

#[tokio::test]
#[ignore = "needs swtpm: cargo xtask tpm"]
async fn lockout_is_reported_and_nothing_that_counts_is_repeated() {
    let (emulator, swtpm) = (service().await, Swtpm::start());
    // A storage root key that is subject to lockout, as tpm2_createprimary makes it.
    swtpm.persist_storage_key(STORAGE_ROOT_KEY);
    let client = client(&emulator, &swtpm.tpm()).await;
    client.register().await.unwrap();

    assert_eq!(swtpm.send(&raw::lock_out_after(1)).code, 0);
    assert!(!swtpm.tpm().status(LIMIT).unwrap().is_in_lockout());
    assert_ne!(swtpm.send(&raw::wrong_password(STORAGE_ROOT_KEY)).code, 0);
    let status = swtpm.tpm().status(LIMIT).unwrap();
    assert_eq!((status.is_in_lockout(), status.failures(), status.failures_max()), (true, 1, 1));
    for _ in 0..2 {
        let failed = fails_and_leaves(&swtpm, client.register()).await;
        assert_eq!(what(&failed), (ErrorCode::TpmLockout, Some(Hint::WaitForTpmLockout)), "{failed}");
    }
    assert_eq!(swtpm.tpm().status(LIMIT).unwrap().failures(), 1);
}

#[tokio::test]
#[ignore = "needs swtpm: cargo xtask tpm"]
async fn lockout_at_any_command_is_told() {
    let (emulator, swtpm) = (service().await, Swtpm::start());
    let tap = Tap::start(swtpm);
    let client = client(&emulator, &tap.tpm()).await;
    let mut credentials = client.register().await.unwrap().hub_credentials().unwrap();
    for code in [POLICY_SECRET, ACTIVATE_CREDENTIAL, IMPORT, LOAD, HMAC, EVICT_CONTROL] {
        tap.at(code, 0, Then::refuse(0x921));
        let failed = client.register().await.map(drop).unwrap_err();
        assert_eq!(what(&failed), (ErrorCode::TpmLockout, Some(Hint::WaitForTpmLockout)), "{code:#x}");
    }
    tap.at(HMAC, 0, Then::refuse(0x921));
    assert_eq!(credentials.password().await.map(drop).unwrap_err().code(), ErrorCode::TpmLockout);
}

#[tokio::test]
#[ignore = "needs swtpm: cargo xtask tpm"]
async fn full_storage_is_reported_before_anything_is_sent() {
    let (emulator, swtpm) = (service().await, Swtpm::start());
    client(&emulator, &swtpm.tpm()).await.register().await.unwrap();
    assert_eq!(swtpm.send(&raw::evict_control(HUB_KEY, HUB_KEY)).code, 0);
    let made = swtpm.create_storage_key();
    let full = (0x8100_2000..0x8100_2400).find(|handle| swtpm.send(&raw::evict_control(made, *handle)).code != 0);
    let full = full.expect("the storage is full");
    swtpm.flush(made);
    emulator.with_service(dps_emulator::Service::reset_counters);
    let handles = swtpm.handles();
    let client = builder(&emulator).tpm(swtpm.tpm()).build().unwrap();
    let failed = client.register().await.map(drop).unwrap_err();
    assert_eq!(what(&failed), (ErrorCode::TpmNoSlot, Some(Hint::FreeTpmSlot)), "{failed}");
    assert_eq!(swtpm.handles(), handles);
    assert_eq!(emulator.with_service(|service| service.counters().registers), 0);

    assert_eq!(swtpm.send(&raw::evict_control(full - 1, full - 1)).code, 0);
    client.register().await.unwrap();
}

#[tokio::test]
#[ignore = "needs swtpm: cargo xtask tpm"]
async fn storage_that_is_full_when_the_key_is_kept_is_reported() {
    let (emulator, tap) = (service().await, Tap::start(Swtpm::start()));
    let client = client(&emulator, &tap.tpm()).await;
    // The endorsement key, the storage root key, the key for the hub.
    for after in [0, 1, 2] {
        tap.at(EVICT_CONTROL, after, Then::refuse(0x14B));
        let failed = client.register().await.map(drop).unwrap_err();
        assert_eq!(what(&failed), (ErrorCode::TpmNoSlot, Some(Hint::FreeTpmSlot)), "{failed}");
        let handles = tap.with_swtpm(|swtpm| swtpm.handles());
        assert!(!handles.persistent.contains(&HUB_KEY), "{handles:x?}");
        assert_eq!((handles.transient, handles.sessions), (vec![], vec![]));
        handles.persistent.iter().for_each(|handle| {
            tap.with_swtpm(|swtpm| assert_eq!(swtpm.send(&raw::evict_control(*handle, *handle)).code, 0));
        });
    }
    tap.rule(|_| Then::Pass);
    let assignment = client.register().await.unwrap();
    assert_eq!(sign_in(&emulator, &mut assignment.hub_credentials().unwrap()).await, 0);
}

#[tokio::test]
#[ignore = "needs swtpm: cargo xtask tpm"]
async fn object_of_another_program_in_the_slot_is_left_as_it_is() {
    let (emulator, swtpm) = (service().await, Swtpm::start());
    swtpm.persist_storage_key(HUB_KEY);
    let client = client(&emulator, &swtpm.tpm()).await;
    let failed = fails_and_leaves(&swtpm, client.register()).await;
    assert_eq!(what(&failed), (ErrorCode::TpmNoSlot, Some(Hint::FreeTpmSlot)));
    assert!(failed.message().contains("0x81000100"), "{failed}");
}

#[tokio::test]
#[ignore = "needs swtpm: cargo xtask tpm"]
async fn object_of_another_program_does_not_sign_in_to_the_hub() {
    let (emulator, swtpm) = (service().await, Swtpm::start());
    let client = client(&emulator, &swtpm.tpm()).await;
    let mut credentials = client.register().await.unwrap().hub_credentials().unwrap();
    assert_eq!(swtpm.send(&raw::evict_control(HUB_KEY, HUB_KEY)).code, 0);
    swtpm.persist_storage_key(HUB_KEY);
    let missing = credentials.password().await.map(drop).unwrap_err();
    assert_eq!(what(&missing), (ErrorCode::TpmKeyMissing, Some(Hint::RegisterAgain)));
    assert!(missing.message().contains("is not a key of a device"), "{missing}");
}

#[tokio::test]
#[ignore = "needs swtpm: cargo xtask tpm"]
async fn tpm_that_is_busy_is_asked_again() {
    let (emulator, swtpm) = (service().await, Swtpm::start());
    let tap = Tap::start(swtpm);
    let client = client(&emulator, &tap.tpm()).await;
    // TPM_RC_RETRY, TPM_RC_YIELDED, TPM_RC_TESTING and TPM_RC_NV_RATE in turn, at every second command.
    let mut busy = [0x922, 0x908, 0x90A, 0x920].into_iter().cycle().take(40);
    let mut passes = false;
    tap.rule(move |_| {
        passes = !passes;
        if passes { Then::Pass } else { busy.next().map_or(Then::Pass, Then::refuse) }
    });
    let assignment = client.register().await.unwrap();
    assert_eq!(sign_in(&emulator, &mut assignment.hub_credentials().unwrap()).await, 0);
}

#[tokio::test]
#[ignore = "needs swtpm: cargo xtask tpm"]
async fn response_that_is_not_one_is_an_error() {
    let (emulator, swtpm) = (service().await, Swtpm::start());
    let tap = Tap::start(swtpm);
    let client = client(&emulator, &tap.tpm()).await;
    client.register().await.unwrap();
    let response = |tail: &[u8]| {
        let size = u32::try_from(10 + tail.len()).unwrap();
        Then::Answer([&[0x80, 2][..], &raw::words(&[size, 0]), tail].concat())
    };
    for code in [START_AUTH_SESSION, POLICY_SECRET, READ_PUBLIC, ACTIVATE_CREDENTIAL, IMPORT, LOAD, HMAC] {
        for tail in [&[][..], &[0xFF; 4], &[0; 5], &[0, 0, 0, 200, 0]] {
            tap.at(code, 0, response(tail));
            let failed = client.register().await.map(drop).unwrap_err();
            assert_eq!(failed.code(), ErrorCode::TpmFailed, "{code:#x} {tail:?} {failed}");
        }
        tap.at(code, 0, Then::Answer(vec![0xFF; 10]));
        let failed = client.register().await.map(drop).unwrap_err();
        assert_eq!(failed.code(), ErrorCode::TpmLost, "{code:#x} {failed}");
    }
    tap.rule(|_| Then::Pass);
    client.register().await.unwrap();
}
