//! The Rust client, as an application uses it.
#![allow(clippy::expect_used, reason = "a broken setting should stop the run")]

use std::time::Duration;

use dps_client::{
    DpsError, ProvisioningClient, ProvisioningClientBuilder, Proxy, ProxyChoice, Roots, SymmetricKey, X509,
};
use pair::matrix::{Call, DEVICE, Row, Transport};
use pair::scene::DEVICE_KEY;

use crate::certificate::DeviceCertificate;
use crate::sockets::Scene;
use crate::{Failure, endpoint};

/// Registers the device before the faults are planned: no fault is expected, and no hurry is needed.
pub(crate) async fn register(row: &Row, transport: Transport, scene: &Scene) -> Result<(), DpsError> {
    let patient = builder(row, transport, scene).timeout(Duration::from_secs(60)).build()?;
    patient.register().await.map(drop)
}

pub(crate) async fn ask(row: &Row, transport: Transport, scene: &Scene) -> Result<(), Failure> {
    let client = builder(row, transport, scene).build().expect("the client's settings are good");
    let ended = match row.call {
        Call::Register => client.register().await.map(drop),
        Call::Lookup => client.lookup().await.map(drop),
    };
    ended.map_err(|error: DpsError| (error.code(), error.verdict(), error.hints().first().copied()))
}

fn builder(row: &Row, transport: Transport, scene: &Scene) -> ProvisioningClientBuilder {
    let (settings, emulator) = (&row.client, &scene.emulator);
    let proxy = scene.proxy.as_ref().map(|proxy| Proxy::parse(proxy.url()).expect("the URL of a proxy"));
    let builder = ProvisioningClient::builder();
    let builder = match &scene.certificate {
        None => builder.symmetric_key(SymmetricKey::from_base64(DEVICE_KEY).expect("a key")),
        Some(device) => builder.x509(x509(device)),
    };
    let builder = builder
        .id_scope(emulator.id_scope())
        .registration_id(DEVICE)
        .endpoint(endpoint(transport, emulator))
        .roots(Roots::replace_pem(emulator.ca_pem().as_bytes()).expect("the emulator's authority"))
        .proxy(proxy.map_or(ProxyChoice::Direct, ProxyChoice::Fixed))
        .seed(settings.seed)
        .timeout(settings.deadline())
        .request_timeout(settings.request_timeout())
        .poll_interval(settings.poll_interval())
        .minimum_spacing(settings.minimum_spacing())
        .reply_limit(settings.reply_limit_bytes);
    let keep_alive = Duration::from_secs(settings.keep_alive_seconds.into());
    match transport {
        Transport::Https => builder.transport(dps_client::Transport::Https),
        Transport::Mqtt => builder.transport(dps_client::Transport::Mqtt).keep_alive(keep_alive),
        Transport::MqttWs => builder.transport(dps_client::Transport::MqttWebSocket).keep_alive(keep_alive),
    }
}

fn x509(device: &DeviceCertificate) -> X509 {
    X509::from_files(device.certificate_file(), device.key_file()).expect("a certificate with its key")
}
