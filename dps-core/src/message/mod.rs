//! Requests and replies as values, before any codec touches them.
//!
//! The machine makes a [`Request`] and reads a [`Reply`]; it knows neither JSON, headers nor topics, and this file
//! knows neither a codec nor the machine.

mod no_answer;

use core::fmt;
use core::ops::Range;

use crate::error::{ConfigError, PayloadProblem, ReplyProblem};
use crate::ids::{self, Identity};
use crate::schema::json;
use crate::text::ByteStr;
use crate::time::{Instant, Millis, UnixSeconds};

pub(crate) use no_answer::code_of_connack;
pub use no_answer::{ActivateError, LinkError, SignError};

/// The largest message that the service accepts, in bytes (Azure IoT DPS documentation, "Quotas and limits": 96 KB).
pub const MESSAGE_MAX: usize = 96 * 1024;

/// Names one pending question to a link or a signer; answers carry it back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct RequestId(u32);

/// The number.
impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl RequestId {
    /// The id with this number, as received back over the wire.
    #[must_use]
    pub const fn new(number: u32) -> Self {
        Self(number)
    }

    /// The number; it counts up from 1 within one machine.
    #[must_use]
    pub const fn get(self) -> u32 {
        self.0
    }
}

/// One request to the service.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Request<'a> {
    /// Goes back with the answer.
    pub id: RequestId,
    /// What is asked.
    pub call: Call<'a>,
    /// Who asks whom.
    pub identity: Identity<'a>,
    /// The token that proves it; `None` where TLS does.
    pub authorization: Option<Authorization<'a>>,
    /// After this moment the machine counts the request as unanswered.
    pub respond_by: Instant,
}

/// What is asked of the service.
#[derive(Clone, Copy)]
#[non_exhaustive]
pub enum Call<'a> {
    /// Register the device; [`Call::register`] makes one.
    #[non_exhaustive]
    Register {
        /// What the allocation webhook is to see.
        payload: Option<Payload<'a>>,
        /// What else the body has.
        members: Members<'a>,
    },
    /// Ask how a registration is getting on.
    Status {
        /// The id that the register call was answered with.
        operation_id: ByteStr<'a>,
    },
    /// Ask for the device's record without registering. HTTPS only.
    Lookup,
    /// The same with the keys of a TPM, for which the service makes the challenge. Apart from [`Call::Lookup`], so that firmware
    /// which has no TPM is not larger.
    #[non_exhaustive]
    LookupWithMembers {
        /// What else the body has.
        members: Members<'a>,
    },
    /// Register without a token and without anything of the device's, to learn the time from the `Date` of the refusal.
    /// HTTPS only: a link that carries no time answers [`LinkError::Unsupported`].
    Time,
}

impl<'a> Call<'a> {
    /// Register the device, with what the allocation webhook is to see.
    #[must_use]
    pub const fn register(payload: Option<Payload<'a>>) -> Self {
        Self::Register { payload, members: Members(&NoMembers) }
    }
}

impl fmt::Debug for Call<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Register { payload, .. } => {
                f.debug_struct("Register").field("payload", payload).finish_non_exhaustive()
            }
            Self::Status { operation_id } => f.debug_struct("Status").field("operation_id", operation_id).finish(),
            Self::Lookup | Self::LookupWithMembers { .. } => f.write_str("Lookup"),
            Self::Time => f.write_str("Time"),
        }
    }
}

/// What the body of a registration has besides the registration id and the payload: an attestation's members, and a
/// certificate request. A codec writes them.
#[derive(Clone, Copy)]
pub struct Members<'a>(pub(crate) &'a dyn WriteMembers);

impl fmt::Debug for Members<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Members(..)")
    }
}

pub(crate) use sealed::WriteMembers;

mod sealed {
    use crate::text::Text;

    /// Members of a registration's body. Behind a trait object, so that an application which sends none links none.
    pub trait WriteMembers: Sync {
        /// Writes them, each with a comma before it. Where they cannot be read, the text fails.
        fn write_members(&self, text: &mut Text<'_>) {
            let _ = text;
        }
    }
}

struct NoMembers;

impl WriteMembers for NoMembers {}

/// A token, and which one it is.
#[derive(Clone, Copy)]
#[non_exhaustive]
pub struct Authorization<'a> {
    /// `SharedAccessSignature sr=…`, a secret until it expires.
    pub token: ByteStr<'a>,
    /// Counts up with every new token: a link whose connection was made with an older one makes a new connection.
    pub generation: u32,
}

impl fmt::Debug for Authorization<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authorization").field("generation", &self.generation).finish_non_exhaustive()
    }
}

impl<'a> Authorization<'a> {
    /// The token with its generation.
    #[must_use]
    pub fn new(token: impl Into<ByteStr<'a>>, generation: u32) -> Self {
        Self { token: token.into(), generation }
    }
}

impl<'a> Request<'a> {
    /// A request by hand, for a link's own tests; the machine makes them otherwise.
    #[must_use]
    pub const fn new(
        id: RequestId,
        call: Call<'a>,
        identity: Identity<'a>,
        authorization: Option<Authorization<'a>>,
        respond_by: Instant,
    ) -> Self {
        Self { id, call, identity, authorization, respond_by }
    }
}

/// A custom payload: one JSON object, passed on as it is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Payload<'a>(ByteStr<'a>);

/// What the message needs around a payload is at most the rest of [`MESSAGE_MAX`].
const PAYLOAD_MAX: usize = MESSAGE_MAX - 256;

impl<'a> Payload<'a> {
    /// Accepts a JSON object.
    ///
    /// # Errors
    /// [`ConfigError::Payload`] when it is not JSON, not an object, or larger than [`MESSAGE_MAX`] less what the message
    /// needs around it.
    pub fn new(json: &'a str) -> Result<Self, ConfigError> {
        Self::from_bytes(json.as_bytes()).ok_or_else(|| ConfigError::Payload(explain_payload(json)))
    }

    /// As [`Payload::new`], without an explanation: `None` for anything that is not a JSON object in UTF-8, or too large.
    #[must_use]
    pub fn from_bytes(json: &'a [u8]) -> Option<Self> {
        json::object(json).filter(|object| object.len() <= PAYLOAD_MAX).map(|object| Self(ByteStr::new(object)))
    }

    /// The JSON text, without spaces around it.
    #[must_use]
    pub fn as_str(self) -> &'a str {
        self.0.as_str()
    }

    /// Its bytes.
    #[must_use]
    pub const fn as_bytes(self) -> &'a [u8] {
        self.0.as_bytes()
    }
}

/// The payload in `json`, which was parsed before: see `ids::checked`.
#[must_use]
pub fn checked_payload(json: &str) -> Payload<'_> {
    debug_assert!(Payload::from_bytes(json.as_bytes()).is_some_and(|parsed| parsed.as_str() == json));
    Payload(ByteStr::new(json.as_bytes()))
}

fn explain_payload(json: &str) -> PayloadProblem {
    let json = json.trim_ascii();
    match json::check(json.as_bytes()) {
        _ if json.len() > PAYLOAD_MAX => PayloadProblem::TooLong { length: json.len(), most: PAYLOAD_MAX },
        Err(offset) => PayloadProblem::NotJson { offset },
        Ok(()) => PayloadProblem::NotAnObject,
    }
}

impl<'a> TryFrom<&'a str> for Payload<'a> {
    type Error = ConfigError;

    fn try_from(json: &'a str) -> Result<Self, ConfigError> {
        Self::new(json)
    }
}

impl AsRef<str> for Payload<'_> {
    fn as_ref(&self) -> &str {
        self.as_str()
    }
}

impl AsRef<[u8]> for Payload<'_> {
    fn as_ref(&self) -> &[u8] {
        self.as_bytes()
    }
}

impl fmt::Debug for Payload<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Payload({} bytes)", self.0.len())
    }
}

/// One reply of the service, read by a codec. Texts point into the reply buffer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Reply<'b> {
    /// The HTTP status, or the number in the MQTT reply topic.
    pub status: u16,
    /// The service's hint when to come back. Codecs leave out what cannot be one (negative, over a day).
    pub retry_after: Option<Millis>,
    /// The service's clock, where the transport carries it.
    pub date: Option<UnixSeconds>,
    /// What the body said.
    pub body: Body<'b>,
}

/// What a reply's body said; members that were absent, null or of another type are `None`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Body<'b> {
    /// Names the operation to poll.
    pub operation_id: Option<ByteStr<'b>>,
    /// How far the registration is: the operation's status, or the record's.
    pub status: Option<Status>,
    /// How the assignment came about, such as `initialAssignment`. An open list; only to inform.
    pub substatus: Option<ByteStr<'b>>,
    /// The hub's host name.
    pub assigned_hub: Option<ByteStr<'b>>,
    /// The device id at the hub.
    pub device_id: Option<ByteStr<'b>>,
    /// The service's six-digit code.
    pub error_code: Option<u32>,
    /// The service's words about an error.
    pub message: Option<ByteStr<'b>>,
    /// By which the service's support finds the request.
    pub tracking_id: Option<ByteStr<'b>>,
    /// When the service noted the error, ISO 8601.
    pub timestamp: Option<ByteStr<'b>>,
    /// The range of the custom payload's JSON in the reply buffer.
    pub payload: Option<Range<usize>>,
    /// For members that only some callers need.
    pub(crate) json: Json<'b>,
}

/// The JSON text of a body, and where it starts in the reply buffer.
#[derive(Clone, Copy, Default)]
pub(crate) struct Json<'b> {
    pub(crate) text: &'b [u8],
    pub(crate) start: usize,
}

/// Not the text, which has the payload, and keys for a TPM.
impl fmt::Debug for Json<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("..")
    }
}

/// Bodies are equal when they say the same, however it was written.
impl PartialEq for Json<'_> {
    fn eq(&self, _other: &Self) -> bool {
        true
    }
}

impl Eq for Json<'_> {}

impl Body<'_> {
    /// Checks the names that later become part of a URI, a connection string or a line on a terminal: the hub is a host
    /// name, the device id one of a hub, the substatus a word. Members that are absent are not missed.
    ///
    /// # Errors
    /// [`ReplyProblem`]: what is wrong.
    pub fn check_names(&self) -> Result<(), ReplyProblem> {
        if !self.assigned_hub.is_none_or(ids::is_hub_name) {
            Err(ReplyProblem::Hub)
        } else if !self.device_id.is_none_or(ids::is_device_id) {
            Err(ReplyProblem::DeviceId)
        } else if !self.substatus.is_none_or(ids::is_word) {
            Err(ReplyProblem::Substatus)
        } else {
            Ok(())
        }
    }
}

/// How far a registration is (Azure IoT DPS REST reference, `EnrollmentStatus`; an open list).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum Status {
    /// A word that this version does not know.
    // From 1 on, so that no status is a zero: what is all zeros is cleared at once.
    Unknown = 1,
    /// Not registered yet.
    Unassigned,
    /// Under way.
    Assigning,
    /// Done: hub and device id are known.
    Assigned,
    /// The service could not do it.
    Failed,
    /// The enrollment is disabled.
    Disabled,
}

impl Status {
    /// Reads the service's word; letter case does not matter.
    #[must_use]
    #[inline]
    pub fn from_word(word: impl AsRef<[u8]>) -> Self {
        // In one string, as the keys of the members.
        let mut words = b"unassigned assigning assigned failed disabled".split(|byte| *byte == b' ');
        match words.position(|known| known.eq_ignore_ascii_case(word.as_ref())) {
            Some(0) => Self::Unassigned,
            Some(1) => Self::Assigning,
            Some(2) => Self::Assigned,
            Some(3) => Self::Failed,
            Some(4) => Self::Disabled,
            _ => Self::Unknown,
        }
    }

    /// The service's word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unassigned => "unassigned",
            Self::Assigning => "assigning",
            Self::Assigned => "assigned",
            Self::Failed => "failed",
            Self::Disabled => "disabled",
            Self::Unknown => "unknown",
        }
    }
}

/// The service's word.
impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl Reply<'_> {
    /// A reply with a status and nothing else, to be filled in.
    #[must_use]
    pub fn new(status: u16) -> Self {
        Self { status, ..Self::default() }
    }
}
