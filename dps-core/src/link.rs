//! The three things a platform provides (link, timer, signer) and the one loop over them.
//!
//! The loop races every answer against the machine's deadline, so that a link that never answers, or ignores
//! `respond_by`, cannot hold it. No executor, no heap; futures are `Send` where the platform's own are.

use core::future::{Future, poll_fn};
use core::ops::ControlFlow;
use core::pin::pin;
use core::task::Poll;

use crate::attestation::Attestation;
use crate::error::ErrorCode;
use crate::message::{ActivateError, LinkError, SignError};
use crate::message::{Reply, Request};
use crate::registration::{Action, Operation, Registration};
use crate::secret::Signature;
use crate::time::{Instant, Millis};

/// How long a link may take to close.
const CLOSE_LIMIT: Millis = Millis::from_secs(2);

/// Carries requests to the service and replies back.
#[allow(
    async_fn_in_trait,
    reason = "the futures are Send where the concrete link's are, as embassy needs them not to be"
)]
pub trait Link {
    /// Sends one request and reads its reply into `buffer`.
    ///
    /// The future may be dropped at any await: take the connection out of the link first and put it back only on
    /// success, so that a dropped future has closed the socket.
    ///
    /// # Errors
    /// [`LinkError`] for everything that is not a reply; a refusal by the service is a reply.
    async fn exchange<'b>(&mut self, request: &Request<'_>, buffer: &'b mut [u8]) -> Result<Reply<'b>, LinkError>;

    /// Keeps the connection alive while there is nothing to do before `until`. May return early; must be safe to
    /// drop at any await. Does nothing by default.
    async fn idle(&mut self, until: Instant) {
        let _ = until;
    }

    /// Ends the connection in good order. Does nothing by default.
    async fn close(&mut self) {}
}

/// A clock that never goes back, and a way to wait on it.
#[allow(async_fn_in_trait, reason = "as for Link")]
pub trait Timer {
    /// The moment now.
    fn now(&self) -> Instant;

    /// Waits until `at`; returns at once when it has passed.
    async fn sleep_until(&self, at: Instant);
}

/// Holds the device's key, or knows who does: memory, a file, a PKCS#11 token, a TPM, a secure element.
#[allow(async_fn_in_trait, reason = "as for Link")]
pub trait Signer {
    /// HMAC-SHA256 of `to_sign` under the device's key.
    ///
    /// # Errors
    /// [`SignError`]; the registration ends with it.
    async fn sign(&mut self, to_sign: &[u8]) -> Result<Signature, SignError>;

    /// Makes the key that `challenge` holds the one that [`Signer::sign`] uses from now on. Only a TPM can; the default
    /// is an error.
    ///
    /// # Errors
    /// [`ActivateError`]; the registration ends with it.
    async fn activate(&mut self, challenge: &[u8]) -> Result<(), ActivateError> {
        let _ = challenge;
        Err(ActivateError)
    }
}

impl Signer for crate::secret::Key {
    async fn sign(&mut self, to_sign: &[u8]) -> Result<Signature, SignError> {
        Ok(crate::secret::Key::sign(self, to_sign))
    }
}

/// The signer of a device that signs no tokens, as one with a certificate ([`X509`](crate::X509)). Each call fails.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoSigner;

impl Signer for NoSigner {
    async fn sign(&mut self, to_sign: &[u8]) -> Result<Signature, SignError> {
        let _ = to_sign;
        Err(SignError)
    }
}

/// What the loop is about to do.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum Progress<'a> {
    /// The challenge of the service is being activated.
    Activating,
    /// A token is being signed.
    Signing,
    /// A request is being sent.
    Sending(Request<'a>),
    /// Nothing happens before `until`. `operation` is what a restart can go on from, once there is one.
    Waiting {
        /// When the loop goes on.
        until: Instant,
        /// What to store so that a restarted device resumes instead of registering again.
        operation: Option<Operation<'a>>,
    },
}

/// Is told what the loop is about to do, and decides whether it goes on. `()` ignores it; a closure will do where nothing
/// has to be awaited.
#[allow(async_fn_in_trait, reason = "as for Link")]
pub trait Observer {
    /// Called before each signature, request and wait; the loop goes on once it returns.
    ///
    /// [`ControlFlow::Break`] ends the registration with [`ErrorCode::Cancelled`], before anything is signed or sent.
    /// An observer that has not returned at the step's deadline ends it with [`ErrorCode::ObserverTimeout`]; before a
    /// wait, it is dropped when the wait is over, and the registration goes on. The future may be dropped at any await.
    async fn observe(&mut self, now: Instant, progress: Progress<'_>) -> ControlFlow<()>;
}

impl Observer for () {
    async fn observe(&mut self, _now: Instant, _progress: Progress<'_>) -> ControlFlow<()> {
        ControlFlow::Continue(())
    }
}

impl<F: FnMut(Instant, Progress<'_>) -> ControlFlow<()>> Observer for F {
    async fn observe(&mut self, now: Instant, progress: Progress<'_>) -> ControlFlow<()> {
        self(now, progress)
    }
}

/// Drives a registration to its end; read [`Registration::outcome`] then. A custom payload of the outcome is in
/// `buffer`, which has to hold the largest reply.
///
/// Dropping the future stops at any await; the machine can be driven on later, with this or another link.
pub async fn drive<A, L, T, S, O>(
    registration: &mut Registration<'_, A>,
    link: &mut L,
    timer: &T,
    signer: &mut S,
    observer: &mut O,
    buffer: &mut [u8],
) where
    A: Attestation,
    L: Link,
    T: Timer,
    S: Signer,
    O: Observer,
{
    registration.abandon();
    loop {
        let now = timer.now();
        match registration.poll(now) {
            Action::Finished => break,
            Action::Sign { id, respond_by } => {
                if let Some(code) = stopped(within(timer, respond_by, observer.observe(now, Progress::Signing)).await) {
                    registration.stop(code);
                    continue;
                }
                let answer = within(timer, respond_by, signer.sign(registration.to_sign())).await;
                let now = timer.now();
                // Without an answer the machine notices the timeout by itself at the next poll; with one the id is
                // the pending one by construction, so that it cannot be refused.
                let _ = match answer {
                    Some(Ok(signature)) => registration.handle_signature(now, id, &signature),
                    Some(Err(error)) => registration.handle_sign_error(now, id, error),
                    None => Ok(()),
                };
            }
            Action::Activate { id, respond_by } => {
                let told = within(timer, respond_by, observer.observe(now, Progress::Activating)).await;
                if let Some(code) = stopped(told) {
                    registration.stop(code);
                    continue;
                }
                let answer = match registration.challenge(buffer) {
                    Some(challenge) => within(timer, respond_by, signer.activate(challenge)).await,
                    None => Some(Err(ActivateError)),
                };
                let now = timer.now();
                let _ = match answer {
                    Some(Ok(())) => registration.handle_activation(now, id),
                    Some(Err(error)) => registration.handle_activate_error(now, id, error),
                    None => Ok(()),
                };
            }
            Action::Send { id, respond_by } => {
                let Some(request) = registration.request_with_members() else { continue };
                let told = within(timer, respond_by, observer.observe(now, Progress::Sending(request))).await;
                if let Some(code) = stopped(told) {
                    registration.stop(code);
                    continue;
                }
                let answer = within(timer, respond_by, link.exchange(&request, buffer)).await;
                let now = timer.now();
                let _ = match answer {
                    Some(Ok(reply)) => registration.handle_reply(now, id, &reply),
                    Some(Err(error)) => registration.handle_link_error(now, id, error),
                    None => Ok(()),
                };
            }
            Action::Wait { until } => {
                let progress = Progress::Waiting { until, operation: registration.operation() };
                match within(timer, until, observer.observe(now, progress)).await {
                    Some(ControlFlow::Break(())) => registration.cancel(),
                    Some(ControlFlow::Continue(())) => wait(timer, link, until).await,
                    None => {}
                }
            }
        }
    }
    let until = timer.now().after(CLOSE_LIMIT);
    let _ = within(timer, until, link.close()).await;
}

/// Why the observer's answer ends the registration, if it does. No answer means that it did not return in time.
fn stopped(answer: Option<ControlFlow<()>>) -> Option<ErrorCode> {
    match answer {
        Some(ControlFlow::Continue(())) => None,
        Some(ControlFlow::Break(())) => Some(ErrorCode::Cancelled),
        None => Some(ErrorCode::ObserverTimeout),
    }
}

/// Waits until `until` while the link keeps its connection alive.
///
/// As in [`within`], the timer goes first: a link that is always ready would use up what an executor lets a task do in
/// one go (tokio's cooperative budget), and a timer polled after it would never fire.
async fn wait<T: Timer, L: Link>(timer: &T, link: &mut L, until: Instant) {
    let mut idle = pin!(link.idle(until));
    let mut timeout = pin!(timer.sleep_until(until));
    let mut idling = true;
    poll_fn(|context| {
        if timeout.as_mut().poll(context).is_ready() {
            return Poll::Ready(());
        }
        if idling && idle.as_mut().poll(context).is_ready() {
            idling = false;
        }
        Poll::Pending
    })
    .await;
}

/// The future's output, or `None` when `limit` comes first.
async fn within<T: Timer, F: Future>(timer: &T, limit: Instant, future: F) -> Option<F::Output> {
    let mut future = pin!(future);
    let mut timeout = pin!(timer.sleep_until(limit));
    poll_fn(|context| {
        if timeout.as_mut().poll(context).is_ready() {
            return Poll::Ready(None);
        }
        future.as_mut().poll(context).map(Some)
    })
    .await
}
