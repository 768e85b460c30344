//! A fleet over real sockets: half over HTTPS, half over MQTT, some at a time; one device in twenty meets a fault.
//!
//! Service and devices are in one process and talk over loopback, with TLS. The rate of registrations is lifted, for at a
//! thousand a minute it alone would take the time; the other limits stand.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use dps_client::{DpsError, GroupKey, Progress, ProvisioningClient, ProxyChoice, Roots, Transport};
use dps_emulator::{At, Emulator, EmulatorOptions, EnrollmentGroup, Fault, Limits, RetryAfter, Scope};
use pair::scene::GROUP_KEY;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::device::id;

/// One device of each transport in so many meets a fault.
const FAULT_EVERY: u32 = 20;
/// A request that is swallowed is given up on after this.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);
/// Longer than any run takes.
const LIMIT: Duration = Duration::from_secs(900);

/// A fleet over real sockets.
#[derive(Clone, Copy, Debug)]
pub struct Loopback {
    /// How many devices.
    pub devices: u32,
    /// How many of them register at the same time.
    pub at_a_time: usize,
}

/// What came of the devices of one transport.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ended {
    /// How many there were.
    pub devices: u32,
    /// How many know their hub, and the service the same.
    pub assigned: u32,
    /// How many met a fault.
    pub faulted: u32,
    /// How many asked more than once.
    pub retried: u32,
    /// What they asked in all.
    pub requests: u32,
    /// What those say that failed.
    pub failures: Vec<String>,
}

/// What came of all.
#[derive(Clone, Debug)]
pub struct Report {
    /// Over HTTPS.
    pub https: Ended,
    /// Over MQTT.
    pub mqtt: Ended,
    /// Planned faults that nobody met.
    pub faults_left: u64,
    /// Devices that the service's hubs know.
    pub hub_devices: usize,
    /// How long it took.
    pub took: Duration,
}

impl Loopback {
    /// Registers the fleet.
    ///
    /// # Errors
    /// When the service cannot be started, or it takes longer than a quarter of an hour.
    pub async fn run(self) -> Result<Report, String> {
        tokio::time::timeout(LIMIT, self.register()).await.map_err(|_| format!("it is not over after {LIMIT:?}"))?
    }

    async fn register(self) -> Result<Report, String> {
        let service = Arc::new(self.service().await?);
        let room = Arc::new(Semaphore::new(self.at_a_time));
        let start = Instant::now();
        let mut running = JoinSet::new();
        for index in 0..self.devices {
            let (service, room) = (Arc::clone(&service), Arc::clone(&room));
            running.spawn(async move {
                let _place = room.acquire_owned().await;
                (index, register(&service, index).await)
            });
        }
        let (mut https, mut mqtt) = (Ended::default(), Ended::default());
        while let Some(ended) = running.join_next().await {
            let (index, (requests, hub)) = ended.map_err(|error| error.to_string())?;
            let ended = if transport(index) == Transport::Https { &mut https } else { &mut mqtt };
            ended.count(&service, &id(index), requests, hub);
        }
        let took = start.elapsed();
        let (faults_left, hub_devices) =
            service.with_service(|service| (service.pending_faults(), service.hub_devices().count()));
        Ok(Report { https, mqtt, faults_left, hub_devices, took })
    }

    /// A service that knows the group, and what it is to do wrong.
    async fn service(self) -> Result<Emulator, String> {
        let limits = Limits { registrations_per_minute: None, ..Limits::default() };
        let options = EmulatorOptions::new().mqtt_port(0).service(|service| service.limits(limits));
        let service = Emulator::start(options).await.map_err(|error| error.to_string())?;
        let key = dps_emulator::SymmetricKey::from_base64(GROUP_KEY).expect("a key");
        let (now, group) = (service.now(), EnrollmentGroup::new("fleet").primary_key(key));
        service.with_service(|service| {
            for index in (0..self.devices).filter(|index| (index / 2).is_multiple_of(FAULT_EVERY)) {
                let faults = faults(transport(index));
                let (at, fault) = faults[(index / 2 / FAULT_EVERY) as usize % faults.len()].clone();
                service.inject(Scope::Registration(&id(index)), at, fault, 1);
            }
            service.put_group(now, group).map_err(|error| error.to_string())
        })?;
        Ok(service)
    }
}

fn transport(index: u32) -> Transport {
    if index.is_multiple_of(2) { Transport::Https } else { Transport::Mqtt }
}

/// What a device can get over by asking again.
fn faults(transport: Transport) -> Vec<(At, Fault)> {
    let mut faults = vec![
        (At::Register, Fault::Throttle { retry_after: Some(RetryAfter::Seconds(2)) }),
        (At::Poll, Fault::Throttle { retry_after: None }),
        (At::Register, Fault::ServerError { status: 503, retry_after: Some(RetryAfter::Seconds(1)) }),
        (At::Poll, Fault::ServerError { status: 500, retry_after: None }),
        (At::Register, Fault::DropBefore),
        (At::Register, Fault::DropAfter),
        (At::Poll, Fault::DropAfter),
        (At::Register, Fault::Garbage),
        (At::Poll, Fault::Noise),
        (At::Poll, Fault::SlowBytes),
        (At::Poll, Fault::Silent),
        (At::Poll, Fault::ForgetOperation),
    ];
    if transport == Transport::Mqtt {
        faults.extend([(At::Connect, Fault::RefuseConnect { code: 3 }), (At::Poll, Fault::WrongRequestId)]);
    }
    faults
}

/// One device's registration: how often it asked, and its hub.
async fn register(service: &Emulator, index: u32) -> (u32, Result<String, String>) {
    let asked = Arc::new(AtomicU32::new(0));
    let count = Arc::clone(&asked);
    let registered = async {
        let (transport, roots) = (transport(index), Roots::replace_pem(service.ca_pem().as_bytes()));
        let endpoint = if transport == Transport::Mqtt { service.mqtt_endpoint() } else { None };
        let client = ProvisioningClient::builder()
            .id_scope(service.id_scope())
            .registration_id(id(index))
            .group_key(GroupKey::from_base64(GROUP_KEY)?)
            .transport(transport)
            .endpoint(endpoint.unwrap_or_else(|| service.endpoint()))
            .roots(roots.expect("the service's own authority"))
            .proxy(ProxyChoice::Direct)
            .request_timeout(REQUEST_TIMEOUT)
            .on_progress(move |progress| {
                if let Progress::Sending { .. } = progress {
                    count.fetch_add(1, Ordering::Relaxed);
                }
            });
        Ok::<_, DpsError>(client.build()?.register().await?.hub().to_owned())
    };
    let hub = registered.await.map_err(|error| format!("{}: {error}", id(index)));
    (asked.load(Ordering::Relaxed), hub)
}

impl Report {
    /// All assigned, none lost.
    ///
    /// # Errors
    /// What is not so.
    pub fn check(&self, devices: u32) -> Result<(), String> {
        let failures: Vec<&str> =
            [&self.https, &self.mqtt].into_iter().flat_map(|ended| &ended.failures).map(|text| &**text).collect();
        if !failures.is_empty() {
            return Err(format!("{} failed:\n  {}", failures.len(), failures.join("\n  ")));
        }
        let assigned = self.https.assigned + self.mqtt.assigned;
        if assigned != devices || self.hub_devices != devices as usize {
            return Err(format!("of {devices} {assigned} are assigned, and hubs know {}", self.hub_devices));
        }
        match self.faults_left {
            0 => Ok(()),
            left => Err(format!("{left} faults were planned and not met")),
        }
    }
}

impl Ended {
    fn count(&mut self, service: &Emulator, id: &str, requests: u32, hub: Result<String, String>) {
        let (recorded, faults) = service.with_service(|service| {
            let hub = service.record(id).and_then(|record| record.assigned_hub().map(str::to_owned));
            (hub, service.counters_of(id).faults)
        });
        self.devices += 1;
        self.requests += requests;
        self.faulted += u32::from(faults > 0);
        // One to register, one to learn the hub.
        self.retried += u32::from(requests > 2);
        match hub {
            Ok(hub) if recorded.as_ref() == Some(&hub) => self.assigned += 1,
            Ok(hub) => self.failures.push(format!("{id}: it is at {hub}, the service says {recorded:?}")),
            Err(failure) => self.failures.push(failure),
        }
    }
}
