//! The loop over link, timer and signer: what it asks of each, and that none of them can hold it.

use std::cell::Cell;
use std::future::{Future, pending, poll_fn};
use std::ops::ControlFlow;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use crate::common::{assigned, assigning, at, config, failure, identity, key};
use dps_core::{
    ActivateError, Config, ErrorCode, Instant, Link, LinkError, NoSigner, Observer, Outcome, Progress, Registration,
    Reply, Request, SignError, Signature, Signer, Timer, X509, drive,
};

/// A clock that jumps to the next moment that is waited for.
#[derive(Default)]
struct Clock {
    now: Cell<u64>,
    next: Cell<Option<u64>>,
}

impl Clock {
    fn run<T>(&self, future: impl Future<Output = T>) -> T {
        let mut future = pin!(future);
        loop {
            self.next.set(None);
            if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
                return output;
            }
            self.now.set(self.next.get().expect("somebody waits for a moment"));
        }
    }
}

impl Timer for Clock {
    fn now(&self) -> Instant {
        at(self.now.get())
    }

    async fn sleep_until(&self, moment: Instant) {
        poll_fn(|_| {
            if self.now() >= moment {
                return Poll::Ready(());
            }
            let moment = moment.as_millis();
            self.next.set(Some(self.next.get().map_or(moment, |next| next.min(moment))));
            Poll::Pending
        })
        .await;
    }
}

/// What a link does with one request.
#[derive(Clone)]
enum Does {
    Answer(Reply<'static>),
    Fail(LinkError),
    Nothing,
}

/// A link that does as it is told, and nothing once that is done; it notes when.
struct Scripted<'c> {
    clock: &'c Clock,
    script: Vec<Does>,
    asked_at: Vec<u64>,
    /// When it was asked to keep the connection alive, and until when.
    idled: Vec<(u64, u64)>,
    /// It gives up keeping the connection alive at once.
    idles_shortly: bool,
    closes: bool,
    closed: u32,
}

impl<'c> Scripted<'c> {
    fn new(clock: &'c Clock, script: &[Does]) -> Self {
        let script = script.iter().rev().cloned().collect();
        let (asked_at, idled) = (Vec::new(), Vec::new());
        Self { clock, script, asked_at, idled, idles_shortly: true, closes: true, closed: 0 }
    }
}

impl Link for Scripted<'_> {
    async fn exchange<'b>(&mut self, _request: &Request<'_>, _buffer: &'b mut [u8]) -> Result<Reply<'b>, LinkError> {
        self.asked_at.push(self.clock.now.get());
        match self.script.pop() {
            Some(Does::Answer(reply)) => Ok(reply),
            Some(Does::Fail(error)) => Err(error),
            Some(Does::Nothing) | None => pending().await,
        }
    }

    async fn idle(&mut self, until: Instant) {
        self.idled.push((self.clock.now.get(), until.as_millis()));
        if !self.idles_shortly {
            pending().await
        }
    }

    async fn close(&mut self) {
        self.closed += 1;
        if !self.closes {
            pending().await
        }
    }
}

/// A signer that fails, or says nothing.
struct Broken {
    silent: bool,
}

impl Signer for Broken {
    async fn sign(&mut self, _to_sign: &[u8]) -> Result<Signature, SignError> {
        if self.silent { pending().await } else { Err(SignError) }
    }
}

/// Drives a registration with a good key; how it ended.
fn drive_with(config: Config, link: &mut Scripted<'_>) -> Result<String, ErrorCode> {
    let clock = link.clock;
    let mut storage = [0; 1024];
    let mut machine = Registration::new(identity(), config, &mut storage).unwrap();
    clock.run(drive(&mut machine, link, clock, &mut key(), &mut (), &mut [0; 64]));
    match machine.outcome() {
        Some(Outcome::Assigned(assignment)) => Ok(assignment.assigned_hub().as_str().to_owned()),
        _ => Err(failure(&machine).0),
    }
}

#[test]
fn certificate_is_driven_without_signer_and_clock() {
    let clock = Clock::default();
    let mut link = Scripted::new(&clock, &[Does::Answer(assigning(Some(3))), Does::Answer(assigned())]);
    let mut storage = [0; 1024];
    let mut machine = Registration::with_attestation(identity(), X509, Config::new(), &mut storage).unwrap();
    let (mut signing, mut sending) = (0, 0);
    let mut observer = |_, progress: Progress<'_>| {
        match progress {
            Progress::Signing | Progress::Activating => signing += 1,
            Progress::Sending(request) => sending += u32::from(request.authorization.is_none()),
            _ => {}
        }
        ControlFlow::Continue(())
    };
    clock.run(drive(&mut machine, &mut link, &clock, &mut NoSigner, &mut observer, &mut [0; 64]));
    assert!(matches!(machine.outcome(), Some(Outcome::Assigned(_))));
    assert_eq!((signing, sending), (0, 2));
    assert_eq!(link.asked_at, [0, 3000]);
}

#[test]
fn signer_that_is_no_tpm_activates_no_challenge() {
    let answer = Clock::default().run(async { Signer::activate(&mut key(), b"challenge").await });
    assert_eq!(answer, Err(ActivateError));
}

#[test]
fn drive_signs_registers_waits_polls_and_closes() {
    let clock = Clock::default();
    let mut link = Scripted::new(&clock, &[Does::Answer(assigning(Some(3))), Does::Answer(assigned())]);
    let mut storage = [0; 1024];
    let mut machine = Registration::new(identity(), config(), &mut storage).unwrap();
    let mut seen = Vec::new();
    let mut observer = |now: Instant, progress: Progress<'_>| {
        seen.push(match progress {
            Progress::Signing => (now.as_millis(), "signing".to_owned()),
            Progress::Sending(_) => (now.as_millis(), "sending".to_owned()),
            Progress::Waiting { until, operation } => (
                now.as_millis(),
                format!("until {} on {:?}", until.as_millis(), operation.map(|one| one.id().to_owned())),
            ),
            other => panic!("{other:?}"),
        });
        ControlFlow::Continue(())
    };
    clock.run(drive(&mut machine, &mut link, &clock, &mut key(), &mut observer, &mut [0; 64]));
    assert!(matches!(machine.outcome(), Some(Outcome::Assigned(_))));
    let expected = [(0, "signing"), (0, "sending"), (0, "until 3000 on Some(\"5.op.1\")"), (3000, "sending")];
    assert_eq!(seen, expected.map(|(at, what)| (at, what.to_owned())));
    assert_eq!((link.asked_at, link.idled, link.closed), (vec![0, 3000], vec![(0, 3000)], 1));
}

#[test]
fn idle_link_is_stopped_when_the_wait_ends() {
    let clock = Clock::default();
    let mut link = Scripted::new(&clock, &[Does::Answer(assigning(Some(3))), Does::Answer(assigned())]);
    link.idles_shortly = false;
    assert_eq!(drive_with(config(), &mut link), Ok("hub-a.test".into()));
    assert_eq!(link.asked_at, [0, 3000]);
}

#[test]
fn link_error_is_retried() {
    let clock = Clock::default();
    let mut link = Scripted::new(&clock, &[Does::Fail(LinkError::Cut), Does::Answer(assigned())]);
    assert_eq!(drive_with(config(), &mut link), Ok("hub-a.test".into()));
    assert!(link.asked_at.len() == 2 && link.asked_at[1] <= 1000, "{:?}", link.asked_at);
}

#[test]
fn silent_link_ends_at_the_request_timeout() {
    let clock = Clock::default();
    let mut link = Scripted::new(&clock, &[Does::Nothing, Does::Answer(assigned())]);
    assert_eq!(drive_with(config(), &mut link), Ok("hub-a.test".into()));
    assert!((30_000..=31_000).contains(&link.asked_at[1]), "{:?}", link.asked_at);

    let clock = Clock::default();
    let mut link = Scripted::new(&clock, &[]);
    assert_eq!(drive_with(config(), &mut link), Err(ErrorCode::Timeout));
    assert!(clock.now.get() <= 120_000, "{}", clock.now.get());
}

#[test]
fn link_has_two_seconds_to_close() {
    let clock = Clock::default();
    let mut link = Scripted::new(&clock, &[Does::Answer(assigned())]);
    link.closes = false;
    assert_eq!(drive_with(config(), &mut link), Ok("hub-a.test".into()));
    assert_eq!((link.closed, clock.now.get()), (1, 2000));
}

#[test]
fn signer_error_or_timeout_ends_the_registration() {
    for (silent, code, end) in [(false, ErrorCode::SignerFailed, 0), (true, ErrorCode::SignerTimeout, 30_000)] {
        let clock = Clock::default();
        let mut link = Scripted::new(&clock, &[]);
        let mut storage = [0; 1024];
        let mut machine = Registration::new(identity(), config(), &mut storage).unwrap();
        clock.run(drive(&mut machine, &mut link, &clock, &mut Broken { silent }, &mut (), &mut [0; 64]));
        assert_eq!((failure(&machine).0, clock.now.get()), (code, end));
        assert!(link.asked_at.is_empty());
    }
}

/// The steps in the order of a registration that waits once.
const STEPS: [&str; 4] = ["signing", "sending", "waiting", "sending"];

fn step(progress: &Progress<'_>) -> &'static str {
    match progress {
        Progress::Signing => "signing",
        Progress::Sending(_) => "sending",
        Progress::Waiting { .. } => "waiting",
        other => panic!("{other:?}"),
    }
}

/// A key that counts what it signs.
struct Counting(u32);

impl Signer for Counting {
    async fn sign(&mut self, to_sign: &[u8]) -> Result<Signature, SignError> {
        self.0 += 1;
        Ok(key().sign(to_sign))
    }
}

#[test]
fn observer_break_cancels_before_the_announced_step() {
    for last in 0..STEPS.len() {
        let clock = Clock::default();
        let mut link = Scripted::new(&clock, &[Does::Answer(assigning(Some(3))), Does::Answer(assigned())]);
        let mut storage = [0; 1024];
        let mut machine = Registration::new(identity(), config(), &mut storage).unwrap();
        let mut told = Vec::new();
        let mut observer = |_: Instant, progress: Progress<'_>| {
            told.push(step(&progress));
            if told.len() > last { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        };
        let mut signer = Counting(0);
        clock.run(drive(&mut machine, &mut link, &clock, &mut signer, &mut observer, &mut [0; 64]));
        assert_eq!(failure(&machine).0, ErrorCode::Cancelled, "stopped at step {last}");
        assert_eq!(told, STEPS[..=last]);
        let sent = STEPS[..last].iter().filter(|step| **step == "sending").count();
        assert_eq!(
            (signer.0, link.asked_at.len(), link.closed),
            (u32::from(last > 0), sent, 1),
            "stopped at step {last}"
        );
    }
}

/// An observer that never returns from one step.
struct Hanging(&'static str);

impl Observer for Hanging {
    async fn observe(&mut self, _now: Instant, progress: Progress<'_>) -> ControlFlow<()> {
        if step(&progress) == self.0 { pending().await } else { ControlFlow::Continue(()) }
    }
}

#[test]
fn hanging_observer_ends_the_registration_at_the_request_timeout() {
    for hangs_at in ["signing", "sending"] {
        let clock = Clock::default();
        let mut link = Scripted::new(&clock, &[Does::Answer(assigned())]);
        let mut storage = [0; 1024];
        let mut machine = Registration::new(identity(), config(), &mut storage).unwrap();
        clock.run(drive(&mut machine, &mut link, &clock, &mut key(), &mut Hanging(hangs_at), &mut [0; 64]));
        assert_eq!((failure(&machine).0, clock.now.get()), (ErrorCode::ObserverTimeout, 30_000), "hangs at {hangs_at}");
        assert!(link.asked_at.is_empty(), "hangs at {hangs_at}");
    }
}

#[test]
fn hanging_observer_does_not_prolong_a_wait() {
    let clock = Clock::default();
    let mut link = Scripted::new(&clock, &[Does::Answer(assigning(Some(3))), Does::Answer(assigned())]);
    let mut storage = [0; 1024];
    let mut machine = Registration::new(identity(), config(), &mut storage).unwrap();
    clock.run(drive(&mut machine, &mut link, &clock, &mut key(), &mut Hanging("waiting"), &mut [0; 64]));
    assert!(matches!(machine.outcome(), Some(Outcome::Assigned(_))));
    assert_eq!(link.asked_at, [0, 3000]);
}
