//! Watching a registration: an observer is awaited before each step and can end the registration there.

use std::future::pending;
use std::ops::ControlFlow;
use std::time::Duration;

use crate::common::{builder_over, device_key, service};
use dps_client::{Progress, ProgressObserver, Transport};
use dps_core::ErrorCode;

const TRANSPORTS: [Transport; 3] = [Transport::Https, Transport::Mqtt, Transport::MqttWebSocket];

#[tokio::test]
async fn watcher_that_breaks_at_sending_keeps_the_request_from_the_service() {
    for transport in TRANSPORTS {
        let emulator = service().await;
        let client = builder_over(transport, &emulator)
            .symmetric_key(device_key())
            .on_progress(|progress| match progress {
                Progress::Sending { .. } => ControlFlow::Break(()),
                _ => ControlFlow::Continue(()),
            })
            .build()
            .unwrap();
        assert_eq!(client.register().await.unwrap_err().code(), ErrorCode::Cancelled, "{transport:?}");
        let counters = emulator.with_service(|service| service.counters());
        assert_eq!((counters.connects, counters.registers), (0, 0), "{transport:?}");
    }
}

#[tokio::test]
async fn watcher_that_breaks_at_the_poll_keeps_the_poll_from_the_service() {
    for transport in TRANSPORTS {
        let emulator = service().await;
        let client = builder_over(transport, &emulator)
            .symmetric_key(device_key())
            .on_progress(|progress| match progress {
                Progress::Sending { call: "status" } => ControlFlow::Break(()),
                _ => ControlFlow::Continue(()),
            })
            .build()
            .unwrap();
        let error = client.register().await.unwrap_err();
        assert_eq!(error.code(), ErrorCode::Cancelled, "{transport:?}");
        assert!(error.resume_token().is_some(), "{transport:?}: it can be resumed");
        let counters = emulator.with_service(|service| service.counters());
        assert_eq!((counters.registers, counters.polls), (1, 0), "{transport:?}");
    }
}

/// Returns from each step when a permit is handed to it.
struct Gate {
    asked: tokio::sync::mpsc::UnboundedSender<Progress>,
    permits: tokio::sync::mpsc::UnboundedReceiver<()>,
}

impl ProgressObserver for Gate {
    async fn observe(&mut self, progress: Progress) -> ControlFlow<()> {
        let _ = self.asked.send(progress);
        self.permits.recv().await.map_or(ControlFlow::Break(()), ControlFlow::Continue)
    }
}

#[tokio::test]
async fn registration_waits_for_an_observer_that_awaits() {
    for transport in TRANSPORTS {
        let emulator = service().await;
        let (asked, mut steps) = tokio::sync::mpsc::unbounded_channel();
        let (permit, permits) = tokio::sync::mpsc::unbounded_channel();
        let client =
            builder_over(transport, &emulator).symmetric_key(device_key()).observer(Gate { asked, permits }).build();
        let registering = tokio::spawn(async move { client.unwrap().register().await });
        assert_eq!(steps.recv().await, Some(Progress::Signing));
        permit.send(()).unwrap();
        assert_eq!(steps.recv().await, Some(Progress::Sending { call: "register" }));
        // Nobody permits it.
        drop(permit);
        let error = registering.await.unwrap().unwrap_err();
        assert_eq!(error.code(), ErrorCode::Cancelled, "{transport:?}");
        assert_eq!(emulator.with_service(|service| service.counters()).registers, 0, "{transport:?}");
    }
}

struct Hanging;

impl ProgressObserver for Hanging {
    async fn observe(&mut self, _progress: Progress) -> ControlFlow<()> {
        pending().await
    }
}

#[tokio::test(start_paused = true)]
async fn observer_that_never_returns_ends_the_registration_by_the_request_timeout() {
    let client = dps_client::ProvisioningClient::builder()
        .id_scope("0ne00A1B2C3")
        .registration_id("dev-01")
        .symmetric_key(device_key())
        .request_timeout(Duration::from_secs(7))
        .observer(Hanging)
        .build()
        .unwrap();
    let start = tokio::time::Instant::now();
    let error = client.register().await.unwrap_err();
    assert_eq!(error.code(), ErrorCode::ObserverTimeout);
    assert_eq!(start.elapsed().as_secs(), 7);
}
