//! `dps token`: the SAS token with which a device registers. It is as secret as a key until it expires.

use std::time::{SystemTime, UNIX_EPOCH};

use dps_core::credentials::{Resource, SasToken};
use dps_core::{Endpoint, ErrorCode, IdScope, Identity, RegistrationId, UnixSeconds};
use serde::Serialize;
use zeroize::Zeroizing;

use crate::args::TokenArgs;
use crate::exit::Exit;
use crate::failure::{Failure, Result};
use crate::key::DeviceOrGroup;
use crate::output::Output;

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

    let expiry = UnixSeconds::new(unix_now()?).plus(args.ttl.as_secs().max(1));
    let resource = Resource::Registration(Identity { endpoint: Endpoint::GLOBAL, id_scope, registration_id });
    let mut buffer = Zeroizing::new(vec![0; resource.token_max()]);
    let internal = |error: dps_core::text::TooSmall| Failure::internal(error.to_string());
    let unsigned = SasToken::prepare(resource, expiry, &mut buffer).map_err(internal)?;
    let signature = key.sign(unsigned.to_sign());
    let token = unsigned.finish(&signature).map_err(internal)?;

    let result = Token {
        token,
        id_scope: id_scope.as_str(),
        registration_id: registration_id.as_str(),
        expires_at_unix: expiry.get(),
    };
    output.result(&result, |out| writeln!(out, "{token}"))?;
    Ok(Exit::Done)
}

/// Whole seconds since 1970.
pub(crate) fn unix_now() -> Result<u64> {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since
        .map(|since| since.as_secs())
        .map_err(|_| Failure::new(ErrorCode::ClockNeeded, "the clock of this machine is before 1970: set it"))
}
