//! `dps enrollment` and `dps enrollment-group`: create, show, list and delete, over the service's admin API.

mod certificate_policy;
mod certificates;
mod definition;
mod show;

use std::path::PathBuf;

use clap::{Args, Subcommand};
use dps_core::{ErrorCode, RegistrationId};
use serde_json::{Map, Value, json};
use zeroize::Zeroizing;

pub(crate) use certificates::read_only as read_certificate;
pub(crate) use show::{certificate_line, registration_line};

use crate::admin::{Kind, OwnerArgs, connect, take_keys};
use crate::failure::{Exit, Failure, Result};
use crate::files::{Draft, WhenThere};
use crate::output::Output;
use crate::runtime::blocking;
use certificates::{DeviceArgs, SigningCertificateArgs};
use definition::CreateArgs;

/// `dps enrollment …`.
#[derive(Debug, Subcommand)]
pub(crate) enum EnrollmentCommand {
    /// Create the enrollment of one device
    Create(Box<IndividualCreateArgs>),
    /// Show an enrollment and its device's registration
    Show {
        #[command(flatten)]
        name: IndividualName,
        #[command(flatten)]
        key: KeyOutArgs,
        #[command(flatten)]
        admin: AdminArgs,
    },
    /// List all enrollments
    List {
        #[command(flatten)]
        admin: AdminArgs,
    },
    /// Delete an enrollment
    Delete {
        #[command(flatten)]
        name: IndividualName,
        #[command(flatten)]
        admin: AdminArgs,
    },
}

/// `dps enrollment-group …`.
#[derive(Debug, Subcommand)]
pub(crate) enum GroupCommand {
    /// Create a group whose devices derive their keys from its key, or have certificates that its CA signed
    Create(Box<GroupCreateArgs>),
    /// Show a group and the registrations of its devices
    Show {
        #[command(flatten)]
        name: GroupName,
        #[command(flatten)]
        key: KeyOutArgs,
        #[command(flatten)]
        admin: AdminArgs,
    },
    /// List all groups
    List {
        #[command(flatten)]
        admin: AdminArgs,
    },
    /// Delete a group
    Delete {
        #[command(flatten)]
        name: GroupName,
        #[command(flatten)]
        admin: AdminArgs,
    },
}

/// The name of an individual enrollment: the device's registration id.
#[derive(Debug, Args)]
pub(crate) struct IndividualName {
    /// The registration id, which is also the name of the enrollment
    #[arg(long = "registration-id", value_name = "R", visible_alias = "rid", alias = "enrollment-id")]
    pub(crate) registration_id: String,
}

/// The name of a group.
#[derive(Debug, Args)]
pub(crate) struct GroupName {
    /// The enrollment group's id
    #[arg(long = "group-id", value_name = "G", visible_alias = "enrollment-id")]
    pub(crate) group_id: String,
}

/// `dps enrollment create`.
#[derive(Debug, Args)]
pub(crate) struct IndividualCreateArgs {
    #[command(flatten)]
    pub(crate) name: IndividualName,
    /// The device id in the hub. Default: the registration id
    #[arg(long, value_name = "D")]
    pub(crate) device_id: Option<String>,
    #[command(flatten)]
    pub(crate) device: DeviceArgs,
    #[command(flatten)]
    pub(crate) create: CreateArgs,
    #[command(flatten)]
    pub(crate) admin: AdminArgs,
}

/// `dps enrollment-group create`.
#[derive(Debug, Args)]
pub(crate) struct GroupCreateArgs {
    #[command(flatten)]
    pub(crate) name: GroupName,
    #[command(flatten)]
    pub(crate) certificates: SigningCertificateArgs,
    #[command(flatten)]
    pub(crate) create: CreateArgs,
    #[command(flatten)]
    pub(crate) admin: AdminArgs,
}

/// Where `show` writes a key.
#[derive(Debug, Args)]
pub(crate) struct KeyOutArgs {
    /// Write the primary key to this new file, which only its owner can read
    #[arg(long, value_name = "FILE")]
    pub(crate) key_out: Option<PathBuf>,
}

/// The connection to the service as its owner, and whether to print keys.
#[derive(Debug, Args)]
#[command(next_help_heading = "Service")]
pub(crate) struct AdminArgs {
    #[command(flatten)]
    pub(crate) owner: OwnerArgs,
    /// Print the symmetric keys too
    #[arg(long)]
    pub(crate) show_keys: bool,
}

impl EnrollmentCommand {
    pub(crate) fn stdin_inputs(&self) -> usize {
        match self {
            Self::Create(args) => args.create.stdin_inputs() + args.admin.owner.stdin_inputs(),
            Self::Show { admin, .. } | Self::List { admin } | Self::Delete { admin, .. } => admin.owner.stdin_inputs(),
        }
    }
}

impl GroupCommand {
    pub(crate) fn stdin_inputs(&self) -> usize {
        match self {
            Self::Create(args) => args.create.stdin_inputs() + args.admin.owner.stdin_inputs(),
            Self::Show { admin, .. } | Self::List { admin } | Self::Delete { admin, .. } => admin.owner.stdin_inputs(),
        }
    }
}

/// Runs `dps enrollment …`.
pub(crate) async fn run_individual(command: EnrollmentCommand, output: Output) -> Result<Exit> {
    let kind = Kind::Individual;
    match command {
        EnrollmentCommand::Create(args) => {
            let IndividualCreateArgs { name, device_id, device, create: args, admin } = *args;
            let attestation = move || device.attestation();
            create(kind, &name.registration_id, device_id, attestation, args, admin, output).await
        }
        EnrollmentCommand::Show { name, key, admin } => {
            show(kind, &name.registration_id, key.key_out, admin, output).await
        }
        EnrollmentCommand::List { admin } => list(kind, admin, output).await,
        EnrollmentCommand::Delete { name, admin } => delete(kind, &name.registration_id, admin, output).await,
    }
}

/// Runs `dps enrollment-group …`.
pub(crate) async fn run_group(command: GroupCommand, output: Output) -> Result<Exit> {
    let kind = Kind::Group;
    match command {
        GroupCommand::Create(args) => {
            let GroupCreateArgs { name, certificates, create: args, admin } = *args;
            let attestation = move || certificates.attestation();
            create(kind, &name.group_id, None, attestation, args, admin, output).await
        }
        GroupCommand::Show { name, key, admin } => show(kind, &name.group_id, key.key_out, admin, output).await,
        GroupCommand::List { admin } => list(kind, admin, output).await,
        GroupCommand::Delete { name, admin } => delete(kind, &name.group_id, admin, output).await,
    }
}

async fn create(
    kind: Kind,
    id: &str,
    device_id: Option<String>,
    attestation: impl FnOnce() -> Result<Option<Value>> + Send + 'static,
    args: CreateArgs,
    admin: AdminArgs,
    output: Output,
) -> Result<Exit> {
    check_id(kind, id)?;
    let (show_keys, replace, api_version) = (admin.show_keys, args.replace, args.policy.api_version());
    // Opened before anything is created: if the file cannot be written, nothing changes at the service.
    let enrollment_id = id.to_owned();
    let (key_out, definition) = blocking(move || {
        let key_out = args.key_out.as_deref().map(|path| Draft::begin(path, WhenThere::Refuse)).transpose()?;
        let attestation = attestation()?;
        Ok((key_out, definition::definition(kind, &enrollment_id, device_id.as_deref(), attestation, &args)?))
    })
    .await?;
    let mut client = connect(admin.owner).await?;
    if let Some(api_version) = api_version {
        client = client.with_api_version(api_version);
    }
    let found = client.find(kind, id).await?.is_some();
    if found && !replace {
        return Err(already_exists(kind, id));
    }
    let mut created = client.put(kind, id, &definition).await?;
    let keys = take_keys(&mut created);
    if let Some(key_out) = key_out
        && let Err(failure) = write_key(key_out, keys.as_ref(), not_returned).await
    {
        // The disk may have filled up meanwhile. A replaced enrollment cannot be restored.
        if !found {
            client.delete(kind, id).await?;
        }
        return Err(failure);
    }
    show::enrollment(kind, with_keys(created, keys, show_keys), None, output)
}

async fn show(kind: Kind, id: &str, key_out: Option<PathBuf>, admin: AdminArgs, output: Output) -> Result<Exit> {
    check_id(kind, id)?;
    let show_keys = admin.show_keys;
    // Opened before the keys are read, which are of no use if the file cannot be written.
    let begin = move || key_out.as_deref().map(|path| Draft::begin(path, WhenThere::Refuse)).transpose();
    let key_out = blocking(begin).await?;
    let client = connect(admin.owner).await?;
    let mut enrollment = client.get(kind, id).await?;
    take_keys(&mut enrollment);
    if show_keys || key_out.is_some() {
        let mut attestation = json!({ "attestation": client.attestation(kind, id).await? });
        let keys = take_keys(&mut attestation);
        if let Some(key_out) = key_out {
            write_key(key_out, keys.as_ref(), || no_keys(kind, id)).await?;
        }
        enrollment = with_keys(enrollment, keys, show_keys);
    }
    let registrations = match kind {
        Kind::Group => Some(client.registrations(id).await?),
        Kind::Individual => None,
    };
    show::enrollment(kind, enrollment, registrations, output)
}

async fn list(kind: Kind, admin: AdminArgs, output: Output) -> Result<Exit> {
    let show_keys = admin.show_keys;
    let client = connect(admin.owner).await?;
    let mut enrollments = client.list(kind).await?;
    for enrollment in &mut enrollments {
        take_keys(enrollment);
        let id = enrollment.get(kind.id_member()).and_then(Value::as_str).map(str::to_owned);
        if let Some(id) = id.filter(|_| show_keys) {
            let mut attestation = json!({ "attestation": client.attestation(kind, &id).await? });
            *enrollment = with_keys(enrollment.take(), take_keys(&mut attestation), true);
        }
    }
    show::list(kind, enrollments, output)
}

async fn delete(kind: Kind, id: &str, admin: AdminArgs, output: Output) -> Result<Exit> {
    check_id(kind, id)?;
    connect(admin.owner).await?.delete(kind, id).await?;
    let mut result = json!({ "deleted": true });
    result[kind.id_member()] = id.into();
    output.result(&result, |out| writeln!(out, "{} {id} deleted", kind.name()))?;
    Ok(Exit::Done)
}

/// Checks an id: group ids follow the rules of registration ids (Azure IoT DPS REST reference).
fn check_id(kind: Kind, id: &str) -> Result<()> {
    match (RegistrationId::new(id), kind) {
        (Ok(_), _) => Ok(()),
        (Err(error), Kind::Individual) => Err(error.into()),
        (Err(error), Kind::Group) => {
            Err(Failure::option(error.to_string().replacen("the registration id", "the enrollment group's id", 1)))
        }
    }
}

fn already_exists(kind: Kind, id: &str) -> Failure {
    Failure::new(
        ErrorCode::Conflict,
        format!("the {} {id} already exists and was not changed; delete it first, or add --replace", kind.name()),
    )
}

fn not_returned() -> Failure {
    Failure::internal("the enrollment was created, but the service did not return its keys")
}

fn no_keys(kind: Kind, id: &str) -> Failure {
    Failure::option(format!(
        "no key was written: the {} {id} has another attestation than symmetric keys; leave out --key-out",
        kind.name()
    ))
}

/// Writes the primary key; without one, fails as `missing` returns.
async fn write_key(target: Draft, keys: Option<&Map<String, Value>>, missing: impl Fn() -> Failure) -> Result<()> {
    let Some(key) = keys.and_then(|keys| keys.get("primaryKey")).and_then(Value::as_str) else {
        return Err(missing());
    };
    let key = Zeroizing::new(key.to_owned());
    blocking(move || target.write_whole(key.as_bytes())).await
}

fn with_keys(mut enrollment: Value, keys: Option<Map<String, Value>>, show: bool) -> Value {
    if let (Some(keys), true) = (keys, show) {
        enrollment["attestation"]["symmetricKey"] = Value::Object(keys);
    }
    enrollment
}
