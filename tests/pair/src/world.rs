//! Virtual time: a clock that stands still while anything can go on, and jumps to the next moment somebody waits for.
//!
//! One task, no thread, no real clock. A future that waits for something that can never come is an error, not a hang.

use std::cell::{Cell, RefCell};
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use dps_core::{Instant, Timer};

/// The one clock of a test; clones show the same time.
#[derive(Clone, Default)]
pub struct World {
    now: Rc<Cell<u64>>,
    waits: Rc<RefCell<Vec<u64>>>,
}

impl World {
    /// A world at a moment that is not zero, so that a mistaken zero shows.
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

    /// Waits for so many milliseconds.
    pub async fn wait(&self, millis: u64) {
        self.wait_until(self.millis() + millis).await;
    }

    async fn wait_until(&self, at: u64) {
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
    /// When it waits for nothing.
    pub fn run<F: Future>(&self, future: F) -> F::Output {
        self.run_for(u32::MAX, future).expect("it ends")
    }

    /// Runs a future until its end, or until time has jumped `jumps` times; then it is dropped where it stands.
    ///
    /// # Panics
    /// When it waits for nothing.
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
            let next = self.waits.borrow().iter().copied().min();
            self.now.set(next.expect("whatever is pending waits for a moment"));
        }
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
