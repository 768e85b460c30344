//! The blocking client on a thread with a stack of 96 KB, less than musl gives its threads. Of a release build only: a debug
//! build keeps every temporary value on the stack. `cargo xtask small-stack` runs it.
#![cfg(not(debug_assertions))]

use std::sync::Arc;
use std::time::SystemTime;

use crate::common::{builder_over, device_key, service};
use crate::hub_renewal::Site;
use crate::pki::data;
use crate::x509_register::{builder as x509_builder, enroll};
use dps_client::{
    DpsError, IdentityStore, IssuedIdentity, KeyAlgorithm, OperationalKey, Passphrase, SecretString, Transport, X509,
};
use dps_emulator::EmulatorOptions;

const STACK: usize = 96 * 1024;

#[test]
fn register_needs_no_more_than_96_kib_of_stack_over_every_transport() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let emulator = runtime.block_on(service());
    for transport in [Transport::Https, Transport::Mqtt, Transport::MqttWebSocket] {
        let client = builder_over(transport, &emulator).symmetric_key(device_key()).build().unwrap();
        let small = std::thread::Builder::new().stack_size(STACK);
        let registered =
            small.spawn(move || client.blocking().register().map(|assignment| assignment.hub().to_owned()));
        assert_eq!(registered.unwrap().join().unwrap().unwrap(), "hub-a.test", "{transport:?}");
    }
    drop(runtime);
}

#[test]
fn register_with_a_certificate_needs_no_more_than_96_kib_of_stack_over_every_transport() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let emulator = Arc::new(runtime.block_on(service()));
    let ec = (data!("ec.pem"), data!("ec-pbkdf2.pem"));
    let rsa = (data!("rsa-4096.cert.pem"), data!("rsa-4096.pem"));
    for (transport, (certificate, key)) in
        [(Transport::Https, ec), (Transport::Mqtt, rsa), (Transport::MqttWebSocket, ec), (Transport::Https, rsa)]
    {
        let emulator = Arc::clone(&emulator);
        // The files are read, and the chain is checked, on the small stack too.
        let small = std::thread::Builder::new().stack_size(STACK);
        let registered = small.spawn(move || {
            let passphrase = Passphrase::new(SecretString::from("correct-horse"));
            let device = X509::from_encrypted_pem(certificate, key, &passphrase).unwrap();
            enroll(&emulator, &device);
            let client = x509_builder(transport, &emulator, &device).build().unwrap();
            client.blocking().register().map(|assignment| assignment.hub().to_owned())
        });
        assert_eq!(registered.unwrap().join().unwrap().unwrap(), "hub-a.test", "{transport:?}");
    }
    drop(runtime);
}

#[test]
fn renewal_at_the_hub_needs_no_more_than_96_kib_of_stack() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let site = runtime.block_on(Site::with_policy(EmulatorOptions::new()));
    for (transport, algorithm) in [
        (Transport::Mqtt, KeyAlgorithm::EcP256),
        (Transport::MqttWebSocket, KeyAlgorithm::EcP384),
        (Transport::Mqtt, KeyAlgorithm::Rsa2048),
    ] {
        let renewal = site.renewal(transport);
        // The key is made, and the identity checked and stored, on the small stack too.
        let renew = move || {
            let (id, folder) = ("dev-01".parse()?, tempfile::tempdir().unwrap());
            let key = OperationalKey::generate(algorithm)?;
            let chain = renewal.blocking_issue(&key.certificate_request(&id)?)?;
            let store = IdentityStore::new(folder.path()).lock()?;
            store.save(&IssuedIdentity::accept(key, chain, &id, Some(SystemTime::now()))?)?;
            Ok::<_, DpsError>(store.load()?.found().is_some())
        };
        let small = std::thread::Builder::new().stack_size(STACK);
        assert!(small.spawn(renew).unwrap().join().unwrap().unwrap(), "{transport:?}");
    }
    drop(runtime);
}
