//! `dps x509 renew`: renews the issued identity of a directory if it is due, through the service or at the hub.
//!
//! The old identity is replaced only once the new one was checked.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use dps_client::{
    ConnectionProfile, HubRenewal, IssuedIdentity, IssuedState, OperationalKey, ProvisioningClient,
    ProvisioningClientBuilder, RegistrationId, StoredAssignment, Transport,
};
use dps_core::{ErrorCode, Hint};
use serde::Serialize;

use crate::connection::{Connection, ConnectionArgs, DeviceArgs, DeviceClock, check_clock_offset, client_builder};
use crate::failure::{Exit, Failure, Result};
use crate::identity::IdentityArgs;
use crate::issued::{IdentityFolder, IssuedReport, missing};
use crate::key::KeyArgs;
use crate::operational::OperationalKeyArgs;
use crate::output::Output;
use crate::pkcs11::Pkcs11Args;
use crate::runtime::{blocking, blocking_within};
use crate::tpm::TpmArgs;
use crate::x509::CertificateArgs;

/// `dps x509 renew`.
#[derive(Debug, Args)]
pub(crate) struct RenewArgs {
    /// The directory that 'dps register --issue' wrote
    #[arg(value_name = "DIR")]
    pub(crate) directory: PathBuf,
    /// Who issues the certificate: the provisioning service, with the credential that the device registers with, or the hub,
    /// with the certificate that is to be renewed
    #[arg(long, value_name = "NAME", value_enum, default_value_t = Via::Dps)]
    pub(crate) via: Via,
    /// Renew it also if it is not due
    #[arg(long)]
    pub(crate) force: bool,
    #[command(flatten)]
    pub(crate) operational: OperationalKeyArgs,
    /// With --via hub: the hub's port. Default: 8883, or 443 with --transport mqtt-ws
    #[arg(long, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) hub_port: Option<u16>,
    #[command(flatten)]
    pub(crate) key: KeyArgs,
    #[command(flatten)]
    pub(crate) certificate: CertificateArgs,
    #[command(flatten)]
    pub(crate) pkcs11: Pkcs11Args,
    #[command(flatten)]
    pub(crate) tpm: TpmArgs,
    #[command(flatten)]
    pub(crate) connection: ConnectionArgs,
}

/// Who issues the certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Via {
    /// The provisioning service
    Dps,
    /// The device's hub, over MQTT
    Hub,
}

impl RenewArgs {
    pub(super) fn stdin_inputs(&self) -> usize {
        self.operational.stdin_inputs()
            + self.key.stdin_inputs()
            + self.certificate.stdin_inputs()
            + self.pkcs11.stdin_inputs()
            + self.tpm.stdin_inputs()
            + self.connection.proxy.stdin_inputs()
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Renewed {
    registration_id: String,
    renewed: bool,
    #[serde(flatten)]
    issued: IssuedReport,
}

/// What is to be done.
enum Plan {
    /// The identity is not due.
    Keep(IssuedIdentity),
    Dps(OperationalKey, Box<ProvisioningClient>),
    Hub {
        key: OperationalKey,
        request: Vec<u8>,
        id: RegistrationId,
        renewal: Box<HubRenewal>,
    },
}

/// Runs the command.
pub(super) async fn run(args: RenewArgs, output: Output) -> Result<Exit> {
    let timeout = args.connection.timeout;
    let clock = DeviceClock::moved(args.connection.clock_offset.unwrap_or_default());
    let (folder, plan) = blocking_within(timeout, move || prepare(args, clock)).await?;
    let (identity, folder, renewed) = match plan {
        Plan::Keep(identity) => (identity, folder, false),
        Plan::Dps(key, client) => {
            let assignment = client.register().await?;
            blocking(move || Ok((folder.keep_assignment(key, &assignment, clock)?, folder, true))).await?
        }
        Plan::Hub { key, request, id, renewal } => {
            let chain = renewal.issue(&request).await?;
            blocking(move || Ok((folder.keep(key, chain, &id, clock)?, folder, true))).await?
        }
    };
    report(&folder, &identity, renewed, clock, output)
}

fn report(
    folder: &IdentityFolder,
    identity: &IssuedIdentity,
    renewed: bool,
    clock: DeviceClock,
    output: Output,
) -> Result<Exit> {
    let result = Renewed {
        registration_id: identity.registration_id().to_string(),
        renewed,
        issued: IssuedReport::new(folder.path(), identity, clock.needed_now()?),
    };
    output.result(&result, |out| {
        let what = if renewed { "renewed" } else { "not due for renewal" };
        writeln!(out, "{} {what}", result.registration_id)?;
        result.issued.write(out)
    })?;
    Ok(Exit::Done)
}

fn prepare(args: RenewArgs, clock: DeviceClock) -> Result<(IdentityFolder, Plan)> {
    let source = args.operational.source()?;
    let folder = IdentityFolder::open(&args.directory, source.token())?;
    let stored = folder.assignment()?.ok_or_else(|| {
        let message = format!("{} contains no assignment: register with --issue first", args.directory.display());
        Failure::new(ErrorCode::File, message)
    })?;
    let identity = folder.identity()?;
    let now = clock.needed_now()?;
    let state = identity.as_ref().map(|identity| identity.state_at(now));
    let plan = match identity {
        Some(_) if !args.force && state == Some(IssuedState::NotYetValid) => return Err(not_valid_yet()),
        Some(identity) if !args.force && state == Some(IssuedState::Valid) => Plan::Keep(identity),
        identity => {
            let key = source.key()?;
            let request = key.certificate_request(&stored.registration_id)?;
            match args.via {
                Via::Dps => Plan::Dps(key, Box::new(service(args, &stored, request)?)),
                Via::Hub => {
                    let usable = identity.ok_or_else(|| missing(&args.directory))?;
                    if !usable.state_at(now).is_valid() {
                        let message = "the certificate is not valid now, so that the hub would refuse it: renew it with --via dps";
                        return Err(Failure::new(ErrorCode::ClientCertificateExpired, message));
                    }
                    let renewal = Box::new(hub(&args, &stored, &usable)?);
                    Plan::Hub { key, request, id: stored.registration_id, renewal }
                }
            }
        }
    };
    Ok((folder, plan))
}

/// A certificate that is issued now would not be valid by this clock either.
fn not_valid_yet() -> Failure {
    let message = "the certificate is not valid yet by this device's clock: set the clock";
    let mut failure = Failure::new(ErrorCode::ClientCertificateExpired, message);
    failure.hints.push(Hint::CertificateNotYetValid);
    failure
}

/// A client that registers with the device's own credential and this certificate request.
fn service(args: RenewArgs, stored: &StoredAssignment, request: Vec<u8>) -> Result<ProvisioningClient> {
    let identity = IdentityArgs {
        id_scope: stored.id_scope.to_string(),
        registration_id: Some(stored.registration_id.to_string()),
        key: args.key,
        certificate: args.certificate,
        pkcs11: args.pkcs11,
        tpm: args.tpm,
    };
    let builder = client_builder(&DeviceArgs { identity, connection: args.connection })?;
    // Asked for again where it was asked for at the registration, so that the stored assignment keeps it.
    let has_profile = stored.connection_profile != ConnectionProfile::NotReported;
    Ok(builder.certificate_request(request).connection_profile(has_profile).build()?)
}

/// A renewal at the hub, with the identity that there is.
fn hub(args: &RenewArgs, stored: &StoredAssignment, identity: &IssuedIdentity) -> Result<HubRenewal> {
    check_clock_offset(args.connection.clock_offset, &stored.hub)?;
    let connection = Connection::read(&args.connection)?;
    let builder: ProvisioningClientBuilder =
        connection.builder().id_scope(&stored.id_scope).registration_id(&stored.registration_id);
    let client = builder.x509(identity.x509().clone()).build()?;
    let credentials = client
        .hub_credentials(stored)?
        .ok_or_else(|| Failure::internal("the stored assignment is not that of the client, which was made from it"))?;
    let renewal = HubRenewal::new(credentials)
        .transport(match connection.transport.transport() {
            Transport::MqttWebSocket => Transport::MqttWebSocket,
            _ => Transport::Mqtt,
        })
        .roots(connection.roots)
        .proxy(connection.proxy)
        .resolver(connection.resolver)
        .timeout(connection.timeout);
    Ok(args.hub_port.into_iter().fold(renewal, HubRenewal::port))
}
