//! A thread that works with a device which blocks: a PKCS#11 token or a TPM. Calls block, some until a person acts; whoever waits
//! for one does so by message, and stops waiting at its deadline.

use std::fmt;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use tokio::sync::oneshot;

type Job<S> = Box<dyn FnOnce(&mut S) + Send>;

/// Why the device has not answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NoAnswer {
    /// It did not come in time.
    Timeout,
    /// The thread has ended, which it does not do by itself.
    Stopped,
    /// This process was forked from the one that has the thread.
    Forked,
}

/// A device on a thread of its own. The thread ends with this, once it is done with what it is doing; it does not hold up the
/// end of the process.
pub(crate) struct Worker<S> {
    jobs: mpsc::Sender<Job<S>>,
    busy: Arc<AtomicBool>,
    /// The process that has the thread.
    process: u32,
}

impl<S: Send + 'static> Worker<S> {
    pub(crate) fn start(name: &str, mut device: S) -> io::Result<Self> {
        let (jobs, queue) = mpsc::channel::<Job<S>>();
        let busy = Arc::new(AtomicBool::new(false));
        let works = Arc::clone(&busy);
        std::thread::Builder::new().name(name.into()).spawn(move || {
            for job in queue {
                works.store(true, Ordering::Relaxed);
                job(&mut device);
                works.store(false, Ordering::Relaxed);
            }
        })?;
        Ok(Self { jobs, busy, process: std::process::id() })
    }

    /// Whether a call of the device is going on.
    pub(crate) fn is_busy(&self) -> bool {
        self.busy.load(Ordering::Relaxed)
    }

    /// Waits for `work` without blocking.
    pub(crate) async fn ask<T: Send + 'static, E: From<NoAnswer> + Send + 'static>(
        &self,
        work: impl FnOnce(&mut S) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E> {
        let (answer, answered) = oneshot::channel();
        self.submit(move |device| {
            // Nobody waits any more when the registration was dropped while the device was busy.
            if !answer.is_closed() {
                let _ = answer.send(work(device));
            }
        })?;
        answered.await.unwrap_or_else(|_| Err(NoAnswer::Stopped.into()))
    }

    /// Blocks this thread until `work` is done, or for `limit`.
    pub(crate) fn ask_within<T: Send + 'static, E: From<NoAnswer> + Send + 'static>(
        &self,
        limit: Duration,
        work: impl FnOnce(&mut S) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E> {
        let (answer, answered) = mpsc::sync_channel(1);
        let waits = Arc::new(());
        let waiting = Arc::downgrade(&waits);
        self.submit(move |device| {
            if waiting.strong_count() > 0 {
                let _ = answer.send(work(device));
            }
        })?;
        match answered.recv_timeout(limit) {
            Ok(answer) => answer,
            Err(mpsc::RecvTimeoutError::Timeout) => Err(NoAnswer::Timeout.into()),
            Err(mpsc::RecvTimeoutError::Disconnected) => Err(NoAnswer::Stopped.into()),
        }
    }

    fn submit(&self, job: impl FnOnce(&mut S) + Send + 'static) -> Result<(), NoAnswer> {
        if std::process::id() != self.process {
            return Err(NoAnswer::Forked);
        }
        self.jobs.send(Box::new(job)).map_err(|_| NoAnswer::Stopped)
    }
}

impl<S> fmt::Debug for Worker<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Worker(..)")
    }
}
