//! The emulators that run on this machine for this user. Each has a directory of its own among the temporary files, with the
//! files for its clients, where it is, and a lock that lasts as long as it runs; so other commands find it without being told
//! where it is, in a container too.

use std::fs;
use std::path::{Path, PathBuf};

use clap::Args;
use dps_core::ErrorCode;
use dps_emulator::Emulator;
use dps_files::FileLock;
use serde::{Deserialize, Serialize};
use tempfile::TempDir;

use super::options::state_directory;
use crate::admin::{OwnerArgs, PublicArgs, ReachArgs};
use crate::failure::{Failure, Result};
use crate::files::{WhenThere, is_stdin, temporary_directory, write_private};
use crate::runtime::blocking;

/// How the names of the directories begin.
const PREFIX: &str = "dps-emulator-";
const FACTS_FILE: &str = "emulator.json";
const LOCK_FILE: &str = "lock";
const CA_FILE: &str = "ca.pem";
const CONNECTION_STRING_FILE: &str = "connection-string";
/// The longest description of an emulator, in bytes.
const FACTS_MAX: u64 = 64 * 1024;
/// How many entries of the directory of temporary files are looked at.
const ENTRIES_MAX: usize = 100_000;

/// Where an emulator is, and the files for its clients.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Facts {
    /// Where its HTTPS listener is reached from this machine, `address:port`.
    pub(super) https: String,
    pub(super) ca_file: PathBuf,
    pub(super) connection_string_file: PathBuf,
}

/// The files of an emulator that runs in this process; those that are not in a state directory are removed with it.
pub(super) struct RunDirectory {
    // Closed before the directory is removed.
    _lock: Option<FileLock>,
    temporary: Option<TempDir>,
    /// Of the files for clients: the state directory, or else the temporary one.
    files: PathBuf,
}

impl RunDirectory {
    /// Creates the directory. With a state directory, an emulator can run without it, and is then found by the state directory
    /// alone.
    pub(super) fn create(state: Option<&Path>) -> Result<Self> {
        let temporary = match temporary_directory(PREFIX) {
            Err(_) if state.is_some() => None,
            created => Some(created?),
        };
        let lock =
            temporary.as_ref().map(|directory| FileLock::acquire(&directory.path().join(LOCK_FILE))).transpose()?;
        let files = state.or(temporary.as_ref().map(TempDir::path)).unwrap_or(Path::new("")).to_owned();
        Ok(Self { _lock: lock, temporary, files })
    }

    /// Describes an emulator that was started. The paths are absolute, so that they are valid in every working directory.
    pub(super) fn facts(&self, emulator: &Emulator) -> Result<Facts> {
        let files = self.files.canonicalize().map_err(|error| Failure::file("use", &self.files, &error))?;
        let mut https = emulator.https_addr();
        if https.ip().is_unspecified() {
            https.set_ip(match https.ip() {
                std::net::IpAddr::V4(_) => std::net::Ipv4Addr::LOCALHOST.into(),
                std::net::IpAddr::V6(_) => std::net::Ipv6Addr::LOCALHOST.into(),
            });
        }
        let (ca_file, connection_string_file) = (files.join(CA_FILE), files.join(CONNECTION_STRING_FILE));
        Ok(Facts { https: https.to_string(), ca_file, connection_string_file })
    }

    /// Writes the files for clients, and then the description by which other commands find them.
    pub(super) async fn write(&self, facts: &Facts, emulator: &Emulator) -> Result<()> {
        let (ca, connection_string) = (emulator.ca_pem().to_owned(), emulator.connection_string());
        let facts = facts.clone();
        let mut directories = vec![self.files.clone()];
        directories.extend(self.temporary.as_ref().map(|directory| directory.path().to_owned()));
        blocking(move || {
            write_private(&facts.ca_file, ca.as_bytes(), WhenThere::Replace)?;
            let owner = connection_string.expose().as_bytes();
            write_private(&facts.connection_string_file, owner, WhenThere::Replace)?;
            let text = serde_json::to_vec(&facts).map_err(|error| Failure::internal(error.to_string()))?;
            directories.iter().try_for_each(|path| write_private(&path.join(FACTS_FILE), &text, WhenThere::Replace))
        })
        .await
    }
}

/// Which emulator a command is for, if no connection string says so.
#[derive(Debug, Args)]
#[command(next_help_heading = "Emulator")]
pub(crate) struct RunningArgs {
    /// The state directory of the emulator. Default: DPS_EMULATOR_STATE, or else the one emulator that runs here
    #[arg(long, value_name = "DIR")]
    state: Option<PathBuf>,
    /// The HTTPS port of the emulator, if several run here
    #[arg(long, value_name = "N")]
    https_port: Option<u16>,
}

impl RunningArgs {
    /// Finds the emulator.
    pub(super) async fn find(&self) -> Result<Facts> {
        let (state, port) = (state_directory(self.state.as_deref()), self.https_port);
        blocking(move || match state {
            Some(state) => in_directory(&state).ok_or_else(|| {
                let message =
                    format!("no emulator uses the state directory {}, or it has not started yet", state.display());
                Failure::new(ErrorCode::File, message)
            }),
            None => the_one(all(&std::env::temp_dir()), port),
        })
        .await
    }
}

/// Chooses an emulator by its port, if one is named.
fn the_one(mut found: Vec<Facts>, port: Option<u16>) -> Result<Facts> {
    let port_of = |facts: &Facts| facts.https.rsplit_once(':').and_then(|(_, port)| port.parse::<u16>().ok());
    found.retain(|facts| port.is_none() || port_of(facts) == port);
    let others: Vec<String> = found.iter().filter_map(port_of).map(|port| port.to_string()).collect();
    match (found.pop(), others.len()) {
        (Some(facts), 1) => Ok(facts),
        (Some(_), count) => Err(Failure::option(format!(
            "{count} emulators run here: name one with --https-port ({}) or --state",
            others.join(", ")
        ))),
        (None, _) => Err(Failure::new(
            ErrorCode::File,
            "no emulator of this user runs here, or it has not started yet: name one with --state, or with \
             --connection-string-file where the command has it",
        )),
    }
}

/// The emulators of this user whose directories are in this one.
fn all(temporary: &Path) -> Vec<Facts> {
    let entries = fs::read_dir(temporary).into_iter().flatten().take(ENTRIES_MAX).flatten();
    let named = entries.filter(|entry| entry.file_name().to_string_lossy().starts_with(PREFIX));
    let running = named.map(|entry| entry.path()).filter(|path| is_own(path) && is_locked(path));
    running.filter_map(|path| in_directory(&path)).collect()
}

fn in_directory(path: &Path) -> Option<Facts> {
    let content = dps_files::read(path.join(FACTS_FILE), FACTS_MAX).ok()?;
    serde_json::from_slice(&content).ok()
}

/// Whether nobody else can have written what is in the directory.
#[cfg(unix)]
fn is_own(path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    // Not that of a link's target, which another user could choose.
    let Ok(metadata) = fs::symlink_metadata(path) else { return false };
    metadata.is_dir() && metadata.uid() == rustix::process::geteuid().as_raw() && metadata.mode() & 0o022 == 0
}

#[cfg(not(unix))]
fn is_own(path: &Path) -> bool {
    path.is_dir()
}

/// Whether an emulator runs that has this directory. It has the lock before it writes the description.
fn is_locked(path: &Path) -> bool {
    path.join(FACTS_FILE).is_file()
        && FileLock::acquire(&path.join(LOCK_FILE)).is_err_and(|error| error.kind() == std::io::ErrorKind::WouldBlock)
}

/// The emulator of a command, by its connection string or as one that runs here, and how to reach it.
#[derive(Debug, Args)]
pub(crate) struct ReachableArgs {
    /// A file with HostName=…;SharedAccessKeyName=…;SharedAccessKey=… (- for stdin). Default: an emulator that runs here
    #[arg(long, value_name = "FILE|-", help_heading = "Service", conflicts_with_all = ["state", "https_port"])]
    connection_string_file: Option<PathBuf>,
    #[command(flatten)]
    running: RunningArgs,
    #[command(flatten)]
    reach: ReachArgs,
}

impl ReachableArgs {
    pub(super) fn stdin_inputs(&self) -> usize {
        let from_stdin = self.connection_string_file.as_deref().is_some_and(is_stdin);
        usize::from(from_stdin) + self.reach.proxy.stdin_inputs()
    }

    /// For a call with the connection string.
    pub(super) async fn owner(mut self) -> Result<OwnerArgs> {
        let file = match self.connection_string_file.take() {
            Some(file) => file,
            None => self.fill().await?.connection_string_file,
        };
        Ok(OwnerArgs { connection_string_file: file, reach: self.reach })
    }

    /// For a call that anybody can make.
    pub(super) async fn public(mut self) -> Result<PublicArgs> {
        if self.connection_string_file.is_none() && self.reach.endpoint.is_none() {
            self.fill().await?;
        }
        Ok(PublicArgs { connection_string_file: self.connection_string_file, reach: self.reach })
    }

    /// Sets where an emulator that runs here is reached, and whom to trust, unless options say otherwise.
    async fn fill(&mut self) -> Result<Facts> {
        let facts = self.running.find().await?;
        if self.reach.endpoint.is_none() {
            self.reach.endpoint = Some(facts.https.clone());
        }
        if self.reach.trust.ca_file.is_none() && self.reach.trust.add_ca_file.is_none() {
            self.reach.trust.ca_file = Some(facts.ca_file.clone());
        }
        Ok(facts)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(https: &str) -> Facts {
        Facts { https: https.into(), ca_file: "ca.pem".into(), connection_string_file: "owner".into() }
    }

    #[test]
    fn emulator_is_found_alone_or_by_its_port() {
        let two = || vec![facts("127.0.0.1:8443"), facts("[::1]:9443")];
        assert_eq!(the_one(vec![facts("127.0.0.1:8443")], None).unwrap().https, "127.0.0.1:8443");
        assert_eq!(the_one(two(), Some(9443)).unwrap().https, "[::1]:9443");
        let message = the_one(two(), None).unwrap_err().message;
        assert!(message.contains("2 emulators") && message.contains("8443, 9443"), "{message}");
        assert!(the_one(two(), Some(1)).is_err() && the_one(Vec::new(), None).is_err());
    }

    #[cfg(unix)]
    #[test]
    fn only_a_locked_private_directory_is_one_of_an_emulator() {
        use std::os::unix::fs::PermissionsExt as _;
        let temporary = tempfile::tempdir().unwrap();
        let path = temporary.path().join(format!("{PREFIX}x"));
        fs::create_dir(&path).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o700)).unwrap();
        fs::write(path.join(FACTS_FILE), serde_json::to_vec(&facts("127.0.0.1:1")).unwrap()).unwrap();
        assert!(all(temporary.path()).is_empty(), "its process has ended");
        let lock = FileLock::acquire(&path.join(LOCK_FILE)).unwrap();
        assert_eq!(all(temporary.path()).len(), 1);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o777)).unwrap();
        assert!(all(temporary.path()).is_empty(), "others could have written it");
        drop(lock);
    }
}
