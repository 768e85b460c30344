//! The member `customAllocationDefinition` of an enrollment.

use serde::{Deserialize, Serialize};

use super::url::WebhookUrl;
use crate::encoding::is_api_version;
use crate::wire::Problem;

/// The first api version with custom allocation (Azure REST reference, `CustomAllocationDefinition`).
const FIRST_API_VERSION: &str = "2018-09-01";
/// The api version that is set where none is chosen.
const DEFAULT_API_VERSION: &str = "2021-10-01";
const WEBHOOK_URL: &str = "'customAllocationDefinition.webhookUrl'";

/// Which webhook chooses the hub of a device, if the allocation policy is [`Custom`](crate::AllocationPolicy::Custom).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CustomAllocationDefinition {
    /// The webhook's URL. The admin API shows it with `****` in place of its query, which holds the function key; such a
    /// URL that is put back keeps the stored one.
    pub webhook_url: WebhookUrl,
    /// `YYYY-MM-DD`, with or without `-preview`; 2018-09-01-preview or later. The emulator sends the same request whatever
    /// it is.
    pub api_version: String,
}

impl CustomAllocationDefinition {
    /// A definition with the api version 2021-10-01.
    #[must_use]
    pub fn new(webhook_url: WebhookUrl) -> Self {
        Self { webhook_url, api_version: DEFAULT_API_VERSION.into() }
    }

    /// The same with a masked URL, as it is shown.
    pub(crate) fn masked(&self) -> Self {
        Self { webhook_url: self.webhook_url.masked(), api_version: self.api_version.clone() }
    }

    /// Takes the stored URL in place of a masked one: a client that has read an enrollment puts that back.
    pub(crate) fn keep_url(&mut self, stored: Option<&Self>) {
        if let Some(stored) = stored.filter(|stored| stored.webhook_url.masked() == self.webhook_url) {
            self.webhook_url = stored.webhook_url.clone();
        }
    }

    pub(crate) fn check(&self) -> Result<(), Problem> {
        if self.webhook_url.is_masked() {
            return Err(Problem::bad_request(format!(
                "{WEBHOOK_URL} has a masked query, and the stored URL is another one: send the whole URL."
            )));
        }
        let version = &self.api_version;
        if !is_api_version(version) || version.get(..10).is_none_or(|date| date < FIRST_API_VERSION) {
            return Err(Problem::bad_request(
                "'customAllocationDefinition.apiVersion' must be 2018-09-01-preview or later, as YYYY-MM-DD or \
                 YYYY-MM-DD-preview.",
            ));
        }
        Ok(())
    }
}
