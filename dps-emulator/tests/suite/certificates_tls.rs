//! Client certificates over real sockets: TLS 1.2 and 1.3, HTTPS, MQTT and MQTT over WebSocket, and the hub; and the
//! TLS options of an emulator.

use std::net::SocketAddr;

use crate::client::{Client, Failure, send_on};
use crate::common::{KEY, SCOPE, START_S, key};
use crate::pki::{Ca, Device, P256, P384, rsa_devices, valid};
use dps_emulator::{
    CHAIN_MAX, Certificate, Emulator, EmulatorOptions, EnrollmentGroup, IndividualEnrollment, StartError, TlsVersion,
};
use futures_util::{SinkExt, StreamExt};
use rcgen::CustomExtension;
use rustls::version::{TLS12, TLS13};
use rustls::{DEFAULT_VERSIONS, HandshakeKind, SupportedProtocolVersion};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;

const ACCEPTED: [u8; 4] = [0x20, 2, 0, 0];
const NOT_AUTHORIZED: [u8; 4] = [0x20, 2, 0, 5];

/// An emulator in the tests' time, whose group `line-1` is below its verified certificate `root`.
struct Site {
    emulator: Emulator,
    root: Ca,
    line: Ca,
}

impl Site {
    async fn start(change: impl FnOnce(EmulatorOptions) -> EmulatorOptions) -> Self {
        let options = EmulatorOptions::new().mqtt_port(0).wss_port(0).assign_at_once(true);
        let emulator = Emulator::start(change(options)).await.unwrap();
        let offset_ms = (START_S as i64 + 86_400) * 1000 - emulator.now().unix_ms as i64;
        emulator.set_clock_offset_ms(offset_ms);
        let root = Ca::root("Root");
        let line = root.intermediate("Line 1");
        let now = emulator.now();
        emulator.with_service(|service| {
            service.put_ca_certificate(now, "root", root.certificate(), true).unwrap();
            service.put_group(now, EnrollmentGroup::new("line-1").signing_certificate(line.certificate())).unwrap();
        });
        Self { emulator, root, line }
    }

    fn enroll(&self, device: &Certificate) {
        let now = self.emulator.now();
        let enrollment = IndividualEnrollment::new("dev-01").client_certificate(device.clone());
        self.emulator.with_service(|service| service.put_enrollment(now, enrollment)).unwrap();
    }

    fn client(&self, address: SocketAddr, versions: &[&'static SupportedProtocolVersion], device: &Device) -> Client {
        Client::with_tls(address, self.emulator.ca_pem(), versions, Some(device))
    }

    fn latest_refusal(&self) -> &'static str {
        self.emulator.with_service(|service| service.refusals().last().map_or("none", |refusal| refusal.reason.name()))
    }

    /// Registers over HTTPS; returns the status and the body.
    async fn over_https(
        &self,
        versions: &[&'static SupportedProtocolVersion],
        device: &Device,
    ) -> Result<(u16, String), Failure> {
        let client = self.client(self.emulator.https_addr(), versions, device);
        let path = format!("/{SCOPE}/registrations/dev-01/register?api-version=2021-06-01");
        let answer = send_on(&mut client.connect().await?, "PUT", &path, "", "{}").await?;
        Ok((answer.status, String::from_utf8(answer.body)?))
    }

    /// Registers over MQTT; returns CONNACK, and the reply if there is one.
    async fn over_mqtt(&self, versions: &[&'static SupportedProtocolVersion], device: &Device) -> (Vec<u8>, String) {
        let client = self.client(self.emulator.mqtt_addr().unwrap(), versions, device);
        let mut stream = client.tls("localhost").await.unwrap();
        stream.write_all(&[connect("dev-01", &dps_user()), register()].concat()).await.unwrap();
        let mut read = Vec::new();
        while !is_complete(&read) && stream.read_buf(&mut read).await.unwrap() > 0 {}
        answers(&read)
    }

    async fn over_websocket(
        &self,
        versions: &[&'static SupportedProtocolVersion],
        device: &Device,
    ) -> (Vec<u8>, String) {
        let client = self.client(self.emulator.wss_addr().unwrap(), versions, device);
        let mut request = "wss://localhost/$iothub/websocket".into_client_request().unwrap();
        request.headers_mut().insert("Sec-WebSocket-Protocol", "mqtt".parse().unwrap());
        let tls = client.tls("localhost").await.unwrap();
        let (mut stream, _) = tokio_tungstenite::client_async(request, tls).await.unwrap();
        let packets = [connect("dev-01", &dps_user()), register()].concat();
        stream.send(Message::Binary(packets.into())).await.unwrap();
        let mut read = Vec::new();
        while !is_complete(&read) {
            let Some(Ok(Message::Binary(bytes))) = stream.next().await else { break };
            read.extend_from_slice(&bytes);
        }
        answers(&read)
    }

    /// Signs in to the hub without a password; returns CONNACK.
    async fn at_hub(&self, device: &Device) -> Vec<u8> {
        let client = self.client(self.emulator.mqtt_addr().unwrap(), DEFAULT_VERSIONS, device);
        let mut stream = client.tls("hub-a.test").await.unwrap();
        stream.write_all(&connect("dev-01", "hub-a.test/dev-01/?api-version=2021-04-12")).await.unwrap();
        let mut connack = vec![0; 4];
        stream.read_exact(&mut connack).await.unwrap();
        connack
    }

    async fn registers_over_every_transport(&self, versions: &[&'static SupportedProtocolVersion], device: &Device) {
        let (status, body) = self.over_https(versions, device).await.unwrap();
        assert!(status == 200 && body.contains("\"assigned\""), "{body} {}", self.latest_refusal());
        for (connack, reply) in [self.over_mqtt(versions, device).await, self.over_websocket(versions, device).await] {
            assert_eq!(connack, ACCEPTED, "{}", self.latest_refusal());
            assert!(reply.contains("/res/200/") && reply.contains("\"assigned\""), "{reply}");
        }
    }
}

fn dps_user() -> String {
    format!("{SCOPE}/registrations/dev-01/api-version=2021-06-01")
}

/// CONNECT without a password.
fn connect(client_id: &str, user: &str) -> Vec<u8> {
    packet(0x10, &[&text("MQTT"), &[4, 0x82, 0, 0], &text(client_id), &text(user)])
}

fn register() -> Vec<u8> {
    let subscribe = packet(0x82, &[&[0, 1], &text("$dps/registrations/res/#"), &[0]]);
    [subscribe, packet(0x30, &[&text("$dps/registrations/PUT/iotdps-register/?$rid=1")])].concat()
}

fn text(text: &str) -> Vec<u8> {
    [&(text.len() as u16).to_be_bytes(), text.as_bytes()].concat()
}

fn packet(first: u8, parts: &[&[u8]]) -> Vec<u8> {
    let body = parts.concat();
    assert!(body.len() < 128);
    [&[first, body.len() as u8], body.as_slice()].concat()
}

/// Whether CONNACK refused, or the reply to the register call has arrived.
fn is_complete(read: &[u8]) -> bool {
    read.get(3).is_some_and(|code| *code != 0) || (read.len() > 9 && read.ends_with(b"}"))
}

/// CONNACK, and what follows the acknowledgement of the subscription.
fn answers(read: &[u8]) -> (Vec<u8>, String) {
    (read[..4].to_vec(), String::from_utf8_lossy(read.get(9..).unwrap_or_default()).into_owned())
}

#[tokio::test]
async fn devices_register_with_certificates_over_every_transport_and_tls_version() {
    let site = Site::start(|options| options).await;
    let devices = [site.line.device("dev-01"), site.line.device_with("dev-01", P384, |_| {})];
    for device in &devices {
        for versions in [&[&TLS12][..], &[&TLS13]] {
            site.registers_over_every_transport(versions, device).await;
        }
        assert_eq!(site.at_hub(device).await, ACCEPTED);
    }
    let group = site
        .emulator
        .with_service(|service| service.record("dev-01").unwrap().enrollment_group_id().map(str::to_owned));
    assert_eq!(group.as_deref(), Some("line-1"));
    assert_eq!(site.at_hub(&site.root.device("dev-01")).await, NOT_AUTHORIZED);
}

#[tokio::test]
async fn rsa_keys_register_over_every_transport_and_tls_version() {
    let site = Site::start(|options| options).await;
    for device in rsa_devices() {
        site.enroll(&device.certificate());
        for versions in [&[&TLS12][..], &[&TLS13]] {
            site.registers_over_every_transport(versions, &device).await;
        }
        assert_eq!(site.at_hub(&device).await, ACCEPTED);
        // And as CA keys: the signature of the device's certificate is verified with them.
        let now = site.emulator.now();
        site.emulator.with_service(|service| {
            let root = Certificate::from_der(&device.chain[1]).unwrap();
            service.delete_enrollment("dev-01");
            service.put_ca_certificate(now, "rsa", root, true).unwrap();
            service.put_group(now, EnrollmentGroup::new("rsa").ca_reference("rsa", None)).unwrap();
        });
        site.registers_over_every_transport(&[&TLS13], &device).await;
    }
}

#[tokio::test]
async fn resumed_connection_keeps_the_certificate() {
    let site = Site::start(|options| options).await;
    let path = format!("/{SCOPE}/registrations/dev-01/register?api-version=2021-06-01");
    for versions in [&[&TLS12][..], &[&TLS13]] {
        let client = site.client(site.emulator.https_addr(), versions, &site.line.device("dev-01"));
        for kind in [HandshakeKind::Full, HandshakeKind::Resumed] {
            let tls = client.tls("localhost").await.unwrap();
            assert_eq!(tls.get_ref().1.handshake_kind(), Some(kind));
            let mut sender = Client::on(tls).await.unwrap();
            assert_eq!(send_on(&mut sender, "PUT", &path, "", "{}").await.unwrap().status, 200);
        }
    }
}

#[tokio::test]
async fn refused_certificate_is_answered_in_the_protocol() {
    let site = Site::start(|options| options).await;
    let other = Ca::root("Other").device("dev-01");
    for versions in [&[&TLS12][..], &[&TLS13]] {
        let (status, body) = site.over_https(versions, &other).await.unwrap();
        assert!(status == 401 && body.contains("401002") && body.contains("Invalid certificate."), "{body}");
        assert_eq!(site.over_mqtt(versions, &other).await.0, NOT_AUTHORIZED);
        assert_eq!(site.over_websocket(versions, &other).await.0, NOT_AUTHORIZED);
        assert_eq!(site.latest_refusal(), "root-not-verified");
    }
    assert_eq!(site.at_hub(&other).await, NOT_AUTHORIZED);
    let unauthorized = site.emulator.with_service(|service| service.counters_of("dev-01").unauthorized);
    assert_eq!(unauthorized, 6);
}

#[tokio::test]
async fn refused_certificate_is_answered_when_the_device_registers_by_option() {
    let site = Site::start(|options| options.service(|service| service.certificates_at_register(true))).await;
    let other = Ca::root("Other").device("dev-01");
    let (connack, reply) = site.over_mqtt(DEFAULT_VERSIONS, &other).await;
    assert_eq!(connack, ACCEPTED);
    assert!(reply.contains("/res/401/?$rid=1") && reply.contains("401002"), "{reply}");
    assert!(reply.contains("Invalid certificate."), "{reply}");
    site.registers_over_every_transport(DEFAULT_VERSIONS, &site.line.device("dev-01")).await;
}

#[tokio::test]
async fn certificate_takes_precedence_over_a_token_over_https() {
    let site = Site::start(|options| options).await;
    let now = site.emulator.now();
    let enrollment = IndividualEnrollment::new("dev-01").primary_key(key(KEY));
    site.emulator.with_service(|service| service.put_enrollment(now, enrollment)).unwrap();
    let client = site.client(site.emulator.https_addr(), DEFAULT_VERSIONS, &site.line.device("dev-01"));
    let token = crate::common::device_token(KEY, "dev-01", now.unix_s() + 60);
    let path = format!("/{SCOPE}/registrations/dev-01/register?api-version=2021-06-01");
    let answer = client.send("PUT", &path, &token, "{}").await.unwrap();
    assert_eq!((answer.status, site.latest_refusal()), (401, "other-attestation"));
}

#[tokio::test]
async fn expired_certificate_is_refused_by_the_service_and_not_by_tls() {
    let site = Site::start(|options| options).await;
    let device = site.line.device_with("dev-01", P256, |params| valid(params, 0, 2));
    assert_eq!(site.over_https(DEFAULT_VERSIONS, &device).await.unwrap().0, 200);
    site.emulator.set_clock_offset_ms((START_S as i64 + 10 * 86_400) * 1000 - machine_ms(&site));
    assert_eq!(site.over_https(DEFAULT_VERSIONS, &device).await.unwrap().0, 401);
    assert_eq!(site.latest_refusal(), "certificate-expired");
    assert_eq!(site.at_hub(&device).await, NOT_AUTHORIZED);
}

/// The machine's clock, by the service's without an offset.
fn machine_ms(site: &Site) -> i64 {
    site.emulator.set_clock_offset_ms(0);
    site.emulator.now().unix_ms as i64
}

#[tokio::test]
async fn chains_of_20_kib_pass_tls_and_larger_ones_are_refused_by_the_service() {
    let site = Site::start(|options| options).await;
    let padded = |padding: usize| {
        site.line.device_with("dev-01", P256, |params| {
            params.custom_extensions = vec![CustomExtension::from_oid_content(&[2, 999, 1], vec![0x04; padding])];
        })
    };
    let size = |device: &Device| device.chain.iter().map(|der| der.len()).sum::<usize>();
    let small = size(&padded(1000)) - 1000;
    // Signatures differ in size by a few bytes.
    let device = padded(CHAIN_MAX - small - 20);
    assert!(size(&device) > CHAIN_MAX - 60 && size(&device) <= CHAIN_MAX, "{}", size(&device));
    for versions in [&[&TLS12][..], &[&TLS13]] {
        site.registers_over_every_transport(versions, &device).await;
        assert_eq!(site.over_https(versions, &padded(CHAIN_MAX)).await.unwrap().0, 401);
        assert_eq!(site.latest_refusal(), "chain-too-large");
    }
}

#[tokio::test]
async fn tls_version_is_the_only_one_that_is_accepted() {
    for (version, accepted, refused) in [(TlsVersion::Tls12, &TLS12, &TLS13), (TlsVersion::Tls13, &TLS13, &TLS12)] {
        let site = Site::start(|options| options.tls_version(version)).await;
        let device = site.line.device("dev-01");
        site.registers_over_every_transport(&[accepted], &device).await;
        assert!(site.over_https(&[refused], &device).await.is_err(), "{version:?}");
    }
}

#[tokio::test]
async fn emulator_serves_under_a_given_certificate_authority() {
    let root = Ca::root_of_today("Company Root");
    for pem in [(root.pem(), root.key_pem()), (root.pem() + &root.key_pem(), root.pem() + &root.key_pem())] {
        let options = EmulatorOptions::new().authority(pem.0, pem.1);
        assert!(!format!("{options:?}").contains("PRIVATE"), "the key is shown");
        let emulator = Emulator::start(options).await.unwrap();
        assert_eq!(Certificate::from_pem(emulator.ca_pem()).unwrap(), root.certificate());
        Client::new(emulator.https_addr(), &root.pem()).tls("localhost").await.unwrap();
        let other = Ca::root_of_today("Company Root");
        assert!(Client::new(emulator.https_addr(), &other.pem()).tls("localhost").await.is_err());
    }
}

#[tokio::test]
async fn certificate_authority_that_cannot_be_used_is_refused() {
    let (root, other) = (Ca::root("Root"), Ca::root("Other"));
    let leaf = root.device("localhost");
    for (certificate, key, wanted) in [
        (root.pem(), other.key_pem(), "the key does not belong to the certificate"),
        (root.pem(), root.pem(), "no private key"),
        (root.key_pem(), root.key_pem(), "exactly one certificate"),
        (root.pem() + &other.pem(), root.key_pem(), "exactly one certificate"),
        (leaf.pem(), root.key_pem(), "not a CA certificate"),
    ] {
        let error = Emulator::start(EmulatorOptions::new().authority(certificate, key)).await.unwrap_err();
        assert!(matches!(error, StartError::Authority(_)) && error.to_string().contains(wanted), "{error}");
    }
}
