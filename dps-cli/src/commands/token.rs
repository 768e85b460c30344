//! `dps token`: the SAS token with which a device registers. It is as secret as a key until it expires.

use dps_core::credentials::Resource;
use dps_core::{IdScope, RegistrationId};
use serde::Serialize;

use crate::args::TokenArgs;
use crate::exit::Exit;
use crate::failure::Result;
use crate::key::DeviceOrGroup;
use crate::output::Output;
use crate::sas;

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
    let id_scope = IdScope::new(&args.identity.id_scope)?;
    let registration_id = RegistrationId::new(&args.identity.registration_id)?;
    let key = DeviceOrGroup::read(&args.identity.key)?.device_key(registration_id)?;

    let resource = Resource::registration(id_scope, registration_id);
    let token = sas::token(resource, &key, args.ttl)?;

    let result = Token {
        token: &token.text,
        id_scope: id_scope.as_str(),
        registration_id: registration_id.as_str(),
        expires_at_unix: token.expiry.get(),
    };
    output.result(&result, |out| writeln!(out, "{}", result.token))?;
    Ok(Exit::Done)
}
