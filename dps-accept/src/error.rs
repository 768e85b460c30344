//! What prevents a run; a device that fails is not an error.

use std::io;
use std::path::PathBuf;

use dps_emulator::StartError;
use dps_files::FileError;

/// Why a run of scenarios could not begin or go on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AcceptError {
    /// No scenario has this name.
    #[error("no scenario is named '{0}'; `dps emulator accept --list` prints the names")]
    UnknownScenario(String),
    /// No scenario was selected.
    #[error(
        "no scenario is left to run: --only and --skip leave nothing that applies to this transport and credential"
    )]
    NothingToRun,
    /// The command is empty.
    #[error("the command of the device is missing; write it after `--`")]
    NoCommand,
    /// A placeholder of the command is unknown.
    #[error("the command contains the unknown placeholder {{{0}}}; known are: {1}")]
    Placeholder(String, String),
    /// The command cannot be started.
    #[error("the device's command '{program}' cannot be started: {source}")]
    Command {
        /// The program.
        program: String,
        /// Why.
        source: io::Error,
    },
    /// The command that restarts the board failed.
    #[error("the command that restarts the board {0}; its output: {1}")]
    Reset(String, String),
    /// The prompt for restarting the board failed.
    #[error("the prompt to restart the board failed: {0}")]
    Prompt(io::Error),
    /// The enrollment of a device was refused.
    #[error("the device cannot be enrolled: {0}")]
    Enrollment(String),
    /// A service for a scenario cannot be started.
    #[error(transparent)]
    Start(#[from] StartError),
    /// A server for a scenario cannot listen.
    #[error("cannot listen on port {port}: {source}")]
    Listen {
        /// The port; 0 for a free one.
        port: u16,
        /// Why.
        source: io::Error,
    },
    /// The certificate authority cannot be used.
    #[error("the certificate authority cannot be used: {0}")]
    Authority(String),
    /// A certificate cannot be made.
    #[error("a certificate cannot be made: {0}")]
    Certificate(String),
    /// A file for the device cannot be written.
    #[error(transparent)]
    File(#[from] FileError),
    /// The directory for the device's files cannot be made.
    #[error("a directory for the device's files cannot be made in {}: {source}", path.display())]
    Directory {
        /// Where.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A task of the run ended unexpectedly.
    #[error("a task of the run ended unexpectedly: {0}")]
    Task(String),
}
