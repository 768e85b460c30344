//! `dps emulator`: a local provisioning service until Ctrl-C.
//!
//! What the service does is the emulator crate's; this starts it, says where it is, and ends it.

mod control;
mod hub_device;
mod refusals;

pub(super) use control::run as control;

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use dps_core::ErrorCode;
use dps_emulator::{Emulator, EmulatorOptions, StartError};
use serde::Serialize;
use tempfile::TempDir;

use super::blocking;
use crate::args::EmulatorRunArgs;
use crate::exit::Exit;
use crate::failure::{Failure, Result};
use crate::interrupt::Interrupts;
use crate::invocation::{Quoted, program};
use crate::output::Output;
use crate::private_file::{self, WhenThere};

const CA_FILE: &str = "ca.pem";
const CONNECTION_STRING_FILE: &str = "connection-string";

/// Runs the command.
pub(crate) async fn run(args: EmulatorRunArgs, output: Output, interrupts: &mut Interrupts) -> Result<Exit> {
    let folder = Folder::of(args.state.as_deref())?;
    let started = tokio::select! {
        started = Emulator::start(options(&args)) => started,
        () = interrupts.next() => return Err(Failure::interrupted()),
    };
    let emulator = started.map_err(start_failure)?;
    let ready = Ready::new(&emulator, &folder)?;
    ready.write_files(&emulator, args.ca_out).await?;
    output.result(&ready, |out| ready.show(out))?;
    tokio::select! {
        () = interrupts.next() => {}
        failed = refusals::tell(&emulator, output) => failed?,
    }
    emulator.shutdown().await;
    Ok(Exit::Done)
}

/// Why an emulator did not start, in the terms of the catalogue.
pub(crate) fn start_failure(error: StartError) -> Failure {
    let code = match &error {
        StartError::Options(_) | StartError::HostName(_) | StartError::Listen { .. } => ErrorCode::InvalidOption,
        StartError::State(_) => ErrorCode::File,
        _ => ErrorCode::Internal,
    };
    Failure::new(code, error.to_string())
}

fn options(args: &EmulatorRunArgs) -> EmulatorOptions {
    let mut options = EmulatorOptions::new()
        .listen(args.listen)
        .https_port(args.https_port)
        .mqtt_port(args.mqtt_port)
        .wss_port(args.wss_port);
    for host in &args.hosts {
        options = options.host_name(host);
    }
    for hub in &args.hubs {
        options = options.hub(hub, 1);
    }
    if let Some(id_scope) = &args.id_scope {
        options = options.id_scope(id_scope);
    }
    if let Some(state) = &args.state {
        options = options.state_dir(state);
    }
    if let Some(seconds) = args.retry_after {
        options = options.default_retry_after_s(seconds);
    }
    if let Some(ms) = args.assigning_ms {
        options = options.service(|service| service.assigning_ms(ms));
    }
    options.assign_at_once(args.assign_at_once).service(|service| service.echo_payload(args.echo_payload))
}

/// Where the files for clients stand: the state folder, or a private one that goes with the program.
enum Folder {
    Kept(PathBuf),
    Temporary(TempDir),
}

impl Folder {
    fn of(state: Option<&Path>) -> Result<Self> {
        match state {
            Some(state) => Ok(Self::Kept(state.to_owned())),
            None => private_file::temporary_folder().map(Self::Temporary),
        }
    }

    /// The absolute path, so that it is right from every other folder too.
    fn path(&self) -> Result<PathBuf> {
        let path = match self {
            Self::Kept(path) => path,
            Self::Temporary(folder) => folder.path(),
        };
        path.canonicalize().map_err(|error| Failure::file("use", path, &error))
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Ready {
    id_scope: String,
    endpoints: Endpoints,
    ca_file: PathBuf,
    connection_string_file: PathBuf,
}

#[derive(Serialize)]
struct Endpoints {
    https: String,
    mqtt: Option<String>,
    wss: Option<String>,
}

impl Ready {
    fn new(emulator: &Emulator, folder: &Folder) -> Result<Self> {
        let folder = folder.path()?;
        let (ca_file, connection_string_file) = (folder.join(CA_FILE), folder.join(CONNECTION_STRING_FILE));
        let endpoints =
            Endpoints { https: emulator.endpoint(), mqtt: emulator.mqtt_endpoint(), wss: emulator.wss_endpoint() };
        Ok(Self { id_scope: emulator.id_scope().to_owned(), endpoints, ca_file, connection_string_file })
    }

    async fn write_files(&self, emulator: &Emulator, ca_out: Option<PathBuf>) -> Result<()> {
        let (ca, connection_string) = (emulator.ca_pem().to_owned(), emulator.connection_string());
        let (ca_file, connection_string_file) = (self.ca_file.clone(), self.connection_string_file.clone());
        blocking(move || {
            private_file::write(&ca_file, ca.as_bytes(), WhenThere::Replace)?;
            private_file::write(&connection_string_file, connection_string.expose().as_bytes(), WhenThere::Replace)?;
            ca_out.map_or(Ok(()), |ca_out| private_file::write_public(&ca_out, ca.as_bytes()))
        })
        .await
    }

    fn show(&self, out: &mut dyn Write) -> io::Result<()> {
        let dps = program();
        let (ca, owner) = (Quoted::path(&self.ca_file), Quoted::path(&self.connection_string_file));
        let key = Quoted::path(&self.ca_file.with_file_name("line-1.key"));
        let (id_scope, https) = (&self.id_scope, &self.endpoints.https);
        writeln!(out, "A local provisioning service is ready; Ctrl-C ends it.")?;
        writeln!(out, "  id scope           {id_scope}")?;
        writeln!(out, "  https              {https}")?;
        for (name, endpoint) in [("mqtt", &self.endpoints.mqtt), ("mqtt-ws", &self.endpoints.wss)] {
            if let Some(endpoint) = endpoint {
                writeln!(out, "  {name:<18} {endpoint}")?;
            }
        }
        writeln!(out, "  ca file            {ca}")?;
        writeln!(out, "  connection string  {owner}")?;
        writeln!(out, "Try in another terminal, an enrollment group and a device of it:")?;
        writeln!(
            out,
            "  {dps} enrollment-group create --group-id line-1 --connection-string-file {owner} --ca-file {ca} --key-out {key}"
        )?;
        writeln!(
            out,
            "  {dps} register --id-scope {id_scope} --registration-id dev-01 --group-key-file {key} --endpoint {https} --ca-file {ca}"
        )?;
        writeln!(out, "It fails on command: see {dps} emulator fault add --help")
    }
}
