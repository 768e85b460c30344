//! `dps edge provision`: provisions like the gateway at its start, and prints the commands to apply it there.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use clap::Args;
use dps_edge::policy::Step;
use dps_edge::{
    Attestation, BackupStore, Format, HubIdentity, ManualCredential, Plan, ProvisionError, Provisioned, Provisioner,
    Provisioning, SetupError, Severity, Source,
};
use serde::Serialize;

use super::config::Config;
use crate::connection::{Connection, ConnectionArgs};
use crate::failure::{Exit, Failure, Result};
use crate::identity::CredentialChoice;
use crate::output::{Output, note};
use crate::pkcs11::Pkcs11Args;
use crate::runtime::{blocking, blocking_within};
use crate::x509::CertificateArgs;

/// `dps edge provision`.
#[derive(Debug, Args)]
pub(crate) struct EdgeProvisionArgs {
    /// The configuration
    #[arg(long, value_name = "FILE")]
    pub(crate) config: PathBuf,
    /// The directory for backups. Default: dps-edge in XDG_STATE_HOME, or in ~/.local/state
    #[arg(long, value_name = "DIR")]
    pub(crate) state_dir: Option<PathBuf>,
    /// Use the daemon's own backup, in its home directory DIR (/var/lib/iotedge or /var/lib/aziot/identityd)
    #[arg(long, value_name = "DIR", conflicts_with = "state_dir")]
    pub(crate) daemon_dir: Option<PathBuf>,
    /// Print what would be done, without doing it
    #[arg(long)]
    pub(crate) dry_run: bool,
    #[command(flatten)]
    pub(crate) certificate: CertificateArgs,
    #[command(flatten)]
    pub(crate) pkcs11: Pkcs11Args,
    #[command(flatten)]
    pub(crate) connection: ConnectionArgs,
}

impl EdgeProvisionArgs {
    pub(super) fn stdin_inputs(&self) -> usize {
        self.certificate.stdin_inputs() + self.pkcs11.stdin_inputs() + self.connection.proxy.stdin_inputs()
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Shown<'a> {
    /// Whether the assignment is `new`, `unchanged`, from the `backup`, or from the configuration (`manual`).
    origin: &'static str,
    assigned_hub: &'a str,
    device_id: &'a str,
    registration_id: Option<&'a str>,
    hub_changed: bool,
    device_id_changed: bool,
    previous_hub: Option<&'a str>,
    previous_device_id: Option<&'a str>,
    backup_file: Option<&'a Path>,
    notes: Vec<String>,
    next: &'static [&'static str],
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Planned<'a> {
    dry_run: bool,
    would: &'static str,
    backup_file: &'a Path,
    backup_hub: Option<&'a str>,
}

/// Runs the command.
pub(super) async fn run(args: EdgeProvisionArgs, output: Output) -> Result<Exit> {
    let dry_run = args.dry_run;
    let timeout = args.connection.timeout;
    let (provisioning, gateway) = blocking_within(timeout, move || prepare(args)).await?;
    let Some(Gateway { mut provisioner, registration_id }) = gateway else { return manual(&provisioning, output) };
    if dry_run {
        return blocking(move || {
            let plan = provisioner.plan().map_err(failure)?;
            planned(&plan, provisioner.store().path(), output)
        })
        .await;
    }
    let provisioned = provisioner.start().await.map_err(failure)?;
    report(&provisioned, &registration_id, &provisioning, provisioner.store().path(), output)
}

/// A gateway that is provisioned by the service.
struct Gateway {
    provisioner: Provisioner,
    registration_id: String,
}

fn prepare(args: EdgeProvisionArgs) -> Result<(Provisioning, Option<Gateway>)> {
    let config = Config::load(&args.config)?;
    let reading = config.reading();
    let errors = reading.findings.iter().filter(|finding| finding.severity() == Severity::Error).count();
    let provisioning = config.provisioning(reading)?;
    if errors > 0 {
        let path = args.config.display();
        note(format_args!("warning: the daemons would reject {path}: dps edge lint {path} lists the reasons"));
    }
    let Some(dps) = provisioning.dps() else { return Ok((provisioning, None)) };
    let mut connection = args.connection;
    connection.endpoint = connection.endpoint.or_else(|| dps.global_endpoint.clone());
    let connection = Connection::read(&connection)?;
    let builder = match CredentialChoice::certificate_or_token(&args.certificate, &args.pkcs11)? {
        Some(choice) => {
            check_same_kind(&choice, &dps.attestation)?;
            let builder = provisioning.configure_without_credential(connection.builder()).map_err(setup)?;
            choice.read()?.apply_to(builder)?
        }
        None => provisioning.configure(connection.builder()).map_err(setup)?,
    };
    let client = builder.endpoint(connection.endpoint()).build()?;
    let registration_id = client.registration_id().to_string();
    let store = store(args.state_dir, args.daemon_dir, &provisioning, &registration_id)?;
    let provisioner = Provisioner::new(client, provisioning.policy(), store);
    Ok((provisioning, Some(Gateway { provisioner, registration_id })))
}

/// The options name the place of a credential; they do not replace it by one of another kind.
fn check_same_kind(choice: &CredentialChoice, attestation: &Attestation) -> Result<()> {
    let refused = |words: &str| Err(Failure::option(words));
    match (choice, attestation) {
        (CredentialChoice::Certificate(_), Attestation::X509 { .. })
        | (CredentialChoice::Token(_), Attestation::SymmetricKey { .. }) => Ok(()),
        (CredentialChoice::Certificate(_), _) => refused(
            "--cert-file is used instead of the certificate of the configuration, whose attestation is not x509",
        ),
        // The options of this command name no TPM: that of the configuration is used.
        _ => refused(
            "--pkcs11-uri without --cert-file is used instead of the symmetric key of the configuration, whose \
             attestation is not symmetric_key",
        ),
    }
}

fn store(
    state: Option<PathBuf>,
    daemon: Option<PathBuf>,
    provisioning: &Provisioning,
    registration_id: &str,
) -> Result<BackupStore> {
    if let Some(home) = daemon {
        return Ok(BackupStore::for_daemon(&home, provisioning.format));
    }
    let directory = match state {
        Some(directory) => directory,
        None => default_state_dir()
            .ok_or_else(|| Failure::usage("there is no home directory for a backup: set --state-dir DIR"))?,
    };
    let scope = provisioning.dps().map_or("", |dps| dps.id_scope.as_str());
    Ok(BackupStore::in_state_dir(&directory, provisioning.format, scope, registration_id)?)
}

/// XDG Base Directory Specification, "Environment variables".
fn default_state_dir() -> Option<PathBuf> {
    let directory = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let state = directory("XDG_STATE_HOME").or_else(|| directory("HOME").map(|home| home.join(".local/state")));
    state.or_else(|| directory("LOCALAPPDATA")).map(|state| state.join("dps-edge"))
}

fn setup(error: SetupError) -> Failure {
    Failure::new(error.code, error.message)
}

/// Returns the failure of the cause, with what is known about the backup.
fn failure(error: ProvisionError) -> Failure {
    let both = match &error {
        ProvisionError::NothingLeft { backup, .. } => {
            Some(format!("there is no usable backup ({backup}), and the service returned no assignment: "))
        }
        _ => None,
    };
    let cause = match error {
        ProvisionError::NothingLeft { service, .. } => service,
        ProvisionError::NotRegistered(error) | ProvisionError::File(error) => error,
        other => return Failure::internal(other.to_string()),
    };
    let mut failure = Failure::from(cause);
    failure.message = format!("{}{}", both.unwrap_or_default(), failure.message);
    failure
}

fn planned(plan: &Plan, backup_file: &Path, output: Output) -> Result<Exit> {
    let would = match plan.step {
        Step::UseBackup => "use the hub of the backup, without a request to the service",
        Step::RegisterOrBackup => "register with the service, and use the backup if that fails",
        _ => "register with the service; there is no backup",
    };
    let backup_hub = plan.backup.identity().map(|identity| identity.hub.as_str());
    let shown = Planned { dry_run: true, would, backup_file, backup_hub };
    output.result(&shown, |out| {
        writeln!(out, "would {would}")?;
        writeln!(out, "  backup     {} ({})", backup_file.display(), backup_hub.unwrap_or("none"))
    })?;
    Ok(Exit::Done)
}

fn manual(provisioning: &Provisioning, output: Output) -> Result<Exit> {
    let Source::Manual(manual) = &provisioning.source else {
        return Err(Failure::option("the configuration's source is neither dps nor manual and is not supported here"));
    };
    let with = match manual.credential {
        ManualCredential::Key(_) => "a symmetric key",
        _ => "a certificate",
    };
    let notes = vec![format!("provisioned manually, with {with}: no request to the service")];
    show(
        &Shown {
            origin: "manual",
            assigned_hub: &manual.hub,
            device_id: &manual.device_id,
            registration_id: None,
            hub_changed: false,
            device_id_changed: false,
            previous_hub: None,
            previous_device_id: None,
            backup_file: None,
            notes,
            next: next(provisioning.format),
        },
        output,
    )
}

fn report(
    provisioned: &Provisioned,
    registration_id: &str,
    provisioning: &Provisioning,
    backup_file: &Path,
    output: Output,
) -> Result<Exit> {
    let previous =
        |part: fn(&HubIdentity) -> &String| provisioned.previous.as_ref().map(|identity| part(identity).as_str());
    let shown = Shown {
        origin: provisioned.origin.name(),
        assigned_hub: &provisioned.identity.hub,
        device_id: &provisioned.identity.device_id,
        registration_id: Some(registration_id),
        hub_changed: provisioned.hub_changed(),
        device_id_changed: provisioned.device_id_changed(),
        previous_hub: previous(|identity| &identity.hub),
        previous_device_id: previous(|identity| &identity.device_id),
        backup_file: Some(backup_file),
        notes: provisioned.notes.iter().map(ToString::to_string).collect(),
        next: next(provisioning.format),
    };
    show(&shown, output)
}

fn show(shown: &Shown<'_>, output: Output) -> Result<Exit> {
    if !output.is_json() {
        shown.notes.iter().for_each(|text| note(format_args!("note: {text}")));
    }
    output.result(shown, |out| write(out, shown))?;
    Ok(Exit::Done)
}

fn write(out: &mut dyn Write, shown: &Shown<'_>) -> io::Result<()> {
    let how = match shown.origin {
        "new" => "newly assigned",
        "unchanged" => "assigned as before",
        "backup" => "restored from the backup",
        _ => "provisioned manually",
    };
    writeln!(out, "{how}")?;
    for (name, now, before, changed) in [
        ("hub", shown.assigned_hub, shown.previous_hub, shown.hub_changed),
        ("device id", shown.device_id, shown.previous_device_id, shown.device_id_changed),
    ] {
        match before.filter(|_| changed) {
            Some(before) => writeln!(out, "  {name:<10} {now} (was {before})")?,
            None => writeln!(out, "  {name:<10} {now}")?,
        }
    }
    if let Some(file) = shown.backup_file {
        writeln!(out, "  backup     {}", file.display())?;
    }
    writeln!(out, "On the gateway, apply and verify:")?;
    shown.next.iter().try_for_each(|command| writeln!(out, "  {command}"))
}

/// The commands that apply and verify a configuration on a gateway (Azure IoT Edge documentation).
const fn next(format: Format) -> &'static [&'static str] {
    match format {
        Format::Yaml => &[
            "sudo systemctl restart iotedge",
            "systemctl status iotedge",
            "journalctl -u iotedge --no-pager --no-full",
            "iotedge list",
        ],
        Format::Toml => &[
            "sudo iotedge config apply",
            "sudo iotedge system status",
            "sudo iotedge system logs",
            "sudo iotedge list",
        ],
    }
}
