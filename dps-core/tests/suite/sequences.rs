//! Any sequence of calls, sensible or not, at any time: the machine keeps its promises to its driver.
//!
//! A twin gets the same calls but for those that are misuse. Whatever a refused call had changed, the two would differ.

use crate::common::{Did, NOW, assigned, assigning, at, config, error, identity, step};
use dps_core::{
    Action, Config, Instant, LinkError, Misuse, Operation, Outcome, Payload, Registration, Reply, RequestId, SignError,
    Signature, Status, UnixSeconds, WallAnchor,
};
use proptest::prelude::*;
use proptest::test_runner::TestCaseError;

/// The default deadline, in milliseconds.
const DEADLINE: u64 = 120_000;

/// What the machine is made for.
#[derive(Clone, Copy, Debug)]
enum Purpose {
    Register,
    Resume,
    Lookup,
}

/// One call. `late` names the answered request: 0 is the one that was asked last, more are earlier or never asked.
#[derive(Clone, Copy, Debug)]
enum Input {
    Poll { times: u8 },
    Pass(u64),
    Sign { late: u32 },
    SignError { late: u32 },
    Reply { late: u32, kind: u8, hint: Option<u32> },
    LinkError { late: u32, kind: u8 },
    Abandon,
    Cancel,
    Anchor(u64),
}

fn purpose() -> impl Strategy<Value = Purpose> {
    prop_oneof![3 => Just(Purpose::Register), 1 => Just(Purpose::Resume), 1 => Just(Purpose::Lookup)]
}

fn input() -> impl Strategy<Value = Input> {
    let late = || prop_oneof![8 => Just(0), 1 => 1..4_u32, 1 => any::<u32>()];
    prop_oneof![
        12 => (1..4_u8).prop_map(|times| Input::Poll { times }),
        6 => (0..40_000_u64).prop_map(Input::Pass),
        8 => late().prop_map(|late| Input::Sign { late }),
        1 => late().prop_map(|late| Input::SignError { late }),
        10 => (late(), 0..16_u8, prop::option::of(0..90_000_u32))
            .prop_map(|(late, kind, hint)| Input::Reply { late, kind, hint }),
        6 => (late(), 0..8_u8).prop_map(|(late, kind)| Input::LinkError { late, kind }),
        2 => Just(Input::Abandon),
        1 => Just(Input::Cancel),
        2 => any::<u64>().prop_map(Input::Anchor),
    ]
}

/// Every kind of reply; the date is the service's clock where the number is even.
fn reply(kind: u8, hint: Option<u32>) -> Reply<'static> {
    let mut reply = match kind {
        0..=4 => assigning(hint),
        5 => assigned(),
        6 => error(429, hint),
        7 => error(503, hint),
        8 => error(404, hint),
        9 => error(401, hint),
        10 => Reply::new(200),
        11 => error(409, hint),
        12 | 13 => assigning(hint),
        14 => error(400, hint),
        _ => Reply::new(302),
    };
    match kind {
        // An operation without an id, and an end without an assignment.
        12 => reply.body.operation_id = None,
        13 => reply.body.status = Some(if hint.is_some() { Status::Failed } else { Status::Disabled }),
        _ => {}
    }
    reply.date = kind.is_multiple_of(2).then(|| NOW.plus(u64::from(hint.unwrap_or(0))));
    reply
}

fn link_error(kind: u8) -> LinkError {
    match kind {
        0 => LinkError::Dns,
        1 => LinkError::Cut,
        2 => LinkError::Timeout,
        3 => LinkError::InvalidReply,
        4 => LinkError::MqttRefused { code: 3 },
        5 => LinkError::UnknownCa,
        6 => LinkError::ReplyTooLarge { needed: None },
        _ => LinkError::Connect,
    }
}

fn machine(purpose: Purpose, config: Config, storage: &mut [u8]) -> Registration<'_> {
    let operation = Operation::parse("dps-operation/1 dps.test 0ne00A1B2C3 dev-01 5.op.0").unwrap();
    let machine = match purpose {
        Purpose::Register => Registration::new(identity(), config, storage),
        Purpose::Resume => Registration::resume(identity(), config, storage, &operation),
        Purpose::Lookup => Registration::lookup(identity(), config, storage),
    };
    machine.unwrap().with_payload(Payload::new("{\"a\":1}").unwrap())
}

/// What is pending, as a driver knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Pending {
    Nothing,
    Signature,
    Reply,
}

/// A machine, its twin, and what a driver knows about both.
struct Watched<'m> {
    machine: Registration<'m>,
    twin: Registration<'m>,
    now: u64,
    /// None before the first poll.
    deadline: Option<u64>,
    pending: Pending,
    /// When what is pending counts as unanswered.
    overdue: u64,
    /// The number that was asked under last.
    asked: u32,
    end: Option<String>,
}

impl<'m> Watched<'m> {
    fn new(machine: Registration<'m>, twin: Registration<'m>) -> Self {
        Self {
            machine,
            twin,
            now: 0,
            deadline: None,
            pending: Pending::Nothing,
            overdue: u64::MAX,
            asked: 0,
            end: None,
        }
    }

    fn take(&mut self, input: Input) -> Result<(), TestCaseError> {
        match input {
            Input::Poll { times } => self.poll(times)?,
            Input::Pass(millis) => self.now += millis,
            Input::Sign { late } => {
                let signature = Signature::new([9; 32]);
                self.answer(Pending::Signature, late, |machine, now, id| {
                    machine.handle_signature(now, id, &signature)
                })?;
            }
            Input::SignError { late } => {
                self.answer(Pending::Signature, late, |machine, now, id| machine.handle_sign_error(now, id, SignError))?
            }
            Input::Reply { late, kind, hint } => {
                self.answer(Pending::Reply, late, |machine, now, id| machine.handle_reply(now, id, &reply(kind, hint)))?
            }
            Input::LinkError { late, kind } => self.answer(Pending::Reply, late, |machine, now, id| {
                machine.handle_link_error(now, id, link_error(kind))
            })?,
            Input::Abandon => self.take_back(Registration::abandon),
            Input::Cancel => self.take_back(Registration::cancel),
            Input::Anchor(unix) => {
                let anchor = WallAnchor { at: at(self.now), unix: UnixSeconds::new(unix) };
                self.machine.set_wall_anchor(anchor);
                self.twin.set_wall_anchor(anchor);
            }
        }
        self.the_end_stays()
    }

    /// Polls the twin once and the machine several times: the first of them acts, the others change nothing.
    fn poll(&mut self, times: u8) -> Result<(), TestCaseError> {
        let (now, limit) = (at(self.now), *self.deadline.get_or_insert(self.now + DEADLINE));
        let overdue = self.now >= self.overdue;
        let free = self.pending == Pending::Nothing || overdue;
        let no_signature = self.pending == Pending::Signature && overdue;
        let first = Seen::polled(&mut self.machine, now);
        prop_assert_eq!(&first, &Seen::polled(&mut self.twin, now), "a refused call had changed something");
        let until = match &first {
            Seen::Sign { id, until, .. } | Seen::Send { id, until, .. } => {
                prop_assert!(free, "{first:?} while {:?} is awaited", self.pending);
                prop_assert!(*id > self.asked, "{id} after {}", self.asked);
                self.asked = *id;
                *until
            }
            Seen::Wait { until } => *until,
            Seen::Finished => self.now + 1,
        };
        prop_assert!(until > self.now && (until <= limit || first == Seen::Finished), "until {until} of {limit}");
        prop_assert!(!no_signature || first == Seen::Finished, "{first:?} although the signer is silent");
        prop_assert!(self.now < limit || first == Seen::Finished, "{first:?} at {}, after {limit}", self.now);
        match first {
            Seen::Sign { .. } => (self.pending, self.overdue) = (Pending::Signature, until),
            Seen::Send { .. } => (self.pending, self.overdue) = (Pending::Reply, until),
            _ if free || first == Seen::Finished => self.pending = Pending::Nothing,
            _ => prop_assert_eq!(until, self.overdue, "what is pending is waited for"),
        }
        let again = if first == Seen::Finished { Seen::Finished } else { Seen::Wait { until } };
        for _ in 1..times {
            prop_assert_eq!(&Seen::polled(&mut self.machine, now), &again, "after {:?}", first);
        }
        Ok(())
    }

    /// Answers both if the answer is awaited, and the machine alone if not.
    fn answer(
        &mut self,
        kind: Pending,
        late: u32,
        give: impl Fn(&mut Registration<'_>, Instant, RequestId) -> Result<(), Misuse>,
    ) -> Result<(), TestCaseError> {
        let (now, id) = (at(self.now), RequestId::new(self.asked.wrapping_sub(late)));
        if self.pending == kind && late == 0 {
            prop_assert_eq!((give(&mut self.machine, now, id), give(&mut self.twin, now, id)), (Ok(()), Ok(())));
            self.pending = Pending::Nothing;
            return Ok(());
        }
        let before = shown(&self.machine);
        prop_assert_eq!(give(&mut self.machine, now, id), Err(Misuse));
        prop_assert_eq!(shown(&self.machine), before);
        Ok(())
    }

    fn take_back(&mut self, call: impl Fn(&mut Registration<'m>)) {
        call(&mut self.machine);
        call(&mut self.twin);
        self.pending = Pending::Nothing;
    }

    /// Once there is an outcome it is the outcome for ever.
    fn the_end_stays(&mut self) -> Result<(), TestCaseError> {
        let outcome = self.machine.outcome().map(|outcome| format!("{outcome:?}"));
        if self.end.is_some() {
            prop_assert_eq!(&outcome, &self.end);
            prop_assert_eq!(self.pending, Pending::Nothing);
            prop_assert!(matches!(self.machine.poll(at(self.now)), Action::Finished));
        }
        self.end = outcome;
        Ok(())
    }

    /// Whatever was done to it, a driver brings it to an end in time, and the twin to the same.
    fn ends(mut self) -> Result<(), TestCaseError> {
        self.machine.abandon();
        self.twin.abandon();
        let limit = self.now.max(self.deadline.unwrap_or(self.now + DEADLINE));
        while self.machine.outcome().is_none() {
            let did = step(&mut self.machine, self.now);
            prop_assert_eq!(&did, &step(&mut self.twin, self.now));
            match did {
                Did::Send { respond_by: next, .. } | Did::Wait(next) => self.now = next,
                Did::Finish => {}
            }
        }
        prop_assert!(self.now <= limit, "{} of {limit}", self.now);
        prop_assert_eq!(shown(&self.machine), shown(&self.twin));
        Ok(())
    }
}

/// An action with the token or what is to be signed, on which machine and twin have to agree.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Seen {
    Sign { id: u32, to_sign: Vec<u8>, until: u64 },
    Send { id: u32, call: String, token: String, generation: u32, until: u64 },
    Wait { until: u64 },
    Finished,
}

impl Seen {
    fn polled(machine: &mut Registration<'_>, now: Instant) -> Self {
        let action = machine.poll(now);
        Self::of(machine, action)
    }

    fn of(machine: &Registration<'_>, action: Action) -> Self {
        match action {
            Action::Sign { id, respond_by } => {
                Self::Sign { id: id.get(), to_sign: machine.to_sign().to_vec(), until: respond_by.as_millis() }
            }
            Action::Send { id, respond_by } => {
                let request = machine.request().expect("it was just asked for");
                let authorization = request.authorization.expect("a key signs");
                Self::Send {
                    id: id.get(),
                    call: format!("{:?} {:?}", request.call, request.identity),
                    token: authorization.token.as_str().into(),
                    generation: authorization.generation,
                    until: respond_by.as_millis(),
                }
            }
            Action::Wait { until } => Self::Wait { until: until.as_millis() },
            Action::Finished => Self::Finished,
            Action::Activate { .. } => panic!("only for a TPM"),
        }
    }
}

/// All that can be seen of a machine without polling it.
fn shown(machine: &Registration<'_>) -> String {
    let outcome = machine.outcome();
    let hints = match &outcome {
        Some(Outcome::Failed(failure)) => format!("{:?}", failure.hints()),
        _ => String::new(),
    };
    format!("{machine:?} {outcome:?} {hints} {:?} {:?}", machine.operation(), machine.wall_anchor())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    /// No panic, one question in flight under a number of its own, no wait past the deadline, refused calls change
    /// nothing, an end by the deadline that stays.
    #[test]
    fn any_sequence_of_calls_keeps_the_promises(
        purpose in purpose(),
        inputs in prop::collection::vec(input(), 0..80),
        seed: u32,
        correct: bool,
        clock in prop::bool::weighted(0.9),
    ) {
        let policy = if clock { config() } else { Config::new() }.seed(seed).correct_clock(correct);
        let (mut storage, mut twins) = ([0; 1024], [0; 1024]);
        let mut watched =
            Watched::new(machine(purpose, policy, &mut storage), machine(purpose, policy, &mut twins));
        for input in inputs {
            watched.take(input)?;
        }
        watched.ends()?;
    }
}
