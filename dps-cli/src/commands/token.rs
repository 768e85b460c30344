//! `dps token`: prints the SAS token with which a device registers. It is as secret as a key until it expires.

use std::time::Duration;

use clap::Args;
use dps_core::credentials::Resource;
use dps_core::{IdScope, RegistrationId};
use serde::Serialize;

use crate::connection::duration;
use crate::failure::{Exit, Result};
use crate::key::{DeviceOrGroup, KeyArgs, sas_token};
use crate::output::Output;
use crate::pkcs11::Pkcs11Args;

/// How long a PKCS#11 token may take.
const SIGN_LIMIT: Duration = Duration::from_secs(30);

/// `dps token`.
#[derive(Debug, Args)]
pub(crate) struct TokenArgs {
    /// How long the token is valid, such as 90s, 30m, 1h or 1d
    #[arg(long, value_name = "TIME", default_value = "1h", value_parser = duration)]
    pub(crate) ttl: Duration,
    /// The id scope of the provisioning service, such as 0ne00A1B2C3
    #[arg(long, value_name = "S", visible_alias = "scope", help_heading = "Identity")]
    pub(crate) id_scope: String,
    /// The device's registration id
    #[arg(long, value_name = "R", visible_alias = "rid", help_heading = "Identity")]
    pub(crate) registration_id: String,
    #[command(flatten)]
    pub(crate) key: KeyArgs,
    #[command(flatten)]
    pub(crate) pkcs11: Pkcs11Args,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Token<'a> {
    token: &'a str,
    id_scope: &'a str,
    registration_id: &'a str,
    expires_at_unix: u64,
}

/// Runs the command.
pub(crate) fn run(args: &TokenArgs, output: Output) -> Result<Exit> {
    let id_scope = IdScope::new(&args.id_scope)?;
    let registration_id = RegistrationId::new(&args.registration_id)?;
    let resource = Resource::registration(id_scope, registration_id);
    let token = match args.pkcs11.key()? {
        Some(key) => sas_token(resource, |to_sign| key.sign(to_sign, SIGN_LIMIT), args.ttl)?,
        None => {
            let key = DeviceOrGroup::read(&args.key)?.device_key(registration_id)?;
            sas_token(resource, |to_sign| Ok(key.sign(to_sign)), args.ttl)?
        }
    };

    let result = Token {
        token: &token.text,
        id_scope: id_scope.as_str(),
        registration_id: registration_id.as_str(),
        expires_at_unix: token.expiry.get(),
    };
    output.result(&result, |out| writeln!(out, "{}", result.token))?;
    Ok(Exit::Done)
}
