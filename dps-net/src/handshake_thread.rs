//! A thread for connections whose handshake blocks: rustls asks a key for signatures synchronously, and one in a token may
//! take as long as a person does.

use std::fmt;
use std::future::Future;
use std::io;
use std::panic::resume_unwind;
use std::sync::Arc;

use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// A thread with a runtime of its own, on which a [`Dialer`](crate::Dialer) makes connections. Clones share it.
///
/// Connections stay on its runtime, so that the thread must live as long as they do. It ends with the last clone, once no
/// handshake blocks it; the end of the process does not wait for it.
#[derive(Clone)]
pub struct HandshakeThread(Arc<Shared>);

struct Shared {
    runtime: Handle,
    /// Stops the runtime when it is dropped.
    _stop: oneshot::Sender<()>,
}

impl HandshakeThread {
    /// Starts the thread.
    ///
    /// # Errors
    /// When the system refuses a thread, or the descriptors that a runtime needs.
    pub fn start() -> io::Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let handle = runtime.handle().clone();
        let (stop, stopped) = oneshot::channel::<()>();
        std::thread::Builder::new().name("dps-handshakes".into()).spawn(move || {
            let _ = runtime.block_on(stopped);
            runtime.shutdown_background();
        })?;
        Ok(Self(Arc::new(Shared { runtime: handle, _stop: stop })))
    }

    /// Runs `work` on the thread. Dropping the returned future cancels it, once it does not block.
    pub async fn run<W>(&self, work: W) -> W::Output
    where
        W: Future<Output: Send> + Send + 'static,
    {
        let mut running = Running(self.0.runtime.spawn(work));
        match (&mut running.0).await {
            Ok(done) => done,
            Err(failed) => match failed.try_into_panic() {
                Ok(panic) => resume_unwind(panic),
                // The runtime runs for as long as this does.
                Err(_) => std::future::pending().await,
            },
        }
    }
}

/// Work that is cancelled when nobody waits for it any more.
struct Running<T>(JoinHandle<T>);

impl<T> Drop for Running<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl fmt::Debug for HandshakeThread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HandshakeThread(..)")
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn work_that_blocks_its_thread_blocks_no_timer_of_the_caller() {
        let thread = HandshakeThread::start().unwrap();
        assert_eq!(thread.run(async { 6 * 7 }).await, 42);
        let (release, wait) = mpsc::channel::<()>();
        let blocked = thread.run(async move { wait.recv().is_ok() });
        assert!(tokio::time::timeout(Duration::from_millis(50), blocked).await.is_err());
        release.send(()).unwrap();
        assert_eq!(thread.run(async { "next" }).await, "next");
    }

    #[tokio::test]
    async fn thread_ends_with_its_last_clone() {
        let thread = HandshakeThread::start().unwrap();
        let (held, dropped) = mpsc::channel::<()>();
        let clone = thread.clone();
        let mut waiting = Box::pin(clone.run(async move {
            std::future::pending::<()>().await;
            drop(held);
        }));
        assert!(tokio::time::timeout(Duration::from_millis(1), &mut waiting).await.is_err());
        drop(waiting);
        drop(clone);
        drop(thread);
        // What ran on it is dropped.
        let ended = tokio::task::spawn_blocking(move || dropped.recv_timeout(Duration::from_secs(20)));
        assert_eq!(ended.await.unwrap(), Err(mpsc::RecvTimeoutError::Disconnected));
    }
}
