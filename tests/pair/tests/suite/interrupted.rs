//! Interrupted registrations: the future is dropped and driven on, the device restarts and resumes, or an observer ends the
//! registration.

use std::ops::ControlFlow;

use dps_core::{Call, Config, ErrorCode, Instant, Link, Operation, Outcome, Progress, Registration, drive};
use dps_emulator::{RetryAfter, ServiceOptions};
use pair::{End, Scene, scene};

fn slow() -> Scene {
    Scene::with(ServiceOptions::new().hint(Some(RetryAfter::Seconds(2))).assigning_ms(5000))
}

#[test]
fn registration_continues_after_its_future_was_dropped_at_any_await() {
    driven_on(Scene::link, |link| link.connected, 8);
    driven_on(Scene::mqtt_link, |link| link.is_connected(), 12);
}

/// Drops the future at each await in turn, of which there are more than `least`.
fn driven_on<L: Link>(link: impl Fn(&Scene) -> L, connected: impl Fn(&L) -> bool, least: u32) {
    for jumps in 0.. {
        let mut scene = slow();
        let world = scene.world.clone();
        let (mut storage, mut buffer) = ([0; 1024], [0; 4096]);
        let mut machine = Registration::new(scene.identity, scene.config(), &mut storage).unwrap();
        let mut first = link(&scene);
        let mut nobody = ();
        let run = drive(&mut machine, &mut first, &world, &mut scene.key, &mut nobody, &mut buffer);
        let finished = world.run_for(jumps, run).is_some();
        if !finished {
            // Another link, as after a change of network.
            world.run(drive(&mut machine, &mut link(&scene), &world, &mut scene.key, &mut (), &mut buffer));
        }
        assert_eq!(scene::end(&machine, &buffer).hub(), Some("hub-a.test"), "dropped after {jumps} waits");
        let registers = scene.service.borrow().counters().registers;
        assert!(registers <= 2, "dropped after {jumps} waits: {registers} registers");
        if finished {
            assert!(jumps > least, "the flow has more awaits than {jumps}");
            assert!(!connected(&first));
            break;
        }
    }
}

/// Runs until the power is cut after so many waits; what the device had stored by then, if anything.
fn run_until_power_cut(scene: &mut Scene, jumps: u32) -> Option<String> {
    let world = scene.world.clone();
    let (mut storage, mut buffer) = ([0; 1024], [0; 4096]);
    let mut machine = Registration::new(scene.identity, scene.config(), &mut storage).unwrap();
    let mut stored = None;
    let mut store = |_: Instant, progress: Progress<'_>| {
        if let Progress::Waiting { operation: Some(operation), .. } = progress {
            stored = Some(operation.write(&mut [0; 512]).unwrap().to_owned());
        }
        ControlFlow::Continue(())
    };
    let mut link = scene.link();
    let run = drive(&mut machine, &mut link, &world, &mut scene.key, &mut store, &mut buffer);
    assert!(world.run_for(jumps, run).is_none(), "the power is cut before the end");
    stored
}

fn resume(scene: &mut Scene, stored: &str) -> End {
    scene.go(&mut scene.link(), |identity, config, storage| {
        Registration::resume(identity, config, storage, &Operation::parse(stored).unwrap()).unwrap()
    })
}

#[test]
fn restarted_device_polls_its_operation_without_registering_again() {
    let mut scene = slow();
    assert_eq!(run_until_power_cut(&mut scene, 1), None, "nothing to store before the service answered");
    let mut scene = slow();
    let stored = run_until_power_cut(&mut scene, 3).expect("the operation is known before the first wait");
    scene.world.advance(60_000);
    assert_eq!(resume(&mut scene, &stored).hub(), Some("hub-a.test"));
    assert_eq!(scene.service.borrow().counters().registers, 1);
}

#[test]
fn operation_unknown_to_the_service_leads_to_a_new_registration() {
    let mut scene = Scene::with(ServiceOptions::new().operation_life_ms(60_000));
    let stored = run_until_power_cut(&mut scene, 3).unwrap();
    scene.world.advance(3_600_000);
    assert_eq!(resume(&mut scene, &stored).hub(), Some("hub-a.test"));
    assert_eq!(scene.service.borrow().counters().registers, 2);
}

#[test]
fn operation_of_another_device_is_refused_before_any_request() {
    let mut scene = slow();
    let stored = run_until_power_cut(&mut scene, 3).unwrap();
    let other = Scene::identity(scene::ID_SCOPE, "dev-02");
    let mut storage = [0; 1024];
    let refused = Registration::resume(other, Config::new(), &mut storage, &Operation::parse(&stored).unwrap());
    assert_eq!(refused.err().map(|error| error.code()), Some(ErrorCode::OperationMismatch));
}

#[test]
fn observer_break_before_any_step_sends_nothing() {
    stopped_anywhere(Scene::link);
    stopped_anywhere(Scene::mqtt_link);
}

/// Stops before each step in turn. The service has seen the requests before it and no other, and the device goes on from
/// there later.
fn stopped_anywhere<L: Link>(link: impl Fn(&Scene) -> L) {
    for stop_at in 0.. {
        let mut scene = slow();
        let world = scene.world.clone();
        let (mut storage, mut buffer) = ([0; 1024], [0; 4096]);
        let mut machine = Registration::new(scene.identity, scene.config(), &mut storage).unwrap();
        let (mut steps, mut registers, mut polls) = (0, 0, 0);
        let mut observer = |_: Instant, progress: Progress<'_>| {
            if steps == stop_at {
                return ControlFlow::Break(());
            }
            steps += 1;
            match progress {
                Progress::Sending(request) if matches!(request.call, Call::Register { .. }) => registers += 1,
                Progress::Sending(_) => polls += 1,
                _ => {}
            }
            ControlFlow::Continue(())
        };
        world.run(drive(&mut machine, &mut link(&scene), &world, &mut scene.key, &mut observer, &mut buffer));
        let counters = scene.service.borrow().counters();
        assert_eq!((counters.registers, counters.polls), (registers, polls), "stopped before step {stop_at}");
        let Some(Outcome::Failed(failure)) = machine.outcome() else {
            assert!(stop_at >= 6, "the flow has more steps than {stop_at}");
            break;
        };
        assert_eq!(failure.code(), ErrorCode::Cancelled, "stopped before step {stop_at}");
        let operation = machine.operation().map(|one| one.write(&mut [0; 512]).unwrap().to_owned());
        assert_eq!(operation.is_some(), registers > 0, "stopped before step {stop_at}");
        if let Some(operation) = operation {
            assert_eq!(resume(&mut scene, &operation).hub(), Some("hub-a.test"), "stopped before step {stop_at}");
            assert_eq!(scene.service.borrow().counters().registers, 1, "stopped before step {stop_at}");
        }
    }
}
