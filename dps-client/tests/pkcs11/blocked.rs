//! A token that blocks in `C_Sign` holds up neither a deadline, nor the runtime, nor the end of the process.

use std::future::Future;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use crate::common::{builder_over, service};
use crate::process::{Part, setting};
use crate::symmetric;
use crate::tls::{TRANSPORTS, builder, enroll, token, uri};
use crate::token::{PIN, Token};
use dps_client::{
    CertificateChain, DpsError, ErrorCode, Hint, Pkcs11Key, Probe, ProvisioningClient, ProxyChoice, Roots,
    SecretString, Transport, X509,
};
use dps_core::LinkError;
use dps_emulator::Emulator;
use tokio::runtime::{Builder, Runtime};

const TIMEOUT: Duration = Duration::from_secs(2);
/// Less than the 30 s for which the module blocks.
const SOON: Duration = Duration::from_secs(15);

fn assert_timed_out(failed: &DpsError, started: Instant) {
    assert_eq!(
        (failed.code(), failed.hints().first()),
        (ErrorCode::SignerTimeout, Some(&Hint::CheckSigner)),
        "{failed:?}"
    );
    assert!(started.elapsed() < SOON, "{:?}", started.elapsed());
}

/// The longest time for which `work` kept a timer of 20 ms waiting.
async fn longest_stall(work: impl Future<Output = ()>) -> Duration {
    let longest = Arc::new(AtomicU32::new(0));
    let seen = Arc::clone(&longest);
    let ticks = tokio::spawn(async move {
        let mut last = Instant::now();
        loop {
            tokio::time::sleep(Duration::from_millis(20)).await;
            seen.fetch_max(u32::try_from(last.elapsed().as_millis()).unwrap(), Ordering::Relaxed);
            last = Instant::now();
        }
    });
    work.await;
    // The timer that was kept waiting is seen too.
    tokio::time::sleep(Duration::from_millis(50)).await;
    ticks.abort();
    Duration::from_millis(longest.load(Ordering::Relaxed).into())
}

/// Clients over every transport, whose token blocks while it signs.
fn blocked_clients(emulator: &Emulator) -> (Token, [ProvisioningClient; 3]) {
    let (token, [chain, ..]) = token();
    enroll(emulator, &chain);
    let clients = TRANSPORTS.map(|transport| {
        let device = X509::from_pkcs11(chain.clone(), &token.key(&uri("P-256"))).unwrap();
        builder(transport, emulator, &device).timeout(TIMEOUT).build().unwrap()
    });
    token.inject("block");
    (token, clients)
}

/// The service on a thread of its own, so that what it needs is not part of what a test measures.
fn service_apart() -> (Runtime, Emulator) {
    let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let emulator = runtime.block_on(service());
    (runtime, emulator)
}

fn on_one_thread(work: impl Future<Output = ()>) {
    Builder::new_current_thread().enable_all().build().unwrap().block_on(work);
}

#[test]
#[ignore = "needs SoftHSM: cargo xtask pkcs11"]
fn handshake_with_a_blocked_token_ends_by_the_deadline_and_leaves_the_runtime_free() {
    let (_runtime, emulator) = service_apart();
    let (token, clients) = blocked_clients(&emulator);
    on_one_thread(async {
        let started = Instant::now();
        let stall = longest_stall(async {
            let [https, mqtt, wss] = &clients;
            let (https, mqtt, wss) = tokio::join!(https.register(), mqtt.register(), wss.register());
            [https, mqtt, wss].into_iter().for_each(|failed| assert_timed_out(&failed.unwrap_err(), started));
        });
        assert!(stall.await < TIMEOUT / 2);
        assert!(token.count("blocked") >= 3, "every client was waiting for its token");
        token.clear("block");
        for client in &clients {
            client.register().await.unwrap();
        }
    });
}

#[test]
#[ignore = "needs SoftHSM: cargo xtask pkcs11"]
fn symmetric_key_in_a_blocked_token_ends_by_the_deadline_and_leaves_the_runtime_free() {
    let (_runtime, emulator) = service_apart();
    let token = symmetric::token();
    let builder = builder_over(Transport::Https, &emulator).pkcs11_key(token.key(symmetric::URI));
    let client = builder.timeout(TIMEOUT).request_timeout(TIMEOUT).build().unwrap();
    token.inject("block");
    on_one_thread(async {
        let started = Instant::now();
        let stall = longest_stall(async { assert_timed_out(&client.register().await.unwrap_err(), started) });
        assert!(stall.await < TIMEOUT / 2);
        let probed = client.probe().await;
        let timeout = LinkError::Signer { code: ErrorCode::SignerTimeout };
        assert!(matches!(probed, Ok(Probe::NoAnswer { error, .. }) if error == timeout), "{probed:?}");
        token.clear("block");
        client.register().await.unwrap();
    });
}

#[test]
#[ignore = "needs SoftHSM: cargo xtask pkcs11"]
fn blocking_calls_return_by_the_deadline() {
    let (_runtime, emulator) = service_apart();
    let (token, clients) = blocked_clients(&emulator);
    std::thread::scope(|threads| {
        for client in &clients {
            threads.spawn(|| {
                let started = Instant::now();
                assert_timed_out(&client.blocking().register().unwrap_err(), started);
            });
        }
        threads.spawn(|| {
            let started = Instant::now();
            let failed = token.key(symmetric::URI).sign(b"to sign", TIMEOUT).unwrap_err();
            assert_timed_out(&failed, started);
        });
    });
}

/// Starts a part of this program in a process of its own, and waits until its token blocks.
fn blocked_process(part: &str, emulator: &Emulator) -> (Token, Part) {
    let (token, [chain, ..]) = token();
    enroll(emulator, &chain);
    std::fs::write(token.folder().join("ca.pem"), emulator.ca_pem()).unwrap();
    token.inject("block");
    let settings = [
        ("FOLDER", token.folder().to_str().unwrap()),
        ("ENDPOINT", &emulator.endpoint()),
        ("SCOPE", emulator.id_scope()),
    ];
    let process = Part::start(&format!("blocked::{part}"), &settings);
    let started = Instant::now();
    while token.count("blocked") == 0 {
        assert!(started.elapsed() < SOON, "the token was not asked for a signature");
        std::thread::sleep(Duration::from_millis(10));
    }
    (token, process)
}

/// A client by the settings of a process that a test started, for a token that blocks.
fn client_of_settings() -> Option<ProvisioningClient> {
    let folder = PathBuf::from(setting("FOLDER")?);
    let file = |name: &str| Path::new(&folder).join(name);
    let key = Pkcs11Key::from_uri(&uri("P-256")).unwrap().module(file("module.so")).pin(SecretString::from(PIN));
    let device = X509::from_pkcs11(CertificateChain::from_file(file("P-256.pem")).unwrap(), &key).unwrap();
    let roots = Roots::replace_pem(&std::fs::read(file("ca.pem")).unwrap()).unwrap();
    let builder =
        ProvisioningClient::builder().id_scope(setting("SCOPE").unwrap()).endpoint(setting("ENDPOINT").unwrap());
    Some(builder.x509(device).roots(roots).proxy(ProxyChoice::Direct).timeout(TIMEOUT * 30).build().unwrap())
}

#[test]
#[ignore = "needs SoftHSM: cargo xtask pkcs11"]
fn process_ends_while_its_token_blocks() {
    let (_runtime, emulator) = service_apart();
    let (_token, mut process) = blocked_process("register_until_a_timeout", &emulator);
    assert!(process.end_within(SOON).success());
}

#[test]
#[ignore = "a part of another test, which runs it in a process of its own"]
fn register_until_a_timeout() {
    let Some(client) = client_of_settings() else { return };
    on_one_thread(async {
        assert!(tokio::time::timeout(TIMEOUT, client.register()).await.is_err());
    });
}

#[test]
#[ignore = "needs SoftHSM: cargo xtask pkcs11"]
fn ctrl_c_ends_a_process_whose_token_blocks() {
    let (_runtime, emulator) = service_apart();
    let (_token, mut process) = blocked_process("register_until_the_process_is_killed", &emulator);
    process.interrupt();
    assert_eq!(process.end_within(SOON).signal(), Some(2));

    let (_token, mut process) = blocked_process("register_until_ctrl_c_is_handled", &emulator);
    process.wait_for("handling");
    process.interrupt();
    assert!(process.end_within(SOON).success());
}

#[test]
#[ignore = "a part of another test, which runs it in a process of its own"]
fn register_until_the_process_is_killed() {
    let Some(client) = client_of_settings() else { return };
    unreachable!("{:?}", client.blocking().register());
}

#[test]
#[ignore = "a part of another test, which runs it in a process of its own"]
#[expect(clippy::print_stdout, reason = "the test reads it")]
fn register_until_ctrl_c_is_handled() {
    let Some(client) = client_of_settings() else { return };
    on_one_thread(async {
        let interrupted = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::interrupt());
        println!("handling");
        tokio::select! {
            registered = client.register() => unreachable!("{registered:?}"),
            _ = async { interrupted.unwrap().recv().await } => {}
        }
    });
}
