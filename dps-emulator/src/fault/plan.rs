//! One planned fault as JSON says it: whose requests, which of them, what goes wrong, and how often.
//!
//! What is read from JSON can come to pass; everything else is refused with the member that is wrong.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::kind::KINDS;
use super::members::{AT, KIND, Members, REGISTRATION_ID, TIMES};
use super::{At, Fault};

/// The longest piece of an unknown member's name that is repeated, in characters.
const NAME_SHOWN: usize = 40;

/// One planned fault, in its JSON form.
///
/// | member | value |
/// |---|---|
/// | `registrationId` | whose requests meet it, in any letter case; every device's when absent |
/// | `at` | `register`, `poll`, `lookup`, `connect`, `subscribe` or `any` (of the first three), which is the default |
/// | `kind` | what goes wrong, as [`kinds`](Self::kinds) lists it |
/// | `times` | how many requests meet it, 1 by default |
/// | `retryAfter` | for `throttle` and `server-error`: seconds, or `{"dateOffset": seconds}` for an HTTP-date so far from the service's clock |
/// | `status` | for `server-error`: 400 to 599 |
/// | `ms` | for `delay`: milliseconds, up to a day |
/// | `bytes` | for `oversize-reply`: the size of the body, up to 16 MiB |
/// | `patch` | for `patch-reply`: a JSON merge patch (RFC 7396) for the body of the reply |
/// | `code` | for `refuse-connect`: the CONNACK code, 1 to 5 |
/// | `of` | for `flood`: `pingresp`, `puback` or `publish` over MQTT, `ping-frames` over MQTT in WebSocket, `interim-responses`, `header-lines` or `chunks` over HTTPS |
/// | `answered` | for `flood` over MQTT: true when it comes after the answer, false by default |
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
    pub(super) registration_id: Option<String>,
    pub(super) at: At,
    pub(super) fault: Fault,
    pub(super) times: u32,
}

impl FaultPlan {
    /// The name of every kind, and what it does.
    pub fn kinds() -> impl Iterator<Item = (&'static str, &'static str)> {
        KINDS.iter().map(|kind| (kind.name, kind.meaning))
    }

    /// The names of the requests that a fault can be planned for.
    pub fn places() -> impl Iterator<Item = &'static str> {
        At::ALL.into_iter().map(At::name)
    }

    /// Whose requests meet it; every device's when there is none.
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
        Ok(Self {
            registration_id: members.registration_id()?,
            at: members.at(kind)?,
            fault: (kind.read)(&members)?,
            times: members.times()?,
        })
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

/// Why a fault cannot be planned as it is written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{member}' {problem}")]
pub struct PlanError {
    member: String,
    problem: String,
}

impl PlanError {
    pub(super) fn new(member: &str, problem: String) -> Self {
        Self { member: member.chars().take(NAME_SHOWN).collect(), problem }
    }

    /// The member that is wrong.
    #[must_use]
    pub fn member(&self) -> &str {
        &self.member
    }

    /// What is wrong with it, to be read after the member's name. Repeats no value.
    #[must_use]
    pub fn problem(&self) -> &str {
        &self.problem
    }
}
