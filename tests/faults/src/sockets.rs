//! One row over real sockets: an emulator with planned faults, and a client that must handle them.
#![allow(clippy::expect_used, reason = "a broken setting should stop the run")]

use std::time::Instant;

use dps_emulator::{Emulator, EmulatorOptions, IndividualEnrollment};
use pair::matrix::{Call, DEVICE, Ending, Ran, Requests, Row, Transport};
use pair::scene::DEVICE_KEY;

use crate::certificate::DeviceCertificate;
use crate::proxy::Proxy;
use crate::{Client, ours};

/// What a client needs for a row: the service, the way to it, and the device's credential.
pub(crate) struct Scene {
    pub(crate) emulator: Emulator,
    pub(crate) proxy: Option<Proxy>,
    /// Instead of a key.
    pub(crate) certificate: Option<DeviceCertificate>,
}

/// Runs a row, with an emulator that is stopped afterwards.
pub(crate) async fn run(client: &Client, row: &Row, transport: Transport) -> Ran {
    let mut scene = scene(row, transport).await;
    if row.call == Call::Lookup {
        ours::register(row, transport, &scene).await.expect("there is something to look up");
    }
    scene.emulator.with_service(|service| {
        service.reset_counters();
        row.plans.iter().for_each(|plan| service.inject_plan(plan));
    });
    scene.proxy = match row.proxy {
        Some(plan) => Some(Proxy::start(plan).await),
        None => None,
    };
    let start = Instant::now();
    let ended = client.ask(row, transport, &scene).await;
    let took = start.elapsed();
    let requests = Requests::from(scene.emulator.with_service(|service| service.counters()));
    let ending = match ended {
        Ok(()) => Ending::recovered(requests),
        Err((code, verdict, hint)) => Ending::failed(code, verdict, hint, requests),
    };
    Ran { ending, took }
}

async fn scene(row: &Row, transport: Transport) -> Scene {
    let options = EmulatorOptions::new().service(|service| row.service(service));
    let options = match transport {
        Transport::Https => options,
        Transport::Mqtt => options.mqtt_port(0),
        Transport::MqttWs => options.wss_port(0),
    };
    let emulator = Emulator::start(options).await.expect("an emulator on loopback");
    let certificate = row.certificate.map(DeviceCertificate::new);
    let key = dps_emulator::SymmetricKey::from_base64(DEVICE_KEY).expect("a key");
    let with_key = || IndividualEnrollment::new(DEVICE).primary_key(key);
    let device = certificate.as_ref().map_or_else(with_key, DeviceCertificate::enrollment);
    let now = emulator.now();
    emulator.with_service(|service| service.put_enrollment(now, device)).expect("the enrollment is good");
    Scene { emulator, proxy: None, certificate }
}
