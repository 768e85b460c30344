//! A `dps emulator` process, for checks of programs that register.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};

use serde_json::Value;

use crate::run::{Outcome, build_workspace, command, output, target_dir};

/// A running `dps emulator`, which is stopped when this is dropped.
pub(crate) struct Emulator {
    process: Child,
    program: PathBuf,
    folder: PathBuf,
    pub(crate) id_scope: String,
    pub(crate) https: String,
    pub(crate) mqtt: String,
    pub(crate) wss: String,
    /// The file of its certificate authority.
    pub(crate) ca: String,
    /// The file with its connection string for service clients.
    pub(crate) connection_string: String,
}

impl Emulator {
    /// Builds the program and starts it. `folder` is for its state and for keys.
    pub(crate) fn start(folder: &Path, options: &[&str]) -> Result<Self, String> {
        build_workspace()?;
        let program = target_dir().join("debug/dps");
        let program = std::fs::canonicalize(&program).map_err(|error| format!("{}: {error}", program.display()))?;
        Self::start_built(&program, folder, options)
    }

    /// Starts a program that was built.
    pub(crate) fn start_built(program: &Path, folder: &Path, options: &[&str]) -> Result<Self, String> {
        let state = folder.join("state");
        // Removes the state of an earlier run.
        let _ = std::fs::remove_dir_all(&state);
        let mut process = command(program, ["emulator", "--json", "--state"])
            .arg(&state)
            .args(options)
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| format!("{}: {error}", program.display()))?;
        let mut line = String::new();
        let read = process.stdout.take().map(|out| BufReader::new(out).read_line(&mut line));
        let ready: Value = serde_json::from_str(&line).unwrap_or_default();
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let emulator = Self {
            process,
            program: program.to_owned(),
            folder: folder.to_owned(),
            id_scope: text(&ready["idScope"]),
            https: text(&ready["endpoints"]["https"]),
            mqtt: text(&ready["endpoints"]["mqtt"]),
            wss: text(&ready["endpoints"]["wss"]),
            ca: text(&ready["caFile"]),
            connection_string: text(&ready["connectionStringFile"]),
        };
        if emulator.id_scope.is_empty() {
            return Err(format!("the emulator did not start: {line} {read:?}"));
        }
        Ok(emulator)
    }

    /// Creates an individual enrollment; returns the file of its key.
    pub(crate) fn enroll(&self, registration_id: &str) -> Result<PathBuf, String> {
        let key = self.new_file("device.key");
        self.dps(&["enrollment", "create", "--registration-id", registration_id], &key)?;
        Ok(key)
    }

    /// Creates an enrollment group; returns the key of one of its devices.
    pub(crate) fn enroll_group(&self, registration_id: &str) -> Result<String, String> {
        let key = self.new_file("group.key");
        self.dps(&["enrollment-group", "create", "--group-id", "line-7"], &key)?;
        self.derived_key(registration_id)
    }

    /// Returns the key of another device of this group.
    pub(crate) fn derived_key(&self, registration_id: &str) -> Result<String, String> {
        let key = self.folder.join("group.key");
        let derive = ["derive-key", "--registration-id", registration_id, "--group-key-file"];
        output(command(&self.program, derive).arg(&key)).map(|text| text.trim().to_owned())
    }

    /// Registers a device with `dps`.
    pub(crate) fn register(&self, registration_id: &str, key: &str) -> Outcome {
        let mut dps = command(&self.program, ["register", "--registration-id", registration_id]);
        dps.args(["--id-scope", &self.id_scope, "--endpoint", &self.https, "--ca-file", &self.ca]);
        output(dps.env("DPS_KEY", key)).map(|_| ())
    }

    /// Makes an authority, and certificates of these devices; returns their folder.
    pub(crate) fn certificates(&self, registration_ids: &[&str]) -> Result<PathBuf, String> {
        let folder = self.folder.join("certificates");
        let _ = std::fs::remove_dir_all(&folder);
        let mut make = command(&self.program, ["x509", "test-ca", "--out"]);
        make.arg(&folder).args(registration_ids.iter().flat_map(|id| ["--registration-id", id]));
        output(&mut make).map(|_| folder)
    }

    /// Enrolls a device by its own certificate, and the group `certified` by that of the intermediate.
    pub(crate) fn enroll_certificates(&self, folder: &Path, registration_id: &str) -> Outcome {
        let file = |name: &str| folder.join(name).to_string_lossy().into_owned();
        let device = ["enrollment", "create", "--registration-id", registration_id, "--cert-file"];
        self.administer(&[&device[..], &[&file(&format!("{registration_id}.pem"))]].concat())?;
        self.administer(&["emulator", "certificate", "add", "root", "--file", &file("root-ca.pem")])?;
        let group = ["enrollment-group", "create", "--group-id", "certified", "--signing-cert-file"];
        self.administer(&[&group[..], &[&file("intermediate-ca.pem")]].concat())
    }

    fn new_file(&self, name: &str) -> PathBuf {
        let path = self.folder.join(name);
        let _ = std::fs::remove_file(&path);
        path
    }

    fn dps(&self, words: &[&str], key_out: &Path) -> Outcome {
        self.administer(&[words, &["--key-out", &key_out.to_string_lossy()]].concat())
    }

    /// Runs a command of `dps` that changes it.
    pub(crate) fn administer(&self, words: &[&str]) -> Outcome {
        let mut dps = command(&self.program, words);
        dps.args(["--connection-string-file", &self.connection_string, "--ca-file", &self.ca]);
        output(&mut dps).map(|_| ())
    }
}

impl Drop for Emulator {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
