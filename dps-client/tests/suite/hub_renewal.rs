//! Renewals at the emulator's hub, over sockets: both generations of codes, conflicts, refused chains. `renewal_scenarios` has the
//! faults on the way.

use std::time::{Duration, SystemTime};

use dps_client::{
    CertificateChain, DpsError, ErrorCode, HubRenewal, IssuedIdentity, KeyAlgorithm, OnConflict, OperationalKey,
    ProxyChoice, Resolver, Roots, Transport,
};
use dps_emulator::{
    At, CertificatePolicy, ConnectionProfile, Emulator, EmulatorOptions, EventFilter, Fault, IndividualEnrollment,
    IssuanceCodes, Scope,
};

use crate::common::{DEVICE_KEY, builder, device_key, service_with};

/// `dev-01`, with a policy, at the hub that it was assigned to.
pub(crate) struct Site {
    pub(crate) emulator: Emulator,
    credentials: dps_client::HubCredentials,
    pub(crate) key: OperationalKey,
}

impl Site {
    async fn new(options: EmulatorOptions, policy: CertificatePolicy) -> Self {
        let emulator = service_with(options).await;
        let now = emulator.now();
        let key = dps_emulator::SymmetricKey::from_base64(DEVICE_KEY).unwrap();
        let enrollment = IndividualEnrollment::new("dev-01").primary_key(key).certificate_policy(policy);
        emulator.with_service(|service| service.put_enrollment(now, enrollment)).unwrap();
        let client = builder(&emulator).symmetric_key(device_key()).build().unwrap();
        let credentials = client.register().await.unwrap().hub_credentials().unwrap();
        Self { emulator, credentials, key: OperationalKey::generate(KeyAlgorithm::EcP256).unwrap() }
    }

    pub(crate) async fn with_policy(options: EmulatorOptions) -> Self {
        Self::new(options, CertificatePolicy::named("factory", "root", "devices")).await
    }

    pub(crate) fn renewal(&self, transport: Transport) -> HubRenewal {
        let address = match transport {
            Transport::MqttWebSocket => self.emulator.wss_addr(),
            _ => self.emulator.mqtt_addr(),
        };
        let port = address.unwrap().port();
        HubRenewal::new(self.credentials.clone())
            .transport(transport)
            .port(port)
            .resolver(Resolver::new([format!("hub-a.test:{port}:127.0.0.1").parse().unwrap()]))
            .roots(Roots::replace_pem(self.emulator.ca_pem().as_bytes()).unwrap())
            .proxy(ProxyChoice::Direct)
            .timeout(Duration::from_secs(60))
    }

    pub(crate) fn request(&self) -> Vec<u8> {
        self.key.certificate_request(&"dev-01".parse().unwrap()).unwrap()
    }

    async fn issue(&self) -> Result<CertificateChain, DpsError> {
        self.renewal(Transport::Mqtt).issue(&self.request()).await
    }

    pub(crate) fn accept(&self, chain: CertificateChain) -> Result<IssuedIdentity, DpsError> {
        IssuedIdentity::accept(self.key.clone(), chain, &"dev-01".parse().unwrap(), Some(SystemTime::now()))
    }
}

fn facts(error: &DpsError) -> (ErrorCode, Option<u16>, Option<u32>) {
    (error.code(), error.http_status(), error.error_code())
}

#[tokio::test]
async fn hub_issues_a_chain_that_is_accepted_over_tls_and_websocket() {
    let site = Site::with_policy(EmulatorOptions::new()).await;
    for transport in [Transport::Mqtt, Transport::MqttWebSocket] {
        let chain = site.renewal(transport).issue(&site.request()).await.unwrap();
        assert_eq!(chain.len(), 3, "{transport:?}");
        let identity = site.accept(chain).unwrap();
        assert!(identity.state_at(SystemTime::now()).is_valid());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn renewal_without_a_runtime_blocks_its_thread() {
    let site = Site::with_policy(EmulatorOptions::new()).await;
    let (renewal, request) = (site.renewal(Transport::Mqtt), site.request());
    let issued = std::thread::spawn(move || renewal.blocking_issue(&request));
    assert_eq!(issued.join().unwrap().unwrap().len(), 3);
}

#[tokio::test]
async fn chain_for_another_key_is_refused_and_the_old_identity_kept() {
    let site = Site::with_policy(EmulatorOptions::new()).await;
    let old = site.accept(site.issue().await.unwrap()).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let store = dps_client::IdentityStore::new(folder.path()).lock().unwrap();
    store.save(&old).unwrap();
    site.emulator.with_service(|service| service.inject(Scope::All, At::Issue, Fault::ForeignCertificate, 1));
    let refused = site.accept(site.issue().await.unwrap()).unwrap_err();
    assert_eq!(refused.code(), ErrorCode::ClientKeyMismatch);
    let kept = store.load().unwrap().found().unwrap();
    assert_eq!(kept.chain(), old.chain());
}

#[tokio::test]
async fn refusals_have_the_codes_of_both_generations() {
    for (codes, refused, conflict) in
        [(IssuanceCodes::Early, 400_037, 409_004), (IssuanceCodes::Current, 400_040, 409_005)]
    {
        let options = || EmulatorOptions::new().service(move |service| service.issuance_codes(codes));
        let site = Site::with_policy(options()).await;
        let foreign = site.key.certificate_request(&"dev-02".parse().unwrap()).unwrap();
        let error = site.renewal(Transport::Mqtt).issue(&foreign).await.unwrap_err();
        assert_eq!(facts(&error), (ErrorCode::BadRequest, Some(400), Some(refused)));
        assert!(error.tracking_id().is_some() && error.retry_after().is_none());

        let none = Site::new(options(), CertificatePolicy::default()).await;
        assert_eq!(facts(&none.issue().await.unwrap_err()), (ErrorCode::BadRequest, Some(400), Some(refused)));

        // A first request, which is not answered for an hour, is given up once it was accepted.
        let slow = Site::with_policy(options()).await;
        slow.emulator.with_service(|service| {
            service.inject(Scope::All, At::Issue, Fault::Delay { ms: 3_600_000 }, 1);
        });
        let (renewal, request) = (slow.renewal(Transport::Mqtt), slow.request());
        let first = tokio::spawn(async move { renewal.issue(&request).await });
        slow.emulator.wait_for(&EventFilter::new().kind("fault"), Duration::from_secs(30)).await.unwrap();
        first.abort();
        let again = slow.renewal(Transport::Mqtt).on_conflict(OnConflict::Fail);
        let error = again.issue(&slow.request()).await.expect_err("the first request is active");
        assert_eq!(facts(&error), (ErrorCode::Conflict, Some(409), Some(conflict)));
        slow.accept(slow.issue().await.unwrap()).unwrap();
    }
}

#[tokio::test]
async fn device_that_the_hub_refuses_is_told_so_at_once() {
    let site = Site::with_policy(EmulatorOptions::new()).await;
    site.emulator.with_service(|service| service.hub_device_mut("hub-a.test", "dev-01").unwrap().enabled = false);
    let error = site.issue().await.unwrap_err();
    assert_eq!((error.code(), error.retry_after()), (ErrorCode::Unauthorized, None), "{}", error.report());

    let options =
        EmulatorOptions::new().service(|service| service.hub_profile("hub-a.test", ConnectionProfile::MqttV5));
    let modern = Site::with_policy(options).await;
    assert_eq!(modern.issue().await.unwrap_err().code(), ErrorCode::MqttRefused);
}

#[tokio::test]
async fn renewal_that_cannot_work_fails_before_it_connects() {
    let site = Site::with_policy(EmulatorOptions::new()).await;
    let before = site.emulator.with_service(|service| service.counters());
    let error = site.renewal(Transport::Mqtt).issue(&[0; 6 * 1024 + 1]).await.unwrap_err();
    assert_eq!(error.code(), ErrorCode::RequestTooLarge);
    let error = site.renewal(Transport::Https).issue(&site.request()).await.unwrap_err();
    assert_eq!(error.code(), ErrorCode::UnsupportedByTransport);
    assert_eq!(site.emulator.with_service(|service| service.counters()), before);
}
