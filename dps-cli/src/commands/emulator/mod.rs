//! `dps emulator`: a local provisioning service until Ctrl-C. Commands for an emulator that is running are in
//! `control`.
//!
//! What the service does is implemented by `dps-emulator`; this starts it, prints where it is, and ends it.

mod accept;
mod certificate;
pub(super) mod control;
mod log;

use std::io::{self, Write};
use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};

use clap::{Args, Parser, ValueEnum};
use dps_core::ErrorCode;
use dps_emulator::{Emulator, EmulatorOptions, Refusal, StartError, TlsVersion};
use serde::Serialize;
use tempfile::TempDir;
use zeroize::Zeroizing;

use crate::failure::{Exit, Failure, Result};
use crate::files::{WhenThere, temporary_directory, write_private, write_public};
use crate::output::{Output, note};
use crate::runtime::{Interrupts, blocking};
use crate::shell::{Quoted, program};
use control::{EmulatorCommand, refusal_line};

/// The largest file with a certificate authority, in bytes.
const PEM_MAX: u64 = 64 * 1024;
const CA_FILE: &str = "ca.pem";
const CONNECTION_STRING_FILE: &str = "connection-string";

/// `dps emulator`, alone or with a subcommand.
#[derive(Debug, Args)]
pub(crate) struct EmulatorArgs {
    #[command(flatten)]
    pub(crate) run: EmulatorRunArgs,
    #[command(subcommand)]
    pub(crate) command: Option<EmulatorCommand>,
}

impl EmulatorArgs {
    pub(crate) fn stdin_inputs(&self) -> usize {
        self.command.as_ref().map_or(0, EmulatorCommand::stdin_inputs)
    }
}

/// The options for running an emulator.
#[derive(Debug, PartialEq, Args)]
pub(crate) struct EmulatorRunArgs {
    /// The address to listen on; beyond loopback, other machines can try to register
    #[arg(long, value_name = "IP", default_value_t = IpAddr::V4(Ipv4Addr::LOCALHOST))]
    pub(crate) listen: IpAddr,
    /// A name or address for the certificate, besides localhost, 127.0.0.1 and ::1 (repeatable)
    #[arg(long = "host", value_name = "NAME")]
    pub(crate) hosts: Vec<String>,
    /// The HTTPS port; 0 chooses a free one
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) https_port: u16,
    /// The MQTT port; 0 chooses a free one
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) mqtt_port: u16,
    /// The port of MQTT over WebSocket; 0 chooses a free one; it can be the HTTPS port
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) wss_port: u16,
    /// Also write the certificate authority to this file
    #[arg(long, value_name = "PEM")]
    pub(crate) ca_out: Option<PathBuf>,
    /// Serve under this certificate authority instead of a generated one: a CA certificate, and its key in PKCS#8 unless
    /// that is in --tls-ca-key-file
    #[arg(long, value_name = "PEM")]
    pub(crate) tls_ca_file: Option<PathBuf>,
    /// The key of --tls-ca-file
    #[arg(long, value_name = "PEM", requires = "tls_ca_file")]
    pub(crate) tls_ca_key_file: Option<PathBuf>,
    /// Accept this version of TLS only. Default: 1.2 and 1.3
    #[arg(long, value_enum, value_name = "VERSION")]
    pub(crate) tls_version: Option<TlsVersionName>,
    /// Keep enrollments, certificate authority and policy key in this directory. Default: nothing is kept
    #[arg(long, value_name = "DIR")]
    pub(crate) state: Option<PathBuf>,
    /// The id scope of the local service
    #[arg(long, value_name = "S", visible_alias = "scope")]
    pub(crate) id_scope: Option<String>,
    /// A hub to which devices can be assigned (repeatable). Default: hub-a.test
    #[arg(long = "hub", value_name = "NAME")]
    pub(crate) hubs: Vec<String>,
    /// The seconds that the service asks a device to wait while it assigns a hub
    #[arg(long, value_name = "SECONDS")]
    pub(crate) retry_after: Option<u32>,
    /// How long an assignment takes, in milliseconds. Default: 500
    #[arg(long, value_name = "MS")]
    pub(crate) assigning_ms: Option<u64>,
    /// Reply to the register call with the assignment; some published clients expect to poll
    #[arg(long)]
    pub(crate) assign_at_once: bool,
    /// Return the payload of a register call with the assignment, as a custom allocation webhook can
    #[arg(long)]
    pub(crate) echo_payload: bool,
}

/// The versions of TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum TlsVersionName {
    /// TLS 1.2
    #[value(name = "1.2")]
    Tls12,
    /// TLS 1.3
    #[value(name = "1.3")]
    Tls13,
}

impl EmulatorRunArgs {
    /// Whether any option differs from its default. The parser's own rule for this would include `--json`.
    pub(crate) fn is_customized(&self) -> bool {
        #[derive(Parser)]
        struct Defaults {
            #[command(flatten)]
            run: EmulatorRunArgs,
        }
        Defaults::try_parse_from(["emulator"]).is_ok_and(|defaults| defaults.run != *self)
    }
}

/// Runs the command.
pub(crate) async fn run(args: EmulatorRunArgs, output: Output, interrupts: &mut Interrupts) -> Result<Exit> {
    let directory = ClientFiles::new(args.state.as_deref())?;
    let mut options = options(&args);
    let authority = args.tls_ca_file.clone();
    if let Some(certificate) = args.tls_ca_file {
        let key = args.tls_ca_key_file.unwrap_or_else(|| certificate.clone());
        let (certificate, key) = blocking(move || Ok((read_pem(&certificate)?, read_pem(&key)?))).await?;
        options = options.authority(certificate.as_str(), key.as_str());
    }
    let started = tokio::select! {
        started = Emulator::start(options) => started,
        () = interrupts.next() => return Err(Failure::interrupted()),
    };
    let emulator = started.map_err(|error| {
        let file = authority.filter(|_| matches!(error, StartError::Authority(_)));
        let failure = start_failure(error);
        if let Some(file) = file { failure.in_source(file.display()) } else { failure }
    })?;
    let ready = Ready::new(&emulator, &directory)?;
    ready.write_files(&emulator, args.ca_out).await?;
    output.result(&ready, |out| ready.show(out))?;
    tokio::select! {
        () = interrupts.next() => {}
        failed = print_refusals(&emulator, output) => failed?,
    }
    emulator.shutdown().await;
    Ok(Exit::Done)
}

/// Returns the failure of an emulator that did not start.
pub(crate) fn start_failure(error: StartError) -> Failure {
    let code = match &error {
        StartError::Options(_) | StartError::HostName(_) | StartError::Authority(_) | StartError::Listen { .. } => {
            ErrorCode::InvalidOption
        }
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
    match args.tls_version {
        Some(TlsVersionName::Tls12) => options = options.tls_version(TlsVersion::Tls12),
        Some(TlsVersionName::Tls13) => options = options.tls_version(TlsVersion::Tls13),
        None => {}
    }
    if let Some(seconds) = args.retry_after {
        options = options.default_retry_after_s(seconds);
    }
    if let Some(ms) = args.assigning_ms {
        options = options.service(|service| service.assigning_ms(ms));
    }
    options.assign_at_once(args.assign_at_once).service(|service| service.echo_payload(args.echo_payload))
}

/// Reads a file of PEM, which may contain a key.
fn read_pem(path: &Path) -> Result<Zeroizing<String>> {
    let content = dps_files::read_secret(path, PEM_MAX).map_err(|error| Failure::file("read", path, &error))?;
    let text = std::str::from_utf8(&content).map_err(|_| {
        Failure::new(ErrorCode::InvalidOption, format!("{} is not valid: it is not PEM", path.display()))
    })?;
    Ok(Zeroizing::new(text.to_owned()))
}

/// The directory of the files for clients: the state directory, or a temporary one that only the owner can read.
enum ClientFiles {
    Kept(PathBuf),
    Temporary(TempDir),
}

impl ClientFiles {
    fn new(state: Option<&Path>) -> Result<Self> {
        match state {
            Some(state) => Ok(Self::Kept(state.to_owned())),
            None => temporary_directory().map(Self::Temporary),
        }
    }

    /// Returns the absolute path, so that it is valid in every working directory.
    fn path(&self) -> Result<PathBuf> {
        let path = match self {
            Self::Kept(path) => path,
            Self::Temporary(directory) => directory.path(),
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
    fn new(emulator: &Emulator, directory: &ClientFiles) -> Result<Self> {
        let directory = directory.path()?;
        let (ca_file, connection_string_file) = (directory.join(CA_FILE), directory.join(CONNECTION_STRING_FILE));
        let endpoints =
            Endpoints { https: emulator.endpoint(), mqtt: emulator.mqtt_endpoint(), wss: emulator.wss_endpoint() };
        Ok(Self { id_scope: emulator.id_scope().to_owned(), endpoints, ca_file, connection_string_file })
    }

    async fn write_files(&self, emulator: &Emulator, ca_out: Option<PathBuf>) -> Result<()> {
        let (ca, connection_string) = (emulator.ca_pem().to_owned(), emulator.connection_string());
        let (ca_file, connection_string_file) = (self.ca_file.clone(), self.connection_string_file.clone());
        blocking(move || {
            write_private(&ca_file, ca.as_bytes(), WhenThere::Replace)?;
            write_private(&connection_string_file, connection_string.expose().as_bytes(), WhenThere::Replace)?;
            ca_out.map_or(Ok(()), |ca_out| write_public(&ca_out, ca.as_bytes()))
        })
        .await
    }

    fn show(&self, out: &mut dyn Write) -> io::Result<()> {
        let dps = program();
        let (ca, owner) = (Quoted::path(&self.ca_file), Quoted::path(&self.connection_string_file));
        let key = Quoted::path(&self.ca_file.with_file_name("line-1.key"));
        let (id_scope, https) = (&self.id_scope, &self.endpoints.https);
        writeln!(out, "A local provisioning service is ready; stop it with Ctrl-C.")?;
        writeln!(out, "  id scope           {id_scope}")?;
        writeln!(out, "  https              {https}")?;
        for (name, endpoint) in [("mqtt", &self.endpoints.mqtt), ("mqtt-ws", &self.endpoints.wss)] {
            if let Some(endpoint) = endpoint {
                writeln!(out, "  {name:<18} {endpoint}")?;
            }
        }
        writeln!(out, "  ca file            {ca}")?;
        writeln!(out, "  connection string  {owner}")?;
        writeln!(out, "To try it, create an enrollment group and register a device from another terminal:")?;
        writeln!(
            out,
            "  {dps} enrollment-group create --group-id line-1 --connection-string-file {owner} --ca-file {ca} --key-out {key}"
        )?;
        writeln!(
            out,
            "  {dps} register --id-scope {id_scope} --registration-id dev-01 --group-key-file {key} --endpoint {https} --ca-file {ca}"
        )?;
        writeln!(out, "To test failures, see {dps} emulator fault add --help")
    }
}

/// Prints refusals on stderr as they happen, one line or one JSON object each. Never returns without an error.
async fn print_refusals(emulator: &Emulator, output: Output) -> Result<()> {
    let mut seen = 0;
    loop {
        let refusals = emulator.refusals_after(seen).await;
        for refusal in refusals {
            if !output.is_json() && refusal.number > seen + 1 {
                note(format_args!("{} refusals are not shown", refusal.number - seen - 1));
            }
            seen = refusal.number;
            print_refusal(&refusal, output)?;
        }
    }
}

fn print_refusal(refusal: &Refusal, output: Output) -> Result<()> {
    if output.is_json() {
        note(serde_json::to_string(refusal).map_err(|error| Failure::internal(error.to_string()))?);
    } else {
        note(refusal_line(&refusal.registration_id, refusal.reason.name(), &refusal.reason.to_string()));
    }
    Ok(())
}
