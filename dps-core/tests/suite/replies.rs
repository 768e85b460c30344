//! What a reply says is checked before it is believed: names of hubs and devices, substatus, operation ids.

use crate::common::{Did, Sent, assigned, assigning, at, config, identity, sent, step};
use dps_core::{Body, ErrorCode, Outcome, Registration, Reply, ReplyProblem, Status, Verdict};

/// What a hostile or broken service put into names.
const FOREIGN: [&str; 10] = [
    "a;SharedAccessKey=AAAA;HostName=evil.example",
    "hub\r\nX-Evil: 1",
    "hub\"quoted\"",
    "$(reboot)/",
    "-oProxyCommand=reboot/",
    "../../etc/passwd",
    "hub\u{202e}tset.a",
    "hub.test\0.evil.example",
    "\u{1b}[2J",
    "two words",
];

/// This body with a change.
fn with<'b>(body: &Body<'b>, change: impl FnOnce(&mut Body<'b>)) -> Body<'b> {
    let mut changed = body.clone();
    change(&mut changed);
    changed
}

/// Why a lookup or a registration fails whose every reply has this body.
fn problem_of(lookup: bool, body: &Body<'_>) -> (ErrorCode, Option<ReplyProblem>) {
    let mut storage = [0; 1024];
    let make = if lookup { Registration::lookup } else { Registration::new };
    let mut machine = make(identity(), config(), &mut storage).unwrap();
    let mut now = 0;
    loop {
        match step(&mut machine, now) {
            Did::Send { id, .. } => {
                let mut reply = Reply::new(200);
                reply.body = body.clone();
                machine.handle_reply(at(now), id, &reply).unwrap();
            }
            Did::Wait(until) => now = until,
            Did::Finish => break,
        }
    }
    match machine.outcome() {
        Some(Outcome::Failed(failure)) => {
            assert!(matches!(failure.verdict(), Verdict::After(_)), "{failure:?}");
            (failure.code(), failure.reply_problem())
        }
        other => panic!("{other:?} of {body:?}"),
    }
}

#[test]
fn assignment_or_record_with_invalid_names_is_an_invalid_reply() {
    for lookup in [false, true] {
        for name in FOREIGN {
            let good = assigned().body;
            let hub = with(&good, |body| body.assigned_hub = Some(name.into()));
            assert_eq!(problem_of(lookup, &hub), (ErrorCode::InvalidReply, Some(ReplyProblem::Hub)), "{name:?}");
            let substatus = with(&good, |body| body.substatus = Some(name.into()));
            let expected = (ErrorCode::InvalidReply, Some(ReplyProblem::Substatus));
            assert_eq!(problem_of(lookup, &substatus), expected, "{name:?}");
            // The first of them is a device id that a hub allows.
            if name != FOREIGN[0] {
                let device = with(&good, |body| body.device_id = Some(name.into()));
                let expected = (ErrorCode::InvalidReply, Some(ReplyProblem::DeviceId));
                assert_eq!(problem_of(lookup, &device), expected, "{name:?}");
            }
        }
        let long = "d".repeat(129);
        let device = with(&assigned().body, |body| body.device_id = Some(long.as_str().into()));
        assert_eq!(problem_of(lookup, &device), (ErrorCode::InvalidReply, Some(ReplyProblem::DeviceId)));
    }
}

#[test]
fn device_id_with_every_allowed_character_is_accepted() {
    for device in ["ABCxyz019-:.+%_#*?!(),=@;$'", "x;HostName=evil", &"d".repeat(128)] {
        let mut storage = [0; 1024];
        let mut machine = Registration::new(identity(), config(), &mut storage).unwrap();
        let (id, _) = sent(&mut machine, 0);
        let mut reply = assigned();
        reply.body.device_id = Some(device.into());
        machine.handle_reply(at(0), id, &reply).unwrap();
        let Some(Outcome::Assigned(assignment)) = machine.outcome() else { panic!("{device:?}") };
        assert_eq!(assignment.device_id(), device);
    }
}

#[test]
fn invalid_reply_reports_its_problem() {
    let expected = (ErrorCode::InvalidReply, Some(ReplyProblem::NoStatus));
    assert_eq!(problem_of(false, &Body::default()), expected);
    assert_eq!(problem_of(true, &Body::default()), expected);
    let nameless = with(&assigning(None).body, |body| body.operation_id = None);
    assert_eq!(problem_of(false, &nameless), (ErrorCode::InvalidReply, Some(ReplyProblem::NoOperation)));
    let homeless = with(&assigned().body, |body| body.assigned_hub = None);
    assert_eq!(problem_of(false, &homeless), (ErrorCode::InvalidReply, Some(ReplyProblem::NoHub)));

    let mut storage = [0; 1024];
    let mut machine = Registration::new(identity(), config(), &mut storage).unwrap();
    let (id, _) = sent(&mut machine, 0);
    let mut reply = assigned();
    reply.body.assigned_hub = Some("a;b".into());
    reply.retry_after = Some(dps_core::Millis::from_secs(500));
    machine.handle_reply(at(0), id, &reply).unwrap();
    let Some(Outcome::Failed(failure)) = machine.outcome() else { panic!() };
    let text = failure.to_string();
    assert_eq!(text, "what came back is not a reply of the service: its assigned hub is not a host name");
}

#[test]
fn operation_id_with_invalid_characters_is_dropped() {
    for foreign in ["..", ".", "#", "+", "1&$rid=2", "a/b", "a%2fb", "a b", "a:b", ""] {
        let mut storage = [0; 1024];
        let mut machine = Registration::new(identity(), config(), &mut storage).unwrap();
        let (id, _) = sent(&mut machine, 0);
        let mut reply = assigning(Some(1));
        reply.body.operation_id = Some(foreign.into());
        machine.handle_reply(at(0), id, &reply).unwrap();
        assert!(machine.operation().is_none(), "{foreign:?} was kept");
        let Did::Wait(until) = step(&mut machine, 0) else { panic!("{foreign:?}") };
        assert_eq!(sent(&mut machine, until).1, Sent::Register, "{foreign:?} was polled");
    }
}

#[test]
fn poll_reply_with_another_operation_id_keeps_the_known_one() {
    let mut storage = [0; 1024];
    let mut machine = Registration::new(identity(), config(), &mut storage).unwrap();
    let (id, _) = sent(&mut machine, 0);
    machine.handle_reply(at(0), id, &assigning(Some(1))).unwrap();
    let (id, _) = sent(&mut machine, 1000);
    let mut reply = assigning(Some(1));
    reply.body.operation_id = Some("../x".into());
    machine.handle_reply(at(1000), id, &reply).unwrap();
    assert_eq!(sent(&mut machine, 2000).1, Sent::Status("5.op.1".into()));
}

#[test]
fn status_202_with_operation_id_and_no_status_counts_as_assigning() {
    let mut storage = [0; 1024];
    let mut machine = Registration::new(identity(), config(), &mut storage).unwrap();
    let (id, _) = sent(&mut machine, 0);
    let mut reply = assigning(Some(3));
    reply.body.status = None;
    machine.handle_reply(at(0), id, &reply).unwrap();
    assert_eq!(step(&mut machine, 0), Did::Wait(3000));
    let (id, second) = sent(&mut machine, 3000);
    assert_eq!(second, Sent::Status("5.op.1".into()));
    machine.handle_reply(at(3000), id, &reply).unwrap();
    assert_eq!(sent(&mut machine, 6000).1, Sent::Status("5.op.1".into()));
}

#[test]
fn poll_answered_with_unassigned_is_repeated() {
    let mut storage = [0; 1024];
    let mut machine = Registration::new(identity(), config(), &mut storage).unwrap();
    let (id, _) = sent(&mut machine, 0);
    machine.handle_reply(at(0), id, &assigning(Some(1))).unwrap();
    let (id, _) = sent(&mut machine, 1000);
    let mut reply = assigning(Some(1));
    reply.body.status = Some(Status::Unassigned);
    machine.handle_reply(at(1000), id, &reply).unwrap();
    let (id, again) = sent(&mut machine, 2000);
    assert_eq!(again, Sent::Status("5.op.1".into()));
    machine.handle_reply(at(2000), id, &assigned()).unwrap();
    assert!(matches!(machine.outcome(), Some(Outcome::Assigned(_))));
}
