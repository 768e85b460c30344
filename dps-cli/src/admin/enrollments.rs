//! Enrollments, groups and registrations over the admin API.
//!
//! [`Kind`] holds what differs between individual enrollments and groups; everything else is the same for both.

use reqwest::Method;
use reqwest::header::HeaderValue;
use serde_json::{Map, Value, json};

use super::client::{AdminClient, Body, to_json};
use crate::failure::Result;
use crate::webhook::mask_webhook_url;

/// How many registrations of a group are returned at most.
const REGISTRATIONS_MAX: usize = 100;

/// One of the two kinds of enrollment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Individual,
    Group,
}

impl Kind {
    /// Returns the first segment of the paths.
    pub(crate) fn path(self) -> &'static str {
        match self {
            Self::Individual => "enrollments",
            Self::Group => "enrollmentGroups",
        }
    }

    /// Returns the JSON member with the id.
    pub(crate) fn id_member(self) -> &'static str {
        match self {
            Self::Individual => "registrationId",
            Self::Group => "enrollmentGroupId",
        }
    }

    /// Returns the member's name in the JSON that this program prints.
    pub(crate) fn member(self) -> &'static str {
        match self {
            Self::Individual => "enrollment",
            Self::Group => "enrollmentGroup",
        }
    }

    /// Returns the name for people.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Individual => "enrollment",
            Self::Group => "enrollment group",
        }
    }
}

/// The registrations of a group: the first of them, and whether there are more.
pub(crate) struct Registrations {
    pub(crate) items: Vec<Value>,
    pub(crate) more: bool,
}

impl AdminClient {
    /// Returns an enrollment without its keys, or `None` if it does not exist.
    pub(crate) async fn find(&self, kind: Kind, id: &str) -> Result<Option<Value>> {
        match self.call(Method::GET, &[kind.path(), id], Body::Nothing).await {
            Ok(enrollment) => Ok(Some(enrollment)),
            Err(failure) if failure.http_status == Some(404) => Ok(None),
            Err(failure) => Err(failure),
        }
    }

    /// Returns an enrollment without its keys.
    pub(crate) async fn get(&self, kind: Kind, id: &str) -> Result<Value> {
        self.call(Method::GET, &[kind.path(), id], Body::Nothing).await
    }

    /// Creates or replaces an enrollment and returns it with its keys.
    pub(crate) async fn put(&self, kind: Kind, id: &str, enrollment: &Value) -> Result<Value> {
        let body = to_json(enrollment)?;
        self.call(Method::PUT, &[kind.path(), id], Body::Json(&body)).await
    }

    /// Deletes an enrollment.
    pub(crate) async fn delete(&self, kind: Kind, id: &str) -> Result<()> {
        self.call(Method::DELETE, &[kind.path(), id], Body::Nothing).await.map(drop)
    }

    /// Returns an enrollment's attestation with its keys.
    pub(crate) async fn attestation(&self, kind: Kind, id: &str) -> Result<Value> {
        self.call(Method::POST, &[kind.path(), id, "attestationmechanism"], Body::Nothing).await
    }

    /// Returns all enrollments, from all pages.
    pub(crate) async fn list(&self, kind: Kind) -> Result<Vec<Value>> {
        let query = to_json(&json!({ "query": "SELECT *" }))?;
        let mut all = Vec::new();
        let mut continuation: Option<HeaderValue> = None;
        loop {
            let path = [kind.path(), "query"];
            let (items, next) = self.page(&path, Body::Json(&query), continuation.as_ref()).await?;
            all.extend(items);
            match next {
                // A continuation that repeats would never end.
                Some(next) if continuation.as_ref() != Some(&next) => continuation = Some(next),
                _ => return Ok(all),
            }
        }
    }

    /// Returns the registrations of a group's devices.
    pub(crate) async fn registrations(&self, group: &str) -> Result<Registrations> {
        let (mut items, next) = self.page(&["registrations", group, "query"], Body::Nothing, None).await?;
        let more = next.is_some() || items.len() > REGISTRATIONS_MAX;
        items.truncate(REGISTRATIONS_MAX);
        Ok(Registrations { items, more })
    }
}

/// Removes the symmetric keys from an enrollment and returns them, and masks the function key of its webhook.
pub(crate) fn take_keys(enrollment: &mut Value) -> Option<Map<String, Value>> {
    mask_webhook_url(enrollment);
    match enrollment.get_mut("attestation")?.as_object_mut()?.remove("symmetricKey")? {
        Value::Object(keys) => Some(keys),
        _ => None,
    }
}
