//! A thread that works with a device which blocks: a PKCS#11 token or a TPM. Calls block, some until a person acts; whoever waits
//! for one does so by message, and stops waiting at its deadline.

use std::fmt;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

/// Works with the device, and returns what passes the answer on.
type Job<S> = Box<dyn FnOnce(&mut S) -> Answer + Send>;
type Answer = Box<dyn FnOnce()>;

/// How long a device that is not used any more may take to close.
const CLOSING_MAX: Duration = Duration::from_secs(2);

/// How many threads are inside a call of a device.
static CALLS: AtomicUsize = AtomicUsize::new(0);
/// The process whose calls are counted; a fork has none of its parent's threads.
static PROCESS: AtomicU32 = AtomicU32::new(0);
/// How often the end of the calls is looked for. Without a lock, which a fork might inherit locked.
const LOOKING_EVERY: Duration = Duration::from_millis(5);

/// One call of a device, counted.
struct Call;

impl Call {
    fn begin() -> Self {
        PROCESS.store(std::process::id(), Ordering::Relaxed);
        CALLS.fetch_add(1, Ordering::AcqRel);
        Self
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        CALLS.fetch_sub(1, Ordering::AcqRel);
    }
}

/// Waits, at most for `limit`, until no thread of this process is inside a PKCS#11 module or waits for a TPM.
///
/// A program calls it before it ends, with a limit of a second or two. A call whose deadline has passed, or that was dropped, may
/// still go on in the module; the end of the process destroys what the module has, so that such a process may crash instead of
/// returning its exit code. A program that never gives up a call does not need it: a client closes its device when it is dropped.
///
/// ```no_run
/// # let exit_code = 0;
/// dps_client::wait_for_device_calls(std::time::Duration::from_secs(1));
/// std::process::exit(exit_code);
/// ```
pub fn wait_for_device_calls(limit: Duration) {
    let started = Instant::now();
    let is_calling = || CALLS.load(Ordering::Acquire) > 0 && PROCESS.load(Ordering::Relaxed) == std::process::id();
    while is_calling() && started.elapsed() < limit {
        std::thread::sleep(LOOKING_EVERY);
    }
}

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

/// A device on a thread of its own. Dropping this closes the device, and waits for that unless a call that was given up is going
/// on; the thread then closes the device after that call.
pub(crate) struct Worker<S> {
    /// `None` once this is dropped.
    jobs: Option<mpsc::Sender<Job<S>>>,
    busy: Arc<AtomicBool>,
    /// Disconnected when the thread has closed the device.
    closed: Mutex<mpsc::Receiver<()>>,
    /// The process that has the thread.
    process: u32,
}

impl<S: Send + 'static> Worker<S> {
    pub(crate) fn start(name: &str, mut device: S) -> io::Result<Self> {
        let (jobs, queue) = mpsc::channel::<Job<S>>();
        let (closing, closed) = mpsc::channel::<()>();
        let busy = Arc::new(AtomicBool::new(false));
        let works = Arc::clone(&busy);
        std::thread::Builder::new().name(name.into()).spawn(move || {
            for job in queue {
                works.store(true, Ordering::Relaxed);
                let call = Call::begin();
                let answer = job(&mut device);
                drop(call);
                works.store(false, Ordering::Relaxed);
                // After the call, so that who has the answer can rely on its end.
                answer();
            }
            let call = Call::begin();
            drop(device);
            drop(call);
            drop(closing);
        })?;
        Ok(Self { jobs: Some(jobs), busy, closed: closed.into(), process: std::process::id() })
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
            let done = (!answer.is_closed()).then(|| work(device));
            Box::new(|| drop(done.map(|done| answer.send(done))))
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
            let done = (waiting.strong_count() > 0).then(|| work(device));
            Box::new(move || drop(done.map(|done| answer.send(done))))
        })?;
        match answered.recv_timeout(limit) {
            Ok(answer) => answer,
            Err(mpsc::RecvTimeoutError::Timeout) => Err(NoAnswer::Timeout.into()),
            Err(mpsc::RecvTimeoutError::Disconnected) => Err(NoAnswer::Stopped.into()),
        }
    }

    fn submit(&self, job: impl FnOnce(&mut S) -> Answer + Send + 'static) -> Result<(), NoAnswer> {
        if std::process::id() != self.process {
            return Err(NoAnswer::Forked);
        }
        let jobs = self.jobs.as_ref().ok_or(NoAnswer::Stopped)?;
        jobs.send(Box::new(job)).map_err(|_| NoAnswer::Stopped)
    }
}

impl<S> Drop for Worker<S> {
    fn drop(&mut self) {
        drop(self.jobs.take());
        let is_here = std::process::id() == self.process;
        if is_here && !self.busy.load(Ordering::Relaxed) {
            let closed = self.closed.get_mut().unwrap_or_else(PoisonError::into_inner);
            // It says nothing: it is disconnected.
            _ = closed.recv_timeout(CLOSING_MAX);
        }
    }
}

impl<S> fmt::Debug for Worker<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Worker(..)")
    }
}
