//! `dps emulator fault`, `counters`, `log` and `hub-device`: commands for an emulator that is running, here or
//! elsewhere. `certificate`, `clock` and `export` are in their own
//! modules.
//!
//! Which options of a fault go together, and their ranges, is decided by `dps-emulator`.

use std::io::{self, Write};

use clap::builder::{NonEmptyStringValueParser, PossibleValue, PossibleValuesParser};
use clap::{Args, Subcommand};
use dps_core::RegistrationId;
use dps_emulator::{FaultPlan, Flood, PlanError};
use serde_json::{Map, Value, json};

use super::accept::{self, AcceptArgs};
use super::ca::{self, CaArgs};
use super::certificate::{self, CertificateCommand};
use super::clock::{self, ClockCommand};
use super::export::{self, ExportArgs};
use super::log::{self, LogArgs};
use super::running::{ReachableArgs, RunningArgs};
use crate::admin::{OwnerArgs, connect, connect_publicly};
use crate::failure::{Exit, Failure, Result};
use crate::files::read_secret;
use crate::output::Output;
use crate::runtime::blocking;

/// The members of a fault that its line always contains.
const NAMED: [&str; 5] = ["kind", "at", "registrationId", "times", "left"];

/// The commands for an emulator that is running.
#[derive(Debug, Subcommand)]
pub(crate) enum EmulatorCommand {
    /// Run a device through failures of the service and the network, and score it
    Accept(Box<AcceptArgs>),
    /// Plan failures of an emulator that is running, list them, remove them
    #[command(subcommand)]
    Fault(FaultCommand),
    /// Show how often an emulator that is running was called
    Counters {
        /// Count only the calls of this device
        #[arg(long, value_name = "R", visible_alias = "rid")]
        registration_id: Option<String>,
        #[command(flatten)]
        owner: OwnerArgs,
    },
    /// Show what reached an emulator that is running, and why it was refused
    Log(LogArgs),
    /// Store, list and delete the CA certificates of an emulator that is running
    #[command(subcommand)]
    Certificate(CertificateCommand),
    /// Exit with 0 if an emulator that is running can be used; the connection string's key is not needed
    Health {
        #[command(flatten)]
        emulator: Box<ReachableArgs>,
    },
    /// Print another link to the page of an emulator that is running
    Ui {
        #[command(flatten)]
        emulator: Box<ReachableArgs>,
    },
    /// Print the certificate authority of an emulator that runs here, for devices and as C source for firmware
    Ca(CaArgs),
    /// Print the owner's connection string of an emulator that runs here; it contains the policy key
    ConnectionString(RunningArgs),
    /// Print or write the configuration that starts an emulator equal to one that is running; keys are masked
    Export(ExportArgs),
    /// Show or change the clock of an emulator that is running
    #[command(subcommand)]
    Clock(ClockCommand),
    /// Show, disable, enable, delete or move a device in a hub of an emulator that is running
    #[command(subcommand)]
    HubDevice(HubDeviceCommand),
}

impl EmulatorCommand {
    /// Returns how many of the command's inputs are to be read from stdin.
    pub(super) fn stdin_inputs(&self) -> usize {
        match self {
            Self::Accept(args) => args.stdin_inputs(),
            Self::Fault(command) => command.stdin_inputs(),
            Self::Counters { owner, .. } | Self::Log(LogArgs { owner, .. }) => owner.stdin_inputs(),
            Self::Certificate(command) => command.stdin_inputs(),
            Self::Health { emulator } | Self::Ui { emulator } => emulator.stdin_inputs(),
            Self::Ca(_) | Self::ConnectionString(_) => 0,
            Self::Export(args) => args.owner.stdin_inputs(),
            Self::Clock(command) => command.stdin_inputs(),
            Self::HubDevice(command) => command.stdin_inputs(),
        }
    }
}

/// `dps emulator fault …`.
#[derive(Debug, Subcommand)]
pub(crate) enum FaultCommand {
    /// Plan a failure for the next requests that match
    Add(Box<FaultAddArgs>),
    /// List the planned failures, in the order in which requests meet them
    List {
        #[command(flatten)]
        owner: OwnerArgs,
    },
    /// Remove planned failures
    Clear {
        /// Remove only those planned for this device; those for every device stay
        #[arg(long, value_name = "R", visible_alias = "rid")]
        registration_id: Option<String>,
        #[command(flatten)]
        owner: OwnerArgs,
    },
}

/// `dps emulator fault add`.
#[derive(Debug, Args)]
pub(crate) struct FaultAddArgs {
    /// The kind of failure
    #[arg(long, value_parser = kinds())]
    pub(crate) kind: String,
    /// The requests that fail; any is register, poll and lookup; renew is a certificate request to a hub, issue its last answer
    #[arg(long, value_name = "REQUEST", default_value = "any", value_parser = PossibleValuesParser::new(FaultPlan::requests()))]
    pub(crate) at: String,
    /// The device whose requests fail. Default: every device
    #[arg(long, value_name = "R", visible_alias = "rid")]
    pub(crate) registration_id: Option<String>,
    /// How many requests fail
    #[arg(long, value_name = "N", default_value_t = 1, allow_negative_numbers = true)]
    pub(crate) times: i64,
    /// throttle, server-error: the Retry-After hint
    #[arg(long, value_name = "SECONDS", conflicts_with = "retry_after_date", allow_negative_numbers = true)]
    pub(crate) retry_after: Option<i64>,
    /// throttle, server-error: the Retry-After hint as an HTTP-date, relative to the service's clock
    #[arg(long, value_name = "SECONDS", allow_negative_numbers = true)]
    pub(crate) retry_after_date: Option<i64>,
    /// server-error: the status
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    pub(crate) status: Option<i64>,
    /// delay: the delay of the reply, in milliseconds
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    pub(crate) ms: Option<i64>,
    /// oversize-reply: the size of the body
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    pub(crate) bytes: Option<i64>,
    /// patch-reply: the changes of the body, as a JSON merge patch (RFC 7396)
    #[arg(long, value_name = "JSON", value_parser = parse_json)]
    pub(crate) patch: Option<Value>,
    /// refuse-connect: the code of CONNACK
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    pub(crate) code: Option<i64>,
    /// flood: what is sent repeatedly
    #[arg(long, value_name = "WHAT", value_parser = PossibleValuesParser::new(Flood::names()))]
    pub(crate) of: Option<String>,
    /// flood over MQTT: after the reply, while the device waits
    #[arg(long)]
    pub(crate) answered: bool,
    #[command(flatten)]
    pub(crate) owner: OwnerArgs,
}

fn parse_json(text: &str) -> std::result::Result<Value, serde_json::Error> {
    serde_json::from_str(text)
}

fn kinds() -> PossibleValuesParser {
    FaultPlan::kinds().map(|(name, meaning)| PossibleValue::new(name).help(meaning)).into()
}

impl FaultCommand {
    fn stdin_inputs(&self) -> usize {
        match self {
            Self::Add(args) => args.owner.stdin_inputs(),
            Self::List { owner } | Self::Clear { owner, .. } => owner.stdin_inputs(),
        }
    }
}

/// `dps emulator hub-device …`.
#[derive(Debug, Subcommand)]
pub(crate) enum HubDeviceCommand {
    /// Show whether the hub accepts the device, and how often the device connected
    Show(HubDeviceArgs),
    /// Make the hub reject the device
    Disable(HubDeviceArgs),
    /// Make the hub accept the device again
    Enable(HubDeviceArgs),
    /// Delete the device from the hub
    Delete(HubDeviceArgs),
    /// Move the device to another linked hub
    Move {
        #[command(flatten)]
        device: HubDeviceArgs,
        /// The hub to move it to
        #[arg(long, value_name = "HOST", value_parser = NonEmptyStringValueParser::new())]
        to: String,
    },
}

/// A device in a hub.
#[derive(Debug, Args)]
pub(crate) struct HubDeviceArgs {
    /// The hub of the device, such as hub-a.test
    #[arg(long, value_name = "HOST", value_parser = NonEmptyStringValueParser::new())]
    pub(crate) hub: String,
    /// The device's id in the hub
    #[arg(long, value_name = "D", value_parser = NonEmptyStringValueParser::new())]
    pub(crate) device_id: String,
    #[command(flatten)]
    pub(crate) owner: OwnerArgs,
}

impl HubDeviceCommand {
    fn stdin_inputs(&self) -> usize {
        match self {
            Self::Show(device)
            | Self::Disable(device)
            | Self::Enable(device)
            | Self::Delete(device)
            | Self::Move { device, .. } => device.owner.stdin_inputs(),
        }
    }
}

/// Runs the command.
pub(crate) async fn run(command: EmulatorCommand, output: Output) -> Result<Exit> {
    match command {
        EmulatorCommand::Accept(args) => return accept::run(*args, output).await,
        EmulatorCommand::Fault(FaultCommand::Add(args)) => {
            let plan = plan(&args)?;
            let answer = connect(args.owner).await?.plan_fault(&plan).await?;
            output.result(&answer, |out| faults(&answer, "planned: ", out))?;
        }
        EmulatorCommand::Fault(FaultCommand::List { owner }) => {
            let answer = connect(owner).await?.planned_faults().await?;
            output.result(&answer, |out| faults(&answer, "", out))?;
        }
        EmulatorCommand::Fault(FaultCommand::Clear { registration_id, owner }) => {
            check_id(registration_id.as_deref())?;
            let answer = connect(owner).await?.clear_faults(registration_id.as_deref()).await?;
            output.result(&answer, |out| match answer["cleared"].as_u64() {
                Some(1) => writeln!(out, "1 fault removed"),
                cleared => writeln!(out, "{} faults removed", cleared.unwrap_or_default()),
            })?;
        }
        EmulatorCommand::Certificate(command) => return certificate::run(command, output).await,
        EmulatorCommand::Health { emulator } => {
            let answer = connect_publicly(emulator.public().await?).await?.readiness().await?;
            output.result(&answer, |out| health(&answer, out))?;
        }
        EmulatorCommand::Ui { emulator } => {
            let answer = connect(emulator.owner().await?).await?.make_page_link().await?;
            output.result(&answer, |out| writeln!(out, "{}", answer["url"].as_str().unwrap_or_default()))?;
        }
        EmulatorCommand::Ca(args) => return ca::run(args, output).await,
        EmulatorCommand::ConnectionString(args) => return connection_string(&args, output).await,
        EmulatorCommand::Export(args) => return export::run(args, output).await,
        EmulatorCommand::Clock(command) => return clock::run(command, output).await,
        EmulatorCommand::HubDevice(command) => return hub_device(command, output).await,
        EmulatorCommand::Log(args) => return log::run(args, output).await,
        EmulatorCommand::Counters { registration_id, owner } => {
            check_id(registration_id.as_deref())?;
            let answer = connect(owner).await?.counters(registration_id.as_deref()).await?;
            output.result(&answer, |out| counters(&answer, out))?;
        }
    }
    Ok(Exit::Done)
}

async fn connection_string(args: &RunningArgs, output: Output) -> Result<Exit> {
    let path = args.find().await?.connection_string_file;
    let text = blocking(move || read_secret(&path, "the service's connection string")).await?;
    let answer = json!({ "connectionString": text.expose() });
    output.result(&answer, |out| writeln!(out, "{}", text.expose()))?;
    Ok(Exit::Done)
}

pub(super) fn check_id(registration_id: Option<&str>) -> Result<()> {
    registration_id.map_or(Ok(()), |id| RegistrationId::new(id).map(drop).map_err(Failure::from))
}

/// Returns the fault that the options describe. Options that cannot be combined are refused before anything is sent.
fn plan(args: &FaultAddArgs) -> Result<FaultPlan> {
    check_id(args.registration_id.as_deref())?;
    let date = args.retry_after_date.map(|seconds| json!({ "dateOffset": seconds }));
    let members = [
        ("kind", Some(json!(args.kind))),
        ("at", Some(json!(args.at))),
        ("times", Some(json!(args.times))),
        ("registrationId", args.registration_id.as_ref().map(|id| json!(id))),
        ("retryAfter", args.retry_after.map(Value::from).or(date)),
        ("status", args.status.map(Value::from)),
        ("ms", args.ms.map(Value::from)),
        ("bytes", args.bytes.map(Value::from)),
        ("patch", args.patch.clone()),
        ("code", args.code.map(Value::from)),
        ("of", args.of.as_ref().map(|of| json!(of))),
        ("answered", args.answered.then_some(json!(true))),
    ];
    let given = members.into_iter().filter_map(|(member, value)| Some((member.to_owned(), value?)));
    FaultPlan::try_from(given.collect::<Map<_, _>>()).map_err(|error| invalid_plan(&error, args))
}

fn invalid_plan(error: &PlanError, args: &FaultAddArgs) -> Failure {
    let date = if error.member() == "retryAfter" && args.retry_after_date.is_some() { "-date" } else { "" };
    Failure::usage(format!("--{}{date} {}", option_name(error.member()), error.problem()))
}

/// Returns the name of a member in the spelling of options, such as `retry-after`.
fn option_name(member: &str) -> String {
    let mut words = String::new();
    for letter in member.chars() {
        if letter.is_ascii_uppercase() {
            words.push('-');
        }
        words.push(letter.to_ascii_lowercase());
    }
    words
}

/// Writes one line per front.
fn health(answer: &Value, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "ready")?;
    for front in ["https", "mqtt", "wss"] {
        writeln!(out, "  {front:<5}  {}", answer["endpoints"][front].as_str().unwrap_or("disabled"))?;
    }
    Ok(())
}

/// Writes one line per fault.
fn faults(answer: &Value, heading: &str, out: &mut dyn Write) -> io::Result<()> {
    let faults = answer["faults"].as_array().map(Vec::as_slice).unwrap_or_default();
    if faults.is_empty() {
        return writeln!(out, "no faults are planned");
    }
    for fault in faults.iter().filter_map(Value::as_object) {
        let word = |member: &str| fault.get(member).and_then(Value::as_str);
        let (kind, at) = (word("kind").unwrap_or("?"), word("at").unwrap_or("?"));
        let device = word("registrationId").unwrap_or("every device");
        let others = fault.iter().filter(|(member, _)| !NAMED.contains(&member.as_str()));
        let others: String = others.map(|(member, value)| format!(", {} {value}", option_name(member))).collect();
        let number = |member: &str| fault.get(member).and_then(Value::as_u64).unwrap_or_default();
        let (left, times) = (number("left"), number("times"));
        writeln!(out, "{heading}{kind} at {at} for {device}{others}, {left} of {times} left")?;
    }
    Ok(())
}

fn counters(answer: &Value, out: &mut dyn Write) -> io::Result<()> {
    if let Some(id) = answer["registrationId"].as_str() {
        writeln!(out, "registration {id}")?;
    }
    for (name, value) in answer.as_object().into_iter().flatten() {
        if let Some(value) = value.as_u64() {
            writeln!(out, "  {:<13}  {value}", option_name(name))?;
        }
    }
    for (reason, count) in answer["refusals"].as_object().into_iter().flatten() {
        writeln!(out, "  refused, {reason}  {count}")?;
    }
    Ok(())
}

/// Runs `dps emulator hub-device`.
async fn hub_device(command: HubDeviceCommand, output: Output) -> Result<Exit> {
    let answer = match command {
        HubDeviceCommand::Show(HubDeviceArgs { hub, device_id, owner }) => {
            connect(owner).await?.hub_device(&hub, &device_id).await?
        }
        HubDeviceCommand::Delete(HubDeviceArgs { hub, device_id, owner }) => {
            connect(owner).await?.delete_hub_device(&hub, &device_id).await?
        }
        HubDeviceCommand::Disable(device) => change_device(device, json!({ "enabled": false })).await?,
        HubDeviceCommand::Enable(device) => change_device(device, json!({ "enabled": true })).await?,
        HubDeviceCommand::Move { device, to } => change_device(device, json!({ "hub": to })).await?,
    };
    output.result(&answer, |out| show_device(&answer, out))?;
    Ok(Exit::Done)
}

async fn change_device(device: HubDeviceArgs, change: Value) -> Result<Value> {
    let HubDeviceArgs { hub, device_id, owner } = device;
    connect(owner).await?.change_hub_device(&hub, &device_id, &change).await
}

fn show_device(answer: &Value, out: &mut dyn Write) -> io::Result<()> {
    let word = |member: &str| answer[member].as_str().unwrap_or("?");
    writeln!(out, "{} in {}: {}", word("deviceId"), word("hub"), word("state"))?;
    for member in ["connects", "refused", "twins", "telemetry"] {
        writeln!(out, "  {member:<9}  {}", answer[member].as_u64().unwrap_or_default())?;
    }
    Ok(())
}

/// Returns a refused credential in one line. The output escapes what a client sent.
pub(super) fn refusal_line(registration_id: &str, reason: &str, message: &str) -> String {
    let who = if registration_id.is_empty() { "an admin call" } else { registration_id };
    format!("refused {who}: {message} ({reason})")
}
