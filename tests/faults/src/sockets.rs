//! One row over real sockets: an emulator that does wrong as planned, and a client that has to take it.
#![allow(clippy::expect_used, reason = "a broken setting should stop the run")]

use std::time::{Duration, Instant};

use dps_client::core::{Link, LinkError, Reply, Request};
use dps_client::{DpsError, ProvisioningClient, ProvisioningClientBuilder, ProxyChoice, Roots, SendLink, SymmetricKey};
use dps_emulator::{Emulator, EmulatorOptions, IndividualEnrollment};
use dps_mqtt::{Framing, MqttLink, MqttOptions};
use dps_net::Dialer;
use pair::matrix::{Call, DEVICE, Ending, Ran, Requests, Row, Transport};
use pair::scene::DEVICE_KEY;

/// What MQTT's keep-alive is in a client that was not told another.
const KEEP_ALIVE: u16 = 60;

/// Runs a row. The emulator is gone afterwards.
pub(crate) async fn run(row: &Row, transport: Transport) -> Ran {
    let emulator = emulator(row, transport).await;
    let client = client(row, transport, &emulator);
    if row.call == Call::Lookup {
        client.register().await.expect("there is something to look up");
    }
    emulator.with_service(|service| {
        service.reset_counters();
        row.plans.iter().for_each(|plan| service.inject_plan(plan));
    });
    let start = Instant::now();
    let ended = match row.call {
        Call::Register => client.register().await.map(drop),
        Call::Lookup => client.lookup().await.map(drop),
    };
    let took = start.elapsed();
    let requests = Requests::from(emulator.with_service(|service| service.counters()));
    Ran { ending: ending(ended, requests), took }
}

async fn emulator(row: &Row, transport: Transport) -> Emulator {
    let options = EmulatorOptions::new().service(|service| row.service(service));
    let options = match transport {
        Transport::Https => options,
        Transport::Mqtt => options.mqtt_port(0),
        Transport::MqttWs => options.wss_port(0),
    };
    let emulator = Emulator::start(options).await.expect("an emulator on loopback");
    let key = dps_emulator::SymmetricKey::from_base64(DEVICE_KEY).expect("a key");
    let (now, device) = (emulator.now(), IndividualEnrollment::new(DEVICE).primary_key(key));
    emulator.with_service(|service| service.put_enrollment(now, device)).expect("the enrollment is good");
    emulator
}

fn client(row: &Row, transport: Transport, emulator: &Emulator) -> ProvisioningClient {
    let settings = &row.client;
    let builder = ProvisioningClient::builder()
        .id_scope(emulator.id_scope())
        .registration_id(DEVICE)
        .symmetric_key(SymmetricKey::from_base64(DEVICE_KEY).expect("a key"))
        .seed(settings.seed)
        .timeout(settings.deadline())
        .request_timeout(settings.request_timeout())
        .poll_interval(settings.poll_interval())
        .reply_limit(settings.reply_limit_bytes);
    let roots = Roots::replace_pem(emulator.ca_pem().as_bytes()).expect("the emulator's authority");
    let builder = match transport {
        Transport::Https => talking(builder, dps_client::Transport::Https, roots).endpoint(emulator.endpoint()),
        Transport::Mqtt => {
            let endpoint = emulator.mqtt_endpoint().expect("it speaks MQTT");
            mqtt(builder, row, Framing::Tcp, roots).endpoint(endpoint)
        }
        Transport::MqttWs => {
            let endpoint = emulator.wss_endpoint().expect("it speaks MQTT over WebSocket");
            mqtt(builder, row, Framing::WebSocket, roots).endpoint(endpoint)
        }
    };
    builder.build().expect("the client's settings are good")
}

fn talking(
    builder: ProvisioningClientBuilder,
    transport: dps_client::Transport,
    roots: Roots,
) -> ProvisioningClientBuilder {
    builder.transport(transport).roots(roots).proxy(ProxyChoice::Direct)
}

/// A client chooses no keep-alive, so that a row which wants another brings the link.
fn mqtt(builder: ProvisioningClientBuilder, row: &Row, framing: Framing, roots: Roots) -> ProvisioningClientBuilder {
    let keep_alive = row.client.keep_alive_seconds;
    if keep_alive == KEEP_ALIVE {
        let transport = match framing {
            Framing::Tcp => dps_client::Transport::Mqtt,
            Framing::WebSocket => dps_client::Transport::MqttWebSocket,
        };
        return talking(builder, transport, roots);
    }
    let options = MqttOptions::default().framing(framing).keep_alive(Duration::from_secs(keep_alive.into()));
    let dialer = Dialer::new(dps_net::client_config(&roots).expect("the authority can be read"), None);
    builder.link(OwnMqtt(MqttLink::new(dialer, options).expect("the options are good")))
}

/// The product's link, as an application would bring it.
struct OwnMqtt(MqttLink);

impl SendLink for OwnMqtt {
    async fn exchange<'b>(&mut self, request: &Request<'_>, buffer: &'b mut [u8]) -> Result<Reply<'b>, LinkError> {
        self.0.exchange(request, buffer).await
    }

    async fn idle(&mut self, until: dps_client::core::Instant) {
        self.0.idle(until).await;
    }

    async fn close(&mut self) {
        self.0.close().await;
    }
}

fn ending(ended: Result<(), DpsError>, requests: Requests) -> Ending {
    match ended {
        Ok(()) => Ending::recovered(requests),
        Err(error) => Ending::failed(error.code(), error.verdict(), error.hints().first().copied(), requests),
    }
}
