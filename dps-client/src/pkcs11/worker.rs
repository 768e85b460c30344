//! The thread that works with a token. Calls of a module block, some until a person acts; whoever waits for one does so
//! by message, and stops waiting at its deadline.

use std::fmt;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use dps_core::ErrorCode;
use tokio::sync::oneshot;

use super::failure::TokenError;
use super::token::Token;

type Job = Box<dyn FnOnce(&mut Token) + Send>;

/// A key in a token, on a thread of its own. The thread ends with this, once it is done with what it is doing; it does not hold
/// up the end of the process.
pub(crate) struct Worker {
    jobs: mpsc::Sender<Job>,
    busy: Arc<AtomicBool>,
    /// The process that has the thread.
    process: u32,
}

impl Worker {
    pub(super) fn start(mut token: Token) -> Result<Self, TokenError> {
        let (jobs, queue) = mpsc::channel::<Job>();
        let busy = Arc::new(AtomicBool::new(false));
        let works = Arc::clone(&busy);
        let started = std::thread::Builder::new().name("dps-pkcs11".into()).spawn(move || {
            for job in queue {
                works.store(true, Ordering::Relaxed);
                job(&mut token);
                works.store(false, Ordering::Relaxed);
            }
        });
        started.map_err(|error: io::Error| {
            TokenError::new(ErrorCode::Internal, format!("a thread cannot be started: {error}"))
        })?;
        Ok(Self { jobs, busy, process: std::process::id() })
    }

    /// Whether a call of the module is going on.
    pub(crate) fn is_busy(&self) -> bool {
        self.busy.load(Ordering::Relaxed)
    }

    /// Waits for `work` without blocking.
    pub(super) async fn ask<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Token) -> Result<T, TokenError> + Send + 'static,
    ) -> Result<T, TokenError> {
        let (answer, answered) = oneshot::channel();
        self.submit(move |token| {
            // Nobody waits any more when the registration was dropped while the token was busy.
            if !answer.is_closed() {
                let _ = answer.send(work(token));
            }
        })?;
        answered.await.unwrap_or_else(|_| Err(TokenError::stopped()))
    }

    /// Blocks this thread until `work` is done, or for `limit`.
    pub(super) fn ask_within<T: Send + 'static>(
        &self,
        limit: Duration,
        work: impl FnOnce(&mut Token) -> Result<T, TokenError> + Send + 'static,
    ) -> Result<T, TokenError> {
        let (answer, answered) = mpsc::sync_channel(1);
        let waits = Arc::new(());
        let waiting = Arc::downgrade(&waits);
        self.submit(move |token| {
            if waiting.strong_count() > 0 {
                let _ = answer.send(work(token));
            }
        })?;
        match answered.recv_timeout(limit) {
            Ok(answer) => answer,
            Err(mpsc::RecvTimeoutError::Timeout) => Err(TokenError::timeout()),
            Err(mpsc::RecvTimeoutError::Disconnected) => Err(TokenError::stopped()),
        }
    }

    fn submit(&self, job: impl FnOnce(&mut Token) + Send + 'static) -> Result<(), TokenError> {
        if std::process::id() != self.process {
            let words = "the process was forked after the key was made; make it again in the child";
            return Err(TokenError::new(ErrorCode::SignerFailed, words));
        }
        self.jobs.send(Box::new(job)).map_err(|_| TokenError::stopped())
    }
}

impl fmt::Debug for Worker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Worker(..)")
    }
}
