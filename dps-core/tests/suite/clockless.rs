//! A registration without a clock: the time is learned from the service's first refusal, within limits.

use crate::common::{NOW, Sent, assigned, at, error, identity};
use dps_core::{
    Action, Call, Config, ErrorCode, LinkError, Millis, Payload, Registration, Reply, RequestId, UnixSeconds, Verdict,
    WallAnchor,
};

const YEAR: u64 = 365 * 86_400 + 86_400 / 4;

fn config() -> Config {
    Config::new().learn_time(NOW)
}

fn machine(storage: &mut [u8]) -> Registration<'_> {
    Registration::new(identity(), config(), storage).unwrap().with_payload(Payload::new("{\"secret\":1}").unwrap())
}

/// Polls until the request for the time is to be sent.
fn asks_time(machine: &mut Registration<'_>, now: u64) -> RequestId {
    let Action::Send { id, .. } = machine.poll(at(now)) else { panic!("the time is asked for first") };
    let request = machine.request().unwrap();
    assert!(matches!(request.call, Call::Time) && request.authorization.is_none());
    assert!(machine.authorization().is_none());
    id
}

fn refusal(status: u16, date: Option<u64>) -> Reply<'static> {
    let mut reply = error(status, None);
    reply.date = date.map(UnixSeconds::new);
    reply
}

fn expiry(machine: &Registration<'_>) -> u64 {
    let text = std::str::from_utf8(machine.to_sign()).unwrap();
    text.rsplit('\n').next().unwrap().parse().unwrap()
}

fn code(machine: &Registration<'_>) -> (ErrorCode, Verdict) {
    crate::common::failure(machine)
}

#[test]
fn date_of_any_refusal_sets_the_time_for_the_token() {
    for status in [400, 401, 403, 404, 418] {
        let mut storage = [0; 1024];
        let mut machine = machine(&mut storage);
        let id = asks_time(&mut machine, 0);
        machine.handle_reply(at(5000), id, &refusal(status, Some(NOW.get() + 100))).unwrap();
        assert!(machine.is_time_learned(), "{status}");
        assert!(matches!(machine.poll(at(5000)), Action::Sign { .. }), "{status}");
        assert_eq!(expiry(&machine), NOW.get() + 100 + 3600, "{status}");
    }
}

#[test]
fn registration_goes_on_with_its_payload_and_a_token() {
    let mut storage = [0; 1024];
    let mut machine = machine(&mut storage);
    let id = asks_time(&mut machine, 0);
    machine.handle_reply(at(0), id, &refusal(401, Some(NOW.get()))).unwrap();
    let (id, sent) = crate::common::sent(&mut machine, 0);
    assert_eq!(sent, Sent::Register);
    let request = machine.request().unwrap();
    assert!(matches!(request.call, Call::Register { payload: Some(_), .. }));
    machine.handle_reply(at(0), id, &assigned()).unwrap();
    assert_eq!(machine.poll(at(0)), Action::Finished);
    assert!(machine.failure().is_none());
}

#[test]
fn implausible_dates_are_ignored() {
    let earliest = NOW.get();
    for (date, believed) in [
        (Some(earliest), true),
        (Some(earliest + 20 * YEAR), true),
        (Some(earliest - 1), false),
        (Some(earliest + 20 * YEAR + 86_400), false),
        (Some(0), false),
        (Some(u64::MAX), false),
        (None, false),
    ] {
        let mut storage = [0; 1024];
        let mut machine = machine(&mut storage);
        let id = asks_time(&mut machine, 0);
        machine.handle_reply(at(0), id, &refusal(401, date)).unwrap();
        assert_eq!(matches!(machine.poll(at(0)), Action::Sign { .. }), believed, "{date:?}");
        if !believed {
            assert_eq!(code(&machine), (ErrorCode::ClockNeeded, Verdict::Reconfigure), "{date:?}");
            assert_eq!(machine.failure().unwrap().http_status(), Some(401), "{date:?}");
            assert_eq!((machine.wall_anchor(), machine.is_time_learned()), (None, false), "{date:?}");
        }
    }
}

#[test]
fn success_reply_to_the_time_question_is_not_an_assignment() {
    let mut storage = [0; 1024];
    let mut machine = machine(&mut storage);
    let id = asks_time(&mut machine, 0);
    let mut reply = assigned();
    reply.date = Some(NOW);
    machine.handle_reply(at(0), id, &reply).unwrap();
    assert_eq!(code(&machine).0, ErrorCode::ClockNeeded);
    assert_eq!(machine.wall_anchor(), None, "only a refusal sets the time");
}

#[test]
fn busy_service_is_asked_again_and_its_date_is_kept() {
    for (status, date, then_signs) in
        [(429, None, false), (503, Some(NOW.get()), false), (429, Some(NOW.get()), true), (409, Some(NOW.get()), true)]
    {
        let mut storage = [0; 1024];
        let mut machine = machine(&mut storage);
        let id = asks_time(&mut machine, 0);
        let mut reply = refusal(status, date);
        reply.retry_after = Some(Millis::from_secs(5));
        machine.handle_reply(at(0), id, &reply).unwrap();
        let Action::Wait { until } = machine.poll(at(0)) else { panic!("{status}") };
        assert!(until >= at(5000) && until <= at(6000), "{status} {until:?}");
        if then_signs {
            assert!(matches!(machine.poll(until), Action::Sign { .. }), "{status}");
        } else {
            asks_time(&mut machine, until.as_millis());
        }
    }
}

#[test]
fn time_question_is_retried_after_a_cut_and_not_over_mqtt() {
    let mut storage = [0; 1024];
    let mut machine = machine(&mut storage);
    let id = asks_time(&mut machine, 0);
    machine.handle_link_error(at(0), id, LinkError::Cut).unwrap();
    let Action::Wait { until } = machine.poll(at(0)) else { panic!("it is tried again") };
    let id = asks_time(&mut machine, until.as_millis());
    machine.handle_link_error(until, id, LinkError::Unsupported).unwrap();
    assert_eq!(code(&machine), (ErrorCode::ClockNeeded, Verdict::Reconfigure));
}

#[test]
fn token_by_a_learned_time_lives_an_hour_at_most() {
    for (life, expected) in [(None, 3600), (Some(600), 600), (Some(86_400), 3600)] {
        let mut storage = [0; 1024];
        let mut config = config().timeout(Millis::from_secs(7200));
        if let Some(seconds) = life {
            config = config.token_life(Millis::from_secs(seconds));
        }
        let mut machine = Registration::new(identity(), config, &mut storage).unwrap();
        let id = asks_time(&mut machine, 0);
        machine.handle_reply(at(0), id, &refusal(401, Some(NOW.get()))).unwrap();
        assert!(matches!(machine.poll(at(0)), Action::Sign { .. }));
        assert_eq!(expiry(&machine), NOW.get() + expected, "{life:?}");
    }
}

#[test]
fn token_by_a_learned_time_lives_an_hour_at_most_however_long_a_request_may_take() {
    let hours = Millis::from_secs(3 * 3600);
    let mut storage = [0; 1024];
    let mut machine =
        Registration::new(identity(), config().timeout(hours).request_timeout(hours), &mut storage).unwrap();
    let id = asks_time(&mut machine, 0);
    machine.handle_reply(at(0), id, &refusal(401, Some(NOW.get()))).unwrap();
    let Action::Sign { id, respond_by, .. } = machine.poll(at(0)) else { panic!("a token is signed") };
    assert_eq!(expiry(&machine), NOW.get() + 3600);
    // Signed as late as it may be, the token still outlives its request.
    let signature = crate::common::key().sign(machine.to_sign());
    machine.handle_signature(respond_by, id, &signature).unwrap();
    let Action::Send { respond_by, .. } = machine.poll(respond_by) else { panic!("the token is good for a request") };
    assert!(respond_by.as_millis() < 3600 * 1000);
}

#[test]
fn time_is_learned_once_and_a_refused_token_ends_the_registration() {
    let mut storage = [0; 1024];
    let mut machine = machine(&mut storage);
    let id = asks_time(&mut machine, 0);
    machine.handle_reply(at(0), id, &refusal(401, Some(NOW.get()))).unwrap();
    let (id, _) = crate::common::sent(&mut machine, 0);
    machine.handle_reply(at(0), id, &refusal(401, Some(NOW.get()))).unwrap();
    assert_eq!(code(&machine), (ErrorCode::Unauthorized, Verdict::Never));
}

#[test]
fn time_is_not_asked_for_when_set() {
    let anchor = WallAnchor { at: at(0), unix: NOW };
    let mut storage = [0; 1024];
    let mut machine = machine(&mut storage);
    machine.set_wall_anchor(anchor);
    assert_eq!(crate::common::sent(&mut machine, 0).1, Sent::Register);
    assert!(!machine.is_time_learned());

    // Set while the answer is awaited, it stands.
    let mut storage = [0; 1024];
    let mut machine = Registration::new(identity(), config(), &mut storage).unwrap();
    let id = asks_time(&mut machine, 0);
    machine.set_wall_anchor(anchor);
    machine.handle_reply(at(0), id, &refusal(401, Some(NOW.get() + 9999))).unwrap();
    assert_eq!((machine.wall_anchor(), machine.is_time_learned()), (Some(anchor), false));
    assert_eq!(crate::common::sent(&mut machine, 0).1, Sent::Register);
}

#[test]
fn learning_the_time_is_off_by_default() {
    let mut storage = [0; 1024];
    let mut machine = Registration::new(identity(), Config::new(), &mut storage).unwrap();
    assert_eq!(machine.poll(at(0)), Action::Finished);
    assert_eq!(code(&machine), (ErrorCode::ClockNeeded, Verdict::Reconfigure));
}

#[test]
fn abandoned_time_question_is_asked_again() {
    let mut storage = [0; 1024];
    let mut machine = machine(&mut storage);
    asks_time(&mut machine, 0);
    machine.abandon();
    let id = asks_time(&mut machine, 0);
    machine.handle_reply(at(0), id, &refusal(401, Some(NOW.get()))).unwrap();
    assert_eq!(crate::common::sent(&mut machine, 0).1, Sent::Register);
}
