//! A TPM that does not answer: deadlines, dropped futures and the end of the process are not held up.

use std::time::{Duration, Instant};

use dps_client::ErrorCode;

use crate::common::{builder, service};
use crate::swtpm::{LIMIT, Swtpm};
use crate::tap::{ACTIVATE_CREDENTIAL, HMAC, IMPORT, POLICY_SECRET, Tap, Then};
use crate::tpm_register::{client, enroll};

#[tokio::test]
#[ignore = "needs swtpm: cargo xtask tpm"]
async fn registration_ends_by_its_deadline_while_the_tpm_hangs() {
    let (emulator, swtpm) = (service().await, Swtpm::start());
    let tap = Tap::start(swtpm);
    enroll(&emulator, "dev-01", &tap.tpm());
    let client = builder(&emulator).tpm(tap.tpm()).timeout(Duration::from_secs(2));
    let client = client.build().unwrap();
    for code in [POLICY_SECRET, ACTIVATE_CREDENTIAL, IMPORT] {
        tap.at(code, 0, Then::Hang);
        let started = Instant::now();
        let failed = client.register().await.map(drop).unwrap_err();
        assert!(started.elapsed() < Duration::from_secs(12), "{:?}", started.elapsed());
        assert_eq!(failed.code(), ErrorCode::SignerTimeout, "{code:#x} {failed}");
    }
}

#[tokio::test]
#[ignore = "needs swtpm: cargo xtask tpm"]
async fn dropped_registration_lets_the_next_one_use_the_tpm() {
    let (emulator, swtpm) = (service().await, Swtpm::start());
    let tap = Tap::start(swtpm);
    enroll(&emulator, "dev-01", &tap.tpm());
    let client = builder(&emulator).tpm(tap.tpm()).request_timeout(Duration::from_secs(2)).build().unwrap();
    tap.at(HMAC, 0, Then::Hang);
    let dropped = tokio::time::timeout(Duration::from_millis(700), client.register()).await;
    assert!(dropped.is_err());
    tap.rule(|_| Then::Pass);
    client.register().await.unwrap();
}

#[test]
#[ignore = "needs swtpm: cargo xtask tpm"]
fn runtime_ends_while_the_tpm_hangs() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let (emulator, swtpm) = (runtime.block_on(service()), Swtpm::start());
    let tap = Tap::start(swtpm);
    let client = runtime.block_on(client(&emulator, &tap.tpm()));
    tap.rule(|code| if code == HMAC { Then::Hang } else { Then::Pass });
    runtime.spawn(async move { client.register().await });
    let started = Instant::now();
    while tap.count(HMAC) == 0 {
        assert!(started.elapsed() < LIMIT);
        std::thread::sleep(Duration::from_millis(5));
    }
    let ends = Instant::now();
    drop(runtime);
    assert!(ends.elapsed() < Duration::from_secs(10), "{:?}", ends.elapsed());
}

#[test]
#[ignore = "needs swtpm: cargo xtask tpm"]
fn identity_and_status_end_by_their_limit() {
    let tap = Tap::start(Swtpm::start());
    tap.rule(|_| Then::Hang);
    for limit in [Duration::ZERO, Duration::from_millis(300)] {
        for failed in [tap.tpm().identity(limit).map(drop), tap.tpm().status(limit).map(drop)] {
            let code = failed.unwrap_err().code();
            assert!(matches!(code, ErrorCode::SignerTimeout | ErrorCode::TpmUnavailable), "{code:?}");
        }
    }
}
