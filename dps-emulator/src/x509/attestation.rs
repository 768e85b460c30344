//! The X.509 attestation of an enrollment: which certificates it accepts, in code and as JSON.

use serde::Serialize;
use serde_json::{Map, Value, json};

use super::certificate::Certificate;
use crate::attestation::Holder;

/// A primary and an optional secondary value, each of which is accepted: for a change without an interruption.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Slots<T> {
    /// The primary value.
    pub primary: T,
    /// The secondary value.
    pub secondary: Option<T>,
}

impl<T> Slots<T> {
    /// The values that are set.
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        std::iter::once(&self.primary).chain(&self.secondary)
    }
}

/// Which certificates an enrollment accepts (Azure REST reference, `X509Attestation`).
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum X509Attestation {
    /// Individual enrollment: the device's own certificate, compared by thumbprint.
    ClientCertificates(Slots<Certificate>),
    /// Group: a CA certificate that signed the device's, or one that signed that.
    SigningCertificates(Slots<Certificate>),
    /// Names of CA certificates of the service, which must be verified when a device registers.
    CaReferences(Slots<String>),
}

const CLIENT: &str = "clientCertificates";
const SIGNING: &str = "signingCertificates";
const REFERENCES: &str = "caReferences";

impl X509Attestation {
    /// Sets the primary certificate of an individual enrollment or of a group.
    pub(crate) fn with_primary(old: Option<Self>, holder: Holder, certificate: Certificate) -> Self {
        let secondary = match old {
            Some(Self::ClientCertificates(slots) | Self::SigningCertificates(slots)) => slots.secondary,
            _ => None,
        };
        Self::of_certificates(holder, Slots { primary: certificate, secondary })
    }

    /// Sets the secondary certificate; it is the primary one too until that is set.
    pub(crate) fn with_secondary(old: Option<Self>, holder: Holder, certificate: Certificate) -> Self {
        let primary = match old {
            Some(Self::ClientCertificates(slots) | Self::SigningCertificates(slots)) => slots.primary,
            _ => certificate.clone(),
        };
        Self::of_certificates(holder, Slots { primary, secondary: Some(certificate) })
    }

    fn of_certificates(holder: Holder, slots: Slots<Certificate>) -> Self {
        match holder {
            Holder::Individual => Self::ClientCertificates(slots),
            Holder::Group => Self::SigningCertificates(slots),
        }
    }

    /// The names of the CA certificates that it refers to.
    pub(crate) fn references(&self) -> impl Iterator<Item = &String> {
        let slots = match self {
            Self::CaReferences(slots) => Some(slots),
            _ => None,
        };
        slots.into_iter().flat_map(Slots::iter)
    }

    /// Checks what the service requires of an attestation of this kind of enrollment.
    pub(crate) fn check(&self, holder: Holder) -> Result<(), String> {
        match (self, holder) {
            (Self::ClientCertificates(_), Holder::Group) => {
                Err(format!("'{CLIENT}' belong to individual enrollments; a group has '{SIGNING}' or '{REFERENCES}'"))
            }
            (Self::SigningCertificates(_), Holder::Individual) => {
                Err(format!("'{SIGNING}' belong to groups; an individual enrollment has '{CLIENT}' or '{REFERENCES}'"))
            }
            (Self::SigningCertificates(slots), Holder::Group) if !slots.iter().all(Certificate::is_authority) => {
                Err(format!("a certificate of '{SIGNING}' is not a CA certificate that may sign others"))
            }
            _ => Ok(()),
        }
    }

    /// Reads the member `x509` of an attestation.
    pub(crate) fn read(value: &Value) -> Result<Self, String> {
        let wrong = || format!("'attestation.x509' must have one of '{CLIENT}', '{SIGNING}' and '{REFERENCES}'");
        let members = value.as_object().ok_or_else(wrong)?;
        let mut set = [CLIENT, SIGNING, REFERENCES].into_iter().filter(|name| !is_empty(members.get(*name)));
        let (Some(name), None) = (set.next(), set.next()) else { return Err(wrong()) };
        let slots = members.get(name).and_then(Value::as_object).ok_or_else(wrong)?;
        Ok(match name {
            CLIENT => Self::ClientCertificates(read_slots(name, slots, read_certificate)?),
            SIGNING => Self::SigningCertificates(read_slots(name, slots, read_certificate)?),
            _ => Self::CaReferences(read_slots(name, slots, read_name)?),
        })
    }

    /// The member `x509` of an attestation.
    pub(crate) fn to_json(&self) -> Value {
        match self {
            Self::ClientCertificates(slots) => json!({ CLIENT: slots_json(slots, Shown::new) }),
            Self::SigningCertificates(slots) => json!({ SIGNING: slots_json(slots, Shown::new) }),
            Self::CaReferences(slots) => json!({ REFERENCES: slots_json(slots, |name| name) }),
        }
    }
}

/// A certificate as the admin API shows it.
#[derive(Serialize)]
struct Shown<'a> {
    certificate: String,
    info: &'a super::CertificateInfo,
}

impl<'a> Shown<'a> {
    fn new(certificate: &'a Certificate) -> Self {
        Self { certificate: certificate.base64(), info: certificate.info() }
    }
}

fn slots_json<'a, T, S: Serialize>(slots: &'a Slots<T>, shown: impl Fn(&'a T) -> S) -> Value {
    let mut members = json!({ "primary": shown(&slots.primary) });
    if let Some(secondary) = &slots.secondary {
        members["secondary"] = json!(shown(secondary));
    }
    members
}

/// Clients send members that they do not use as null, or empty.
fn is_empty(value: Option<&Value>) -> bool {
    match value {
        None | Some(Value::Null) => true,
        Some(Value::String(text)) => text.is_empty(),
        Some(Value::Object(members)) => members.values().all(|member| is_empty(Some(member))),
        Some(_) => false,
    }
}

fn read_slots<T>(
    name: &str,
    members: &Map<String, Value>,
    read: impl Fn(&Value) -> Result<T, String>,
) -> Result<Slots<T>, String> {
    let slot = |member: &str| {
        let value = members.get(member).filter(|value| !is_empty(Some(value)));
        value.map(|value| read(value).map_err(|error| format!("'{name}.{member}': {error}"))).transpose()
    };
    let primary = slot("primary")?.ok_or_else(|| format!("'{name}.primary' is missing"))?;
    Ok(Slots { primary, secondary: slot("secondary")? })
}

fn read_certificate(value: &Value) -> Result<Certificate, String> {
    let text = value.get("certificate").and_then(Value::as_str).ok_or("'certificate' is missing")?;
    Certificate::from_pem(text).map_err(|error| error.to_string())
}

fn read_name(value: &Value) -> Result<String, String> {
    value.as_str().map(str::to_owned).ok_or_else(|| "it must be the name of a CA certificate".into())
}
