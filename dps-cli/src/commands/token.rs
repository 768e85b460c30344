//! `dps token`: prints the SAS token with which a device registers, or signs in to its hub. It is as secret as a key until it
//! expires.

use std::time::Duration;

use clap::Args;
use dps_core::credentials::Resource;
use dps_core::{ErrorCode, IdScope, RegistrationId, Signature};
use serde::Serialize;

use crate::connection::duration;
use crate::failure::{Exit, Failure, Result};
use crate::key::{DeviceOrGroup, KeyArgs, sas_token};
use crate::output::Output;
use crate::pkcs11::Pkcs11Args;
use crate::tpm::TpmArgs;

/// How long a PKCS#11 token or a TPM may take.
const SIGN_LIMIT: Duration = Duration::from_secs(30);
/// The longest device id (Azure IoT Hub documentation, "Identity registry").
const DEVICE_ID_MAX: usize = 128;

/// `dps token`.
#[derive(Debug, Args)]
pub(crate) struct TokenArgs {
    /// How long the token is valid, such as 90s, 30m, 1h or 1d
    #[arg(long, value_name = "TIME", default_value = "1h", value_parser = duration)]
    pub(crate) ttl: Duration,
    /// The id scope of the provisioning service, such as 0ne00A1B2C3
    #[arg(
        long,
        value_name = "S",
        visible_alias = "scope",
        help_heading = "Identity",
        required_unless_present = "hub",
        conflicts_with = "hub"
    )]
    pub(crate) id_scope: Option<String>,
    /// The device's registration id
    #[arg(
        long,
        value_name = "R",
        visible_alias = "rid",
        help_heading = "Identity",
        required_unless_present = "device_id"
    )]
    pub(crate) registration_id: Option<String>,
    /// Print a token with which the device signs in to this hub, instead of one for the provisioning service
    #[arg(long, value_name = "HOST", help_heading = "Identity")]
    pub(crate) hub: Option<String>,
    /// With --hub: the device id at the hub. Default: the registration id
    #[arg(long, value_name = "D", help_heading = "Identity", requires = "hub")]
    pub(crate) device_id: Option<String>,
    #[command(flatten)]
    pub(crate) key: KeyArgs,
    #[command(flatten)]
    pub(crate) pkcs11: Pkcs11Args,
    #[command(flatten)]
    pub(crate) tpm: TpmArgs,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Token<'a> {
    token: &'a str,
    #[serde(flatten)]
    audience: Audience<'a>,
    expires_at_unix: u64,
}

/// Who accepts the token.
#[derive(Clone, Copy, Serialize)]
#[serde(rename_all = "camelCase", untagged)]
enum Audience<'a> {
    #[serde(rename_all = "camelCase")]
    Service { id_scope: &'a str, registration_id: &'a str },
    #[serde(rename_all = "camelCase")]
    Hub { hub: &'a str, device_id: &'a str },
}

impl TokenArgs {
    /// Returns how many of the command's inputs are to be read from stdin.
    pub(crate) fn stdin_inputs(&self) -> usize {
        self.key.stdin_inputs() + self.pkcs11.stdin_inputs() + self.tpm.stdin_inputs()
    }

    fn audience(&self) -> Result<Audience<'_>> {
        let registration_id = self.registration_id.as_deref();
        match (&self.hub, &self.id_scope) {
            (Some(hub), _) => {
                let device_id = self.device_id.as_deref().or(registration_id).unwrap_or_default();
                check_hub(hub, device_id)?;
                Ok(Audience::Hub { hub, device_id })
            }
            // The parser does not require an option that another one excludes.
            (None, _) if self.device_id.is_some() => Err(Failure::usage("--device-id requires --hub")),
            (None, Some(id_scope)) => Ok(Audience::Service {
                id_scope: IdScope::new(id_scope)?.as_str(),
                registration_id: RegistrationId::new(registration_id.unwrap_or_default())?.as_str(),
            }),
            (None, None) => Err(Failure::usage("--id-scope or --hub is missing")),
        }
    }

    /// Signs with the device's key, wherever it is.
    fn sign(&self, to_sign: &[u8], audience: Audience<'_>) -> Result<Signature> {
        let tpm = self.tpm.choice()?;
        if let Some(key) = self.pkcs11.key()? {
            return key.sign(to_sign, SIGN_LIMIT);
        }
        match (tpm, audience) {
            (Some(tpm), Audience::Hub { .. }) => tpm.read()?.sign(to_sign, SIGN_LIMIT),
            (Some(_), Audience::Service { .. }) => Err(Failure::new(
                ErrorCode::InvalidOption,
                "a device with a TPM registers with a token that the key of the service's challenge signs, which only a \
                 registration has: use dps register --tpm; with --hub HOST, this command prints a token for the hub",
            )),
            (None, _) => {
                let key = DeviceOrGroup::read(&self.key)?;
                let id = self.registration_id.as_deref().or(self.device_id.as_deref()).unwrap_or_default();
                Ok(key.device_key(RegistrationId::new(id)?)?.sign(to_sign))
            }
        }
    }
}

/// Checks a hub's host name and a device id at it.
fn check_hub(hub: &str, device_id: &str) -> Result<()> {
    let is_host = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.');
    if hub.is_empty() || !hub.bytes().all(is_host) {
        return Err(Failure::option("--hub must be the host name of a hub, such as contoso.azure-devices.net"));
    }
    let is_name = !device_id.is_empty() && device_id.len() <= DEVICE_ID_MAX;
    if !is_name || !device_id.bytes().all(|byte| byte.is_ascii_graphic()) {
        let message = format!("--device-id must have 1 to {DEVICE_ID_MAX} characters of ASCII, without spaces");
        return Err(Failure::option(message));
    }
    Ok(())
}

/// Runs the command.
pub(crate) fn run(args: &TokenArgs, output: Output) -> Result<Exit> {
    let audience = args.audience()?;
    let resource = match audience {
        Audience::Service { id_scope, registration_id } => {
            Resource::registration(IdScope::new(id_scope)?, RegistrationId::new(registration_id)?)
        }
        Audience::Hub { hub, device_id } => Resource::hub_device(hub, device_id),
    };
    let token = sas_token(resource, |to_sign| args.sign(to_sign, audience), args.ttl)?;
    let result = Token { token: &token.text, audience, expires_at_unix: token.expiry.get() };
    output.result(&result, |out| writeln!(out, "{}", result.token))?;
    Ok(Exit::Done)
}
