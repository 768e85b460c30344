//! The owner's side of a provisioning service: enrollments, groups and registrations, in the service's own shape.
//!
//! Values go through as the service gives them; only keys are taken out unless they were asked for.

mod client;
mod connection_string;
mod emulator;
mod kind;
mod refusal;

use reqwest::Method;
use reqwest::header::HeaderValue;
use serde::Serialize;
use serde_json::{Map, Value, json};
use zeroize::Zeroizing;

use crate::failure::{Failure, Result};
use client::Body;

pub(crate) use client::AdminClient;
pub(crate) use connection_string::ConnectionString;
pub(crate) use kind::Kind;

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

fn to_json(value: &impl Serialize) -> Result<Zeroizing<Vec<u8>>> {
    serde_json::to_vec(value).map(Zeroizing::new).map_err(|error| Failure::internal(error.to_string()))
}
