//! The options of `dps emulator` for allocation webhooks.

use std::time::Duration;

use clap::Args;
use dps_emulator::EmulatorOptions;

use crate::connection::duration;
use crate::failure::Result;
use crate::webhook::WebhookArgs;

/// Which webhooks the emulator calls, and how long they may take.
#[derive(Clone, Debug, PartialEq, Args)]
pub(crate) struct WebhookRunArgs {
    #[command(flatten)]
    webhooks: WebhookArgs,
    /// The time within which an allocation webhook must reply; the service does not publish its limit. Default: 5s
    #[arg(long, value_name = "TIME", value_parser = duration)]
    webhook_timeout: Option<Duration>,
}

impl WebhookRunArgs {
    /// Sets the options of an emulator that these name. Reads the file of certificate authorities, if there is one.
    pub(super) fn apply(&self, mut options: EmulatorOptions) -> Result<EmulatorOptions> {
        if self.webhooks.is_set() {
            options = options.webhooks(self.webhooks.options()?);
        }
        Ok(match self.webhook_timeout {
            Some(limit) => options.service(|service| service.webhook_limit_ms(limit.as_millis() as u64)),
            None => options,
        })
    }
}
