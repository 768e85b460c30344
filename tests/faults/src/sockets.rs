//! One row over real sockets: an emulator with planned faults, and a client that must handle them.
#![allow(clippy::expect_used, reason = "a broken setting should stop the run")]

use std::time::Instant;

use dps_emulator::{Emulator, EmulatorOptions, IndividualEnrollment};
use pair::matrix::{Call, DEVICE, Ending, Ran, Requests, Row, Transport};
use pair::scene::DEVICE_KEY;

use crate::proxy::Proxy;
use crate::{Client, ours};

/// Runs a row, with an emulator that is stopped afterwards.
pub(crate) async fn run(client: &Client, row: &Row, transport: Transport) -> Ran {
    let emulator = emulator(row, transport).await;
    if row.call == Call::Lookup {
        ours::register(row, transport, &emulator).await.expect("there is something to look up");
    }
    emulator.with_service(|service| {
        service.reset_counters();
        row.plans.iter().for_each(|plan| service.inject_plan(plan));
    });
    let proxy = match row.proxy {
        Some(plan) => Some(Proxy::start(plan).await),
        None => None,
    };
    let start = Instant::now();
    let ended = client.ask(row, transport, &emulator, proxy.as_ref().map(Proxy::url)).await;
    let took = start.elapsed();
    let requests = Requests::from(emulator.with_service(|service| service.counters()));
    let ending = match ended {
        Ok(()) => Ending::recovered(requests),
        Err((code, verdict, hint)) => Ending::failed(code, verdict, hint, requests),
    };
    Ran { ending, took }
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
