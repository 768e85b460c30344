//! Registrations with a certificate over real TLS against the local service, and what follows at the hub.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use crate::common::{builder_over, service, service_with, what};
use crate::pki::{Ca, Device, P256, P384, data};
use dps_client::rustls;
use dps_client::{
    CertificateChain, ErrorCode, Family, Hint, IssuedIdentity, KeyAlgorithm, OperationalKey, Probe, Progress,
    ProvisioningClient, ProvisioningClientBuilder, ProxyChoice, Roots, Transport, X509,
};
use dps_emulator::{
    Certificate, CertificatePolicy, Emulator, EmulatorOptions, EnrollmentGroup, IndividualEnrollment, TlsVersion,
};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

const TRANSPORTS: [Transport; 3] = [Transport::Https, Transport::Mqtt, Transport::MqttWebSocket];

/// A client whose registration id is the common name of the certificate.
pub(crate) fn builder(transport: Transport, emulator: &Emulator, device: &X509) -> ProvisioningClientBuilder {
    let endpoint = match transport {
        Transport::Mqtt => emulator.mqtt_endpoint().unwrap(),
        Transport::MqttWebSocket => emulator.wss_endpoint().unwrap(),
        _ => emulator.endpoint(),
    };
    ProvisioningClient::builder()
        .id_scope(emulator.id_scope())
        .transport(transport)
        .endpoint(endpoint)
        .roots(Roots::replace_pem(emulator.ca_pem().as_bytes()).unwrap())
        .timeout(Duration::from_secs(20))
        .minimum_spacing(Duration::ZERO)
        .proxy(ProxyChoice::Direct)
        .seed(1)
        .x509(device.clone())
}

fn first_certificate(device: &X509) -> Certificate {
    Certificate::from_der(device.chain().iter().next().unwrap()).unwrap()
}

/// Replaces the individual enrollment `dev-01` by one of this certificate.
pub(crate) fn enroll(emulator: &Emulator, device: &X509) {
    let enrollment = IndividualEnrollment::new("dev-01").client_certificate(first_certificate(device));
    let now = emulator.now();
    emulator.with_service(|service| service.put_enrollment(now, enrollment).unwrap());
}

/// Verifies the authority at the service, and makes the group `line-1` of it.
fn enroll_group(emulator: &Emulator, authority: &Ca) {
    let certificate = Certificate::from_der(authority.certificates().iter().next().unwrap()).unwrap();
    let now = emulator.now();
    emulator.with_service(|service| {
        service.put_ca_certificate(now, "ca", certificate.clone(), true).unwrap();
        service.put_group(now, EnrollmentGroup::new("line-1").signing_certificate(certificate)).unwrap();
    });
}

#[tokio::test]
async fn individual_enrollment_of_a_certificate_registers_over_every_transport_and_tls_version() {
    for version in [TlsVersion::Tls12, TlsVersion::Tls13] {
        let emulator = service_with(EmulatorOptions::new().tls_version(version)).await;
        for (transport, key) in TRANSPORTS.into_iter().zip([P256, P384, P256]) {
            let device = Ca::root("Root").device_with("dev-01", key, |_| {}).x509();
            enroll(&emulator, &device);
            let assignment = builder(transport, &emulator, &device).build().unwrap().register().await.unwrap();
            assert_eq!(assignment.device_id(), "dev-01", "{transport:?} {version:?}");
        }
    }
}

#[tokio::test]
async fn rsa_certificates_register() {
    let emulator = service().await;
    for (certificate, key) in
        [(data!("rsa-2048.cert.pem"), data!("rsa-2048-pkcs1.pem")), (data!("rsa-4096.cert.pem"), data!("rsa-4096.pem"))]
    {
        let device = X509::from_pem(certificate, key).unwrap();
        enroll(&emulator, &device);
        builder(Transport::Mqtt, &emulator, &device).build().unwrap().register().await.unwrap();
    }
}

#[tokio::test]
async fn group_of_a_root_registers_chains_of_two_to_four_certificates() {
    let emulator = service().await;
    let root = Ca::root("Root");
    enroll_group(&emulator, &root);
    let (upper, other) = (root.intermediate("Upper"), root.intermediate("Other"));
    let devices = [root.device("dev-a"), upper.device("dev-b"), upper.intermediate("Lower").device("dev-c")];
    for (device, transport) in devices.iter().zip(TRANSPORTS) {
        let client = builder(transport, &emulator, &device.x509()).build().unwrap();
        let assignment = client.register().await.unwrap();
        assert_eq!(assignment.device_id(), client.registration_id().as_str());
    }
    // The intermediate is missing.
    let alone = other.device("dev-d").in_order(&[0]);
    let refused = builder(Transport::Https, &emulator, &alone.x509()).build().unwrap().register().await.unwrap_err();
    assert_eq!(what(&refused), (ErrorCode::Unauthorized, Some(Hint::MissingIntermediate)));
    assert_eq!(refused.error_code(), Some(401_002));
}

#[tokio::test]
async fn long_chains_are_presented_whole() {
    let emulator = service().await;
    let long_name = |params: &mut rcgen::CertificateParams| {
        params.distinguished_name.push(rcgen::DnType::OrganizationName, "o".repeat(3500));
    };
    let root = Ca::root_with("Root", long_name);
    enroll_group(&emulator, &root);
    let device = root.intermediate_with("Line", long_name).device("dev-09");
    let size: usize = device.x509().chain().iter().map(<[u8]>::len).sum();
    assert!((16_000..20_480).contains(&size), "{size} bytes");
    for transport in TRANSPORTS {
        builder(transport, &emulator, &device.x509()).build().unwrap().register().await.unwrap();
    }
}

#[tokio::test]
async fn certificate_needs_no_clock_and_no_token() {
    let emulator = service().await;
    let device = Device::self_signed("dev-01").x509();
    enroll(&emulator, &device);
    for transport in TRANSPORTS {
        let client = builder(transport, &emulator, &device).clock(|| None).build().unwrap();
        client.register().await.unwrap();
        assert!(matches!(client.probe().await.unwrap(), Probe::Answered(_) | Probe::SignedIn));
    }
    assert_eq!(client_lookup(&emulator, &device).await, "dev-01");
}

/// The device id of the record.
async fn client_lookup(emulator: &Emulator, device: &X509) -> String {
    let client = builder(Transport::Https, emulator, device).build().unwrap();
    client.lookup().await.unwrap().device_id.unwrap()
}

#[tokio::test]
async fn refused_certificate_ranks_causes_of_certificates_and_never_the_clock() {
    let emulator = service().await;
    // `dev-01` is enrolled with a key.
    let device = Ca::root("Root").device("dev-01");
    for (transport, device, likeliest) in [
        (Transport::Https, device.in_order(&[0]), Hint::MissingIntermediate),
        (Transport::Mqtt, device, Hint::UnverifiedRoot),
        (Transport::MqttWebSocket, Device::self_signed("dev-01"), Hint::WrongThumbprint),
    ] {
        let client = builder(transport, &emulator, &device.x509()).correct_clock(true).build().unwrap();
        let refused = client.register().await.unwrap_err();
        assert_eq!(what(&refused), (ErrorCode::Unauthorized, Some(likeliest)), "{transport:?}");
        assert!(refused.hints().contains(&Hint::NoEnrollment));
        let of_tokens = [Hint::CheckClock, Hint::ClockBehind, Hint::ClockAhead, Hint::WrongKey, Hint::KeyLength];
        assert!(refused.hints().iter().all(|hint| !of_tokens.contains(hint)), "{:?}", refused.hints());
    }
}

#[tokio::test]
async fn warnings_of_the_check_are_the_first_hints_of_a_refusal() {
    let emulator = service().await;
    let device = X509::from_pem(data!("sha1.cert.pem"), data!("ec-sec1.pem")).unwrap();
    let refused = builder(Transport::Mqtt, &emulator, &device).build().unwrap().register().await.unwrap_err();
    assert_eq!(what(&refused), (ErrorCode::Unauthorized, Some(Hint::WeakSignature)));
}

#[tokio::test]
async fn certificate_that_expires_after_the_client_was_built_is_refused_before_connecting() {
    let emulator = service().await;
    let year = |year| rcgen::date_time_ymd(year, 1, 1);
    let device = Ca::root("Root").device_with("dev-01", P256, |params| params.not_after = year(2050)).x509();
    enroll(&emulator, &device);
    let (start, later) = (SystemTime::now(), Arc::new(AtomicU64::new(0)));
    let years = Arc::clone(&later);
    let clock = move || Some(start + Duration::from_secs(years.load(Ordering::SeqCst) * 31_557_600));
    let client = builder(Transport::Https, &emulator, &device).clock(clock).build().unwrap();
    client.register().await.unwrap();
    later.store(40, Ordering::SeqCst);
    let expired = client.register().await.unwrap_err();
    assert_eq!(what(&expired), (ErrorCode::ClientCertificateExpired, Some(Hint::RenewCertificate)));
    assert_eq!(expired.family(), Family::Local);
    assert_eq!(emulator.with_service(|service| service.counters()).registers, 1);
}

#[tokio::test]
async fn certificate_that_expires_during_the_registration_is_the_likeliest_cause() {
    let emulator = service_with(EmulatorOptions::new().service(|service| service.check_expiry_on_poll(true))).await;
    let device =
        Ca::root("Root").device_with("dev-01", P256, |params| params.not_after = rcgen::date_time_ymd(2050, 1, 1));
    let device = device.x509();
    enroll(&emulator, &device);
    let (start, years, emulator) = (SystemTime::now(), Arc::new(AtomicU64::new(0)), Arc::new(emulator));
    let (read, service) = (Arc::clone(&years), Arc::clone(&emulator));
    let clock = move || Some(start + Duration::from_secs(read.load(Ordering::SeqCst) * 31_557_600));
    let client = builder(Transport::Https, &emulator, &device).clock(clock).on_progress(move |progress| {
        if matches!(progress, Progress::Sending { call: "status" }) {
            years.store(40, Ordering::SeqCst);
            service.set_clock_offset_ms(40 * 31_557_600_000);
        }
    });
    let expired = client.build().unwrap().register().await.unwrap_err();
    assert_eq!(what(&expired), (ErrorCode::Unauthorized, Some(Hint::RenewCertificate)));
    assert!(expired.hints().contains(&Hint::UnverifiedRoot), "{:?}", expired.hints());
}

#[tokio::test]
async fn certificate_signs_in_to_the_hub_without_a_password() {
    let emulator = service().await;
    let device = Ca::root("Root").device("dev-01").x509();
    enroll(&emulator, &device);
    let client = builder(Transport::Https, &emulator, &device).build().unwrap();
    let assignment = client.register().await.unwrap();
    let connection = assignment.connection_string().unwrap().unwrap();
    assert_eq!(connection.expose(), "HostName=hub-a.test;DeviceId=dev-01;x509=true");
    for mut credentials in
        [assignment.hub_credentials().unwrap(), client.hub_credentials(&assignment.to_stored()).unwrap().unwrap()]
    {
        assert_eq!(credentials.user_name(), "hub-a.test/dev-01/?api-version=2021-04-12");
        assert_eq!(credentials.certificate().unwrap().chain(), device.chain());
        let none = credentials.password().await.unwrap_err();
        assert!(none.code() == ErrorCode::InvalidOption && none.message().contains("with its certificate"), "{none}");
    }
    let credentials = assignment.hub_credentials().unwrap();
    assert_eq!(connack(&emulator, &device, credentials.client_id(), &credentials.user_name()).await, 0);
    let other = Ca::root("Root").device("dev-01").x509();
    assert_ne!(connack(&emulator, &other, credentials.client_id(), &credentials.user_name()).await, 0);
}

/// The return code of a CONNECT without a password over TLS with this certificate.
async fn connack(emulator: &Emulator, device: &X509, client_id: &str, user_name: &str) -> u8 {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(emulator.ca_pem().as_bytes()).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_client_cert_resolver(device.resolver());
    let tcp = TcpStream::connect(emulator.mqtt_addr().unwrap()).await.unwrap();
    let name = "localhost".try_into().unwrap();
    let mut tls = TlsConnector::from(Arc::new(config)).connect(name, tcp).await.unwrap();
    // MQTT 3.1.1, section 3.1: clean session, user name, a keep-alive of a minute.
    let mut connect = b"\x10\0\0\x04MQTT\x04\x82\0\x3c".to_vec();
    for text in [client_id, user_name] {
        connect.extend([0, u8::try_from(text.len()).unwrap()]);
        connect.extend(text.as_bytes());
    }
    connect[1] = u8::try_from(connect.len() - 2).unwrap();
    tls.write_all(&connect).await.unwrap();
    let mut connack = [0; 4];
    tls.read_exact(&mut connack).await.unwrap();
    assert_eq!(connack[..3], [0x20, 2, 0]);
    connack[3]
}

#[tokio::test]
async fn key_device_has_no_certificate_for_the_hub() {
    let emulator = service().await;
    let client = builder_over(Transport::Mqtt, &emulator).symmetric_key(crate::common::device_key()).build().unwrap();
    let assignment = client.register().await.unwrap();
    assert!(assignment.hub_credentials().unwrap().certificate().is_none());
}

#[tokio::test]
async fn two_credentials_are_refused() {
    let device = Device::self_signed("dev-01").x509();
    let twice = ProvisioningClient::builder()
        .id_scope("0ne00A1B2C3")
        .registration_id("dev-01")
        .x509(device)
        .symmetric_key(crate::common::device_key())
        .build()
        .unwrap_err();
    assert!(twice.code() == ErrorCode::InvalidOption && twice.message().contains("two credentials"), "{twice}");
}

#[tokio::test]
async fn certificate_is_issued_to_a_device_with_a_certificate_over_every_transport() {
    let emulator = service().await;
    let device = Device::self_signed("dev-01").x509();
    let policy = CertificatePolicy::named("factory", "root", "devices");
    let enrollment = IndividualEnrollment::new("dev-01").client_certificate(first_certificate(&device));
    let now = emulator.now();
    emulator.with_service(|service| service.put_enrollment(now, enrollment.certificate_policy(policy)).unwrap());
    for transport in TRANSPORTS {
        let (id, key) = ("dev-01".parse().unwrap(), OperationalKey::generate(KeyAlgorithm::EcP256).unwrap());
        let request = key.certificate_request(&id).unwrap();
        let client = builder(transport, &emulator, &device).certificate_request(request).build().unwrap();
        let assignment = client.register().await.unwrap();
        let chain = CertificateChain::from_der(assignment.issued_chain().to_vec()).unwrap();
        let identity = IssuedIdentity::accept(key, chain, &id, Some(SystemTime::now())).unwrap();
        assert_eq!(identity.registration_id(), &id, "{transport:?}");
    }
}
