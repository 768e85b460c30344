//! Calls of the state machine in any order, at any time: the invariants that drivers rely on hold after each of them.
#![no_main]

use dps_core::{
    Action, Attestation, ByteStr, Call, Config, Endpoint, ErrorCode, Hint, IdScope, Identity, Instant, LinkError,
    Millis, Misuse, Operation, Outcome, Registration, RegistrationId, Reply, RequestId, SignError, Signature, Status,
    SymmetricKey, UnixSeconds, WallAnchor, X509, storage_size,
};
use libfuzzer_sys::arbitrary::{self, Arbitrary};
use libfuzzer_sys::fuzz_target;

/// A token must outlive the request by this much.
const TOKEN_MARGIN_S: u64 = 60;

#[derive(Arbitrary, Debug)]
struct Input<'a> {
    kind: Kind,
    policy: Policy,
    start: u64,
    spare_storage: u8,
    by_certificate: bool,
    calls: Vec<DriverCall<'a>>,
}

#[derive(Arbitrary, Clone, Copy, Debug, PartialEq)]
enum Kind {
    Register,
    Lookup,
    Resume,
}

/// Times are in milliseconds.
#[derive(Arbitrary, Debug)]
struct Policy {
    deadline: u32,
    request_timeout: u32,
    poll_interval: u32,
    minimum_spacing: u16,
    backoff: (u32, u32),
    token_life: Option<u32>,
    correct_clock: bool,
    seed: u32,
    unix: Option<u64>,
    earliest: u32,
}

#[derive(Arbitrary, Debug)]
enum DriverCall<'a> {
    Poll,
    Pass { millis: u32 },
    Signature { awaited: bool },
    SignError { awaited: bool },
    Reply { awaited: bool, answer: Answer<'a> },
    LinkError { awaited: bool, error: u8 },
    Abandon,
    Cancel,
    Clock { unix: u64 },
}

/// A reply as a codec parses it.
#[derive(Arbitrary, Debug)]
struct Answer<'a> {
    status: u16,
    hint: Option<u32>,
    date: Option<u32>,
    word: Option<u8>,
    operation_id: Option<&'a str>,
    hub: Option<&'a str>,
    message: Option<&'a str>,
}

fuzz_target!(|input: Input<'_>| {
    let identity = Identity {
        endpoint: Endpoint::GLOBAL,
        id_scope: IdScope::new("0ne00A1B2C3").unwrap(),
        registration_id: RegistrationId::new("dev-01").unwrap(),
    };
    let mut storage = vec![0xAA; storage_size(&identity) + usize::from(input.spare_storage)];
    let (start, policy) = (Instant::from_millis(input.start), &input.policy);
    let attestation: &dyn Attestation = if input.by_certificate { &X509 } else { &SymmetricKey };
    let mut machine =
        Registration::with_attestation(identity, attestation, policy.config(start), &mut storage).unwrap();
    match input.kind {
        Kind::Register => {}
        Kind::Lookup => machine.set_lookup().unwrap(),
        Kind::Resume => {
            let line = format!("dps-operation/1 {} 0ne00A1B2C3 dev-01 5.op.1", Endpoint::GLOBAL);
            machine.set_operation(&Operation::parse(&line).unwrap()).unwrap();
        }
    }
    let mut driver = Driver {
        machine,
        kind: input.kind,
        by_certificate: input.by_certificate,
        limit: Millis::new(policy.deadline.into()),
        now: start,
        deadline: None,
        pending: None,
        last_id: 0,
        not_before: start,
        must_send: false,
        clock_set: false,
        learns_time: policy.earliest > 0,
        asks_time: false,
        end: None,
    };
    for call in &input.calls {
        driver.call(call);
    }
    drop(driver);
    assert!(storage.iter().all(|byte| *byte == 0), "the storage is wiped");
});

impl Policy {
    fn config(&self, start: Instant) -> Config {
        let millis = |value: u32| Millis::new(value.into());
        let mut config = Config::new()
            .timeout(millis(self.deadline))
            .request_timeout(millis(self.request_timeout))
            // Zero is refused when the state machine is made.
            .poll_interval(millis(self.poll_interval.max(1)))
            .minimum_spacing(Millis::new(self.minimum_spacing.into()))
            .backoff(millis(self.backoff.0), millis(self.backoff.1))
            .correct_clock(self.correct_clock)
            .learn_time(UnixSeconds::new(self.earliest.into()))
            .seed(self.seed);
        if let Some(life) = self.token_life {
            config = config.token_life(millis(life));
        }
        match self.unix {
            Some(unix) => config.wall_anchor(WallAnchor { at: start, unix: UnixSeconds::new(unix) }),
            None => config,
        }
    }
}

/// A driver that records what the state machine requested.
struct Driver<'m> {
    machine: Registration<'m, &'m dyn Attestation>,
    kind: Kind,
    by_certificate: bool,
    limit: Millis,
    now: Instant,
    deadline: Option<Instant>,
    pending: Option<Pending>,
    last_id: u32,
    /// The wait in the service's last hint.
    not_before: Instant,
    /// A signature came in time, just now, and no clock was set meanwhile.
    must_send: bool,
    clock_set: bool,
    learns_time: bool,
    /// Whether the last request was for the time.
    asks_time: bool,
    /// The outcome, once there is one.
    end: Option<String>,
}

#[derive(Clone, Copy)]
struct Pending {
    id: RequestId,
    by: Instant,
    is_signature: bool,
}

impl Driver<'_> {
    fn call(&mut self, call: &DriverCall<'_>) {
        let now = self.now;
        match call {
            DriverCall::Poll => self.poll(),
            DriverCall::Pass { millis } => {
                self.now = now.after(Millis::new((*millis).into()));
                self.must_send &= self.now == now;
            }
            DriverCall::Signature { awaited } => {
                let in_time = self.pending.is_some_and(|pending| now <= pending.by);
                let taken = self
                    .answer(*awaited, true, |machine, id| machine.handle_signature(now, id, &Signature::new([7; 32])));
                self.must_send = taken && in_time && !self.clock_set;
            }
            DriverCall::SignError { awaited } => {
                self.answer(*awaited, true, |machine, id| machine.handle_sign_error(now, id, SignError));
            }
            DriverCall::Reply { awaited, answer } => {
                let reply = answer.reply();
                let taken = self.answer(*awaited, false, |machine, id| machine.handle_reply(now, id, &reply));
                // After a refused token, an unknown operation and the time, the next request may follow immediately.
                let at_once = matches!(reply.status, 401 | 404) || self.asks_time;
                if let (true, Some(hint)) = (taken && !at_once, reply.retry_after) {
                    self.not_before = now.after(hint);
                }
            }
            DriverCall::LinkError { awaited, error } => {
                self.answer(*awaited, false, |machine, id| machine.handle_link_error(now, id, link_error(*error)));
            }
            DriverCall::Abandon => {
                self.machine.abandon();
                self.pending = None;
                self.must_send = false;
            }
            DriverCall::Cancel => {
                self.machine.cancel();
                self.pending = None;
                assert!(self.machine.outcome().is_some());
            }
            DriverCall::Clock { unix } => {
                self.machine.set_wall_anchor(WallAnchor { at: now, unix: UnixSeconds::new(*unix) });
                self.clock_set = true;
                self.must_send = false;
            }
        }
        self.keeps_its_end();
        self.can_go_on_after_a_restart();
    }

    fn poll(&mut self) {
        let now = self.now;
        let deadline = *self.deadline.get_or_insert(now.after(self.limit));
        self.pending.take_if(|pending| now >= pending.by);
        let had_ended = self.end.is_some();
        let must_send = std::mem::take(&mut self.must_send) && now < deadline && !had_ended;
        match self.machine.poll(now) {
            Action::Sign { id, respond_by } => {
                assert!(!must_send, "a signature that came in time is used");
                assert!(!self.by_certificate, "a certificate signs no token");
                assert!(self.machine.to_sign().starts_with(b"0ne00A1B2C3%2Fregistrations%2Fdev-01\n"));
                self.asked(Pending { id, by: respond_by, is_signature: true }, deadline);
            }
            Action::Send { id, respond_by: by } => {
                let request = self.machine.request().unwrap();
                assert_eq!(request.id, id);
                let is_lookup = matches!(request.call, Call::Lookup);
                assert_eq!(is_lookup, self.kind == Kind::Lookup && !matches!(request.call, Call::Time));
                assert!(!matches!(request.call, Call::Status { operation_id } if operation_id.is_empty()));
                self.asks_time = matches!(request.call, Call::Time);
                if self.by_certificate {
                    assert!(!self.asks_time && request.authorization.is_none());
                    return self.asked(Pending { id, by, is_signature: false }, deadline);
                }
                if self.asks_time {
                    assert!(
                        self.learns_time && request.authorization.is_none() && self.machine.wall_anchor().is_none()
                    );
                    return self.asked(Pending { id, by, is_signature: false }, deadline);
                }
                let token = request.authorization.unwrap().token;
                let (_, expiry) = token.as_str().split_once("&se=").unwrap();
                let expiry: u64 = expiry.split('&').next().unwrap().parse().unwrap();
                let wall = self.machine.wall_anchor().unwrap();
                assert!(expiry >= wall.unix_at(by).plus(TOKEN_MARGIN_S).get(), "the token outlives the request");
                self.asked(Pending { id, by, is_signature: false }, deadline);
            }
            Action::Activate { .. } => panic!("only for a TPM"),
            Action::Wait { until } => assert!(!must_send && now < until && until <= deadline),
            Action::Finished => assert!(self.machine.outcome().is_some()),
        }
        assert!(now < deadline || self.machine.outcome().is_some(), "nothing goes on past the deadline");
    }

    /// Records an action.
    fn asked(&mut self, asked: Pending, deadline: Instant) {
        assert!(self.end.is_none() && self.pending.is_none(), "one at a time, and nothing after the end");
        assert!(asked.id.get() > self.last_id && asked.by <= deadline);
        assert!(self.now >= self.not_before, "not before the service's hint");
        self.last_id = asked.id.get();
        self.clock_set = false;
        self.pending = Some(asked);
    }

    /// Answers the awaited action, or another one; returns whether the answer was accepted. A refused answer changes nothing.
    fn answer(
        &mut self,
        awaited: bool,
        is_signature: bool,
        handle: impl FnOnce(&mut Registration<'_, &dyn Attestation>, RequestId) -> Result<(), Misuse>,
    ) -> bool {
        let pending = self.pending.filter(|pending| awaited && pending.is_signature == is_signature);
        let id = if awaited { self.last_id } else { self.last_id.wrapping_add(1) };
        let before = self.shown();
        let taken = handle(&mut self.machine, RequestId::new(id)).is_ok();
        assert_eq!(taken, pending.is_some());
        if taken {
            self.pending = None;
        } else {
            assert_eq!(self.shown(), before, "misuse changes nothing");
        }
        taken
    }

    fn shown(&self) -> String {
        let machine = &self.machine;
        format!("{machine:?} {:?} {:?} {:?}", machine.outcome(), machine.operation(), machine.wall_anchor())
    }

    /// The outcome never changes, and can be displayed.
    fn keeps_its_end(&mut self) {
        let outcome = self.machine.outcome();
        if let Some(Outcome::Failed(failure)) = &outcome {
            assert!(failure.code() != ErrorCode::Internal && failure.hints().iter().count() <= 8);
            assert!(!failure.to_string().is_empty());
            if self.by_certificate {
                const OF_TOKENS: [Hint; 5] =
                    [Hint::ClockBehind, Hint::ClockAhead, Hint::CheckClock, Hint::SetClock, Hint::WrongKey];
                assert!(!failure.hints().iter().any(|hint| OF_TOKENS.contains(&hint)));
                assert!(failure.clock_skew().is_none() && !self.machine.is_time_learned());
            }
        }
        let end = outcome.map(|outcome| format!("{outcome:?}"));
        assert!(self.end.is_none() || self.end == end);
        self.end = end;
    }

    fn can_go_on_after_a_restart(&self) {
        let mut line = [0; 512];
        if let Some(operation) = self.machine.operation() {
            assert_eq!(Operation::parse(operation.write(&mut line).unwrap()), Ok(operation));
        }
    }
}

impl<'a> Answer<'a> {
    fn reply(&self) -> Reply<'a> {
        const WORDS: [Status; 6] = [
            Status::Assigning,
            Status::Assigned,
            Status::Failed,
            Status::Disabled,
            Status::Unassigned,
            Status::Unknown,
        ];
        let text = |text: Option<&'a str>| text.filter(|text| !text.is_empty()).map(ByteStr::from);
        let mut reply = Reply::new(self.status % 600);
        reply.retry_after = self.hint.map(|hint| Millis::from_secs(hint % 86_401));
        reply.date = self.date.map(|date| UnixSeconds::new(date.into()));
        reply.body.status = self.word.map(|word| WORDS[usize::from(word) % WORDS.len()]);
        reply.body.operation_id = text(self.operation_id);
        reply.body.assigned_hub = text(self.hub);
        reply.body.device_id = text(self.hub).map(|_| "dev-01".into());
        reply.body.message = text(self.message);
        reply.body.tracking_id = text(self.message);
        reply
    }
}

fn link_error(number: u8) -> LinkError {
    let code = number / 16;
    match number % 16 {
        0 => LinkError::Dns,
        1 => LinkError::Connect,
        2 => LinkError::Cut,
        3 => LinkError::Timeout,
        4 => LinkError::UnknownCa,
        5 => LinkError::NameMismatch,
        6 => LinkError::CertificateExpired,
        7 => LinkError::Tls,
        8 => LinkError::ProxyRefused { status: Some(407) },
        9 => LinkError::ProxyUnreachable,
        10 => LinkError::InvalidReply,
        11 => LinkError::ReplyTooLarge { needed: None },
        12 => LinkError::RequestTooLarge { needed: usize::from(code) },
        13 => LinkError::Unsupported,
        14 => LinkError::MqttRefused { code },
        _ => [
            LinkError::SubscribeRefused,
            LinkError::ClientCertificateRefused,
            LinkError::RenegotiationUnsupported,
            LinkError::Signer { code: ErrorCode::SignerFailed },
        ][usize::from(code % 4)],
    }
}
