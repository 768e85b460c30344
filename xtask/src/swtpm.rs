//! A TPM in software, which is stopped when it is dropped.

use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::run::{command, exists};

/// How long swtpm has to start.
const START: Duration = Duration::from_secs(30);

pub(crate) struct Swtpm {
    process: Child,
    pub(crate) socket: PathBuf,
}

impl Swtpm {
    /// Starts a new TPM, with its state in this folder.
    pub(crate) fn start(state: &Path) -> Result<Self, String> {
        if !exists("swtpm") {
            return Err("swtpm is not installed: cargo xtask setup".into());
        }
        let _ = std::fs::remove_dir_all(state);
        std::fs::create_dir_all(state).map_err(|error| format!("{}: {error}", state.display()))?;
        let socket = state.join("socket");
        let unix = |socket: &Path| format!("type=unixio,path={}", socket.display());
        let process = command("swtpm", ["socket", "--tpm2", "--flags", "not-need-init,startup-clear"])
            .args(["--tpmstate", &format!("dir={}", state.display()), "--server", &unix(&socket)])
            .args(["--ctrl", &unix(&state.join("control"))])
            // It reports each client that disconnects.
            .stderr(Stdio::null())
            .spawn()
            .map_err(|error| format!("swtpm: {error}"))?;
        let started = Self { process, socket };
        let end = Instant::now() + START;
        while !started.socket.exists() {
            if Instant::now() > end {
                return Err(format!("swtpm made no socket in {START:?}"));
            }
            sleep(Duration::from_millis(20));
        }
        Ok(started)
    }

    /// By which TCTI string it is reached.
    pub(crate) fn tcti(&self) -> String {
        format!("swtpm:path={}", self.socket.display())
    }
}

impl Drop for Swtpm {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
