//! The gateway example: moved, disabled, restarted, and running until its token is renewed.

#[allow(dead_code, reason = "the example's main function")]
#[path = "../gateway.rs"]
mod gateway;

use std::time::Duration;

use dps_edge::Origin;
use dps_edge::policy::{Mode, Verdict};
use dps_emulator::HubCounters;
use dps_examples::edge_site::{EdgeSite, HUB_A, HUB_B};
use gateway::{Event, Gateway};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::time::timeout;

const LONG: Duration = Duration::from_secs(30);
const DEVICE: &str = "dev-01";

type Events = UnboundedReceiver<Event>;

/// Runs a gateway, like a process, until the story has ended.
async fn process<R>(site: &EdgeSite, story: impl AsyncFnOnce(&mut Events) -> R) -> R {
    let (tell, mut events) = unbounded_channel();
    let gateway = Gateway::from_site(site, tell).unwrap();
    tokio::select! {
        ended = gateway.run() => panic!("{ended:?}"),
        events_seen = story(&mut events) => events_seen,
    }
}

/// Returns all events up to the first that is wanted.
async fn until(events: &mut Events, wanted: impl Fn(&Event) -> bool) -> Vec<Event> {
    let mut events_seen = Vec::new();
    while !events_seen.last().is_some_and(&wanted) {
        events_seen.push(timeout(LONG, events.recv()).await.expect("the event arrives in time").unwrap());
    }
    events_seen
}

async fn accepted(events: &mut Events, expected: &str) -> Vec<Event> {
    until(events, |event| matches!(event, Event::Accepted { hub, .. } if hub == expected)).await
}

/// Returns the verdict of each rejection by hub A.
fn verdicts(events_seen: &[Event]) -> Vec<Verdict> {
    let of = |event: &Event| match event {
        Event::Rejected { hub, verdict } if hub == HUB_A => Some(*verdict),
        _ => None,
    };
    events_seen.iter().filter_map(of).collect()
}

/// Returns the number of register requests.
fn registers(site: &EdgeSite) -> u64 {
    site.emulator.with_service(|service| service.counters().registers)
}

fn at_hub(site: &EdgeSite, hub: &str) -> HubCounters {
    site.emulator.with_service(|service| service.hub_counters(hub, DEVICE))
}

/// Returns whether it is a wait of this many milliseconds, or up to a fifth more.
fn is_wait(after: Duration, ms: u64) -> bool {
    let wait = Duration::from_millis(ms);
    (wait..=wait.mul_f64(1.2)).contains(&after)
}

fn provisioned(hub: &str, origin: Origin) -> Event {
    Event::Provisioned { hub: hub.into(), device_id: DEVICE.into(), origin }
}

#[tokio::test]
async fn moved_device_registers_again_without_restart_in_dynamic_mode() {
    let site = EdgeSite::start(Mode::Dynamic).await.unwrap();
    process(&site, async |events: &mut Events| {
        let events_seen = accepted(events, HUB_A).await;
        let tags = r#"{"site":"a"}"#.to_owned();
        assert_eq!(events_seen, [provisioned(HUB_A, Origin::New), Event::Accepted { hub: HUB_A.into(), tags }]);
        site.move_device().unwrap();
        let events_seen = accepted(events, HUB_B).await;
        assert_eq!(verdicts(&events_seen), [Verdict::Register { after: Duration::ZERO }]);
        assert!(events_seen.contains(&provisioned(HUB_B, Origin::New)), "{events_seen:?}");
    })
    .await;
    assert_eq!(registers(&site), 2);
    for (hub, refused) in [(HUB_A, 1), (HUB_B, 0)] {
        let seen = at_hub(&site, hub);
        assert_eq!((seen.connects, seen.refused, seen.twins, seen.telemetry), (1, refused, 1, 1), "{hub}");
    }
}

#[tokio::test]
async fn moved_device_registers_once_after_restart_in_other_modes() {
    for mode in [Mode::OnErrorOnly, Mode::AlwaysOnStartup] {
        let site = EdgeSite::start(mode).await.unwrap();
        let events_seen = process(&site, async |events: &mut Events| {
            accepted(events, HUB_A).await;
            site.move_device().unwrap();
            until(events, |event| matches!(event, Event::Rejected { .. })).await;
            until(events, |event| matches!(event, Event::Rejected { .. })).await;
            until(events, |event| matches!(event, Event::Rejected { .. })).await
        })
        .await;
        assert!(
            matches!(verdicts(&events_seen)[..], [Verdict::NotBeforeRestart { try_hub_after }] if is_wait(try_hub_after, 200))
        );
        assert_eq!((registers(&site), at_hub(&site, HUB_A).refused), (1, 3), "{mode:?}");

        let events_seen = process(&site, async |events: &mut Events| accepted(events, HUB_B).await).await;
        if mode == Mode::OnErrorOnly {
            assert_eq!(events_seen[0], provisioned(HUB_A, Origin::Backup));
            assert_eq!(verdicts(&events_seen), [Verdict::Register { after: Duration::ZERO }]);
        } else {
            assert_eq!(verdicts(&events_seen), [], "it asked at its start");
        }
        assert!(events_seen.contains(&provisioned(HUB_B, Origin::New)), "{events_seen:?}");
        assert_eq!(registers(&site), 2, "{mode:?}");

        let events_seen = process(&site, async |events: &mut Events| accepted(events, HUB_B).await).await;
        let (origin, calls) = if mode == Mode::OnErrorOnly { (Origin::Backup, 2) } else { (Origin::Unchanged, 3) };
        assert_eq!((&events_seen[0], registers(&site)), (&provisioned(HUB_B, origin), calls));
    }
}

#[tokio::test]
async fn disabled_device_retries_with_backoff() {
    let site = EdgeSite::start(Mode::Dynamic).await.unwrap();
    process(&site, async |events: &mut Events| {
        accepted(events, HUB_A).await;
        site.set_enabled(false).unwrap();
        // The service assigns the same hub each time, which does not help.
        let mut events_seen = Vec::new();
        for _ in 0..3 {
            let asks = |event: &Event| matches!(event, Event::Rejected { verdict: Verdict::Register { .. }, .. });
            events_seen.extend(until(events, asks).await);
        }
        // The third has only been decided on.
        assert_eq!((at_hub(&site, HUB_A).refused, registers(&site)), (9, 3));
        let registers = events_seen.iter().filter(|event| **event == provisioned(HUB_A, Origin::Unchanged)).count();
        assert_eq!(registers, 2, "{events_seen:?}");
        let verdicts = verdicts(&events_seen);
        let expected = [("ask", 0), ("hub", 50), ("hub", 100), ("hub", 200), ("ask", 50)];
        let expected = expected.into_iter().chain([("hub", 50), ("hub", 100), ("hub", 200), ("ask", 100)]);
        assert_eq!(verdicts.len(), 9);
        for (verdict, (what, ms)) in verdicts.into_iter().zip(expected) {
            let good = match verdict {
                Verdict::Register { after } => what == "ask" && is_wait(after, ms),
                Verdict::TryHubAgain { after } => what == "hub" && is_wait(after, ms),
                Verdict::NotBeforeRestart { .. } => false,
            };
            assert!(good, "{verdict:?} is not {what} {ms}");
        }
        site.set_enabled(true).unwrap();
        accepted(events, HUB_A).await;
    })
    .await;
}

#[tokio::test]
async fn gateway_that_may_not_register_retries_its_hub() {
    let site = EdgeSite::start(Mode::OnErrorOnly).await.unwrap();
    process(&site, async |events: &mut Events| {
        accepted(events, HUB_A).await;
        site.set_enabled(false).unwrap();
        let mut events_seen = Vec::new();
        for _ in 0..5 {
            events_seen.extend(until(events, |event| matches!(event, Event::Rejected { .. })).await);
        }
        assert_eq!((at_hub(&site, HUB_A).refused, registers(&site)), (5, 1));
        for (verdict, ms) in verdicts(&events_seen).into_iter().zip([50, 100, 200, 400, 400]) {
            let is_expected =
                matches!(verdict, Verdict::NotBeforeRestart { try_hub_after } if is_wait(try_hub_after, ms));
            assert!(is_expected, "{verdict:?} is not {ms}");
        }
        site.set_enabled(true).unwrap();
        accepted(events, HUB_A).await;
    })
    .await;
    assert_eq!(registers(&site), 1);
}

#[tokio::test]
async fn gateway_reconnects_with_new_token_before_the_old_one_expires() {
    let site = EdgeSite::start(Mode::Dynamic).await.unwrap();
    let (tell, mut events) = unbounded_channel();
    let mut gateway = Gateway::from_site(&site, tell).unwrap();
    gateway.token_life = Duration::from_secs(5);
    let renewed = async {
        accepted(&mut events, HUB_A).await;
        accepted(&mut events, HUB_A).await
    };
    let events_seen = tokio::select! {
        ended = gateway.run() => panic!("{ended:?}"),
        events_seen = renewed => events_seen,
    };
    assert_eq!(events_seen.len(), 1, "nothing else happened: {events_seen:?}");
    assert_eq!((at_hub(&site, HUB_A).connects, registers(&site)), (2, 1));
}
