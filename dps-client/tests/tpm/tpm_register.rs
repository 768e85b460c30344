//! A device with a TPM registers, is looked up, is provisioned again, and signs in to its hub.

use std::sync::Arc;
use std::time::SystemTime;

use dps_client::{
    Assignment, CertificateChain, HubCredentials, IssuedIdentity, KeyAlgorithm, OperationalKey, ProvisioningClient,
    ProvisioningClientBuilder, Tpm,
};
use dps_emulator::{CertificatePolicy, Emulator, IndividualEnrollment, TpmPublicKey};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::common::{builder, service};
use crate::swtpm::{LIMIT, Swtpm};

pub(crate) const HUB_KEY: u32 = 0x8100_0100;
pub(crate) const ENDORSEMENT_KEY: u32 = 0x8101_0001;
pub(crate) const STORAGE_ROOT_KEY: u32 = 0x8100_0001;

/// An enrollment of a TPM.
pub(crate) fn enroll(emulator: &Emulator, registration_id: &str, tpm: &Tpm) {
    let identity = tpm.identity(LIMIT).unwrap();
    let key = TpmPublicKey::from_base64(identity.endorsement_key()).unwrap();
    let now = emulator.now();
    let enrollment = IndividualEnrollment::new(registration_id).endorsement_key(key);
    emulator.with_service(|service| service.put_enrollment(now, enrollment)).unwrap();
}

/// A builder for `dev-01`, which is enrolled.
pub(crate) fn enrolled(emulator: &Emulator, tpm: &Tpm) -> ProvisioningClientBuilder {
    enroll(emulator, "dev-01", tpm);
    builder(emulator).tpm(tpm.clone())
}

pub(crate) async fn client(emulator: &Emulator, tpm: &Tpm) -> ProvisioningClient {
    enrolled(emulator, tpm).build().unwrap()
}

/// The return code of a CONNECT of a device at its hub.
pub(crate) async fn sign_in(emulator: &Emulator, credentials: &mut HubCredentials) -> u8 {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(emulator.ca_pem().as_bytes()).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let tcp = TcpStream::connect(emulator.mqtt_addr().unwrap()).await.unwrap();
    let mut tls = TlsConnector::from(Arc::new(config)).connect("localhost".try_into().unwrap(), tcp).await.unwrap();
    // MQTT 3.1.1, section 3.1: clean session, user name, password, a keep-alive of a minute.
    let mut connect = b"\0\x04MQTT\x04\xC2\0\x3c".to_vec();
    let password = credentials.password().await.unwrap().expose().to_owned();
    for text in [credentials.client_id(), &credentials.user_name(), &password] {
        connect.extend(u16::try_from(text.len()).unwrap().to_be_bytes());
        connect.extend(text.as_bytes());
    }
    let length = connect.len();
    assert!((128..16384).contains(&length));
    let head = [0x10, u8::try_from(length % 128).unwrap() | 0x80, u8::try_from(length / 128).unwrap()];
    tls.write_all(&[&head[..], &connect].concat()).await.unwrap();
    let mut connack = [0; 4];
    tls.read_exact(&mut connack).await.unwrap();
    assert_eq!(connack[..3], [0x20, 2, 0]);
    connack[3]
}

async fn signs_in(emulator: &Emulator, assignment: &Assignment) -> bool {
    sign_in(emulator, &mut assignment.hub_credentials().unwrap()).await == 0
}

#[tokio::test]
#[ignore = "needs swtpm: cargo xtask tpm"]
async fn certificate_is_issued_to_a_device_with_a_tpm() {
    let (emulator, swtpm) = (service().await, Swtpm::start());
    let endorsement = swtpm.tpm().identity(LIMIT).unwrap().endorsement_key().to_owned();
    let enrollment =
        IndividualEnrollment::new("dev-01").endorsement_key(TpmPublicKey::from_base64(&endorsement).unwrap());
    let enrollment = enrollment.certificate_policy(CertificatePolicy::named("factory", "root", "devices"));
    let now = emulator.now();
    emulator.with_service(|service| service.put_enrollment(now, enrollment)).unwrap();
    let (id, key) = ("dev-01".parse().unwrap(), OperationalKey::generate(KeyAlgorithm::EcP256).unwrap());
    let request = key.certificate_request(&id).unwrap();
    let client = builder(&emulator).tpm(swtpm.tpm()).certificate_request(request).build().unwrap();
    let assignment = client.register().await.unwrap();
    let chain = CertificateChain::from_der(assignment.issued_chain().to_vec()).unwrap();
    IssuedIdentity::accept(key, chain, &id, Some(SystemTime::now())).unwrap();
    assert!(signs_in(&emulator, &assignment).await, "the key for the hub is there too");
}

#[tokio::test]
#[ignore = "needs swtpm: cargo xtask tpm"]
async fn tpm_registers_and_signs_in_to_its_hub() {
    let (emulator, swtpm) = (service().await, Swtpm::start());
    let client = client(&emulator, &swtpm.tpm()).await;
    let assignment = client.register().await.unwrap();
    assert_eq!((assignment.device_id(), assignment.hub()), ("dev-01", "hub-a.test"));
    assert!(assignment.connection_string().unwrap().is_none(), "the key cannot be read");
    assert!(signs_in(&emulator, &assignment).await);

    let handles = swtpm.handles();
    assert_eq!(handles.persistent, [STORAGE_ROOT_KEY, HUB_KEY, ENDORSEMENT_KEY]);
    assert_eq!((handles.transient, handles.sessions), (vec![], vec![]), "nothing else is left");

    // As after a restart.
    let mut stored = client.hub_credentials(&assignment.to_stored()).unwrap().unwrap();
    assert_eq!(sign_in(&emulator, &mut stored).await, 0);
}

#[tokio::test]
#[ignore = "needs swtpm: cargo xtask tpm"]
async fn each_registration_has_a_new_key_for_the_hub() {
    let (emulator, swtpm) = (service().await, Swtpm::start());
    let client = client(&emulator, &swtpm.tpm()).await;
    let mut keys = Vec::new();
    for _ in 0..3 {
        let assignment = client.register().await.unwrap();
        assert!(signs_in(&emulator, &assignment).await);
        keys.push(swtpm.public(HUB_KEY));
        assert_eq!(swtpm.handles().persistent, [STORAGE_ROOT_KEY, HUB_KEY, ENDORSEMENT_KEY]);
    }
    keys.dedup();
    assert_eq!(keys.len(), 3);
}

#[tokio::test]
#[ignore = "needs swtpm: cargo xtask tpm"]
async fn lookup_changes_nothing_in_the_tpm() {
    let (emulator, swtpm) = (service().await, Swtpm::start());
    let client = client(&emulator, &swtpm.tpm()).await;
    let assignment = client.register().await.unwrap();
    let key = swtpm.public(HUB_KEY);
    let record = client.lookup().await.unwrap();
    assert_eq!(record.hub.as_deref(), Some("hub-a.test"));
    assert_eq!(swtpm.public(HUB_KEY), key);
    assert!(signs_in(&emulator, &assignment).await);
}

#[tokio::test]
#[ignore = "needs swtpm: cargo xtask tpm"]
async fn registration_id_is_derived_from_the_endorsement_key() {
    let (emulator, swtpm) = (service().await, Swtpm::start());
    let tpm = swtpm.tpm();
    let identity = tpm.identity(LIMIT).unwrap();
    let id = identity.registration_id().to_string();
    assert!(id.len() == 52 && id.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'2'..=b'7')), "{id}");
    enroll(&emulator, &id, &tpm);
    let builder = ProvisioningClient::builder().id_scope(emulator.id_scope()).endpoint(emulator.endpoint());
    let roots = dps_client::Roots::replace_pem(emulator.ca_pem().as_bytes()).unwrap();
    let client = builder.roots(roots).proxy(dps_client::ProxyChoice::Direct).tpm(tpm).build().unwrap();
    assert_eq!(client.registration_id().as_str(), id);
    assert!(swtpm.handles().persistent.is_empty(), "a client that was built has changed nothing");
    assert_eq!(client.register().await.unwrap().registration_id().as_str(), id);
}

#[tokio::test]
#[ignore = "needs swtpm: cargo xtask tpm"]
async fn key_is_kept_at_the_offset_that_is_set() {
    let (emulator, swtpm) = (service().await, Swtpm::start());
    let client = client(&emulator, &swtpm.tpm().key_offset(0x1234).unwrap()).await;
    let assignment = client.register().await.unwrap();
    assert!(signs_in(&emulator, &assignment).await);
    assert_eq!(swtpm.handles().persistent, [STORAGE_ROOT_KEY, 0x8100_1234, ENDORSEMENT_KEY]);
}

#[tokio::test]
#[ignore = "needs swtpm: cargo xtask tpm"]
async fn tpm_registers_over_tcp() {
    use std::process::{Command, Stdio};
    struct Ended(std::process::Child);
    impl Drop for Ended {
        fn drop(&mut self) {
            let _ = self.0.kill();
            let _ = self.0.wait();
        }
    }
    let (emulator, folder) = (service().await, tempfile::tempdir().unwrap());
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let mut swtpm = Command::new("swtpm");
    swtpm.args(["socket", "--tpm2", "--flags", "not-need-init,startup-clear", "--server"]);
    swtpm.arg(format!("type=tcp,port={port},bindaddr=127.0.0.1"));
    swtpm.arg("--tpmstate").arg(format!("dir={}", folder.path().display()));
    let _swtpm = Ended(swtpm.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap());
    let started = std::time::Instant::now();
    while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
        assert!(started.elapsed() < LIMIT, "swtpm does not listen");
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    let tpm = Tpm::new(&format!("swtpm:host=127.0.0.1,port={port}")).unwrap();
    assert!(signs_in(&emulator, &client(&emulator, &tpm).await.register().await.unwrap()).await);
}

#[tokio::test]
#[ignore = "needs swtpm: cargo xtask tpm"]
async fn two_clients_take_turns_with_one_tpm() {
    let (emulator, swtpm) = (service().await, Swtpm::start());
    let first = client(&emulator, &swtpm.tpm()).await;
    enroll(&emulator, "dev-02", &swtpm.tpm());
    let second = builder(&emulator).registration_id("dev-02").tpm(swtpm.tpm().key_offset(0x200).unwrap());
    let second = second.build().unwrap();
    let (first, second) = tokio::join!(first.register(), second.register());
    assert!(signs_in(&emulator, &first.unwrap()).await);
    assert!(signs_in(&emulator, &second.unwrap()).await);
}
