//! Virtual time: a clock that stops while any future can run, and jumps to the next time that a future waits for.
//!
//! One thread, no real clock. A future that waits for something that can never happen is an error, not a hang.

use std::cell::{Cell, RefCell};
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use dps_core::{Instant, Timer};
use dps_emulator::{Now, Service};

/// The service, shared between the links of a test and the test itself.
pub type SharedService = Rc<RefCell<Service>>;

/// The service's wall clock at the world's zero: 2026-01-01.
pub const SERVICE_EPOCH: u64 = 1_767_225_600_000;

/// The milliseconds per byte if a fault slows down a transfer.
const BYTE_MS: u64 = 20;

/// One request as it left the device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sent {
    /// When, in the world's milliseconds.
    pub at: u64,
    /// Such as `PUT /0ne00A1B2C3/registrations/dev-01/register?api-version=2021-06-01`, or an MQTT topic.
    pub line: String,
    /// The token of the request, to distinguish tokens.
    pub token: String,
}

use crate::due::{Due, Waiting};

/// The one clock of a test; clones show the same time.
#[derive(Clone, Default)]
pub struct World {
    now: Rc<Cell<u64>>,
    waits: Rc<RefCell<Vec<u64>>>,
}

impl World {
    /// Creates a world whose time is not zero, so that a mistaken zero is detected.
    #[must_use]
    pub fn new() -> Self {
        let world = Self::default();
        world.now.set(1_000_000);
        world
    }

    /// Milliseconds since the world's own beginning of time.
    #[must_use]
    pub fn millis(&self) -> u64 {
        self.now.get()
    }

    /// Lets time pass while nothing runs.
    pub fn advance(&self, millis: u64) {
        self.now.set(self.now.get() + millis);
    }

    /// Waits for this many milliseconds.
    pub async fn wait(&self, millis: u64) {
        self.wait_until(self.millis() + millis).await;
    }

    /// Waits forever.
    pub(crate) async fn for_ever(&self) {
        self.wait(u64::MAX / 2).await;
    }

    /// Waits for a slow transfer of this many bytes.
    pub(crate) async fn trickle(&self, bytes: usize) {
        self.wait(bytes as u64 * BYTE_MS).await;
    }

    /// Both clocks of a service whose wall clock showed `epoch` at the world's zero.
    #[must_use]
    pub fn now_at(&self, epoch: u64) -> Now {
        Now { monotonic_ms: self.millis(), unix_ms: epoch + self.millis() }
    }

    pub(crate) async fn wait_until(&self, at: u64) {
        poll_fn(|_| {
            if self.now.get() >= at {
                return Poll::Ready(());
            }
            self.waits.borrow_mut().push(at);
            Poll::Pending
        })
        .await;
    }

    /// Runs a future to its end.
    ///
    /// # Panics
    /// If it waits for something that can never happen.
    pub fn run<F: Future>(&self, future: F) -> F::Output {
        self.run_for(u32::MAX, future).expect("it ends")
    }

    /// Runs a future until its end, or until time has jumped `jumps` times; then it is dropped where it stands.
    ///
    /// # Panics
    /// If it waits for something that can never happen.
    pub fn run_for<F: Future>(&self, jumps: u32, future: F) -> Option<F::Output> {
        let mut future = pin!(future);
        let mut context = Context::from_waker(Waker::noop());
        let mut left = jumps;
        loop {
            self.waits.borrow_mut().clear();
            if let Poll::Ready(output) = future.as_mut().poll(&mut context) {
                return Some(output);
            }
            if left == 0 {
                return None;
            }
            left -= 1;
            self.now.set(self.next_wait());
        }
    }

    /// Runs many futures, each to its end, in the order of the moments that they wait for. Each is dropped when it ends.
    ///
    /// # Panics
    /// When one of them waits for nothing.
    pub fn run_all<F: Future<Output = ()>>(&self, futures: impl IntoIterator<Item = F>) {
        let mut due = Due::new();
        for (number, future) in futures.into_iter().enumerate() {
            due.add(Waiting { until: self.millis(), number, who: Box::pin(future) });
        }
        let mut context = Context::from_waker(Waker::noop());
        while let Some(mut first) = due.take() {
            self.now.set(first.until);
            self.waits.borrow_mut().clear();
            if first.who.as_mut().poll(&mut context).is_pending() {
                due.add(Waiting { until: self.next_wait(), ..first });
            }
        }
    }

    /// The earliest time that the future that was just polled waits for.
    fn next_wait(&self) -> u64 {
        let next = self.waits.borrow().iter().copied().min();
        next.expect("whatever is pending waits for a moment")
    }
}

impl Timer for World {
    fn now(&self) -> Instant {
        Instant::from_millis(self.millis())
    }

    async fn sleep_until(&self, at: Instant) {
        self.wait_until(at.as_millis()).await;
    }
}
