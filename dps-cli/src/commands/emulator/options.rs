//! The options for running an emulator: those of a configuration file, and those of the command line, which replace them.

use std::env::VarError;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use clap::{Args, Parser, ValueEnum};
use dps_core::ErrorCode;
use dps_emulator::{ConfigError, ConnectionProfile, EmulatorOptions, SymmetricKey, TlsVersion};
use zeroize::Zeroizing;

use super::issuance::IssuanceRunArgs;
use super::ui_options::UiRunArgs;
use super::webhooks::WebhookRunArgs;
use crate::failure::{Failure, Result};
use crate::files::{is_stdin, read_secret, source_name};

const HOSTS_VARIABLE: &str = "DPS_EMULATOR_HOSTS";
const STATE_VARIABLE: &str = "DPS_EMULATOR_STATE";
/// The largest file with a certificate authority, in bytes.
const PEM_MAX: u64 = 64 * 1024;

/// The options for running an emulator.
#[derive(Debug, PartialEq, Args)]
pub(crate) struct EmulatorRunArgs {
    /// Start with the options, hubs, certificates, enrollments and faults of this file (TOML). Options of the command line
    /// replace those of the file
    #[arg(long, value_name = "FILE", env = "DPS_EMULATOR_CONFIG")]
    pub(crate) config: Option<PathBuf>,
    /// The address to listen on; beyond loopback, other machines can try to register. Default: 127.0.0.1
    #[arg(long, value_name = "IP", env = "DPS_EMULATOR_LISTEN")]
    pub(crate) listen: Option<IpAddr>,
    /// A name or address for the certificate, besides localhost, 127.0.0.1 and ::1 (repeatable). Default: those in
    /// DPS_EMULATOR_HOSTS, separated by commas
    #[arg(long = "host", value_name = "NAME")]
    pub(crate) hosts: Vec<String>,
    /// The HTTPS port; 0, the default, chooses a free one
    #[arg(long, value_name = "N", env = "DPS_EMULATOR_HTTPS_PORT")]
    pub(crate) https_port: Option<u16>,
    /// The MQTT port; 0, the default, chooses a free one
    #[arg(long, value_name = "N", env = "DPS_EMULATOR_MQTT_PORT")]
    pub(crate) mqtt_port: Option<u16>,
    /// The port of MQTT over WebSocket; 0, the default, chooses a free one; it can be the HTTPS port
    #[arg(long, value_name = "N", env = "DPS_EMULATOR_WSS_PORT")]
    pub(crate) wss_port: Option<u16>,
    /// Listen on the ports of the service, which some published clients require: 443 and 8883, whatever the environment says
    #[arg(long)]
    pub(crate) fixed_ports: bool,
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
    /// Keep enrollments, certificate authority and policy key in this directory. Default: DPS_EMULATOR_STATE, or else
    /// nothing is kept
    #[arg(long, value_name = "DIR")]
    pub(crate) state: Option<PathBuf>,
    /// The file with the key of the policy provisioningserviceowner, so that the connection string is known beforehand (-
    /// for stdin). Default: a generated key
    #[arg(long, value_name = "FILE|-")]
    pub(crate) policy_key_file: Option<PathBuf>,
    /// Repeat operation ids, tracking ids and etags, and on loopback also the generated keys, which can then be guessed
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(..=i64::MAX.unsigned_abs()))]
    pub(crate) seed: Option<u64>,
    /// The id scope of the local service
    #[arg(long, value_name = "S", visible_alias = "scope")]
    pub(crate) id_scope: Option<String>,
    /// A hub to which devices can be assigned (repeatable). With `=mqttV5` after its name, it refuses MQTT 3.1.1. Default:
    /// hub-a.test
    #[arg(long = "hub", value_name = "NAME[=PROFILE]", value_parser = parse_hub)]
    pub(crate) hubs: Vec<(String, ConnectionProfile)>,
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
    #[command(flatten)]
    pub(crate) issuance: IssuanceRunArgs,
    #[command(flatten)]
    pub(crate) webhooks: WebhookRunArgs,
    #[command(flatten)]
    pub(crate) ui: UiRunArgs,
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

    pub(super) fn stdin_inputs(&self) -> usize {
        usize::from(self.policy_key_file.as_deref().is_some_and(is_stdin))
    }
}

/// Reads the files that the options name.
pub(super) fn read(args: &EmulatorRunArgs) -> Result<EmulatorOptions> {
    let options = match &args.config {
        Some(path) => EmulatorOptions::from_config_file(path).map_err(|error| match &error {
            ConfigError::Read { path, source, .. } => Failure::file("read", path, source),
            _ => Failure::option(error.to_string()),
        })?,
        None => EmulatorOptions::new().mqtt_port(0).wss_port(0).ui_port(0),
    };
    let options = args.issuance.apply(service(args, args.ui.apply(listeners(args, options)?)?)?);
    args.webhooks.apply(options)
}

fn listeners(args: &EmulatorRunArgs, mut options: EmulatorOptions) -> Result<EmulatorOptions> {
    if let Some(address) = args.listen {
        options = options.listen(address);
    }
    let hosts = host_names(&args.hosts)?;
    if !hosts.is_empty() {
        options = options.host_names(hosts);
    }
    options = ports(args, options)?;
    match args.tls_version {
        Some(TlsVersionName::Tls12) => options = options.tls_version(TlsVersion::Tls12),
        Some(TlsVersionName::Tls13) => options = options.tls_version(TlsVersion::Tls13),
        None => {}
    }
    if let Some(certificate) = &args.tls_ca_file {
        let key = args.tls_ca_key_file.as_ref().unwrap_or(certificate);
        options = options.authority(read_pem(certificate)?.as_str(), read_pem(key)?.as_str());
    }
    if let Some(state) = state_directory(args.state.as_deref()) {
        options = options.state_dir(state);
    }
    Ok(options)
}

fn ports(args: &EmulatorRunArgs, mut options: EmulatorOptions) -> Result<EmulatorOptions> {
    if args.fixed_ports {
        exclude(
            "--fixed-ports",
            &[
                ("--https-port", args.https_port.is_some(), Some("DPS_EMULATOR_HTTPS_PORT")),
                ("--mqtt-port", args.mqtt_port.is_some(), Some("DPS_EMULATOR_MQTT_PORT")),
                ("--wss-port", args.wss_port.is_some(), Some("DPS_EMULATOR_WSS_PORT")),
            ],
        )?;
        return Ok(options.fixed_ports());
    }
    if let Some(port) = args.https_port {
        options = options.https_port(port);
    }
    if let Some(port) = args.mqtt_port {
        options = options.mqtt_port(port);
    }
    if let Some(port) = args.wss_port {
        options = options.wss_port(port);
    }
    Ok(options)
}

/// Refuses options that `option` excludes; `others` has the name of each, whether it has a value, and its variable. If the
/// variable is set, as in a container, the value is ignored instead. The parser's own rule cannot tell the two apart.
pub(super) fn exclude(option: &str, others: &[(&str, bool, Option<&str>)]) -> Result<()> {
    let is_set = |variable: Option<&str>| variable.is_some_and(|name| std::env::var_os(name).is_some());
    match others.iter().find(|(_, has_value, variable)| *has_value && !is_set(*variable)) {
        Some((other, ..)) => {
            Err(Failure::usage(format!("{option} and {other} exclude each other: leave one of them out")))
        }
        None => Ok(()),
    }
}

/// The host names of the command line, or else of the environment.
fn host_names(named: &[String]) -> Result<Vec<String>> {
    if !named.is_empty() {
        return Ok(named.to_vec());
    }
    match std::env::var(HOSTS_VARIABLE) {
        Ok(names) => Ok(names.split(',').map(str::trim).filter(|name| !name.is_empty()).map(str::to_owned).collect()),
        Err(VarError::NotPresent) => Ok(Vec::new()),
        Err(VarError::NotUnicode(_)) => Err(Failure::option(format!("{HOSTS_VARIABLE} is not text"))),
    }
}

/// The state directory of the command line, or else of the environment, for the emulator and for the commands that look for it.
pub(super) fn state_directory(named: Option<&Path>) -> Option<PathBuf> {
    let variable = || std::env::var_os(STATE_VARIABLE).filter(|path| !path.is_empty()).map(PathBuf::from);
    named.map(Path::to_owned).or_else(variable)
}

fn service(args: &EmulatorRunArgs, mut options: EmulatorOptions) -> Result<EmulatorOptions> {
    if let Some(id_scope) = &args.id_scope {
        options = options.id_scope(id_scope);
    }
    if let Some(seconds) = args.retry_after {
        options = options.default_retry_after_s(seconds);
    }
    if args.assign_at_once {
        options = options.assign_at_once(true);
    }
    let policy_key = args.policy_key_file.as_deref().map(read_key).transpose()?;
    Ok(options.service(|mut service| {
        if !args.hubs.is_empty() {
            service = service.hubs(args.hubs.iter().map(|(hub, _)| (hub, 1)));
            service = args.hubs.iter().fold(service, |service, (hub, profile)| service.hub_profile(hub, *profile));
        }
        if let Some(key) = policy_key {
            service = service.policy_key(key);
        }
        if let Some(seed) = args.seed {
            service = service.seed(seed);
        }
        if let Some(ms) = args.assigning_ms {
            service = service.assigning_ms(ms);
        }
        if args.echo_payload { service.echo_payload(true) } else { service }
    }))
}

/// The name of a hub, and its connection profile.
fn parse_hub(text: &str) -> std::result::Result<(String, ConnectionProfile), String> {
    let (name, word) = text.split_once('=').unwrap_or((text, ConnectionProfile::Classic.word()));
    let profile = ConnectionProfile::from_word(word);
    let profile = profile.ok_or("the connection profile after `=` must be classic or mqttV5")?;
    Ok((name.to_owned(), profile))
}

/// Reads the key of the policy.
fn read_key(path: &Path) -> Result<SymmetricKey> {
    let text = read_secret(path, "the policy's key")?;
    SymmetricKey::from_base64(text.expose())
        .map_err(|error| Failure::new(ErrorCode::InvalidKey, error.to_string()).in_source(source_name(path)))
}

/// Reads a file of PEM, which may contain a key.
pub(super) fn read_pem(path: &Path) -> Result<Zeroizing<String>> {
    let content = dps_files::read_secret(path, PEM_MAX).map_err(|error| Failure::file("read", path, &error))?;
    let text = std::str::from_utf8(&content).map_err(|_| {
        Failure::new(ErrorCode::InvalidOption, format!("{} is not valid: it is not PEM", path.display()))
    })?;
    Ok(Zeroizing::new(text.to_owned()))
}
