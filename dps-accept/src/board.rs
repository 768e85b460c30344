//! A board on the bench: its id and credential are fixed, and something outside restarts it for each scenario.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use dps_emulator::{Certificate, SymmetricKey};
use tokio::time::timeout;

use crate::error::AcceptError;
use crate::process::Process;
use crate::scenario::Scenario;
use crate::scene::FixedCredential;
use crate::settings::Settings;

/// How long the command that restarts a board may take.
const RESET_TIMEOUT: Duration = Duration::from_secs(120);
/// The default time without a packet that counts as giving up.
const QUIET: Duration = Duration::from_secs(30);

/// A board that is already configured: with a registration id, a key or certificate, the endpoint and the authority of the
/// services of a run.
///
/// ```
/// use dps_accept::{Acceptance, Board, Reset};
/// use dps_emulator::SymmetricKey;
///
/// let key = SymmetricKey::from_base64("Jsm0lyGpjaVYVP2g3FnmnmG9dI/9qU24wNoykUmermc=")?;
/// let board = Board::with_key("dev-01", key, Reset::command("openocd -f board.cfg -c 'init; reset; exit'"));
/// let acceptance = Acceptance::of_board(board);
/// # let _ = acceptance;
/// # Ok::<(), dps_emulator::KeyError>(())
/// ```
#[derive(Debug, Clone)]
pub struct Board {
    pub(crate) registration_id: String,
    pub(crate) credential: FixedCredential,
    pub(crate) reset: Reset,
    pub(crate) quiet: Duration,
}

impl Board {
    /// A board with a symmetric key.
    #[must_use]
    pub fn with_key(registration_id: impl Into<String>, key: SymmetricKey, reset: Reset) -> Self {
        let (registration_id, credential) = (registration_id.into(), FixedCredential::Key(key));
        Self { registration_id, credential, reset, quiet: QUIET }
    }

    /// A board with a certificate, which an individual enrollment names.
    #[must_use]
    pub fn with_certificate(registration_id: impl Into<String>, certificate: Certificate, reset: Reset) -> Self {
        let (registration_id, credential) = (registration_id.into(), FixedCredential::Certificate(certificate));
        Self { registration_id, credential, reset, quiet: QUIET }
    }

    /// How long nothing may arrive from the board until it counts as having given up. Default: 30 s. It must be longer
    /// than the board takes to start and to connect.
    #[must_use]
    pub fn quiet(mut self, quiet: Duration) -> Self {
        self.quiet = quiet;
        self
    }
}

/// How a board is restarted.
#[derive(Clone)]
pub struct Reset(How);

#[derive(Clone)]
enum How {
    Command(String),
    Ask(Arc<Ask>),
}

type Ask = dyn Fn(&Scenario) -> io::Result<()> + Send + Sync;

impl Reset {
    /// Runs a command line by the shell, `sh` or on Windows `cmd`; it fails if its exit status is not 0 or it takes more
    /// than two minutes. It should stop the board at once, and can return before the board has started.
    #[must_use]
    pub fn command(line: impl Into<String>) -> Self {
        Self(How::Command(line.into()))
    }

    /// Calls a function, on a thread that can wait: one that asks a person, or switches a power supply. Its error ends
    /// the run.
    #[must_use]
    pub fn call(ask: impl Fn(&Scenario) -> io::Result<()> + Send + Sync + 'static) -> Self {
        Self(How::Ask(Arc::new(ask)))
    }

    pub(crate) async fn run(&self, scenario: &'static Scenario, settings: &Settings) -> Result<(), AcceptError> {
        match &self.0 {
            How::Command(line) => command(line, settings).await,
            How::Ask(ask) => {
                let ask = Arc::clone(ask);
                let asked = tokio::task::spawn_blocking(move || ask(scenario)).await;
                asked.map_err(|error| AcceptError::Task(error.to_string()))?.map_err(AcceptError::Prompt)
            }
        }
    }
}

async fn command(line: &str, settings: &Settings) -> Result<(), AcceptError> {
    let shell = if cfg!(windows) { ["cmd", "/C"] } else { ["sh", "-c"] };
    let words = [shell[0], shell[1], line].map(str::to_owned);
    let failed = |source| AcceptError::Command { program: words[0].clone(), source };
    let mut process = Process::start(&words, settings.environment()).map_err(failed)?;
    let ended = timeout(RESET_TIMEOUT, process.ended()).await;
    if let Ok(Ok(status)) = ended
        && status.success()
    {
        // It may have started what serves the board.
        process.release();
        return Ok(());
    }
    let output = process.stop().await.trim().to_owned();
    Err(match ended {
        Ok(Ok(status)) => AcceptError::Reset(format!("ended with {status}"), output),
        Ok(Err(error)) => failed(error),
        Err(_) => AcceptError::Reset(format!("did not end within {} s", RESET_TIMEOUT.as_secs()), output),
    })
}

impl fmt::Debug for Reset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            How::Command(line) => f.debug_tuple("Command").field(line).finish(),
            How::Ask(_) => f.write_str("Ask(..)"),
        }
    }
}
