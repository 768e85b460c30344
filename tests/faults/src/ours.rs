//! The Rust client, as an application uses it.
#![allow(clippy::expect_used, reason = "a broken setting should stop the run")]

use std::time::Duration;

use dps_client::{DpsError, ProvisioningClient, ProvisioningClientBuilder, Proxy, ProxyChoice, Roots, SymmetricKey};
use dps_emulator::Emulator;
use pair::matrix::{Call, DEVICE, Row, Transport};
use pair::scene::DEVICE_KEY;

use crate::{Failure, endpoint};

/// Registers the device before the faults are planned: no fault is expected, and no hurry is needed.
pub(crate) async fn register(row: &Row, transport: Transport, emulator: &Emulator) -> Result<(), DpsError> {
    let patient = builder(row, transport, emulator, None).timeout(Duration::from_secs(60)).build()?;
    patient.register().await.map(drop)
}

pub(crate) async fn ask(
    row: &Row,
    transport: Transport,
    emulator: &Emulator,
    proxy: Option<&str>,
) -> Result<(), Failure> {
    let client = builder(row, transport, emulator, proxy).build().expect("the client's settings are good");
    let ended = match row.call {
        Call::Register => client.register().await.map(drop),
        Call::Lookup => client.lookup().await.map(drop),
    };
    ended.map_err(|error: DpsError| (error.code(), error.verdict(), error.hints().first().copied()))
}

fn builder(row: &Row, transport: Transport, emulator: &Emulator, proxy: Option<&str>) -> ProvisioningClientBuilder {
    let settings = &row.client;
    let proxy = proxy.map(|url| Proxy::parse(url).expect("the URL of a proxy"));
    let builder = ProvisioningClient::builder()
        .id_scope(emulator.id_scope())
        .registration_id(DEVICE)
        .symmetric_key(SymmetricKey::from_base64(DEVICE_KEY).expect("a key"))
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
