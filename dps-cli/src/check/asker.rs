//! Asks the service as this device, or as it might have been meant. Asks only: nothing is ever registered.

use std::time::{Duration, SystemTime};

use dps_client::{Probe, ProvisioningClient, SymmetricKey};
use dps_core::{Key, LinkError, RegistrationId};

use super::budget::Budget;
use crate::connection::Connection;
use crate::failure::Result;

const TIME_IS_UP: &str = "the time of --timeout was up";

/// The service as this device asks it.
pub(super) struct Asker<'a> {
    pub(super) connection: &'a Connection,
    pub(super) id_scope: &'a str,
    pub(super) budget: &'a Budget,
}

/// What the service thinks of a credential.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It was let in. Over MQTT it may still be refused when the device registers.
    Accepted,
    Refused,
    /// It did not come so far.
    Unknown,
}

impl Asker<'_> {
    /// Asks with a key, by a clock that is so many seconds ahead of this device's.
    pub(super) async fn ask(&self, id: RegistrationId<'_>, key: &Key, ahead: i64) -> Result<Probe> {
        let limit = self.budget.step();
        if limit.is_zero() {
            return Ok(Probe::NoAnswer { error: LinkError::Timeout, detail: TIME_IS_UP.to_owned() });
        }
        Ok(self.client(id, key, ahead, limit)?.probe().await?)
    }

    /// The service's time, asked for apart from everything else; or why it is not known.
    pub(super) async fn service_time(
        &self,
        id: RegistrationId<'_>,
        key: &Key,
    ) -> std::result::Result<SystemTime, String> {
        let limit = self.budget.step();
        let client = self.client(id, key, 0, limit.max(Duration::from_millis(1))).map_err(|failure| failure.message)?;
        match tokio::time::timeout(limit, client.service_time()).await {
            Ok(asked) => asked.map_err(|error| error.message().to_owned()),
            Err(_) => Err(TIME_IS_UP.to_owned()),
        }
    }

    fn client(&self, id: RegistrationId<'_>, key: &Key, ahead: i64, limit: Duration) -> Result<ProvisioningClient> {
        let clock = move || {
            let offset = Duration::from_secs(ahead.unsigned_abs());
            let now = SystemTime::now();
            if ahead < 0 { now.checked_sub(offset) } else { now.checked_add(offset) }
        };
        Ok(self
            .connection
            .builder()
            .id_scope(self.id_scope)
            .registration_id(id)
            .symmetric_key(SymmetricKey::from_bytes(key.expose())?)
            .request_timeout(limit)
            .clock(clock)
            .build()?)
    }

    /// Whether the service takes a credential.
    pub(super) async fn verdict(&self, id: RegistrationId<'_>, key: &Key, ahead: i64) -> Result<Verdict> {
        self.ask(id, key, ahead).await.map(|probe| verdict(&probe))
    }
}

/// What an answer says of the credential. A service that has no record of the device does not refuse its credential.
pub(super) fn verdict(probe: &Probe) -> Verdict {
    match probe {
        Probe::SignedIn => Verdict::Accepted,
        Probe::Answered(answer) => match answer.http_status {
            200..=299 if answer.record.is_some() => Verdict::Accepted,
            404 if answer.is_of_service() => Verdict::Accepted,
            401 => Verdict::Refused,
            _ => Verdict::Unknown,
        },
        Probe::NoAnswer { error: LinkError::MqttRefused { code: 4 | 5 }, .. } => Verdict::Refused,
        _ => Verdict::Unknown,
    }
}
