//! The options of `dps emulator` for allocation webhooks.

use std::time::Duration;

use clap::Args;
use dps_emulator::{EmulatorOptions, WebhookOptions};

use crate::connection::duration;
use crate::failure::Result;
use crate::webhook::WebhookArgs;

/// Which webhooks the emulator calls, and how long they may take.
#[derive(Clone, Debug, PartialEq, Args)]
pub(crate) struct WebhookRunArgs {
    #[command(flatten)]
    webhooks: WebhookArgs,
    /// The time within which an allocation webhook must reply; the service does not publish its limit
    #[arg(long, value_name = "TIME", default_value = "5s", value_parser = duration)]
    webhook_timeout: Duration,
}

impl WebhookRunArgs {
    /// Returns the options of the calls. Reads the file of certificate authorities, if there is one.
    pub(super) fn options(&self) -> Result<WebhookOptions> {
        self.webhooks.options()
    }

    /// Sets the options of an emulator.
    pub(super) fn apply(&self, options: EmulatorOptions, webhooks: WebhookOptions) -> EmulatorOptions {
        let limit_ms = self.webhook_timeout.as_millis() as u64;
        options.webhooks(webhooks).service(|service| service.webhook_limit_ms(limit_ms))
    }
}
