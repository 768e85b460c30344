//! Enrollments and groups of a configuration. They have the admin API's members, except that a key is in a file of its own,
//! and a certificate can be.

use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

use super::files::Files;
use super::node::{Mistake, Node, Section};
use crate::enrollment_table::Entry;
use crate::webhook::{CustomAllocationDefinition, WebhookUrl};

/// What a member must be.
pub(super) enum Shape {
    Text,
    Texts,
    Flag,
    OneOf(&'static [&'static str]),
    /// An object of any members.
    Object,
    /// Any JSON.
    Any,
    Table(&'static [Member]),
    /// An object with one certificate.
    Certificate,
}

pub(super) type Member = (&'static str, Shape);

use Shape::{Any, Certificate, Flag, Object, OneOf, Table, Text, Texts};

const CERTIFICATES: Shape = Table(&[("primary", Certificate), ("secondary", Certificate)]);

const ATTESTATION: &[Member] = &[
    ("type", OneOf(&["symmetricKey", "x509", "tpm"])),
    ("symmetricKey", Table(&[(PRIMARY_KEY_FILE, Text), (SECONDARY_KEY_FILE, Text)])),
    ("tpm", Table(&[("endorsementKey", Text), ("storageRootKey", Text)])),
    (
        "x509",
        Table(&[
            ("clientCertificates", CERTIFICATES),
            ("signingCertificates", CERTIFICATES),
            ("caReferences", Table(&[("primary", Text), ("secondary", Text)])),
        ]),
    ),
];

const SETTINGS: &[Member] = &[
    ("attestation", Table(ATTESTATION)),
    ("capabilities", Table(&[("iotEdge", Flag)])),
    ("initialTwin", Table(&[("tags", Object), ("properties", Table(&[("desired", Object)]))])),
    ("provisioningStatus", OneOf(&["enabled", "disabled"])),
    ("reprovisionPolicy", Table(&[("updateHubAssignment", Flag), ("migrateDeviceData", Flag)])),
    ("allocationPolicy", OneOf(&["hashed", "static", "geoLatency", "custom"])),
    (DEFINITION, Table(&[("webhookUrl", Text), (WEBHOOK_URL_FILE, Text), ("apiVersion", Text)])),
    ("iotHubs", Texts),
    ("iotHubHostName", Text),
    ("credentialPolicyName", Text),
    ("certificatePolicyResourceId", Text),
    ("namespaceName", Text),
    ("certificateAuthorityName", Text),
    ("certificatePolicyName", Text),
];

pub(super) const INDIVIDUAL: &[Member] =
    &[("registrationId", Text), ("deviceId", Text), ("optionalDeviceInformation", Any)];
pub(super) const GROUP: &[Member] = &[("enrollmentGroupId", Text)];

const PRIMARY_KEY_FILE: &str = "primaryKeyFile";
const SECONDARY_KEY_FILE: &str = "secondaryKeyFile";
const DEFINITION: &str = "customAllocationDefinition";
const WEBHOOK_URL_FILE: &str = "webhookUrlFile";

/// Reads an enrollment or a group, whose own members are `own`.
pub(super) fn read<E: Entry + DeserializeOwned>(
    section: &Section<'_>,
    own: &'static [Member],
    files: &Files,
) -> Result<E, Mistake> {
    let known: Vec<&Member> = own.iter().chain(SETTINGS).collect();
    let mut members = convert_members(section, &known, files)?;
    section.required(E::ID_MEMBER)?;
    members.entry("attestation").or_insert_with(|| json!({ "type": "symmetricKey" }));
    members.remove(DEFINITION);
    let attestation = section.get("attestation");
    let mut entry: E = serde_json::from_value(Value::Object(members)).map_err(|error| match attestation {
        Some(attestation) => attestation.mistake(format!("is invalid: {error}")),
        None => section.mistake(error.to_string()),
    })?;
    let keys = attestation.map(|attestation| attestation.section()).transpose()?;
    let keys = keys.and_then(|attestation| attestation.get("symmetricKey")).map(|keys| keys.section()).transpose()?;
    if let Some(keys) = keys {
        let key = |name| keys.get(name).map(|file| files.key(&file)).transpose();
        let attestation = &mut entry.settings_mut().attestation;
        (attestation.primary, attestation.secondary) = (key(PRIMARY_KEY_FILE)?, key(SECONDARY_KEY_FILE)?);
    }
    let definition = section.get(DEFINITION).map(|definition| read_definition(&definition, files)).transpose()?;
    entry.settings_mut().custom_allocation_definition = definition;
    Ok(entry)
}

/// Reads which webhook is called. A URL with a query, which may hold the function key, is in a file of its own.
fn read_definition(member: &Node<'_>, files: &Files) -> Result<CustomAllocationDefinition, Mistake> {
    let section = member.section()?;
    let url = match (section.get("webhookUrl"), section.get(WEBHOOK_URL_FILE)) {
        (Some(text), None) if text.text()?.contains('?') => {
            return Err(text.mistake(format!(
                "has a query, which may hold the function key: write the URL to a file and name that in '{WEBHOOK_URL_FILE}'"
            )));
        }
        (Some(text), None) => {
            WebhookUrl::parse(text.text()?).map_err(|error| text.mistake(format!("is invalid: {error}")))?
        }
        (None, Some(file)) => files.webhook_url(&file)?,
        _ => {
            return Err(
                section.mistake(format!("one of 'webhookUrl' and '{WEBHOOK_URL_FILE}' must be set in this table"))
            );
        }
    };
    let definition = CustomAllocationDefinition::new(url);
    Ok(match section.get("apiVersion") {
        Some(version) => CustomAllocationDefinition { api_version: version.text()?.to_owned(), ..definition },
        None => definition,
    })
}

fn convert_members(section: &Section<'_>, known: &[&Member], files: &Files) -> Result<Map<String, Value>, Mistake> {
    let converted = section.iter().map(|member| {
        let Some((name, shape)) = known.iter().find(|(name, _)| *name == member.name) else {
            return Err(unknown(&member, known));
        };
        Ok(((*name).to_owned(), convert(&member, shape, files)?))
    });
    converted.collect()
}

fn unknown(member: &Node<'_>, known: &[&Member]) -> Mistake {
    let mistake = member.unknown(&known.iter().map(|(name, _)| *name).collect::<Vec<_>>());
    match member.name {
        "primaryKey" | "secondaryKey" => {
            let message =
                format!("'{0}' is not allowed: write the key to a file and name that in '{0}File'", member.name);
            Mistake { message, ..mistake }
        }
        _ => mistake,
    }
}

fn convert(member: &Node<'_>, shape: &Shape, files: &Files) -> Result<Value, Mistake> {
    Ok(match shape {
        Text => member.text()?.into(),
        Texts => member.items()?.iter().map(Node::text).collect::<Result<Vec<_>, _>>()?.into(),
        Flag => member.flag()?.into(),
        OneOf(names) => {
            let name = member.text().ok().filter(|name| names.contains(name));
            name.ok_or_else(|| member.must_be(format!("one of {}", names.join(", "))))?.into()
        }
        Object => member.object()?.into(),
        Any => member.free()?,
        Table(known) => convert_members(&member.section()?, &known.iter().collect::<Vec<_>>(), files)?.into(),
        Certificate => {
            let section = member.section()?;
            section.check_names(&["certificate", "certificateFile"])?;
            json!({ "certificate": read_certificate(&section, files)?.base64() })
        }
    })
}

/// Reads the certificate of a table, in `certificate` or in the file `certificateFile`.
pub(super) fn read_certificate(section: &Section<'_>, files: &Files) -> Result<crate::x509::Certificate, Mistake> {
    match (section.get("certificate"), section.get("certificateFile")) {
        (Some(text), None) => crate::x509::Certificate::from_pem(text.text()?)
            .map_err(|error| text.mistake(format!("is invalid: {error}"))),
        (None, Some(file)) => files.certificate(&file),
        _ => Err(section.mistake("one of 'certificate' and 'certificateFile' must be set in this table")),
    }
}
