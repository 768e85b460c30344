//! What a registration or a lookup found out, owned.

use std::ops::Range;
use std::time::Duration;

use dps_core::{ByteStr, ErrorCode};
use dps_files::SecretString;
use zeroize::Zeroizing;

use crate::clock::Clock;
use crate::error::DpsError;
use crate::hub::HubCredentials;
use crate::key;
use crate::names::{IdScope, RegistrationId};
use crate::profile::ConnectionProfile;
use crate::signer::Credential;
use crate::store::StoredAssignment;

/// The hub that the device belongs to, and its name there.
#[derive(Clone)]
pub struct Assignment {
    pub(crate) hub: String,
    pub(crate) device_id: String,
    pub(crate) id_scope: IdScope,
    pub(crate) registration_id: RegistrationId,
    pub(crate) substatus: Option<String>,
    pub(crate) operation_id: Option<String>,
    pub(crate) payload: Option<String>,
    pub(crate) connection_profile: ConnectionProfile,
    pub(crate) issued_chain: Vec<Vec<u8>>,
    pub(crate) elapsed: Duration,
    pub(crate) credential: Credential,
    pub(crate) credential_index: usize,
    pub(crate) clock: Clock,
    /// How long a signature for the hub may take.
    pub(crate) signing_limit: Duration,
}

impl Assignment {
    /// The hub's host name.
    #[must_use]
    pub fn hub(&self) -> &str {
        &self.hub
    }

    /// The device id at the hub; case-sensitive there.
    #[must_use]
    pub fn device_id(&self) -> &str {
        &self.device_id
    }

    /// Returns the id under which the device registered.
    #[must_use]
    pub fn registration_id(&self) -> &RegistrationId {
        &self.registration_id
    }

    /// How the assignment came about, such as `initialAssignment`. An open list; only to inform.
    #[must_use]
    pub fn substatus(&self) -> Option<&str> {
        self.substatus.as_deref()
    }

    /// The operation that made it; none when the service assigned at once.
    #[must_use]
    pub fn operation_id(&self) -> Option<&str> {
        self.operation_id.as_deref()
    }

    /// What the service's allocation webhook gave the device: a JSON object.
    #[must_use]
    pub fn payload(&self) -> Option<&str> {
        self.payload.as_deref()
    }

    /// Returns which protocol the hub speaks, if the client
    /// [asked for it](crate::ProvisioningClientBuilder::connection_profile).
    #[must_use]
    pub fn connection_profile(&self) -> &ConnectionProfile {
        &self.connection_profile
    }

    /// The certificates that were issued for the
    /// [certificate request](crate::ProvisioningClientBuilder::certificate_request), as DER, the device's first; none where there
    /// was no request, or the API version has no issuance. They are as the service sent them:
    /// `IssuedIdentity::accept` checks them.
    #[must_use]
    pub fn issued_chain(&self) -> &[Vec<u8>] {
        &self.issued_chain
    }

    /// Which of the client's credentials the service accepted: its index in the order in which they were set, from 0. See
    /// [`fallback`](crate::ProvisioningClientBuilder::fallback).
    #[must_use]
    pub fn credential_index(&self) -> usize {
        self.credential_index
    }

    /// How long the registration took.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        self.elapsed
    }

    /// `HostName=…;DeviceId=…;SharedAccessKey=…`, a secret, or `HostName=…;DeviceId=…;x509=true` for a device with a
    /// certificate; `None` when a signer holds the key.
    ///
    /// # Errors
    /// `invalid-option` when the device id contains `;`, which separates the parts of a connection string: the text
    /// would name another device, or another host. [`Assignment::hub_credentials`] has no such limit. `unsupported-profile` for a
    /// hub with another connection profile than `classic`.
    pub fn connection_string(&self) -> Result<Option<SecretString>, DpsError> {
        self.connection_profile.require_classic(&self.hub)?;
        if self.device_id.contains(';') {
            let message =
                "the device id contains `;`, which a connection string cannot hold; sign in with hub credentials";
            return Err(DpsError::config(ErrorCode::InvalidOption, message.into()));
        }
        let key = match &self.credential {
            Credential::Key(device_key) => key::to_base64(device_key),
            Credential::Own(_) => return Ok(None),
            #[cfg(feature = "pkcs11")]
            Credential::Token(_) => return Ok(None),
            #[cfg(feature = "tpm")]
            Credential::Tpm(_) => return Ok(None),
            #[cfg(any(feature = "http", feature = "mqtt"))]
            Credential::Certificate(_) => {
                let text = format!("HostName={};DeviceId={};x509=true", self.hub, self.device_id);
                return Ok(Some(SecretString::from(Zeroizing::new(text))));
            }
        };
        let text = Zeroizing::new(format!(
            "HostName={};DeviceId={};SharedAccessKey={}",
            self.hub,
            self.device_id,
            key.expose()
        ));
        Ok(Some(SecretString::from(text)))
    }

    /// What the device signs in to its hub with: client id, user name, and a password that renews itself or the device's
    /// certificate. Where the client has an [issued](crate::ProvisioningClientBuilder::issued) certificate that is valid, it is that one,
    /// whichever credential the service accepted.
    ///
    /// # Errors
    /// `unsupported-profile` for a hub with another connection profile than `classic`, which accepts none of these.
    pub fn hub_credentials(&self) -> Result<HubCredentials, DpsError> {
        self.connection_profile.require_classic(&self.hub)?;
        let (hub, device_id) = (self.hub.clone(), self.device_id.clone());
        let (credential, clock) = (self.credential.clone(), self.clock.clone());
        Ok(HubCredentials::new(hub, device_id, credential, clock, self.signing_limit))
    }

    /// What is worth keeping over a restart; no secret is in it.
    #[must_use]
    pub fn to_stored(&self) -> StoredAssignment {
        StoredAssignment {
            id_scope: self.id_scope.clone(),
            registration_id: self.registration_id.clone(),
            hub: self.hub.clone(),
            device_id: self.device_id.clone(),
            credential_index: self.credential_index,
            connection_profile: self.connection_profile.clone(),
        }
    }
}

impl std::fmt::Debug for Assignment {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Assignment")
            .field("hub", &self.hub)
            .field("device_id", &self.device_id)
            .field("substatus", &self.substatus)
            .field("operation_id", &self.operation_id)
            .field("connection_profile", &self.connection_profile)
            .finish_non_exhaustive()
    }
}

/// What the service has on record for a registration id.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RegistrationRecord {
    /// How far the registration is.
    pub status: dps_core::Status,
    /// The hub's host name, when assigned.
    pub hub: Option<String>,
    /// The device id at the hub, when assigned.
    pub device_id: Option<String>,
    /// How the assignment came about.
    pub substatus: Option<String>,
    /// The service's six-digit code, when failed.
    pub error_code: Option<u32>,
    /// The service's words, when failed.
    pub message: Option<String>,
    /// What the service's allocation webhook gave the device: a JSON object.
    pub payload: Option<String>,
    /// Which protocol the hub speaks, if the client [asked for it](crate::ProvisioningClientBuilder::connection_profile).
    pub connection_profile: ConnectionProfile,
}

impl RegistrationRecord {
    pub(crate) fn new(record: &dps_core::Record<'_>, buffer: &[u8], connection_profile: ConnectionProfile) -> Self {
        Self {
            status: record.status(),
            hub: owned(record.assigned_hub()),
            device_id: owned(record.device_id()),
            substatus: owned(record.substatus()),
            error_code: record.error_code(),
            message: owned(record.message()),
            payload: payload_text(buffer, record.payload()),
            connection_profile,
        }
    }
}

pub(crate) fn owned(text: Option<ByteStr<'_>>) -> Option<String> {
    text.map(|text| text.as_str().to_owned())
}

pub(crate) fn payload_text(buffer: &[u8], range: Option<Range<usize>>) -> Option<String> {
    let bytes = buffer.get(range?)?;
    String::from_utf8(bytes.to_vec()).ok()
}
