//! Runs the built program in a clean environment and checks its output.

use std::io::Write as _;
use std::ops::{Deref, DerefMut};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use serde_json::Value;
use tempfile::TempDir;

/// The group key of the service's documentation; the derived keys of it are in `vectors/keys.json`.
pub(crate) const GROUP_KEY: &str =
    "8isrFI1sGsIlvvFSSFRiMfCNzv21fjbE/+ah/lSh3lF8e2YG1Te7w1KpZhJFFXJrqYKi9yegxkqIChbqOS9Egw==";
/// An address without a listener: the system never assigns port 1, so that no other test listens there either.
pub(crate) const CLOSED: &str = "127.0.0.1:1";
pub(crate) const DEVICE_ID: &str = "sn-007-888-abc-mac-a1-b2-c3-d4-e5-f6";
pub(crate) const DEVICE_KEY: &str = "Jsm0lyGpjaVYVP2g3FnmnmG9dI/9qU24wNoykUmermc=";

/// A command line of the program, in an environment without its settings.
pub(crate) fn dps<'a>(args: impl IntoIterator<Item = &'a str>) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_dps"));
    command.args(args).stdin(Stdio::null());
    for name in [
        "DPS_KEY",
        "DPS_GROUP_KEY",
        "DPS_CERT_KEY_PASSPHRASE",
        "DPS_LOG",
        "DPS_WEBHOOK_URL",
        "DPS_EMULATOR_HOSTS",
        "DPS_EMULATOR_STATE",
        "HTTPS_PROXY",
        "https_proxy",
        "HTTP_PROXY",
        "http_proxy",
        "ALL_PROXY",
        "all_proxy",
        "NO_PROXY",
        "no_proxy",
        "CARGO_PKG_NAME",
    ] {
        command.env_remove(name);
    }
    command
}

/// A command line written in one string, with `words` appended as they are.
pub(crate) fn dps_line(line: &str, words: &[&str]) -> Command {
    dps(line.split_whitespace().chain(words.iter().copied()))
}

/// The result of a finished command.
#[derive(Debug)]
pub(crate) struct Finished {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Finished {
    pub(crate) fn from_output(output: Output) -> Self {
        let done = Self {
            code: output.status.code().expect("ended by a signal"),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        };
        // The program writes its text line by line: see `Printable`.
        let mut lines = done.stdout.lines().chain(done.stderr.lines());
        let is_broken = |line: &str| line.starts_with(r"\n") || line.ends_with(r"\n");
        assert!(!lines.any(is_broken), "an escaped line break: {done:?}");
        done
    }

    #[track_caller]
    pub(crate) fn code(self, code: i32) -> Self {
        assert_eq!(self.code, code, "stdout: {}\nstderr: {}", self.stdout, self.stderr);
        self
    }

    /// Returns the JSON object on stdout.
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        let value: Value = serde_json::from_str(&self.stdout)
            .unwrap_or_else(|error| panic!("{error}\nstdout: {}\nstderr: {}", self.stdout, self.stderr));
        assert!(value.is_object());
        value
    }

    /// Returns the error object of a failure with `--json`, after checking its members.
    #[track_caller]
    pub(crate) fn error(&self) -> Value {
        let error = self.json()["error"].clone();
        let mut members: Vec<_> = error.as_object().expect("no error object").keys().map(String::as_str).collect();
        members.sort_unstable();
        let expected = [
            "code",
            "errorCode",
            "family",
            "hints",
            "httpStatus",
            "message",
            "name",
            "retryAfterMs",
            "trackingId",
            "verdict",
        ];
        assert_eq!(members, expected);
        assert!(["never", "after", "reconfigure"].contains(&error["verdict"].as_str().unwrap()));
        assert!(error["hints"].as_array().unwrap().iter().all(Value::is_string));
        error
    }
}

/// A running program; it is killed if the test fails.
pub(crate) struct Running(Option<Child>);

impl Deref for Running {
    type Target = Child;

    fn deref(&self) -> &Child {
        self.0.as_ref().unwrap()
    }
}

impl DerefMut for Running {
    fn deref_mut(&mut self) -> &mut Child {
        self.0.as_mut().unwrap()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(mut child) = self.0.take() {
            _ = child.kill();
            _ = child.wait();
        }
    }
}

pub(crate) trait Run {
    fn run(&mut self) -> Finished;
    fn run_with_input(&mut self, input: &[u8]) -> Finished;
    fn start(&mut self) -> Running;
}

impl Run for Command {
    fn run(&mut self) -> Finished {
        Finished::from_output(self.output().unwrap())
    }

    fn run_with_input(&mut self, input: &[u8]) -> Finished {
        let mut child = self.stdin(Stdio::piped()).start();
        let mut stdin = child.stdin.take().unwrap();
        // A program that does not read all input closes the pipe.
        _ = stdin.write_all(input);
        drop(stdin);
        finish(child)
    }

    fn start(&mut self) -> Running {
        Running(Some(self.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()))
    }
}

/// A directory for one test.
pub(crate) struct Folder(TempDir);

impl Folder {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    /// Returns the path of a file in it, for a command line.
    pub(crate) fn file(&self, name: &str) -> String {
        self.path().join(name).to_str().unwrap().to_owned()
    }

    /// Writes a file that only its owner can read.
    pub(crate) fn write(&self, name: &str, content: impl AsRef<[u8]>) -> String {
        let path = self.file(name);
        std::fs::write(&path, content).unwrap();
        set_mode(Path::new(&path), 0o600);
        path
    }

    pub(crate) fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path().join(name)).unwrap()
    }

    pub(crate) fn names(&self) -> Vec<PathBuf> {
        let entries = std::fs::read_dir(self.path()).unwrap();
        let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into()).collect();
        names.sort_unstable();
        names
    }
}

pub(crate) fn set_mode(path: &Path, mode: u32) {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

pub(crate) fn mode_of(path: impl AsRef<Path>) -> u32 {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

/// Sends a signal to a running program.
pub(crate) fn send(child: &Child, signal: rustix::process::Signal) {
    rustix::process::kill_process(rustix::process::Pid::from_child(child), signal).unwrap();
}

/// Waits for a running program and returns its result.
pub(crate) fn finish(mut running: Running) -> Finished {
    Finished::from_output(running.0.take().unwrap().wait_with_output().unwrap())
}

/// Reads a data file of `vectors/`.
pub(crate) fn vectors(name: &str) -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../vectors").join(name);
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}
