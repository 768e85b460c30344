//! Many registrations in one process, good and failing ones, fifty at a time: nothing is left behind. A program of its
//! own, since it counts what its process holds.
#![cfg(target_os = "linux")]

#[path = "suite/common.rs"]
mod common;

use std::sync::Arc;
use std::time::Duration;

use common::{builder_over, device_key, group_key, service_with};
use dps_client::{ProvisioningClientBuilder, SymmetricKey, Transport};
use dps_emulator::{Emulator, EmulatorOptions, Limits};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

const ROUNDS: usize = 6;
/// Good ones a round, and as many that fail, unless `DPS_TEST_SOAK` says how many.
const EACH: usize = 75;
const AT_A_TIME: usize = 50;

/// What a process holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Held {
    descriptors: usize,
    threads: usize,
    resident_kib: usize,
}

fn held() -> Held {
    let entries = |path: &str| std::fs::read_dir(path).unwrap().count();
    let pages: usize = std::fs::read_to_string("/proc/self/statm").unwrap().split(' ').nth(1).unwrap().parse().unwrap();
    Held { descriptors: entries("/proc/self/fd"), threads: entries("/proc/self/task"), resident_kib: pages * 4 }
}

fn each() -> usize {
    std::env::var("DPS_TEST_SOAK").map_or(EACH, |each| each.parse().expect("DPS_TEST_SOAK is a number"))
}

/// Waits until what closes in the background is closed; the caller brings the time limit.
async fn settled(start: Held) -> Held {
    let settling = async {
        loop {
            let now = held();
            if now.descriptors <= start.descriptors && now.threads <= start.threads {
                return now;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), settling).await.unwrap_or_else(|_| held())
}

/// Half of them are refused.
async fn round(emulator: &Arc<Emulator>, make: fn(&Emulator) -> ProvisioningClientBuilder) {
    let permits = Arc::new(Semaphore::new(AT_A_TIME));
    let mut running = JoinSet::new();
    for index in 0..2 * each() {
        let (emulator, permits) = (Arc::clone(emulator), Arc::clone(&permits));
        running.spawn(async move {
            let _permit = permits.acquire_owned().await.unwrap();
            let id = format!("dev-{index:04}");
            let fails = index % 2 == 1;
            let client = if fails {
                make(&emulator).registration_id(id).symmetric_key(SymmetricKey::from_bytes(&[9; 32]).unwrap())
            } else {
                make(&emulator).registration_id(id).group_key(group_key())
            };
            let ended = client.build().unwrap().register().await;
            assert_eq!(ended.is_err(), fails, "{index}: {ended:?}");
        });
    }
    while let Some(done) = running.join_next().await {
        done.unwrap();
    }
}

async fn soak(emulator: Emulator, make: fn(&Emulator) -> ProvisioningClientBuilder) {
    let emulator = Arc::new(emulator);
    // Warm-up: pools, caches and the emulator's records of every device.
    round(&emulator, make).await;
    round(&emulator, make).await;
    let start = settled(Held { threads: 2, ..held() }).await;
    let mut resident = Vec::new();
    for _ in 0..ROUNDS {
        round(&emulator, make).await;
        resident.push(settled(start).await.resident_kib);
    }
    let end = settled(start).await;
    assert!(end.descriptors <= start.descriptors, "{start:?} became {end:?}");
    assert!(end.threads <= start.threads, "{start:?} became {end:?}");
    // Half the rounds against the other half: three rounds lie between them, 450 registrations, so that nine kilobytes
    // leaked by each would show. The service itself remembers every operation for ten minutes.
    let mean = |rounds: &[usize]| rounds.iter().sum::<usize>() / rounds.len();
    let (first, last) = resident.split_at(ROUNDS / 2);
    let grown = mean(last).saturating_sub(mean(first));
    assert!(grown < 4096, "resident memory grows by {grown} KiB: {resident:?}");
    // And a client works after all that.
    make(&emulator).symmetric_key(device_key()).build().unwrap().register().await.unwrap();
}

/// A runtime whose threads for name resolution end soon after their work, so that none that is left can hide among them.
fn run(work: impl Future<Output = ()>) {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.enable_all().max_blocking_threads(8).thread_keep_alive(Duration::from_millis(50));
    runtime.build().unwrap().block_on(work);
}

async fn unlimited() -> Emulator {
    service_with(EmulatorOptions::new().service(|service| service.limits(Limits::none()).events_kept(0))).await
}

/// One after the other: they count what the one process holds.
#[test]
fn many_registrations_leave_no_descriptor_thread_or_memory_behind() {
    fn over(transport: Transport, emulator: &Emulator) -> ProvisioningClientBuilder {
        builder_over(transport, emulator).timeout(Duration::from_secs(60))
    }
    run(async { soak(unlimited().await, |emulator| over(Transport::Https, emulator)).await });
    run(async { soak(unlimited().await, |emulator| over(Transport::Mqtt, emulator)).await });
    run(async { soak(unlimited().await, |emulator| over(Transport::MqttWebSocket, emulator)).await });
}
