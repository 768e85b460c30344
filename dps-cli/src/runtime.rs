//! Signals that interrupt the program, and work that may block.
//!
//! Signals are listened for from the start, so that no signal is lost and none ends the program while a file is half
//! written.

use std::time::Duration;

use dps_core::ErrorCode;
use tokio::task::spawn_blocking;
use tokio::time::timeout;

pub(crate) use platform::Interrupts;

use crate::failure::{Failure, Result};

/// The least time for files: a busy machine may need longer than a short limit for the network allows.
const FILES_TIMEOUT_MIN: Duration = Duration::from_secs(10);

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
        /// Starts listening; requires a tokio runtime.
        pub(crate) fn listen() -> io::Result<Self> {
            Ok(Self {
                interrupt: signal(SignalKind::interrupt())?,
                terminate: signal(SignalKind::terminate())?,
                hang_up: signal(SignalKind::hangup())?,
            })
        }

        /// Waits for the next of these signals.
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
        /// Starts listening; requires a tokio runtime.
        pub(crate) fn listen() -> io::Result<Self> {
            Ok(Self { interrupt: ctrl_c()?, terminate: ctrl_break()? })
        }

        /// Waits for the next of these signals.
        pub(crate) async fn next(&mut self) {
            tokio::select! {
                _ = self.interrupt.recv() => {}
                _ = self.terminate.recv() => {}
            }
        }
    }
}

/// Runs work that may block, such as reading from a FIFO, on another thread, so that it does not delay an interruption.
pub(crate) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    spawn_blocking(work).await.unwrap_or_else(|error| Err(Failure::internal(format!("the work failed: {error}"))))
}

/// Runs work that may block within the time limit of the command.
pub(crate) async fn blocking_within<T: Send + 'static>(
    limit: Duration,
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    let late =
        || Failure::new(ErrorCode::File, "the files could not be read, or the token not opened, within --timeout");
    timeout(limit.max(FILES_TIMEOUT_MIN), blocking(work)).await.unwrap_or_else(|_| Err(late()))
}
