//! A TPM in software, in a process of its own with its state in a temporary directory.

use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use dps_client::Tpm;
use tempfile::TempDir;

use crate::raw;

/// How long anything may take here.
pub(crate) const LIMIT: Duration = Duration::from_secs(30);

pub(crate) struct Swtpm {
    process: Child,
    folder: TempDir,
}

impl Swtpm {
    pub(crate) fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let process = run(&folder);
        let swtpm = Self { process, folder };
        swtpm.wait();
        swtpm
    }

    /// Stops it at once, as a loss of power does.
    pub(crate) fn kill(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    /// Starts it again with the same state.
    pub(crate) fn start_again(&mut self) {
        let _ = std::fs::remove_file(self.socket());
        self.process = run(&self.folder);
        self.wait();
    }

    fn wait(&self) {
        let started = Instant::now();
        while UnixStream::connect(self.socket()).is_err() {
            assert!(started.elapsed() < LIMIT, "swtpm does not listen");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.folder.path().join("tpm.sock")
    }

    pub(crate) fn tpm(&self) -> Tpm {
        Tpm::new(&format!("swtpm:path={}", self.socket().display())).unwrap()
    }

    /// Sends a command of the test's own.
    pub(crate) fn send(&self, command: &[u8]) -> raw::Answer {
        raw::send(&mut UnixStream::connect(self.socket()).unwrap(), command)
    }

    /// Makes a storage key that is subject to lockout, as tpm2_createprimary does.
    pub(crate) fn create_storage_key(&self) -> u32 {
        let made = self.send(&raw::create_storage_key());
        assert_eq!(made.code, 0);
        u32::from_be_bytes(made.body[..4].try_into().unwrap())
    }

    pub(crate) fn flush(&self, object: u32) {
        assert_eq!(self.send(&raw::command(0x165, &[], None, &raw::words(&[object]))).code, 0);
    }

    /// Puts such a key at a handle.
    pub(crate) fn persist_storage_key(&self, handle: u32) {
        let made = self.create_storage_key();
        assert_eq!(self.send(&raw::evict_control(made, handle)).code, 0);
        self.flush(made);
    }

    /// What is in it: persistent objects, and what a use may not leave behind.
    pub(crate) fn handles(&self) -> Handles {
        let list = |first: u32| {
            let answer = self.send(&raw::command(0x17A, &[], None, &raw::words(&[1, first, 100])));
            assert_eq!(answer.code, 0);
            let (count, handles) = answer.body[5..].split_first_chunk().unwrap();
            let handles = handles.chunks_exact(4).map(|handle| u32::from_be_bytes(handle.try_into().unwrap()));
            handles.take(usize::try_from(u32::from_be_bytes(*count)).unwrap()).collect()
        };
        Handles { persistent: list(0x8100_0000), transient: list(0x8000_0000), sessions: list(0x0200_0000) }
    }

    /// The public area and the name of the object at a handle.
    pub(crate) fn public(&self, handle: u32) -> Vec<u8> {
        let answer = self.send(&raw::command(0x173, &[handle], None, &[]));
        assert_eq!(answer.code, 0, "{handle:#x}");
        answer.body
    }
}

impl Drop for Swtpm {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn run(folder: &TempDir) -> Child {
    let mut swtpm = Command::new("swtpm");
    swtpm.args(["socket", "--tpm2", "--flags", "not-need-init,startup-clear"]);
    swtpm.arg("--tpmstate").arg(format!("dir={}", folder.path().display()));
    swtpm.arg("--server").arg(format!("type=unixio,path={}/tpm.sock", folder.path().display()));
    swtpm.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}

/// The handles of objects and sessions in a TPM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Handles {
    pub(crate) persistent: Vec<u32>,
    pub(crate) transient: Vec<u32>,
    pub(crate) sessions: Vec<u32>,
}
