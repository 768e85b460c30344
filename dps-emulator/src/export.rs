//! The configuration of a service that runs: what starts an equal one. Keys are not in it, but in files that it names.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Map, Value, json};
use zeroize::Zeroizing;

use crate::admin::AdminReply;
use crate::auth::Owner;
use crate::enrollment_table::Entry;
use crate::fault::RetryAfter;
use crate::hubs::ConnectionProfile;
use crate::ids::FoldedId;
use crate::issuance::IssuanceCodes;
use crate::options::{EVENTS_MAX, ServiceOptions, UnchangedSubstatus};
use crate::service::Service;
use crate::throttle::Limits;
use crate::wire::Problem;
use crate::x509::CertificateAuthority;

/// The members of an enrollment that the owner sets, except the attestation. Others are set by the service, or unknown here,
/// and may be secret.
const EXPORTED: [&str; 16] = [
    "registrationId",
    "enrollmentGroupId",
    "deviceId",
    "optionalDeviceInformation",
    "capabilities",
    "initialTwin",
    "provisioningStatus",
    "reprovisionPolicy",
    "allocationPolicy",
    "iotHubs",
    "iotHubHostName",
    "credentialPolicyName",
    "certificatePolicyResourceId",
    "namespaceName",
    "certificateAuthorityName",
    "certificatePolicyName",
];
const SHOW_KEYS: &str = "showKeys";

/// A file that the configuration names, and the key in it unless keys are masked.
#[derive(Serialize)]
pub(crate) struct ExportedKey {
    pub(crate) name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) key: Option<KeyText>,
}

/// The content of a file with a key: the key, or the URL of a webhook, which holds one. Wiped when dropped, shown only by
/// [`expose`](Self::expose).
#[derive(Clone)]
pub struct KeyText(Zeroizing<String>);

impl KeyText {
    fn new(text: &str) -> Self {
        Self(Zeroizing::new(text.to_owned()))
    }

    /// The text.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for KeyText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeyText(..)")
    }
}

impl Serialize for KeyText {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for KeyText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(|text| Self(Zeroizing::new(text)))
    }
}

/// A configuration, and the files that it names.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Export {
    pub(crate) configuration: Map<String, Value>,
    pub(crate) key_files: Vec<ExportedKey>,
}

impl Service {
    pub(crate) fn export_configuration(&self, query: &str, owner: Owner) -> Result<AdminReply, Problem> {
        let show_keys = shows_keys(query)?;
        if show_keys && owner == Owner::BySession {
            return Err(Problem::bad_request(format!(
                "The page has no '{SHOW_KEYS}': use dps emulator export --show-keys."
            )));
        }
        Ok(AdminReply::ok(&self.export(show_keys)))
    }

    pub(crate) fn export(&self, show_keys: bool) -> Export {
        let mut keys = Keys { show: show_keys, files: Vec::new() };
        let mut configuration = self.listening.clone();
        configuration.extend(self.options_json(&mut keys));
        let hubs: Vec<Value> =
            self.hubs.weighted().map(|(name, weight)| hub_json(name, weight, self.hubs.profile(name))).collect();
        configuration.insert("hubs".into(), hubs.into());
        let certificates: Vec<Value> = self.authorities.iter().map(authority_json).collect();
        let enrollments: Vec<Value> = self.individuals.iter().map(|entry| entry_json(entry, &mut keys)).collect();
        let groups: Vec<Value> = self.groups.iter().map(|entry| entry_json(entry, &mut keys)).collect();
        let faults = self.faults.iter().map(|planned| {
            let mut members = Map::from(planned.plan.clone());
            members.insert("times".into(), planned.left.into());
            Value::Object(members)
        });
        for (name, tables) in [
            ("certificates", certificates),
            ("enrollments", enrollments),
            ("enrollmentGroups", groups),
            ("faults", faults.collect()),
        ] {
            if !tables.is_empty() {
                configuration.insert(name.into(), tables.into());
            }
        }
        Export { configuration, key_files: keys.files }
    }

    /// The options that differ from their defaults, and the id scope and the policy key.
    fn options_json(&self, keys: &mut Keys) -> Map<String, Value> {
        let (set, default) = (&self.options, ServiceOptions::default());
        let mut members = Map::new();
        let mut put = |name: &str, value: Value, usual: Value| {
            if value != usual {
                members.insert(name.into(), value);
            }
        };
        put("idScope", set.id_scope.clone().into(), Value::Null);
        put("policyKeyFile", keys.file("policy.key", self.policy_key.expose()).into(), Value::Null);
        // Whoever knows the seed knows the keys that it made.
        let seed = set.small_seed.filter(|seed| keys.show && i64::try_from(*seed).is_ok());
        put("seed", json!(seed), Value::Null);
        put("clockOffsetMs", self.clock.offset_ms().into(), 0.into());
        put("clockScale", self.clock.scale().into(), 1.into());
        put("retryAfter", hint_json(set.hint), hint_json(default.hint));
        put("assigningMs", set.assigning_ms.into(), default.assigning_ms.into());
        put("conflictWindowMs", set.conflict_window_ms.into(), default.conflict_window_ms.into());
        put("operationLifeMs", set.operation_life_ms.into(), default.operation_life_ms.into());
        put("challengeLifeMs", set.challenge_life_ms.into(), default.challenge_life_ms.into());
        put("clockSkewMs", set.clock_skew_ms.into(), default.clock_skew_ms.into());
        put("assignAtOnce", set.assign_at_once.into(), false.into());
        put("echoPayload", set.echo_payload.into(), false.into());
        put("deriveAsSent", set.derive_as_sent.into(), false.into());
        put("strictAtConnect", set.strict_at_connect.into(), false.into());
        put("certificatesAtRegister", set.certificates_at_register.into(), false.into());
        put("certificateInfo", set.certificate_info.into(), false.into());
        put("certificateDays", set.certificate_days.into(), default.certificate_days.into());
        put("p384Only", set.p384_only.into(), false.into());
        if set.issuance_codes == IssuanceCodes::Early {
            put("issuanceCodes", "early".into(), Value::Null);
        }
        put("checkExpiryOnPoll", set.check_expiry_on_poll.into(), false.into());
        if set.unchanged == UnchangedSubstatus::Reprovisioned {
            put("unchangedSubstatus", "reprovisioned".into(), Value::Null);
        }
        put("eventsKept", set.events_kept.min(EVENTS_MAX).into(), default.events_kept.into());
        put("limits", limits_json(set.limits), json!({}));
        members
    }
}

/// Names the files of keys, and collects the keys.
struct Keys {
    show: bool,
    files: Vec<ExportedKey>,
}

impl Keys {
    fn file(&mut self, name: &str, text: &str) -> String {
        // Some file systems do not allow the colon, which an id can have.
        let name = format!("keys/{}", name.replace(':', "%3A"));
        self.files.push(ExportedKey { name: name.clone(), key: self.show.then(|| KeyText::new(text)) });
        name
    }
}

fn hub_json(name: &str, weight: u32, profile: ConnectionProfile) -> Value {
    let mut hub = json!({ "name": name, "weight": weight });
    if profile != ConnectionProfile::Classic {
        hub["profile"] = profile.word().into();
    }
    hub
}

fn hint_json(hint: Option<RetryAfter>) -> Value {
    match hint {
        Some(RetryAfter::Seconds(seconds)) => seconds.into(),
        Some(RetryAfter::Date(offset)) => json!({ "dateOffset": offset }),
        None => false.into(),
    }
}

fn limits_json(limits: Limits) -> Value {
    let default = Limits::default();
    let mut members = Map::new();
    for (name, set, usual) in [
        ("registrationsPerMinute", limits.registrations_per_minute, default.registrations_per_minute),
        ("pollsPer10Seconds", limits.polls_per_10_s, default.polls_per_10_s),
        ("adminPerMinute", limits.admin_per_minute, default.admin_per_minute),
        ("renewalsPerMinute", limits.renewals_per_minute, default.renewals_per_minute),
    ] {
        if set != usual {
            members.insert(name.into(), set.map_or(false.into(), Value::from));
        }
    }
    members.into()
}

fn authority_json(authority: &CertificateAuthority) -> Value {
    let CertificateAuthority { name, certificate, is_verified, .. } = authority;
    json!({ "name": name, "certificate": certificate.base64(), "isVerified": is_verified })
}

fn entry_json<E: Entry>(entry: &E, keys: &mut Keys) -> Value {
    let mut shown = entry.clone();
    shown.settings_mut().attestation.forget_keys();
    let mut value = serde_json::to_value(shown).unwrap_or_default();
    let mut attestation = value["attestation"].take();
    forget_info(&mut attestation);
    let stem = format!("{}-{}", E::NAME.replace(' ', "-"), FoldedId::new(entry.id()).as_str());
    let set = &entry.settings().attestation;
    for (slot, key) in [("primary", &set.primary), ("secondary", &set.secondary)] {
        if let Some(key) = key {
            let name = format!("{stem}-{slot}.key");
            attestation["symmetricKey"][format!("{slot}KeyFile")] = keys.file(&name, key.expose()).into();
        }
    }
    let definition = entry.settings().custom_allocation_definition.as_ref().map(|definition| {
        let url = definition.webhook_url.expose();
        let (member, url) = match url.contains('?') {
            true => ("webhookUrlFile", keys.file(&format!("{stem}-webhook.url"), url)),
            false => ("webhookUrl", url.to_owned()),
        };
        json!({ member: url, "apiVersion": definition.api_version })
    });
    let members = value.as_object_mut().map(std::mem::take).unwrap_or_default();
    let mut exported: Map<String, Value> =
        members.into_iter().filter(|(name, _)| EXPORTED.contains(&name.as_str())).collect();
    exported.insert("attestation".into(), attestation);
    exported.extend(definition.map(|definition| ("customAllocationDefinition".to_owned(), definition)));
    exported.into()
}

/// Removes what the service shows of certificates.
fn forget_info(value: &mut Value) {
    if let Value::Object(members) = value {
        if members.contains_key("certificate") {
            members.remove("info");
        }
        members.values_mut().for_each(forget_info);
    }
}

/// Whether the query asks for the keys. An unknown parameter or value is an error.
fn shows_keys(query: &str) -> Result<bool, Problem> {
    let mut show = false;
    for pair in query.split('&').filter(|pair| !pair.is_empty() && !pair.starts_with("api-version=")) {
        show = match pair.split_once('=') {
            Some((SHOW_KEYS, "true")) => true,
            Some((SHOW_KEYS, "false")) => false,
            _ => return Err(Problem::bad_request(format!("The query can have '{SHOW_KEYS}' only, true or false."))),
        };
    }
    Ok(show)
}
