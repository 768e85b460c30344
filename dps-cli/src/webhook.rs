//! The URL of an allocation webhook, which holds its function key, and which webhooks may be called: from the options of the
//! command line.

use std::path::{Path, PathBuf};

use clap::Args;
use dps_core::ErrorCode;
use dps_emulator::{WebhookOptions, WebhookUrl, WebhookUrlError};
use serde_json::Value;
use zeroize::Zeroizing;

use crate::failure::{Failure, Result};
use crate::files::{read_secret, source_name};
use crate::key::is_set;

/// The environment variable with the URL.
const URL_VARIABLE: &str = "DPS_WEBHOOK_URL";
/// The largest file of certificate authorities, in bytes.
const ROOTS_MAX: u64 = 1024 * 1024;

/// Which webhooks may be called, and how they are trusted.
#[derive(Clone, Debug, Default, PartialEq, Args)]
#[command(next_help_heading = "Webhooks")]
pub(crate) struct WebhookArgs {
    /// Allow the allocation webhooks of this host too, a name or an address as in the URL, also over plain HTTP (repeatable)
    #[arg(long = "webhook-host", value_name = "HOST")]
    pub(crate) webhook_hosts: Vec<String>,
    /// Trust only the certificate authorities in this file for webhooks over HTTPS, instead of the system's
    #[arg(long = "webhook-ca-file", value_name = "PEM")]
    pub(crate) webhook_ca_file: Option<PathBuf>,
}

impl WebhookArgs {
    /// Whether any of these options is set.
    pub(crate) fn is_set(&self) -> bool {
        *self != Self::default()
    }

    /// Returns the options of the calls. Reads the file of certificate authorities, if there is one.
    pub(crate) fn options(&self) -> Result<WebhookOptions> {
        let options = self.webhook_hosts.iter().fold(WebhookOptions::new(), WebhookOptions::host);
        let Some(path) = &self.webhook_ca_file else { return Ok(options) };
        let pem = dps_files::read(path, ROOTS_MAX).map_err(|error| Failure::file("read", path, &error))?;
        Ok(options.roots_pem(String::from_utf8_lossy(&pem)))
    }
}

/// Reads the URL of a webhook from a file, from stdin for `-`, or from the environment.
pub(crate) fn read_webhook_url(file: Option<&Path>) -> Result<WebhookUrl> {
    let invalid = |source: &dyn std::fmt::Display, error: WebhookUrlError| {
        Failure::new(ErrorCode::InvalidOption, error.to_string()).in_source(source)
    };
    match file {
        Some(path) => {
            let text = read_secret(path, "the webhook's URL")?;
            WebhookUrl::parse(text.expose()).map_err(|error| invalid(&source_name(path), error))
        }
        None if is_set(URL_VARIABLE) => {
            let text = std::env::var(URL_VARIABLE)
                .map_err(|_| Failure::option(format!("{URL_VARIABLE} does not contain valid text")))?;
            let text = Zeroizing::new(text);
            WebhookUrl::parse(text.trim_ascii()).map_err(|error| invalid(&URL_VARIABLE, error))
        }
        None => Err(Failure::usage(
            "the webhook's URL is missing: use --url-file FILE (- for stdin), or set DPS_WEBHOOK_URL; it is never an \
             argument, since it holds the function key",
        )),
    }
}

/// Masks the query of the webhook's URL in an enrollment of the service.
pub(crate) fn mask_webhook_url(enrollment: &mut Value) {
    if let Some(Value::String(url)) = enrollment.pointer_mut("/customAllocationDefinition/webhookUrl")
        && let Some(at) = url.find('?')
    {
        url.replace_range(at + 1.., "****");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn function_key_in_an_enrollment_is_masked() {
        let definition = |url: &str| json!({ "customAllocationDefinition": { "webhookUrl": url } });
        for (url, shown) in [
            ("https://f.test/api?code=secret?x", "https://f.test/api?****"),
            ("https://f.test/api?****", "https://f.test/api?****"),
            ("https://f.test/api", "https://f.test/api"),
        ] {
            let mut enrollment = definition(url);
            mask_webhook_url(&mut enrollment);
            assert_eq!(enrollment, definition(shown));
        }
    }
}
