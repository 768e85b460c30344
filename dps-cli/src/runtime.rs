//! Signals that interrupt the program, and work that may block.
//!
//! Signals are listened for from the start, so that no signal is lost and none ends the program while a file is half written.

use std::time::Duration;

use dps_core::ErrorCode;
use tokio::task::spawn_blocking;
use tokio::time::timeout;

pub(crate) use platform::Interrupts;

use crate::failure::{Failure, Result};

#[cfg(unix)]
mod platform {
    use std::io;

    use tokio::signal::unix::{Signal, SignalKind, signal};

    /// SIGINT, SIGTERM and SIGHUP.
    pub(crate) struct Interrupts {
        interrupt: Signal,
        terminate: Signal,
        hang_up: Signal,
    }

    impl Interrupts {
        /// Starts to listen; needs a tokio runtime.
        pub(crate) fn listen() -> io::Result<Self> {
            Ok(Self {
                interrupt: signal(SignalKind::interrupt())?,
                terminate: signal(SignalKind::terminate())?,
                hang_up: signal(SignalKind::hangup())?,
            })
        }

        /// Waits for the first of them.
        pub(crate) async fn next(&mut self) {
            tokio::select! {
                _ = self.interrupt.recv() => {}
                _ = self.terminate.recv() => {}
                _ = self.hang_up.recv() => {}
            }
        }
    }
}

#[cfg(windows)]
mod platform {
    use std::io;

    use tokio::signal::windows::{CtrlBreak, CtrlC, ctrl_break, ctrl_c};

    /// Ctrl-C and Ctrl-Break.
    pub(crate) struct Interrupts {
        interrupt: CtrlC,
        terminate: CtrlBreak,
    }

    impl Interrupts {
        /// Starts to listen; needs a tokio runtime.
        pub(crate) fn listen() -> io::Result<Self> {
            Ok(Self { interrupt: ctrl_c()?, terminate: ctrl_break()? })
        }

        /// Waits for the first of them.
        pub(crate) async fn next(&mut self) {
            tokio::select! {
                _ = self.interrupt.recv() => {}
                _ = self.terminate.recv() => {}
            }
        }
    }
}

/// Runs work that may block, such as reading from a FIFO, where it does not hold up an interruption.
pub(crate) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    spawn_blocking(work).await.unwrap_or_else(|error| Err(Failure::internal(format!("the work failed: {error}"))))
}

/// A busy machine may need longer for its files than a short limit for the network allows.
const FILES_LEAST: Duration = Duration::from_secs(10);

/// The same for work that has to be done within the command's own limit.
pub(crate) async fn blocking_within<T: Send + 'static>(
    limit: Duration,
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    let late = || Failure::new(ErrorCode::File, "the files could not be read within --timeout");
    timeout(limit.max(FILES_LEAST), blocking(work)).await.unwrap_or_else(|_| Err(late()))
}
