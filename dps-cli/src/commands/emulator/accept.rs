//! `dps emulator accept`: runs a device, a command or a board on the bench, through the scenarios of `dps-accept`, and
//! prints the card.

use std::io::{self, BufRead as _, IsTerminal as _, Write};
use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::builder::NonEmptyStringValueParser;
use clap::{Args, ValueEnum};
use dps_accept::{
    AcceptError, Acceptance, Board, Card, Credential, Level, Outcome, Reset, Scenario, ScenarioResult, ScenarioSet,
    Transport,
};
use dps_core::ErrorCode;
use dps_emulator::{Certificate, SymmetricKey};
use serde::Serialize;
use zeroize::Zeroizing;

use super::options::read_pem;
use super::start_failure;
use crate::connection::{TransportName, duration};
use crate::failure::{Exit, Failure, Result};
use crate::files::{Draft, is_stdin, read_secret};
use crate::output::{Output, lines, note, stderr, write_lines};
use crate::runtime::blocking;

const SETTINGS: &str = "The command learns its settings from the environment, or from placeholders in its arguments: \
DPS_ENDPOINT {endpoint}, DPS_HOST {host}, DPS_HTTPS_PORT {httpsPort}, DPS_MQTT_PORT {mqttPort}, DPS_WSS_PORT {wssPort}, \
DPS_CA_FILE {caFile}, DPS_ID_SCOPE {idScope}, DPS_REGISTRATION_ID {registrationId}, DPS_TRANSPORT {transport}, \
DPS_KEY_FILE {keyFile}, DPS_CERT_FILE {certFile}, DPS_CERT_KEY_FILE {certKeyFile}";

/// `dps emulator accept`.
#[derive(Debug, Args)]
#[command(after_help = SETTINGS)]
pub(crate) struct AcceptArgs {
    /// The device's program and its arguments, after --; it registers once, and is started for each scenario
    #[arg(last = true, value_name = "COMMAND", required_unless_present_any = ["wait", "list"], conflicts_with_all = ["wait", "list"])]
    pub(crate) command: Vec<String>,
    /// Print the scenarios and the documents that they rest on
    #[arg(long)]
    pub(crate) list: bool,
    /// Run only this scenario (repeatable); the score is then about these alone
    #[arg(long, value_name = "NAME", value_parser = NonEmptyStringValueParser::new())]
    pub(crate) only: Vec<String>,
    /// Leave out this scenario (repeatable); it counts as failed
    #[arg(long, value_name = "NAME", value_parser = NonEmptyStringValueParser::new())]
    pub(crate) skip: Vec<String>,
    /// The least score that is good enough, in percent; below it, the exit code is 10
    #[arg(long, value_name = "PERCENT", default_value_t = 100, value_parser = clap::value_parser!(u32).range(0..=100))]
    pub(crate) at_least: u32,
    /// The transport that the device uses
    #[arg(long, value_name = "NAME", value_enum, default_value_t = TransportName::Https)]
    pub(crate) transport: TransportName,
    /// The credential that the command is given
    #[arg(long, value_name = "NAME", value_enum, default_value_t = CredentialName::Key, conflicts_with = "wait")]
    pub(crate) credential: CredentialName,
    /// How many scenarios run at a time; one with --wait or a fixed port
    #[arg(long, value_name = "N", default_value_t = 6, value_parser = clap::value_parser!(u16).range(1..=64))]
    pub(crate) jobs: u16,
    /// Also write the result as JUnit XML
    #[arg(long, value_name = "FILE")]
    pub(crate) junit: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) board: BoardArgs,
    #[command(flatten)]
    pub(crate) place: PlaceArgs,
}

/// A board on the bench.
#[derive(Debug, Args)]
#[command(next_help_heading = "Board")]
pub(crate) struct BoardArgs {
    /// Examine a board that is restarted for each scenario, instead of a command
    #[arg(long, requires = "registration_id", requires = "board_credential")]
    pub(crate) wait: bool,
    /// The registration id of the board
    #[arg(long, value_name = "R", visible_alias = "rid", requires = "wait")]
    pub(crate) registration_id: Option<String>,
    /// A file with the board's key in base64 (- for stdin)
    #[arg(long, value_name = "FILE|-", requires = "wait", group = "board_credential")]
    pub(crate) key_file: Option<PathBuf>,
    /// A file with the board's certificate
    #[arg(long, value_name = "PEM", requires = "wait", group = "board_credential")]
    pub(crate) cert_file: Option<PathBuf>,
    /// A command line that restarts the board. Default: a prompt
    #[arg(long, value_name = "LINE", requires = "wait")]
    pub(crate) reset_command: Option<String>,
    /// Without any call for this time the board has given up; longer than it takes to start
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = duration, requires = "wait")]
    pub(crate) quiet: Duration,
}

/// Where the services listen.
#[derive(Debug, Args)]
#[command(next_help_heading = "Service")]
pub(crate) struct PlaceArgs {
    /// The address to listen on
    #[arg(long, value_name = "IP", default_value_t = IpAddr::V4(Ipv4Addr::LOCALHOST))]
    pub(crate) listen: IpAddr,
    /// The name or address by which the device connects
    #[arg(long, value_name = "NAME", default_value = "localhost")]
    pub(crate) host: String,
    /// The HTTPS port; 0 chooses a free one
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) https_port: u16,
    /// The MQTT port; 0 chooses a free one
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) mqtt_port: u16,
    /// The port of MQTT over WebSocket; 0 chooses a free one; it can be the HTTPS port
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) wss_port: u16,
    /// The id scope
    #[arg(long, value_name = "S", visible_alias = "scope")]
    pub(crate) id_scope: Option<String>,
    /// Serve under this certificate authority instead of a generated one: a CA certificate, and its key in PKCS#8 unless
    /// that is in --tls-ca-key-file
    #[arg(long, value_name = "PEM")]
    pub(crate) tls_ca_file: Option<PathBuf>,
    /// The key of --tls-ca-file
    #[arg(long, value_name = "PEM", requires = "tls_ca_file")]
    pub(crate) tls_ca_key_file: Option<PathBuf>,
}

/// The credentials that a command can be given.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum CredentialName {
    /// A symmetric key
    Key,
    /// A certificate
    X509,
}

impl AcceptArgs {
    /// Returns how many of the command's inputs are to be read from stdin; a prompt is one.
    pub(super) fn stdin_inputs(&self) -> usize {
        let prompts = self.board.wait && self.board.reset_command.is_none();
        usize::from(prompts) + usize::from(self.board.key_file.as_deref().is_some_and(is_stdin))
    }
}

/// Runs the command.
pub(super) async fn run(args: AcceptArgs, output: Output) -> Result<Exit> {
    if args.list {
        return list(output);
    }
    let at_least = args.at_least;
    let (junit, acceptance) = blocking(move || {
        // Before a run of minutes, whose result could not be written.
        let junit = args.junit.as_deref().map(Draft::begin_public).transpose()?;
        Ok((junit, acceptance(args)?))
    })
    .await?;
    // Scenarios take minutes together.
    let shows_progress = !output.is_json() && io::stderr().is_terminal();
    let card = acceptance.run(|result| {
        if shows_progress {
            note(format_args!("{:<14} {}", result.outcome().name(), result.name()));
        }
    });
    let card = card.await.map_err(failure)?;
    if let Some(draft) = junit {
        let xml = card.to_junit();
        blocking(move || draft.write_whole(xml.as_bytes())).await?;
    }
    output.result(&card, |out| show(&card, out))?;
    Ok(if card.score() >= at_least { Exit::Done } else { Exit::Findings })
}

/// Reads the files, and builds the run.
fn acceptance(args: AcceptArgs) -> Result<Acceptance> {
    let place = args.place;
    let (transport, port) = match args.transport {
        TransportName::Https => (Transport::Https, place.https_port),
        TransportName::Mqtt => (Transport::Mqtt, place.mqtt_port),
        TransportName::MqttWs => (Transport::MqttWs, place.wss_port),
    };
    let acceptance = if args.board.wait {
        if port == 0 || place.tls_ca_file.is_none() {
            return Err(Failure::usage(
                "--wait needs the port that the board connects to, such as --https-port 8443, and the certificate \
                 authority that it trusts, by --tls-ca-file; 'dps x509 test-ca' makes one",
            ));
        }
        Acceptance::of_board(board(args.board)?)
    } else {
        let credential = match args.credential {
            CredentialName::Key => Credential::Key,
            CredentialName::X509 => Credential::X509,
        };
        Acceptance::of_command(args.command).credential(credential)
    };
    let acceptance = acceptance
        .transport(transport)
        .only(args.only)
        .skip(args.skip)
        .jobs(args.jobs.into())
        .listen(place.listen)
        .host(place.host)
        .https_port(place.https_port)
        .mqtt_port(place.mqtt_port)
        .wss_port(place.wss_port);
    let acceptance = match place.id_scope {
        Some(id_scope) => acceptance.id_scope(id_scope),
        None => acceptance,
    };
    let Some(certificate_file) = place.tls_ca_file else { return Ok(acceptance) };
    let key_file = place.tls_ca_key_file.unwrap_or_else(|| certificate_file.clone());
    let (certificate, key) = (read_pem(&certificate_file)?, read_pem(&key_file)?);
    Ok(acceptance.authority(certificate.as_str(), key.as_str()))
}

fn board(args: BoardArgs) -> Result<Board> {
    let reset = args.reset_command.map_or_else(|| Reset::call(ask), Reset::command);
    let registration_id = args.registration_id.unwrap_or_default();
    // Checked as a client does, so that the message is the same.
    registration_id.parse::<dps_client::RegistrationId>()?;
    let board = match (args.key_file, args.cert_file) {
        (Some(path), _) => Board::with_key(registration_id, key(&path)?, reset),
        (None, Some(path)) => Board::with_certificate(registration_id, certificate(&path)?, reset),
        (None, None) => return Err(Failure::usage("--wait needs the board's --key-file or --cert-file")),
    };
    Ok(board.quiet(args.quiet))
}

fn key(path: &Path) -> Result<SymmetricKey> {
    let text = read_secret(path, "the board's key")?;
    let key = SymmetricKey::from_base64(text.expose().trim());
    key.map_err(|error| Failure::new(ErrorCode::InvalidKey, error.to_string()).in_source(path.display()))
}

fn certificate(path: &Path) -> Result<Certificate> {
    let text: Zeroizing<String> = read_pem(path)?;
    let certificate = Certificate::from_pem(&text);
    certificate
        .map_err(|error| Failure::new(ErrorCode::InvalidCertificate, error.to_string()).in_source(path.display()))
}

/// Asks a person to restart the board.
fn ask(scenario: &Scenario) -> io::Result<()> {
    lines(&format!("{}: {}", scenario.name(), scenario.about()));
    write!(stderr(), "Restart the board, and press Enter at once: ")?;
    let mut line = String::new();
    match io::stdin().lock().read_line(&mut line)? {
        0 => Err(io::Error::new(io::ErrorKind::UnexpectedEof, "stdin was closed; use --reset-command")),
        _ => Ok(()),
    }
}

fn failure(error: AcceptError) -> Failure {
    let code = match error {
        AcceptError::Start(error) => return start_failure(error),
        AcceptError::UnknownScenario(_)
        | AcceptError::NothingToRun
        | AcceptError::NoCommand
        | AcceptError::Placeholder(..) => return Failure::usage(error.to_string()),
        AcceptError::Listen { .. } | AcceptError::Authority(_) | AcceptError::Enrollment(_) => ErrorCode::InvalidOption,
        AcceptError::Command { .. } | AcceptError::Reset(..) | AcceptError::Prompt(_) => ErrorCode::File,
        AcceptError::File(_) | AcceptError::Directory { .. } => ErrorCode::File,
        _ => ErrorCode::Internal,
    };
    Failure::new(code, error.to_string())
}

/// Failures last, where they are seen.
fn show(card: &Card, out: &mut dyn Write) -> io::Result<()> {
    let is_failed = |result: &&ScenarioResult| matches!(result.outcome(), Outcome::Failed | Outcome::Skipped);
    let others = card.scenarios().iter().filter(|result| !is_failed(result));
    let failed = card.scenarios().iter().filter(is_failed);
    others.chain(failed).try_for_each(|result| write_lines(out, &result.to_string()))?;
    write_lines(out, &card.summary())
}

#[derive(Serialize)]
struct Listed {
    version: u32,
    scenarios: Vec<ListedScenario>,
}

#[derive(Serialize)]
struct ListedScenario {
    name: &'static str,
    about: &'static str,
    level: Level,
    transports: &'static [Transport],
    credentials: &'static [Credential],
    documents: &'static [String],
}

fn list(output: Output) -> Result<Exit> {
    let set = ScenarioSet::get();
    let scenarios = set.scenarios().iter().map(|scenario| ListedScenario {
        name: scenario.name(),
        about: scenario.about(),
        level: scenario.level(),
        transports: scenario.transports(),
        credentials: scenario.credentials(),
        documents: scenario.documents(),
    });
    let listed = Listed { version: set.version(), scenarios: scenarios.collect() };
    output.result(&listed, |out| {
        writeln!(out, "scenarios, version {}", listed.version)?;
        listed.scenarios.iter().try_for_each(|scenario| show_listed(scenario, out))
    })?;
    Ok(Exit::Done)
}

fn show_listed(scenario: &ListedScenario, out: &mut dyn Write) -> io::Result<()> {
    let level = if scenario.level == Level::Required { "required" } else { "recommended" };
    let mut limits = Vec::new();
    if scenario.transports.len() < Transport::ALL.len() {
        limits.extend(scenario.transports.iter().map(|transport| transport.name()));
    }
    if scenario.credentials.len() < Credential::ALL.len() {
        limits.extend(scenario.credentials.iter().map(|credential| credential.name()));
    }
    let limits = if limits.is_empty() { String::new() } else { format!("; only {}", limits.join(", ")) };
    writeln!(out, "{} ({level}{limits})", scenario.name)?;
    writeln!(out, "    {}", scenario.about)?;
    scenario.documents.iter().try_for_each(|document| writeln!(out, "    see {document}"))
}
