//! Stands between the client and a TPM: sees each command, and can do something else than to pass it on.

use std::io::Write;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use dps_client::Tpm;
use tempfile::TempDir;

use crate::raw;
use crate::swtpm::Swtpm;

/// The codes of commands.
pub(crate) const EVICT_CONTROL: u32 = 0x120;
pub(crate) const CREATE_PRIMARY: u32 = 0x131;
pub(crate) const ACTIVATE_CREDENTIAL: u32 = 0x147;
pub(crate) const POLICY_SECRET: u32 = 0x151;
pub(crate) const HMAC: u32 = 0x155;
pub(crate) const IMPORT: u32 = 0x156;
pub(crate) const LOAD: u32 = 0x157;
pub(crate) const READ_PUBLIC: u32 = 0x173;
pub(crate) const START_AUTH_SESSION: u32 = 0x176;

/// What happens with a command.
#[derive(Clone, Debug)]
pub(crate) enum Then {
    Pass,
    /// The TPM is stopped before it sees the command.
    Kill,
    /// This is the response.
    Answer(Vec<u8>),
    /// Nothing comes until the connection ends.
    Hang,
}

impl Then {
    /// A response that consists of its code.
    pub(crate) fn refuse(code: u32) -> Self {
        Self::Answer([&[0x80, 1][..], &raw::words(&[10, code])].concat())
    }
}

type Rule = Box<dyn FnMut(u32) -> Then + Send>;

pub(crate) struct Tap {
    folder: TempDir,
    swtpm: Arc<Mutex<Swtpm>>,
    rule: Arc<Mutex<Rule>>,
    commands: Arc<Mutex<Vec<u32>>>,
}

impl Tap {
    pub(crate) fn start(swtpm: Swtpm) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let listener = UnixListener::bind(folder.path().join("tap.sock")).unwrap();
        let swtpm = Arc::new(Mutex::new(swtpm));
        let rule: Arc<Mutex<Rule>> = Arc::new(Mutex::new(Box::new(|_| Then::Pass)));
        let commands = Arc::default();
        let tap = (Arc::downgrade(&swtpm), Arc::clone(&rule), Arc::clone(&commands));
        std::thread::spawn(move || {
            for client in listener.incoming() {
                // The test ends with its tap.
                let Some(swtpm) = tap.0.upgrade() else { return };
                relay(client.unwrap(), &swtpm, &tap.1, &tap.2);
            }
        });
        Self { folder, swtpm, rule, commands }
    }

    fn socket(&self) -> PathBuf {
        self.folder.path().join("tap.sock")
    }

    pub(crate) fn tpm(&self) -> Tpm {
        Tpm::new(&format!("swtpm:path={}", self.socket().display())).unwrap()
    }

    /// Decides for each command, by its code, what happens.
    pub(crate) fn rule(&self, rule: impl FnMut(u32) -> Then + Send + 'static) {
        *self.rule.lock().unwrap() = Box::new(rule);
    }

    /// The same for the command with this code that comes after so many others with it.
    pub(crate) fn at(&self, code: u32, after: usize, then: Then) {
        let seen = AtomicUsize::new(0);
        self.rule(move |command| {
            let is_it = command == code && seen.fetch_add(1, Ordering::Relaxed) == after;
            if is_it { then.clone() } else { Then::Pass }
        });
    }

    pub(crate) fn with_swtpm<T>(&self, work: impl FnOnce(&mut Swtpm) -> T) -> T {
        work(&mut self.swtpm.lock().unwrap())
    }

    /// The codes of the commands so far, with those that were not passed on.
    pub(crate) fn commands(&self) -> Vec<u32> {
        self.commands.lock().unwrap().clone()
    }

    pub(crate) fn count(&self, code: u32) -> usize {
        self.commands().iter().filter(|command| **command == code).count()
    }
}

/// A connection may still be served, with a share in the TPM: without this, it would outlive the process.
impl Drop for Tap {
    fn drop(&mut self) {
        if let Ok(mut swtpm) = self.swtpm.lock() {
            swtpm.kill();
        }
    }
}

/// Passes on the commands of one connection.
fn relay(mut client: UnixStream, swtpm: &Mutex<Swtpm>, rule: &Mutex<Rule>, commands: &Mutex<Vec<u32>>) -> Option<()> {
    let mut device = None;
    loop {
        let command = raw::read(&mut client)?;
        let code = u32::from_be_bytes(command[6..10].try_into().unwrap());
        commands.lock().unwrap().push(code);
        let then = rule.lock().unwrap()(code);
        let response = match then {
            Then::Pass => {
                let connect = || UnixStream::connect(swtpm.lock().unwrap().socket()).unwrap();
                let device = device.get_or_insert_with(connect);
                device.write_all(&command).unwrap();
                raw::read(device)?
            }
            Then::Kill => {
                swtpm.lock().unwrap().kill();
                return None;
            }
            Then::Answer(response) => response,
            Then::Hang => raw::read(&mut client)?,
        };
        client.write_all(&response).ok()?;
    }
}
