//! Which protocol the assigned hub speaks: read from the reply buffer by a function of its own, so that firmware which does
//! not ask links nothing of it.

use core::fmt;

use crate::error::{ErrorCode, ReplyProblem};
use crate::ids::is_word;
use crate::schema::find;
use crate::text::ByteStr;

/// The protocol that the assigned hub speaks (`connectionProfile` of the service's API, since 2026-11-02-preview).
///
/// ```
/// use dps_core::{ConnectionProfile, ErrorCode};
///
/// assert!(ConnectionProfile::is_reported_by("2026-11-02-preview"));
/// assert!(!ConnectionProfile::is_reported_by("2026-11-01"));
/// assert_eq!(ConnectionProfile::Classic.require_classic(), Ok(()));
/// assert_eq!(ConnectionProfile::MqttV5.require_classic(), Err(ErrorCode::UnsupportedProfile));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum ConnectionProfile<'a> {
    /// The request used an API version without the member. Every hub of such a version is a classic one as far as is known,
    /// but the service did not report it.
    NotReported,
    /// MQTT 3.1.1, AMQP and HTTPS, with a client id, a user name, and a SAS token or a certificate.
    Classic,
    /// MQTT 5.
    MqttV5,
    /// A word that this version does not know, as the service sent it.
    Other(ByteStr<'a>),
}

/// The first day of an API version that has the member.
const REPORTED_SINCE: &[u8] = b"2026-11-02";

impl<'a> ConnectionProfile<'a> {
    /// Whether replies by this API version have the member: those from 2026-11-02 on, previews included.
    #[must_use]
    pub fn is_reported_by(api_version: impl AsRef<[u8]>) -> bool {
        // Dates of ISO 8601 are in the order of their text.
        api_version.as_ref().get(..REPORTED_SINCE.len()).is_some_and(|date| date >= REPORTED_SINCE)
    }

    /// The profile with this word of the service; letter case does not matter. `None` when it is not a word (1 to 64 ASCII
    /// letters, digits, `-` and `_`).
    #[must_use]
    pub fn from_word(word: &'a (impl AsRef<[u8]> + ?Sized)) -> Option<Self> {
        let word = word.as_ref();
        if word.eq_ignore_ascii_case(b"classic") {
            Some(Self::Classic)
        } else if word.eq_ignore_ascii_case(b"mqttV5") {
            Some(Self::MqttV5)
        } else {
            is_word(word).then(|| Self::Other(ByteStr::new(word)))
        }
    }

    /// The service's word; `None` where the service reported nothing.
    #[must_use]
    pub fn word(self) -> Option<ByteStr<'a>> {
        match self {
            Self::NotReported => None,
            Self::Classic => Some("classic".into()),
            Self::MqttV5 => Some("mqttV5".into()),
            Self::Other(word) => Some(word),
        }
    }

    /// Checks that the hub is a classic one as far as is known, before a client id, a user name and a token of MQTT 3.1.1 or a
    /// connection string is made for it.
    ///
    /// # Errors
    /// [`ErrorCode::UnsupportedProfile`] unless the profile is [`Self::Classic`] or was not reported.
    pub const fn require_classic(self) -> Result<(), ErrorCode> {
        match self {
            Self::Classic | Self::NotReported => Ok(()),
            Self::MqttV5 | Self::Other(_) => Err(ErrorCode::UnsupportedProfile),
        }
    }
}

/// The service's word, or `not reported`.
impl fmt::Display for ConnectionProfile<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.word() {
            Some(word) => fmt::Display::fmt(&word, f),
            None => f.pad("not reported"),
        }
    }
}

/// Reads the profile in the body of a reply, where the word is unescaped: in the registration state, or at the top, as a
/// lookup has it. Absent and null are classic.
pub(crate) fn read(body: &mut [u8]) -> Result<ConnectionProfile<'_>, ReplyProblem> {
    let found = find::find(body, &["registrationState", MEMBER]).or_else(|| find::find(body, &[MEMBER]));
    let Some(at) = found.filter(|at| body.get(*at) != Some(&b'n')) else { return Ok(ConnectionProfile::Classic) };
    let word = find::string_at(body, at).and_then(|range| body.get(range));
    word.and_then(ConnectionProfile::from_word).ok_or(ReplyProblem::Profile)
}

const MEMBER: &str = "connectionProfile";
