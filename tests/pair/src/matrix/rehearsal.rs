//! A row in virtual time: the machine and the pure service, bytes between them, and nothing that could be slow.

use std::time::Duration;

use dps_core::{Config, KeyEvidence, Link, Millis, Registration};
use dps_emulator::ServiceOptions;

use super::{Call, ClientSettings, Ending, Ran, Requests, Row, Transport};
use crate::scene::{End, Scene};
use crate::weather::Weather;

/// Runs a row with so many milliseconds from one side to the other. WebSocket frames are not modelled: over them it is
/// MQTT as it is.
#[must_use]
pub fn rehearse(row: &Row, transport: Transport, latency: u64) -> Ran {
    let mut scene = Scene::with(row.service(ServiceOptions::new()));
    scene.latency = latency;
    scene.config = config(&row.client);
    scene.reply_limit = row.client.reply_limit_bytes;
    let weather = row.proxy.map(|proxy| vec![Weather::ProxyRefused(proxy.status); proxy.times]).unwrap_or_default();
    match transport {
        Transport::Https => run(row, &mut scene, |scene| scene.link().weather(&weather)),
        Transport::Mqtt | Transport::MqttWs => run(row, &mut scene, |scene| {
            let mut link = scene.mqtt_link().weather(&weather);
            link.keep_alive = row.client.keep_alive_seconds;
            link
        }),
    }
}

fn run<L: Link>(row: &Row, scene: &mut Scene, link: impl Fn(&Scene) -> L) -> Ran {
    let mut link = link(scene);
    if row.call == Call::Lookup {
        assert!(scene.register().hub().is_some(), "there is something to look up");
        scene.service.borrow_mut().reset_counters();
    }
    for plan in &row.plans {
        scene.service.borrow_mut().inject_plan(plan);
    }
    let start = scene.world.millis();
    let end = scene.go(&mut link, |identity, config, storage| match row.call {
        Call::Register => Registration::new(identity, config, storage).expect("it is large enough"),
        Call::Lookup => Registration::lookup(identity, config, storage).expect("it is large enough"),
    });
    let took = Duration::from_millis(scene.world.millis() - start);
    let requests = Requests::from(scene.service.borrow().counters());
    Ran { ending: ending(&end, requests), took }
}

fn config(client: &ClientSettings) -> Config {
    let millis = |duration: Duration| Millis::new(duration.as_millis() as u64);
    Config::new()
        .timeout(millis(client.deadline()))
        .request_timeout(millis(client.request_timeout()))
        .poll_interval(millis(client.poll_interval()))
        .minimum_spacing(millis(client.minimum_spacing()))
        .seed(client.seed)
        .key_evidence(KeyEvidence { length: Some(32), derived_here: false })
}

fn ending(end: &End, requests: Requests) -> Ending {
    match end {
        End::Assigned { .. } | End::Record(..) => Ending::recovered(requests),
        End::Failed { code, verdict, .. } => Ending::failed(*code, *verdict, end.first_hint(), requests),
    }
}
