//! Which protocol the assigned hub speaks, owned; and the refusal of what only a classic hub accepts.

use std::fmt;

use dps_core::ErrorCode;

use crate::error::DpsError;

/// The protocol that the assigned hub speaks (`connectionProfile` of the service's API). The service reports it to those that
/// ask: see [`ProvisioningClientBuilder::connection_profile`](crate::ProvisioningClientBuilder::connection_profile).
///
/// ```
/// use dps_client::ConnectionProfile;
///
/// assert_eq!(ConnectionProfile::from_word("mqttV5"), Some(ConnectionProfile::MqttV5));
/// assert_eq!(ConnectionProfile::Classic.word(), Some("classic"));
/// assert_eq!(ConnectionProfile::NotReported.word(), None);
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ConnectionProfile {
    /// The API version of the requests does not report it, or the assignment was stored without it.
    #[default]
    NotReported,
    /// MQTT 3.1.1, AMQP and HTTPS, with a SAS token or a certificate. Also where a reply by an API version that reports the
    /// profile has none.
    Classic,
    /// MQTT 5.
    MqttV5,
    /// A word that this version does not know, as the service sent it.
    Other(String),
}

impl ConnectionProfile {
    /// Returns the profile with this word of the service; letter case does not matter. `None` unless it is 1 to 64 ASCII letters,
    /// digits, `-` and `_`.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        dps_core::ConnectionProfile::from_word(word).map(Self::from)
    }

    /// Returns the service's word; `None` where the service reported nothing.
    #[must_use]
    pub fn word(&self) -> Option<&str> {
        match self {
            Self::NotReported => None,
            Self::Classic => Some("classic"),
            Self::MqttV5 => Some("mqttV5"),
            Self::Other(word) => Some(word),
        }
    }

    /// Checks that a hub accepts credentials of MQTT 3.1.1 and connection strings, as far as is known.
    pub(crate) fn require_classic(&self, hub: &str) -> Result<(), DpsError> {
        match self {
            Self::Classic | Self::NotReported => Ok(()),
            Self::MqttV5 | Self::Other(_) => {
                let message = format!(
                    "the hub {hub} has the connection profile `{self}`; hub credentials and connection strings are for \
                     `classic` only: connect with a client for that profile, or have the device assigned to a classic hub"
                );
                Err(DpsError::config(ErrorCode::UnsupportedProfile, message))
            }
        }
    }
}

impl From<dps_core::ConnectionProfile<'_>> for ConnectionProfile {
    fn from(profile: dps_core::ConnectionProfile<'_>) -> Self {
        match profile {
            dps_core::ConnectionProfile::Classic => Self::Classic,
            dps_core::ConnectionProfile::MqttV5 => Self::MqttV5,
            other => other.word().map_or(Self::NotReported, |word| Self::Other(word.as_str().to_owned())),
        }
    }
}

/// The service's word, or `not reported`.
impl fmt::Display for ConnectionProfile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.word().unwrap_or("not reported"))
    }
}
