//! A registration on an `async` platform: `drive` is the loop, over a link, a timer and a signer, over HTTPS.
//!
//! The executor is the smallest there is and the connection is a recording, so that the example needs neither a runtime
//! nor a network.

#![allow(clippy::print_stdout, reason = "an example tells its reader what happens")]

mod recorded;

use std::cell::Cell;
use std::future::{Future, poll_fn};
use std::ops::ControlFlow;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use dps_core::codec::http::{DEFAULT_API_VERSION, wire};
use dps_core::{Instant, Key, Link, LinkError, Progress, Registration, Reply, Request, Timer, drive, storage_size};

/// A timer that wakes whoever waits for the next moment.
#[derive(Default)]
struct Alarm {
    clock: recorded::Clock,
    next: Cell<Option<Instant>>,
}

impl Timer for Alarm {
    fn now(&self) -> Instant {
        self.clock.now()
    }

    async fn sleep_until(&self, moment: Instant) {
        poll_fn(|_| {
            if self.now() >= moment {
                return Poll::Ready(());
            }
            self.next.set(Some(self.next.get().map_or(moment, |next| next.min(moment))));
            Poll::Pending
        })
        .await;
    }
}

impl Alarm {
    /// Runs a future to its end; where nothing else is to be done, the clock goes on to the next moment.
    fn run<T>(&self, future: impl Future<Output = T>) -> T {
        let mut future = pin!(future);
        loop {
            self.next.set(None);
            if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
                return output;
            }
            self.clock.advance_to(self.next.get().expect("whoever waits, waits for a moment"));
        }
    }
}

/// A link over a connection whose other side is a recording.
struct RecordedLink<'t> {
    timer: &'t Alarm,
    replies: std::vec::IntoIter<String>,
}

impl<'t> RecordedLink<'t> {
    fn new(timer: &'t Alarm) -> Self {
        let (assigning, assigned) = (recorded::ASSIGNING, recorded::ASSIGNED);
        let replies = vec![
            format!(
                "HTTP/1.1 202 Accepted\r\nRetry-After: 3\r\nContent-Length: {}\r\n\r\n{assigning}",
                assigning.len()
            ),
            format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{assigned}", assigned.len()),
        ];
        Self { timer, replies: replies.into_iter() }
    }

    /// What a socket's `read` does: waits for the next bytes and returns how many there are.
    async fn read(&self, pieces: &mut impl Iterator<Item = &[u8]>, into: &mut [u8]) -> Result<usize, LinkError> {
        self.timer.sleep_until(self.timer.now() + recorded::ROUND_TRIP).await;
        let piece = pieces.next().ok_or(LinkError::Cut)?;
        into.get_mut(..piece.len()).ok_or(LinkError::ReplyTooLarge { needed: None })?.copy_from_slice(piece);
        Ok(piece.len())
    }
}

impl Link for RecordedLink<'_> {
    async fn exchange<'b>(&mut self, request: &Request<'_>, buffer: &'b mut [u8]) -> Result<Reply<'b>, LinkError> {
        let length = wire::write_request(request, DEFAULT_API_VERSION, "example/1", buffer)
            .map_err(|short| LinkError::RequestTooLarge { needed: short.needed })?;
        // What would go to the socket. The token is a secret, and the buffer lives on.
        buffer[..length].fill(0);

        let reply = self.replies.next().ok_or(LinkError::Cut)?;
        let mut pieces = [reply.as_bytes()].into_iter();
        let mut filled = 0;
        loop {
            filled += self.read(&mut pieces, &mut buffer[filled..]).await?;
            if let Some(layout) = wire::scan(&buffer[..filled], buffer.len(), false)? {
                return layout.read(&mut buffer[..filled]);
            }
        }
    }
}

/// Prints what happens, and lets it go on.
fn observe(now: Instant, progress: Progress<'_>) -> ControlFlow<()> {
    match progress {
        Progress::Signing => println!("at {now}: sign a token"),
        Progress::Sending(request) => println!("at {now}: send {:?}", request.call),
        Progress::Waiting { until, .. } => println!("at {now}: wait until {until}"),
        _ => {}
    }
    ControlFlow::Continue(())
}

/// Registers the device, and tells how that ended.
pub(crate) fn run() -> Result<String, Box<dyn std::error::Error>> {
    let mut key = Key::from_bytes(recorded::KEY)?;
    let identity = recorded::identity()?;
    let mut storage = vec![0; storage_size(&identity)];
    let mut registration = Registration::new(identity, recorded::config(), &mut storage)?;
    let timer = Alarm::default();
    let mut link = RecordedLink::new(&timer);
    let mut buffer = [0; 2048];
    timer.run(drive(&mut registration, &mut link, &timer, &mut key, &mut observe, &mut buffer));
    Ok(recorded::report(&registration, &buffer, timer.now()))
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("{}", run()?);
    Ok(())
}
