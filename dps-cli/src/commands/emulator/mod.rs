//! `dps emulator`: a local provisioning service until Ctrl-C. Commands for an emulator that is running are in
//! `control`.
//!
//! What the service does is implemented by `dps-emulator`; this starts it, prints where it is, and ends it.

mod accept;
mod ca;
mod certificate;
mod clock;
pub(super) mod control;
mod export;
mod issuance;
mod log;
mod options;
mod running;
mod ui_options;
mod webhooks;

use std::io::{self, Write};
use std::path::PathBuf;

use clap::Args;
use dps_core::ErrorCode;
use dps_emulator::{Emulator, Refusal, StartError};
use serde::Serialize;

use crate::failure::{Exit, Failure, Result};
use crate::files::write_public;
use crate::output::{Output, note};
use crate::runtime::{Interrupts, blocking};
use crate::shell::{Quoted, program};
use control::{EmulatorCommand, refusal_line};
use options::EmulatorRunArgs;
use running::{Facts, RunDirectory};

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
        self.command.as_ref().map_or(0, EmulatorCommand::stdin_inputs) + self.run.stdin_inputs()
    }
}

/// Runs the command.
pub(crate) async fn run(args: EmulatorRunArgs, output: Output, interrupts: &mut Interrupts) -> Result<Exit> {
    let (ca_out, authority) = (args.ca_out.clone(), args.tls_ca_file.clone());
    let options = blocking(move || options::read(&args)).await?;
    let directory = RunDirectory::create(options.state_directory())?;
    if options.ui_is_exposed() {
        note(
            "warning: the page is served without TLS beyond loopback: whoever can read its traffic can control the emulator; \
             publish its port on loopback only",
        );
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
    let facts = directory.facts(&emulator)?;
    directory.write(&facts, &emulator).await?;
    if let Some(ca_out) = ca_out {
        let ca = emulator.ca_pem().to_owned();
        blocking(move || write_public(&ca_out, ca.as_bytes())).await?;
    }
    let ready = Ready::new(&emulator, facts);
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
        StartError::Options(_)
        | StartError::HostName(_)
        | StartError::Announced(_)
        | StartError::Authority(_)
        | StartError::Clock(_)
        | StartError::Contents(_)
        | StartError::Listen { .. }
        | StartError::Ports(_) => ErrorCode::InvalidOption,
        StartError::WebhookRoots(_) => ErrorCode::InvalidCertificate,
        StartError::State(_) => ErrorCode::File,
        _ => ErrorCode::Internal,
    };
    Failure::new(code, error.to_string())
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Ready {
    id_scope: String,
    endpoints: Endpoints,
    ca_file: PathBuf,
    ca_sha256: String,
    connection_string_file: PathBuf,
    /// `null` with `--no-ui`.
    page_url: Option<String>,
}

#[derive(Serialize)]
struct Endpoints {
    https: String,
    mqtt: Option<String>,
    wss: Option<String>,
}

impl Ready {
    fn new(emulator: &Emulator, facts: Facts) -> Self {
        let endpoints =
            Endpoints { https: emulator.endpoint(), mqtt: emulator.mqtt_endpoint(), wss: emulator.wss_endpoint() };
        Self {
            id_scope: emulator.id_scope().to_owned(),
            endpoints,
            ca_file: facts.ca_file,
            ca_sha256: emulator.ca_sha256(),
            connection_string_file: facts.connection_string_file,
            page_url: emulator.page_link().map(|link| link.expose().to_owned()),
        }
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
        writeln!(out, "  ca sha-256         {}", self.ca_sha256)?;
        writeln!(out, "  connection string  {owner}")?;
        if let Some(page) = &self.page_url {
            writeln!(out, "  page               {page}")?;
            writeln!(out, "The page's link works once, within ten minutes; for another one: {dps} emulator ui")?;
        }
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
