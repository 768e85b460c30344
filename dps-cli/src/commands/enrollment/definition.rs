//! The options that create an enrollment, and the body of the request that they make.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use serde_json::{Map, Value, json};

use super::certificate_policy::CertificatePolicyArgs;
use crate::admin::Kind;
use crate::failure::{Failure, Result};
use crate::files::is_stdin;
use crate::key::read_key_file;
use crate::webhook::read_webhook_url;

/// The options for creating an enrollment of either kind.
#[derive(Debug, Args)]
pub(crate) struct CreateArgs {
    /// The devices are IoT Edge devices
    #[arg(long)]
    pub(crate) edge_enabled: bool,
    /// The initial tags of the device twin: one JSON object
    #[arg(long, value_name = "JSON")]
    pub(crate) initial_twin_tags: Option<String>,
    /// The initial desired properties of the device twin: one JSON object
    #[arg(long, value_name = "JSON")]
    pub(crate) initial_twin_properties: Option<String>,
    /// Create the enrollment disabled: the service rejects the devices
    #[arg(long)]
    pub(crate) disabled: bool,
    /// Assign to this hub only (repeatable). Default: any linked hub
    #[arg(long = "hub", value_name = "HOST")]
    pub(crate) hubs: Vec<String>,
    /// Have an allocation webhook choose the hub, at every registration: a file with its URL (- for stdin)
    #[arg(long, value_name = "FILE|-")]
    pub(crate) webhook_url_file: Option<PathBuf>,
    /// The api version of the webhook
    #[arg(long, value_name = "VERSION", default_value = "2021-10-01", requires = "webhook_url_file")]
    pub(crate) webhook_api_version: String,
    #[command(flatten)]
    pub(crate) policy: CertificatePolicyArgs,
    /// What a later registration does when the hub changes
    #[arg(long, value_enum, default_value_t = Reprovision::Migrate)]
    pub(crate) reprovision: Reprovision,
    /// A file with the primary key in base64 (- for stdin). Default: the service generates both keys
    #[arg(long, value_name = "FILE|-", requires = "secondary_key_file")]
    pub(crate) primary_key_file: Option<PathBuf>,
    /// A file with the secondary key in base64 (- for stdin)
    #[arg(long, value_name = "FILE|-", requires = "primary_key_file")]
    pub(crate) secondary_key_file: Option<PathBuf>,
    /// Write the primary key to this new file, which only its owner can read
    #[arg(long, value_name = "FILE")]
    pub(crate) key_out: Option<PathBuf>,
    /// Replace an existing enrollment of this name; without this option, that is an error
    #[arg(long)]
    pub(crate) replace: bool,
}

/// What a later registration does when the hub changes (Azure IoT DPS documentation, "Reprovisioning concepts").
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Reprovision {
    /// The device moves to the new hub with its data
    Migrate,
    /// The device moves to the new hub with its initial data
    Reset,
    /// The device stays in its hub
    Never,
}

impl CreateArgs {
    pub(super) fn stdin_inputs(&self) -> usize {
        [&self.primary_key_file, &self.secondary_key_file, &self.webhook_url_file]
            .into_iter()
            .flatten()
            .filter(|path| is_stdin(path))
            .count()
    }
}

/// Returns the body of the request, with this attestation or with keys. Reads the key files, if any are named.
pub(super) fn definition(
    kind: Kind,
    id: &str,
    device_id: Option<&str>,
    attestation: Option<Value>,
    args: &CreateArgs,
) -> Result<Value> {
    let mut body = json!({
        "capabilities": { "iotEdge": args.edge_enabled },
        "provisioningStatus": if args.disabled { "disabled" } else { "enabled" },
        "reprovisionPolicy": reprovision_policy(args.reprovision),
    });
    body[kind.id_member()] = id.into();
    if let Some(device_id) = device_id {
        body["deviceId"] = device_id.into();
    }
    if let Some(twin) = initial_twin(args)? {
        body["initialTwin"] = twin;
    }
    match args.hubs.as_slice() {
        [] => {}
        [_] => body["allocationPolicy"] = "static".into(),
        _ => body["allocationPolicy"] = "hashed".into(),
    }
    if !args.hubs.is_empty() {
        body["iotHubs"] = args.hubs.clone().into();
    }
    if let Some(path) = &args.webhook_url_file {
        let url = read_webhook_url(Some(path))?;
        body["allocationPolicy"] = "custom".into();
        body["customAllocationDefinition"] =
            json!({ "webhookUrl": url.expose(), "apiVersion": args.webhook_api_version });
    }
    args.policy.write(&mut body);
    body["attestation"] = attestation.map_or_else(|| keys(args), Ok)?;
    Ok(body)
}

fn keys(args: &CreateArgs) -> Result<Value> {
    let mut attestation = json!({ "type": "symmetricKey" });
    if let (Some(primary), Some(secondary)) = (&args.primary_key_file, &args.secondary_key_file) {
        let primary = read_key_file(primary, "the primary key")?;
        let secondary = read_key_file(secondary, "the secondary key")?;
        attestation["symmetricKey"] = json!({ "primaryKey": primary.expose(), "secondaryKey": secondary.expose() });
    }
    Ok(attestation)
}

fn reprovision_policy(policy: Reprovision) -> Value {
    let (update, migrate) = match policy {
        Reprovision::Migrate => (true, true),
        Reprovision::Reset => (true, false),
        Reprovision::Never => (false, false),
    };
    json!({ "updateHubAssignment": update, "migrateDeviceData": migrate })
}

fn initial_twin(args: &CreateArgs) -> Result<Option<Value>> {
    let mut twin = Map::new();
    if let Some(tags) = &args.initial_twin_tags {
        twin.insert("tags".into(), object("--initial-twin-tags", tags)?);
    }
    if let Some(desired) = &args.initial_twin_properties {
        twin.insert("properties".into(), json!({ "desired": object("--initial-twin-properties", desired)? }));
    }
    Ok(if twin.is_empty() { None } else { Some(Value::Object(twin)) })
}

fn object(option: &str, text: &str) -> Result<Value> {
    let invalid = |problem: &str| {
        Failure::option(format!(r#"{option} is not valid: {problem}; write one JSON object, such as '{{"site":"a"}}'"#))
    };
    match serde_json::from_str(text) {
        Ok(value @ Value::Object(_)) => Ok(value),
        Ok(_) => Err(invalid("it is JSON, but not an object")),
        Err(error) => Err(invalid(&error.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn twin_options_must_be_json_objects() {
        assert!(object("--x", r#"{"a":1}"#).is_ok());
        for text in ["[]", "1", "{", "", r#"{"a":1}x"#] {
            let failure = object("--x", text).unwrap_err();
            assert!(failure.message.starts_with("--x is not valid"), "{}", failure.message);
        }
    }
}
