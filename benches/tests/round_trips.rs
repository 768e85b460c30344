//! The connections and round trips of a registration: one connection, and no more round trips than necessary.
//!
//! Over real sockets through a relay that is slow enough to see who waits for whom. A machine that stalls may let a
//! session ticket overtake the next request, which then looks like one round trip more: the best of a few counts.

use std::time::Duration;

use dps_benches::relay::{Relay, Traffic};
use dps_client::{ProvisioningClient, ProxyChoice, Roots, SymmetricKey, Transport};
use dps_emulator::{Emulator, EmulatorOptions, IndividualEnrollment};

const KEY: &str = "Jsm0lyGpjaVYVP2g3FnmnmG9dI/9qU24wNoykUmermc=";
const LATENCY: Duration = Duration::from_millis(30);
const TRIES: usize = 5;

async fn emulator() -> Emulator {
    let options = EmulatorOptions::new().mqtt_port(0).wss_port(0).default_retry_after_s(0);
    let emulator = Emulator::start(options.service(|service| service.assigning_ms(0))).await.unwrap();
    let (now, key) = (emulator.now(), dps_emulator::SymmetricKey::from_base64(KEY).unwrap());
    let device = IndividualEnrollment::new("dev-01").primary_key(key);
    emulator.with_service(|service| service.put_enrollment(now, device).unwrap());
    emulator
}

async fn register(emulator: &Emulator, transport: Transport, pipelined: bool) -> Traffic {
    let front = match transport {
        Transport::Mqtt => emulator.mqtt_addr().unwrap(),
        Transport::MqttWebSocket => emulator.wss_addr().unwrap(),
        _ => emulator.https_addr(),
    };
    let relay = Relay::start(([127, 0, 0, 1], 0).into(), front, LATENCY).unwrap();
    let client = ProvisioningClient::builder()
        .id_scope(emulator.id_scope())
        .registration_id("dev-01")
        .symmetric_key(SymmetricKey::from_base64(KEY).unwrap())
        .endpoint(relay.address().to_string())
        .roots(Roots::replace_pem(emulator.ca_pem().as_bytes()).unwrap())
        .proxy(ProxyChoice::Direct)
        .transport(transport)
        .pipelined(pipelined)
        .minimum_spacing(Duration::ZERO);
    client.build().unwrap().register().await.unwrap();
    relay.traffic()
}

#[tokio::test(flavor = "multi_thread")]
async fn registration_uses_the_fewest_round_trips() {
    // TCP and TLS 1.3, then: register and status; CONNECT, SUBSCRIBE, register and status; the first three at once; and
    // with the upgrade to WebSocket before.
    let table = [
        (Transport::Https, false, 4),
        (Transport::Mqtt, false, 6),
        (Transport::Mqtt, true, 4),
        (Transport::MqttWebSocket, false, 7),
        (Transport::MqttWebSocket, true, 5),
    ];
    let emulator = emulator().await;
    for (transport, pipelined, most) in table {
        let mut least = u32::MAX;
        for _ in 0..TRIES {
            let traffic = register(&emulator, transport, pipelined).await;
            assert_eq!(traffic.connections, 1, "{transport:?}, {traffic:?}");
            // Fewer cannot be: the relay would be blind.
            assert!(traffic.round_trips() >= most, "{transport:?}, {traffic:?}");
            least = least.min(traffic.round_trips());
            if least == most {
                break;
            }
        }
        assert_eq!(least, most, "{transport:?}, pipelined: {pipelined}");
    }
}
