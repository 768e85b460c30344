//! The life of an issued identity, with a clock that is moved: issued at registration, used, renewed at the hub, expired, lost,
//! recovered.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use dps_client::{
    CertificateChain, ErrorCode, HubRenewal, IdentityStore, IssuedIdentity, IssuedState, KeyAlgorithm, LoadedIdentity,
    LockedIdentityStore, OperationalKey, ProvisioningClient, ProvisioningClientBuilder, ProxyChoice, RegistrationId,
    Resolver, Roots, StoredAssignment, Transport, X509,
};
use dps_core::LinkError;
use dps_emulator::{CertificatePolicy, Emulator, EmulatorOptions, IndividualEnrollment};
use dps_mqtt::{HubLogin, HubSession, MqttOptions};
use dps_net::{Dialer, TlsOptions};

use crate::common::{DEVICE_KEY, builder_over, device_key, service_with};

const DAY: Duration = Duration::from_secs(86_400);

/// A device `dev-01` and its service, whose clocks are moved together.
struct World {
    emulator: Emulator,
    start: SystemTime,
    /// In seconds.
    passed: Arc<AtomicU64>,
    id: RegistrationId,
    store: LockedIdentityStore,
    _folder: tempfile::TempDir,
}

impl World {
    /// Certificates are valid for 30 days.
    async fn new() -> Self {
        let emulator = service_with(EmulatorOptions::new().service(|service| service.certificate_days(30))).await;
        let now = emulator.now();
        let key = dps_emulator::SymmetricKey::from_base64(DEVICE_KEY).unwrap();
        let enrollment = IndividualEnrollment::new("dev-01").primary_key(key);
        let enrollment = enrollment.certificate_policy(CertificatePolicy::named("factory", "root", "devices"));
        emulator.with_service(|service| service.put_enrollment(now, enrollment)).unwrap();
        let (folder, id): (_, RegistrationId) = (tempfile::tempdir().unwrap(), "dev-01".parse().unwrap());
        let store = IdentityStore::new(folder.path()).registration_id(&id).lock().unwrap();
        let (start, passed) = (SystemTime::now(), Arc::default());
        Self { emulator, start, passed, id, store, _folder: folder }
    }

    /// What the device's clock shows, for a client or TLS.
    fn clock(&self) -> impl Fn() -> SystemTime + Send + Sync + use<> {
        let (start, passed) = (self.start, Arc::clone(&self.passed));
        move || start + Duration::from_secs(passed.load(Ordering::SeqCst))
    }

    fn now(&self) -> SystemTime {
        self.clock()()
    }

    fn pass(&self, time: Duration) {
        self.emulator.advance_clock(time).unwrap();
        self.passed.fetch_add(time.as_secs(), Ordering::SeqCst);
    }

    fn client(&self, transport: Transport) -> ProvisioningClientBuilder {
        let clock = self.clock();
        builder_over(transport, &self.emulator).clock(move || Some(clock()))
    }

    /// Registers with the bootstrap credential and a request for a new key, and stores what was issued.
    async fn provision(&self, transport: Transport) -> (IssuedIdentity, StoredAssignment) {
        let key = OperationalKey::generate(KeyAlgorithm::EcP256).unwrap();
        let request = key.certificate_request(&self.id).unwrap();
        let client = self.client(transport).symmetric_key(device_key()).certificate_request(request).build().unwrap();
        let assignment = client.register().await.unwrap();
        let chain = CertificateChain::from_der(assignment.issued_chain().iter().map(Vec::as_slice)).unwrap();
        let identity = IssuedIdentity::accept(key, chain, &self.id, Some(self.now())).unwrap();
        self.store.save(&identity).unwrap();
        (identity, assignment.to_stored())
    }

    fn hub_port(&self) -> u16 {
        self.emulator.mqtt_addr().unwrap().port()
    }

    fn resolver(&self) -> Resolver {
        Resolver::new([format!("hub-a.test:{}:127.0.0.1", self.hub_port()).parse().unwrap()])
    }

    fn roots(&self) -> Roots {
        Roots::replace_pem(self.emulator.ca_pem().as_bytes()).unwrap()
    }

    /// Signs in to the hub with a certificate.
    async fn sign_in(&self, device: &X509) -> Result<(), LinkError> {
        let mut tls = (*TlsOptions::new(self.roots()).clock(self.clock()).client_config().unwrap()).clone();
        tls.client_auth_cert_resolver = device.resolver();
        let dialer = Dialer::new(Arc::new(tls), None).resolver(self.resolver());
        let user_name = "hub-a.test/dev-01/?api-version=2021-04-12";
        let login = HubLogin { client_id: "dev-01", user_name, password: None };
        let address = ("hub-a.test", self.hub_port());
        let opened = HubSession::open(&dialer, &MqttOptions::default(), address, login, "$iothub/twin/res/#").await;
        match opened {
            Ok(session) => {
                session.close().await;
                Ok(())
            }
            Err(error) => Err(error.kind()),
        }
    }

    /// Renews at the hub, with the identity that there is.
    async fn renew(&self, old: &IssuedIdentity, stored: &StoredAssignment) -> IssuedIdentity {
        let client: ProvisioningClient = self.client(Transport::Https).x509(old.x509().clone()).build().unwrap();
        let key = OperationalKey::generate(KeyAlgorithm::EcP384).unwrap();
        let renewal = HubRenewal::new(client.hub_credentials(stored).unwrap().unwrap())
            .port(self.hub_port())
            .resolver(self.resolver())
            .roots(self.roots())
            .proxy(ProxyChoice::Direct);
        let chain = renewal.issue(&key.certificate_request(&self.id).unwrap()).await.unwrap();
        let identity = IssuedIdentity::accept(key, chain, &self.id, Some(self.now())).unwrap();
        self.store.save(&identity).unwrap();
        identity
    }
}

#[tokio::test]
async fn issued_identity_is_used_renewed_at_the_hub_and_recovered_with_the_bootstrap_credential() {
    let world = World::new().await;
    let (first, stored) = world.provision(Transport::Https).await;
    assert_eq!(world.sign_in(first.x509()).await, Ok(()));
    assert_eq!(first.state_at(world.now()), IssuedState::Valid);

    world.pass(24 * DAY);
    let due = world.store.load().unwrap().found().unwrap();
    assert_eq!(due.state_at(world.now()), IssuedState::RenewalDue);
    let second = world.renew(&due, &stored).await;
    assert_eq!(second.state_at(world.now()), IssuedState::Valid);
    assert_eq!(world.sign_in(second.x509()).await, Ok(()));
    assert_eq!(world.sign_in(first.x509()).await, Ok(()), "the old one is valid until it expires");

    world.pass(7 * DAY);
    assert_eq!(first.state_at(world.now()), IssuedState::Expired);
    assert_eq!(world.sign_in(first.x509()).await, Err(LinkError::MqttRefused { code: 5 }));
    assert_eq!(world.sign_in(second.x509()).await, Ok(()));
    let expired = world.client(Transport::Https).x509(first.x509().clone()).build().unwrap_err();
    assert_eq!(expired.code(), ErrorCode::ClientCertificateExpired);

    world.store.clear().unwrap();
    assert!(matches!(world.store.load().unwrap(), LoadedIdentity::Nothing));
    let (third, stored) = world.provision(Transport::Mqtt).await;
    assert_eq!(stored.hub, "hub-a.test");
    assert_eq!(world.sign_in(third.x509()).await, Ok(()));
    assert_eq!(world.store.load().unwrap().found().unwrap().chain(), third.chain());
}

#[tokio::test]
async fn chain_is_issued_over_every_transport_and_only_for_a_request() {
    let world = World::new().await;
    for transport in [Transport::Https, Transport::Mqtt, Transport::MqttWebSocket] {
        let (identity, _) = world.provision(transport).await;
        assert_eq!(identity.chain().len(), 3, "{transport:?}");
        let plain = world.client(transport).symmetric_key(device_key()).build().unwrap();
        assert!(plain.register().await.unwrap().issued_chain().is_empty(), "{transport:?}");
        // An API version without issuance ignores the request.
        let request = identity.key().certificate_request(&world.id).unwrap();
        let old = world.client(transport).symmetric_key(device_key()).certificate_request(request);
        let old = old.api_version("2021-06-01").build().unwrap();
        assert!(old.register().await.unwrap().issued_chain().is_empty(), "{transport:?}");
    }
}

#[tokio::test]
async fn certificate_request_without_a_policy_in_a_lookup_or_without_content_is_refused() {
    let world = World::new().await;
    let request = OperationalKey::generate(KeyAlgorithm::EcP256).unwrap().certificate_request(&world.id).unwrap();
    let client = world.client(Transport::Https).symmetric_key(device_key()).certificate_request(request);
    let client = client.build().unwrap();
    assert_eq!(client.lookup().await.unwrap_err().family(), dps_core::Family::Misuse);
    let empty = world.client(Transport::Https).symmetric_key(device_key()).certificate_request(Vec::new());
    assert_eq!(empty.build().unwrap_err().code(), ErrorCode::CertificateRequest);

    let now = world.emulator.now();
    let key = dps_emulator::SymmetricKey::from_base64(DEVICE_KEY).unwrap();
    let plain = IndividualEnrollment::new("dev-01").primary_key(key);
    world.emulator.with_service(|service| service.put_enrollment(now, plain)).unwrap();
    let error = client.register().await.unwrap_err();
    assert_eq!((error.code(), error.error_code()), (ErrorCode::BadRequest, Some(400_000)));
}

#[tokio::test]
async fn device_whose_clock_stays_behind_is_told_so() {
    let world = World::new().await;
    let (identity, _) = world.provision(Transport::Https).await;
    world.emulator.advance_clock(60 * DAY).unwrap();
    // By the device's clock nothing has happened.
    assert_eq!(identity.state_at(world.now()), IssuedState::Valid);
    let client = world.client(Transport::Https).symmetric_key(device_key()).build().unwrap();
    let error = client.register().await.unwrap_err();
    assert_eq!(error.code(), ErrorCode::Unauthorized);
    assert_eq!(error.clock_skew_seconds().map(|skew| (skew + 43_200) / 86_400), Some(60), "{}", error.report());
    assert!(error.report().to_string().contains("clock"), "{}", error.report());
}
