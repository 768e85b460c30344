//! Fault plans as JSON: which requests meet a fault, what goes wrong and how often.
//!
//! A plan that is read from JSON can take effect; any other is rejected, and the error names the invalid member.

use std::fmt::Display;
use std::ops::RangeInclusive;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::fault::{At, Fault, Flood, RetryAfter};
use crate::ids::{self, FoldedId};

/// How much of an unknown member's name an error repeats, in characters.
const NAME_SHOWN: usize = 40;

/// One planned fault, in its JSON form.
///
/// | member | value |
/// |---|---|
/// | `registrationId` | the registration whose requests meet it, in any letter case; every device's when absent; not for `no-certificate-request` |
/// | `at` | `register`, `poll`, `lookup`, `connect`, `subscribe`, `handshake`, `renew` (a certificate request to a hub), `issue` (its last answer) or `any` (of the first three), which is the default |
/// | `kind` | what goes wrong, as [`kinds`](Self::kinds) lists it |
/// | `times` | how many requests meet it, 1 by default |
/// | `retryAfter` | for `throttle` and `server-error`: seconds, or `{"dateOffset": seconds}` for an HTTP-date at that offset from the service's clock |
/// | `status` | for `server-error`: 400 to 599 |
/// | `ms` | for `delay`: milliseconds, up to a day |
/// | `bytes` | for `oversize-reply`: the size of the body, up to 16 MiB |
/// | `patch` | for `patch-reply`: a JSON merge patch (RFC 7396) for the body of the reply |
/// | `code` | for `refuse-connect`: the CONNACK code, 1 to 5 |
/// | `of` | for `flood`: `pingresp`, `puback` or `publish` over MQTT, `ping-frames` over MQTT in WebSocket, `interim-responses`, `header-lines` or `chunks` over HTTPS |
/// | `answered` | for `flood` over MQTT: true if it is sent after the reply, false by default |
///
/// ```
/// use dps_emulator::{FaultPlan, Service, ServiceOptions};
///
/// let text = r#"{ "registrationId": "dev-01", "at": "poll", "kind": "throttle", "retryAfter": 7, "times": 2 }"#;
/// let plan: FaultPlan = serde_json::from_str(text)?;
/// let mut service = Service::new(ServiceOptions::new())?;
/// service.inject_plan(&plan);
/// assert_eq!(service.pending_faults(), 2);
///
/// let error = serde_json::from_str::<FaultPlan>(r#"{ "kind": "no-ping", "at": "poll" }"#).unwrap_err();
/// assert_eq!(error.to_string(), "'at' must be connect for kind 'no-ping'");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Map<String, Value>", into = "Map<String, Value>")]
pub struct FaultPlan {
    pub(crate) registration_id: Option<String>,
    pub(crate) at: At,
    pub(crate) fault: Fault,
    pub(crate) times: u32,
}

impl FaultPlan {
    /// The name of every kind, and its effect.
    pub fn kinds() -> impl Iterator<Item = (&'static str, &'static str)> {
        KINDS.iter().map(|kind| (kind.name, kind.meaning))
    }

    /// The names of the requests that a fault can be planned for.
    pub fn requests() -> impl Iterator<Item = &'static str> {
        At::ALL.into_iter().map(At::name)
    }

    /// The registration whose requests meet it; `None` for every device.
    #[must_use]
    pub fn registration_id(&self) -> Option<&str> {
        self.registration_id.as_deref()
    }

    /// Which requests meet it.
    #[must_use]
    pub fn at(&self) -> At {
        self.at
    }

    /// What goes wrong.
    #[must_use]
    pub fn fault(&self) -> &Fault {
        &self.fault
    }

    /// How many requests meet it.
    #[must_use]
    pub fn times(&self) -> u32 {
        self.times
    }
}

impl TryFrom<Map<String, Value>> for FaultPlan {
    type Error = PlanError;

    fn try_from(object: Map<String, Value>) -> Result<Self, PlanError> {
        let members = Members(object);
        let kind = members.kind()?;
        members.check_all_belong_to(kind)?;
        let (registration_id, fault) = (members.registration_id()?, (kind.read)(&members)?);
        if fault == Fault::NoCertificateRequest && registration_id.is_some() {
            let problem = "is not allowed for kind 'no-certificate-request': no device is known at that time";
            return Err(PlanError::new(REGISTRATION_ID, problem.into()));
        }
        Ok(Self { registration_id, at: members.at(kind)?, fault, times: members.times()? })
    }
}

impl From<FaultPlan> for Map<String, Value> {
    fn from(plan: FaultPlan) -> Self {
        let mut object = Self::new();
        if let Some(id) = plan.registration_id {
            object.insert(REGISTRATION_ID.into(), id.into());
        }
        object.insert(AT.into(), plan.at.name().into());
        object.insert(KIND.into(), plan.fault.kind().into());
        plan.fault.write(&mut object);
        object.insert(TIMES.into(), plan.times.into());
        object
    }
}

/// Why a fault plan is invalid.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{member}' {problem}")]
pub struct PlanError {
    member: String,
    problem: String,
}

impl PlanError {
    pub(crate) fn new(member: &str, problem: String) -> Self {
        Self { member: member.chars().take(NAME_SHOWN).collect(), problem }
    }

    /// The invalid member.
    #[must_use]
    pub fn member(&self) -> &str {
        &self.member
    }

    /// What is wrong with the member, to be read after its name. Repeats no value.
    #[must_use]
    pub fn problem(&self) -> &str {
        &self.problem
    }
}

impl FaultPlan {
    /// Whether it is planned for this registration alone.
    pub(crate) fn is_for(&self, registration: &FoldedId) -> bool {
        self.registration_id.as_ref().is_some_and(|id| FoldedId::new(id) == *registration)
    }
}

/// Calls of a device, over any protocol.
const CALLS: &[At] = &[At::Register, At::Poll, At::Lookup, At::Any];
/// Calls about an operation: all that MQTT has.
const OPERATIONS: &[At] = &[At::Register, At::Poll, At::Any];
/// What is not processed: all calls of a device, and a certificate request to a hub.
const REQUESTS: &[At] = &[At::Register, At::Poll, At::Lookup, At::Renew, At::Any];
/// What has a reply.
const REPLIES: &[At] = &[At::Register, At::Poll, At::Lookup, At::Renew, At::Issue, At::Any];
/// What a hub replies to a certificate request.
const HUB_REPLIES: &[At] = &[At::Renew, At::Issue];
/// What has a reply with a request id, which only MQTT has.
const MQTT_REPLIES: &[At] = &[At::Register, At::Poll, At::Renew, At::Issue, At::Any];
const ALL_REQUESTS: &[At] = &[At::Register, At::Poll, At::Lookup, At::Connect, At::Subscribe, At::Renew, At::Any];
const ALL_REPLIES: &[At] =
    &[At::Register, At::Poll, At::Lookup, At::Connect, At::Subscribe, At::Renew, At::Issue, At::Any];

/// One kind of fault.
struct Kind {
    pub(crate) name: &'static str,
    /// Its effect, in one line.
    meaning: &'static str,
    /// The requests that can meet it.
    pub(crate) requests: &'static [At],
    /// The members that belong to it.
    pub(crate) members: &'static [&'static str],
    /// Reads those members.
    pub(crate) read: fn(&Members) -> Result<Fault, PlanError>,
}

#[rustfmt::skip]
static KINDS: [Kind; 24] = [
    Kind { name: "throttle", meaning: "status 429, with or without a hint; not processed", requests: REQUESTS,
        members: &[RETRY_AFTER],
        read: |members| Ok(Fault::Throttle { retry_after: members.retry_after()? }) },
    Kind { name: "server-error", meaning: "this status, with or without a hint; not processed, except at issue", requests: REPLIES,
        members: &[STATUS, RETRY_AFTER],
        read: |members| Ok(Fault::ServerError { status: members.status()?, retry_after: members.retry_after()? }) },
    Kind { name: "drop-before", meaning: "the connection is closed; not processed", requests: ALL_REQUESTS,
        members: &[], read: |_| Ok(Fault::DropBefore) },
    Kind { name: "drop-after", meaning: "processed, then the connection is closed without a reply", requests: ALL_REPLIES,
        members: &[], read: |_| Ok(Fault::DropAfter) },
    Kind { name: "delay", meaning: "the reply is sent this many milliseconds later", requests: REPLIES,
        members: &[MS], read: |members| Ok(Fault::Delay { ms: members.ms()? }) },
    Kind { name: "garbage", meaning: "the right status, with a body that is not JSON", requests: REPLIES,
        members: &[], read: |_| Ok(Fault::Garbage) },
    Kind { name: "noise", meaning: "bytes that are not the protocol", requests: REPLIES,
        members: &[], read: |_| Ok(Fault::Noise) },
    Kind { name: "slow-bytes", meaning: "the reply is sent one byte at a time", requests: REPLIES,
        members: &[], read: |_| Ok(Fault::SlowBytes) },
    Kind { name: "wrong-request-id", meaning: "MQTT: the reply has another request id", requests: MQTT_REPLIES,
        members: &[], read: |_| Ok(Fault::WrongRequestId) },
    Kind { name: "missing-request-id", meaning: "MQTT: the reply has no request id", requests: MQTT_REPLIES,
        members: &[], read: |_| Ok(Fault::MissingRequestId) },
    Kind { name: "forget-operation", meaning: "the operation is forgotten: a poll does not find it", requests: OPERATIONS,
        members: &[], read: |_| Ok(Fault::ForgetOperation) },
    Kind { name: "oversize-reply", meaning: "the right reply, padded to this many bytes", requests: REPLIES,
        members: &[OVERSIZE], read: |members| Ok(Fault::OversizeReply { bytes: members.oversize()? }) },
    Kind { name: "patch-reply", meaning: "the right reply, its body changed by a JSON merge patch", requests: REPLIES,
        members: &[PATCH], read: |members| Ok(Fault::PatchReply { patch: members.patch()? }) },
    Kind { name: "silent", meaning: "no reply; the connection stays open", requests: ALL_REPLIES,
        members: &[], read: |_| Ok(Fault::Silent) },
    Kind { name: "refuse-connect", meaning: "MQTT: CONNACK with this code", requests: &[At::Connect],
        members: &[CODE], read: |members| Ok(Fault::RefuseConnect { code: members.code()? }) },
    Kind { name: "refuse-subscribe", meaning: "MQTT: SUBACK with a failure code", requests: &[At::Subscribe],
        members: &[], read: |_| Ok(Fault::RefuseSubscribe) },
    Kind { name: "no-ping", meaning: "MQTT: no PINGREQ is answered on this connection", requests: &[At::Connect],
        members: &[], read: |_| Ok(Fault::NoPing) },
    Kind { name: "no-certificate-request", meaning: "the TLS handshake does not request a client certificate",
        requests: &[At::Handshake], members: &[], read: |_| Ok(Fault::NoCertificateRequest) },
    Kind { name: "refuse-certificate", meaning: "the TLS handshake refuses the client's certificate by an alert",
        requests: &[At::Handshake], members: &[], read: |_| Ok(Fault::RefuseCertificate) },
    Kind { name: "replayed-challenge", meaning: "TPM: the key in the reply is an earlier one, which the service does not accept",
        requests: CALLS, members: &[], read: |_| Ok(Fault::ReplayedChallenge) },
    Kind { name: "foreign-challenge", meaning: "TPM: the key in the reply is made for another TPM",
        requests: CALLS, members: &[], read: |_| Ok(Fault::ForeignChallenge) },
    Kind { name: "duplicate-reply", meaning: "MQTT: the reply of a hub is sent twice", requests: HUB_REPLIES,
        members: &[], read: |_| Ok(Fault::DuplicateReply) },
    Kind { name: "foreign-certificate", meaning: "the certificate is issued for another key than that of the request",
        requests: &[At::Issue], members: &[], read: |_| Ok(Fault::ForeignCertificate) },
    Kind { name: "flood", meaning: "packets, frames, header lines or chunks without end, instead of the reply or after it",
        requests: CALLS, members: &[OF, ANSWERED],
        read: |members| Ok(Fault::Flood { of: members.flood()?, answered: members.flood_answered()? }) },
];

impl Fault {
    /// The name in plans.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Throttle { .. } => "throttle",
            Self::ServerError { .. } => "server-error",
            Self::DropBefore => "drop-before",
            Self::DropAfter => "drop-after",
            Self::Delay { .. } => "delay",
            Self::Garbage => "garbage",
            Self::Noise => "noise",
            Self::SlowBytes => "slow-bytes",
            Self::WrongRequestId => "wrong-request-id",
            Self::MissingRequestId => "missing-request-id",
            Self::ForgetOperation => "forget-operation",
            Self::OversizeReply { .. } => "oversize-reply",
            Self::PatchReply { .. } => "patch-reply",
            Self::Silent => "silent",
            Self::RefuseConnect { .. } => "refuse-connect",
            Self::RefuseSubscribe => "refuse-subscribe",
            Self::NoPing => "no-ping",
            Self::NoCertificateRequest => "no-certificate-request",
            Self::RefuseCertificate => "refuse-certificate",
            Self::ReplayedChallenge => "replayed-challenge",
            Self::ForeignChallenge => "foreign-challenge",
            Self::DuplicateReply => "duplicate-reply",
            Self::ForeignCertificate => "foreign-certificate",
            Self::Flood { .. } => "flood",
        }
    }

    /// Adds the members that describe it.
    pub(crate) fn write(&self, object: &mut Map<String, Value>) {
        let mut put = |member: &str, value: Value| drop(object.insert(member.into(), value));
        match self {
            Self::ServerError { status, .. } => put(STATUS, (*status).into()),
            Self::Delay { ms } => put(MS, (*ms).into()),
            Self::OversizeReply { bytes } => put(OVERSIZE, (*bytes).into()),
            Self::PatchReply { patch } => put(PATCH, patch.clone().into()),
            Self::RefuseConnect { code } => put(CODE, (*code).into()),
            Self::Flood { of, answered } => {
                put(OF, of.name().into());
                put(ANSWERED, (*answered).into());
            }
            _ => {}
        }
        if let Self::Throttle { retry_after: Some(hint) } | Self::ServerError { retry_after: Some(hint), .. } = self {
            put(
                RETRY_AFTER,
                match hint {
                    RetryAfter::Seconds(seconds) => (*seconds).into(),
                    RetryAfter::Date(offset) => json!({ DATE_OFFSET: offset }),
                },
            );
        }
    }
}

const REGISTRATION_ID: &str = "registrationId";
const AT: &str = "at";
const KIND: &str = "kind";
const TIMES: &str = "times";
const RETRY_AFTER: &str = "retryAfter";
const DATE_OFFSET: &str = "dateOffset";
const STATUS: &str = "status";
const MS: &str = "ms";
const OVERSIZE: &str = "bytes";
const CODE: &str = "code";
const PATCH: &str = "patch";
const OF: &str = "of";
const ANSWERED: &str = "answered";

/// Every member that a plan can have.
const ALL: [&str; 12] =
    [REGISTRATION_ID, AT, KIND, TIMES, RETRY_AFTER, STATUS, MS, OVERSIZE, CODE, PATCH, OF, ANSWERED];
/// Those that every kind has.
const COMMON: [&str; 4] = [REGISTRATION_ID, AT, KIND, TIMES];

/// One day: no client waits longer.
const DELAY_MAX_MS: u64 = 24 * 3600 * 1000;
/// Far more than any client accepts; the whole body is held in memory.
const OVERSIZE_MAX: usize = 16 * 1024 * 1024;
/// Ten years, so that the date keeps its four-digit year.
const DATE_OFFSET_MAX: u64 = 10 * 365 * 24 * 3600;

/// The JSON object of a plan.
struct Members(Map<String, Value>);

impl Members {
    fn kind(&self) -> Result<&'static Kind, PlanError> {
        let one_of = || format!("one of {}", list(KINDS.iter().map(|kind| kind.name)));
        let Some(value) = self.0.get(KIND) else { return Err(missing(KIND, one_of())) };
        let named = value.as_str().and_then(|name| KINDS.iter().find(|kind| kind.name == name));
        named.ok_or_else(|| must_be(KIND, one_of()))
    }

    /// Rejects members that no plan has, and those of other kinds.
    fn check_all_belong_to(&self, kind: &Kind) -> Result<(), PlanError> {
        for member in self.0.keys().map(String::as_str) {
            if !ALL.contains(&member) {
                return Err(PlanError::new(
                    member,
                    format!("is not a member of a fault plan; known members: {}", list(ALL)),
                ));
            }
            if !COMMON.contains(&member) && !kind.members.contains(&member) {
                let takers = KINDS.iter().filter(|other| other.members.contains(&member)).map(|other| other.name);
                let problem = format!("is not allowed for kind '{}', only for {}", kind.name, list(takers));
                return Err(PlanError::new(member, problem));
            }
        }
        Ok(())
    }

    fn registration_id(&self) -> Result<Option<String>, PlanError> {
        let Some(value) = self.0.get(REGISTRATION_ID) else { return Ok(None) };
        let id = value.as_str().ok_or_else(|| must_be(REGISTRATION_ID, "a registration id"))?;
        ids::check(id).map_err(|error| must_be(REGISTRATION_ID, format!("a registration id: {error}")))?;
        Ok(Some(id.to_owned()))
    }

    fn at(&self, kind: &Kind) -> Result<At, PlanError> {
        let found = match self.0.get(AT) {
            None => Some(At::Any),
            Some(value) => At::ALL.into_iter().find(|at| value.as_str() == Some(at.name())),
        };
        let valid = || match kind.requests {
            [only] => format!("{} for kind '{}'", only.name(), kind.name),
            several => format!("one of {} for kind '{}'", list(several.iter().map(|at| at.name())), kind.name),
        };
        found.filter(|at| kind.requests.contains(at)).ok_or_else(|| must_be(AT, valid()))
    }

    fn times(&self) -> Result<u32, PlanError> {
        if self.0.contains_key(TIMES) { self.number(TIMES, 1..=u32::MAX) } else { Ok(1) }
    }

    fn status(&self) -> Result<u16, PlanError> {
        self.number(STATUS, 400..=599)
    }

    fn ms(&self) -> Result<u64, PlanError> {
        self.number(MS, 1..=DELAY_MAX_MS)
    }

    fn oversize(&self) -> Result<usize, PlanError> {
        self.number(OVERSIZE, 1..=OVERSIZE_MAX)
    }

    /// The refusal codes of MQTT 3.1.1, section 3.2.2.3.
    fn code(&self) -> Result<u8, PlanError> {
        self.number(CODE, 1..=5)
    }

    fn patch(&self) -> Result<Map<String, Value>, PlanError> {
        const TAKEN: &str = "a JSON object: members to change, null for those to remove";
        let Some(value) = self.0.get(PATCH) else { return Err(missing(PATCH, TAKEN.into())) };
        value.as_object().cloned().ok_or_else(|| must_be(PATCH, TAKEN))
    }

    fn retry_after(&self) -> Result<Option<RetryAfter>, PlanError> {
        let Some(value) = self.0.get(RETRY_AFTER) else { return Ok(None) };
        let offset = value.as_object().filter(|object| object.len() == 1).and_then(|object| object.get(DATE_OFFSET));
        if let Some(offset) = offset.and_then(Value::as_i64) {
            if offset.unsigned_abs() > DATE_OFFSET_MAX {
                let problem = format!("must be at most {DATE_OFFSET_MAX} seconds from the service's clock");
                return Err(PlanError::new(RETRY_AFTER, problem));
            }
            return Ok(Some(RetryAfter::Date(offset)));
        }
        let seconds = value.as_u64().and_then(|seconds| u32::try_from(seconds).ok());
        let taken = || format!("whole seconds from 0 to {}, or a date as {{\"{DATE_OFFSET}\": SECONDS}}", u32::MAX);
        seconds.map(|seconds| Some(RetryAfter::Seconds(seconds))).ok_or_else(|| must_be(RETRY_AFTER, taken()))
    }

    /// The value that a name stands for.
    fn one_of<T, const N: usize>(&self, member: &'static str, names: [(&'static str, T); N]) -> Result<T, PlanError> {
        let known = format!("one of {}", list(names.iter().map(|(name, _)| *name)));
        let Some(value) = self.0.get(member) else { return Err(missing(member, known)) };
        let named = names.into_iter().find(|(name, _)| value.as_str() == Some(name));
        named.map(|(_, value)| value).ok_or_else(|| must_be(member, known))
    }

    fn flood(&self) -> Result<Flood, PlanError> {
        self.one_of(OF, Flood::ALL.map(|of| (of.name(), of)))
    }

    /// Whether the flood is sent after the reply, so that it meets a client that waits between two requests.
    fn flood_answered(&self) -> Result<bool, PlanError> {
        let answered = self.flag(ANSWERED)?;
        if answered && self.flood()?.is_http() {
            return Err(must_be(ANSWERED, "false for a flood over HTTPS"));
        }
        Ok(answered)
    }

    /// True or false; false when it is absent.
    fn flag(&self, member: &'static str) -> Result<bool, PlanError> {
        let Some(value) = self.0.get(member) else { return Ok(false) };
        value.as_bool().ok_or_else(|| must_be(member, "true or false"))
    }

    fn number<T>(&self, member: &'static str, range: RangeInclusive<T>) -> Result<T, PlanError>
    where
        T: TryFrom<u64> + PartialOrd + Display,
    {
        let taken = || format!("a whole number from {} to {}", range.start(), range.end());
        let Some(value) = self.0.get(member) else { return Err(missing(member, taken())) };
        let number = value.as_u64().and_then(|number| T::try_from(number).ok());
        number.filter(|number| range.contains(number)).ok_or_else(|| must_be(member, taken()))
    }
}

fn missing(member: &str, taken: String) -> PlanError {
    PlanError::new(member, format!("is missing; it must be {taken}"))
}

fn must_be(member: &str, taken: impl Display) -> PlanError {
    PlanError::new(member, format!("must be {taken}"))
}

fn list<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    names.into_iter().collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// The page has a form for plans, which no call of the emulator describes.
    #[test]
    fn form_of_the_page_has_every_kind_of_fault() {
        let form: Value = serde_json::from_str(include_str!("../page/src/faults.json")).unwrap();
        let strings = |value: &Value| -> BTreeSet<String> {
            value.as_array().unwrap().iter().map(|item| item.as_str().unwrap().to_owned()).collect()
        };
        let shown: Vec<_> = form["kinds"].as_array().unwrap().iter().collect();
        assert_eq!(shown.len(), KINDS.len());
        for (shown, kind) in shown.into_iter().zip(&KINDS) {
            assert_eq!((&shown["name"], &shown["meaning"]), (&kind.name.into(), &kind.meaning.into()));
            assert_eq!(strings(&shown["requests"]), kind.requests.iter().map(|at| at.name().to_owned()).collect());
            assert_eq!(strings(&shown["members"]), kind.members.iter().map(|&member| member.to_owned()).collect());
        }
        assert_eq!(strings(&form["floods"]), Flood::ALL.map(|of| of.name().to_owned()).into());
    }
}
