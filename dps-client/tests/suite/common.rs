//! A running service with enrollments, and clients that trust it.

#![allow(dead_code, unreachable_pub, reason = "each test file uses its part")]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use dps_client::{
    DpsError, GroupKey, ProvisioningClient, ProvisioningClientBuilder, ProxyChoice, Roots, SymmetricKey, Transport,
};
use dps_core::{ErrorCode, Hint};
use dps_emulator::{Emulator, EmulatorOptions, EnrollmentGroup, IndividualEnrollment};
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// Where nothing listens: port 1 is given to no program by the system, so that no other test listens there either.
pub const CLOSED: std::net::SocketAddr =
    std::net::SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 1);
pub const DEVICE_KEY: &str = "Jsm0lyGpjaVYVP2g3FnmnmG9dI/9qU24wNoykUmermc=";
pub const GROUP_KEY: &str = "8isrFI1sGsIlvvFSSFRiMfCNzv21fjbE/+ah/lSh3lF8e2YG1Te7w1KpZhJFFXJrqYKi9yegxkqIChbqOS9Egw==";
pub const GROUP_DEVICE: &str = "sn-007-888-abc-mac-a1-b2-c3-d4-e5-f6";

/// A file of the repository, such as `vectors/renewal.json`. The published package is without them, and then this is `None`.
pub fn repository_file(name: &str) -> Option<String> {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let is_there = root.join("vectors").is_dir();
    is_there.then(|| std::fs::read_to_string(root.join(name)).unwrap_or_else(|error| panic!("{name}: {error}")))
}

/// A service that assigns without making anyone wait. The individual enrollment is `dev-01`, the group `line-7`.
pub async fn service() -> Emulator {
    service_with(EmulatorOptions::new()).await
}

pub async fn service_with(options: EmulatorOptions) -> Emulator {
    let options = options.mqtt_port(0).wss_port(0).default_retry_after_s(0).service(|service| service.assigning_ms(0));
    let emulator = Emulator::start(options).await;
    let emulator = emulator.unwrap();
    let key = |text| dps_emulator::SymmetricKey::from_base64(text).unwrap();
    let now = emulator.now();
    emulator.with_service(|service| {
        service.put_enrollment(now, IndividualEnrollment::new("dev-01").primary_key(key(DEVICE_KEY))).unwrap();
        service.put_group(now, EnrollmentGroup::new("line-7").primary_key(key(GROUP_KEY))).unwrap();
    });
    emulator
}

/// A builder for `dev-01` that lacks only its credential.
pub fn builder(emulator: &Emulator) -> ProvisioningClientBuilder {
    ProvisioningClient::builder()
        .id_scope(emulator.id_scope())
        .registration_id("dev-01")
        .endpoint(emulator.endpoint())
        .roots(Roots::replace_pem(emulator.ca_pem().as_bytes()).unwrap())
        .timeout(Duration::from_secs(20))
        .minimum_spacing(Duration::ZERO)
        .proxy(ProxyChoice::Direct)
        .seed(1)
}

/// A builder for `dev-01` and a server at this port of this machine that lacks only its credential.
pub fn builder_to(port: u16, ca_pem: &str) -> ProvisioningClientBuilder {
    ProvisioningClient::builder()
        .id_scope("0ne00A1B2C3")
        .registration_id("dev-01")
        .endpoint(format!("localhost:{port}"))
        .roots(Roots::replace_pem(ca_pem.as_bytes()).unwrap())
        .timeout(Duration::from_secs(20))
        .proxy(ProxyChoice::Direct)
        .seed(1)
}

/// A [`builder`] over another transport.
pub fn builder_over(transport: Transport, emulator: &Emulator) -> ProvisioningClientBuilder {
    let endpoint = match transport {
        Transport::Mqtt => emulator.mqtt_endpoint().unwrap(),
        Transport::MqttWebSocket => emulator.wss_endpoint().unwrap(),
        _ => emulator.endpoint(),
    };
    builder(emulator).transport(transport).endpoint(endpoint)
}

pub fn device_key() -> SymmetricKey {
    SymmetricKey::from_base64(DEVICE_KEY).unwrap()
}

pub fn group_key() -> GroupKey {
    GroupKey::from_base64(GROUP_KEY).unwrap()
}

/// Which error it is, and its likeliest cause.
pub fn what(error: &DpsError) -> (ErrorCode, Option<Hint>) {
    (error.code(), error.hints().first().copied())
}

/// Stands between client and service and counts connections.
pub struct Counted {
    pub port: u16,
    accepted: Arc<AtomicUsize>,
    open: watch::Receiver<usize>,
}

impl Counted {
    pub async fn before(emulator: &Emulator) -> Self {
        Self::listening_on("127.0.0.1", emulator).await
    }

    pub async fn listening_on(address: &str, emulator: &Emulator) -> Self {
        Self::to_port(address, emulator.https_addr().port()).await
    }

    pub async fn to_port(address: &str, to: u16) -> Self {
        let listener = TcpListener::bind((address, 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let accepted = Arc::new(AtomicUsize::new(0));
        let (opened, open) = watch::channel(0);
        let counter = Arc::clone(&accepted);
        tokio::spawn(async move {
            while let Ok((mut from, _)) = listener.accept().await {
                counter.fetch_add(1, Ordering::SeqCst);
                opened.send_modify(|open| *open += 1);
                let closed = opened.clone();
                tokio::spawn(async move {
                    if let Ok(mut to) = TcpStream::connect(("127.0.0.1", to)).await {
                        let _ = copy_bidirectional(&mut from, &mut to).await;
                    }
                    closed.send_modify(|open| *open -= 1);
                });
            }
        });
        Self { port, accepted, open }
    }

    pub fn endpoint(&self) -> String {
        format!("localhost:{}", self.port)
    }

    pub fn accepted(&self) -> usize {
        self.accepted.load(Ordering::SeqCst)
    }

    /// Waits until every connection is closed; the caller brings the time limit.
    pub async fn all_closed(&mut self) {
        self.open.wait_for(|open| *open == 0).await.unwrap();
    }

    /// Waits until a connection is open.
    pub async fn one_open(&mut self) {
        self.open.wait_for(|open| *open > 0).await.unwrap();
    }
}
