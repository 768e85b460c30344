//! Enrollments, groups and registrations over the admin API.
//!
//! [`Kind`] holds what differs between individual enrollments and groups; everything else is the same for both.

use reqwest::Method;
use reqwest::header::HeaderValue;
use serde_json::{Map, Value, json};

use super::client::{AdminClient, Body, to_json};
use crate::failure::Result;

/// One of the two kinds of enrollment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Individual,
    Group,
}

impl Kind {
    /// The first segment of its paths.
    pub(crate) fn path(self) -> &'static str {
        match self {
            Self::Individual => "enrollments",
            Self::Group => "enrollmentGroups",
        }
    }

    /// The member with its id.
    pub(crate) fn id_member(self) -> &'static str {
        match self {
            Self::Individual => "registrationId",
            Self::Group => "enrollmentGroupId",
        }
    }

    /// Its name in our JSON.
    pub(crate) fn member(self) -> &'static str {
        match self {
            Self::Individual => "enrollment",
            Self::Group => "enrollmentGroup",
        }
    }

    /// Its name for people.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Individual => "enrollment",
            Self::Group => "enrollment group",
        }
    }
}

/// How many registrations of a group are shown.
const REGISTRATIONS_SHOWN: usize = 100;

/// The registrations of a group: the first of them, and whether there are more.
pub(crate) struct Registrations {
    pub(crate) items: Vec<Value>,
    pub(crate) more: bool,
}

impl AdminClient {
    /// An enrollment without its keys; `None` when there is none of this id.
    pub(crate) async fn find(&self, kind: Kind, id: &str) -> Result<Option<Value>> {
        match self.call(Method::GET, &[kind.path(), id], Body::Nothing).await {
            Ok(enrollment) => Ok(Some(enrollment)),
            Err(failure) if failure.http_status == Some(404) => Ok(None),
            Err(failure) => Err(failure),
        }
    }

    /// An enrollment without its keys.
    pub(crate) async fn get(&self, kind: Kind, id: &str) -> Result<Value> {
        self.call(Method::GET, &[kind.path(), id], Body::Nothing).await
    }

    /// Creates or replaces an enrollment. What comes back has its keys.
    pub(crate) async fn put(&self, kind: Kind, id: &str, enrollment: &Value) -> Result<Value> {
        let body = to_json(enrollment)?;
        self.call(Method::PUT, &[kind.path(), id], Body::Json(&body)).await
    }

    /// Deletes an enrollment.
    pub(crate) async fn delete(&self, kind: Kind, id: &str) -> Result<()> {
        self.call(Method::DELETE, &[kind.path(), id], Body::Nothing).await.map(drop)
    }

    /// An enrollment's attestation with its keys.
    pub(crate) async fn attestation(&self, kind: Kind, id: &str) -> Result<Value> {
        self.call(Method::POST, &[kind.path(), id, "attestationmechanism"], Body::Nothing).await
    }

    /// All enrollments, page after page.
    pub(crate) async fn list(&self, kind: Kind) -> Result<Vec<Value>> {
        let query = to_json(&json!({ "query": "SELECT *" }))?;
        let mut all = Vec::new();
        let mut continuation: Option<HeaderValue> = None;
        loop {
            let path = [kind.path(), "query"];
            let (items, next) = self.page(&path, Body::Json(&query), continuation.as_ref()).await?;
            all.extend(items);
            match next {
                // The same page again would never end.
                Some(next) if continuation.as_ref() != Some(&next) => continuation = Some(next),
                _ => return Ok(all),
            }
        }
    }

    /// What became of the devices of a group.
    pub(crate) async fn registrations(&self, group: &str) -> Result<Registrations> {
        let (mut items, next) = self.page(&["registrations", group, "query"], Body::Nothing, None).await?;
        let more = next.is_some() || items.len() > REGISTRATIONS_SHOWN;
        items.truncate(REGISTRATIONS_SHOWN);
        Ok(Registrations { items, more })
    }
}

/// Takes the symmetric keys out of an enrollment.
pub(crate) fn take_keys(enrollment: &mut Value) -> Option<Map<String, Value>> {
    match enrollment.get_mut("attestation")?.as_object_mut()?.remove("symmetricKey")? {
        Value::Object(keys) => Some(keys),
        _ => None,
    }
}
