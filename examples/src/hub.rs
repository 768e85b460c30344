//! A minimal hub client for examples: does the hub accept the device?
//!
//! An application connects with its MQTT library instead. This sends one empty message over HTTPS, or asks the local service
//! how its hub would answer (Azure IoT Hub documentation, "Device to cloud messages over HTTPS").

use std::time::Duration;

use dps_client::{ProvisioningClient, Roots, StoredAssignment};
use dps_emulator::{DEFAULT_HUB, Emulator, HubAuthentication};
use reqwest::header::RETRY_AFTER;
use reqwest::{Client, Url};

use crate::setting::DEVICE;
use crate::{AnyError, Setting};

/// The answer of a hub to a device that connects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The hub accepts the device.
    Welcome,
    /// The hub does not know the device, or rejects its credential: HTTP 401, 403, 404; CONNACK 4 and 5.
    Rejected,
    /// The hub throttles the device for this time: HTTP 429.
    Busy(Duration),
    /// The hub failed, or cannot be reached.
    Trouble,
}

/// The hubs to which devices of a service can be assigned.
pub enum Hub<'s> {
    /// The hubs of the local service.
    Local(&'s Emulator),
    /// Real hubs.
    Real(Client),
}

impl<'s> Hub<'s> {
    /// Returns the hubs of the example's service.
    ///
    /// # Errors
    /// If the system's certificates cannot be loaded.
    pub fn new(setting: &'s Setting) -> Result<Self, AnyError> {
        if let Some(local) = setting.local() {
            return Ok(Self::Local(local));
        }
        Self::real(&Roots::platform())
    }

    fn real(roots: &Roots) -> Result<Self, AnyError> {
        let tls = dps_net::TlsOptions::new(roots.clone()).client_config()?;
        let client = Client::builder().tls_backend_preconfigured((*tls).clone()).timeout(Duration::from_secs(30));
        Ok(Self::Real(client.build()?))
    }

    /// Signs in to the hub of an assignment.
    ///
    /// # Errors
    /// If the assignment is of another device, its hub is not a classic one, or signing fails.
    pub async fn ask(&self, client: &ProvisioningClient, stored: &StoredAssignment) -> Result<Answer, AnyError> {
        let mut credentials = client.hub_credentials(stored)?.ok_or("the assignment is of another device")?;
        let token = credentials.password().await?.expose();
        match self {
            Self::Local(service) => {
                let now = service.now();
                let welcome = service.with_service(|service| {
                    let device = service.hub_device(&stored.hub, &stored.device_id);
                    device.is_some_and(|device| device.accepts_token(now, token))
                });
                Ok(if welcome { Answer::Welcome } else { Answer::Rejected })
            }
            Self::Real(http) => Ok(send_message(http, stored, token).await),
        }
    }

    /// Moves the local service's device to another hub, as its owner might; its old hub rejects it from then on.
    ///
    /// # Errors
    /// If the service is not the local one.
    pub fn move_device(&self) -> Result<(), AnyError> {
        let Self::Local(service) = self else { return Err("only a device of the local service can be moved".into()) };
        service.with_service(|service| {
            if let Some(entry) = service.hub_device_mut(DEFAULT_HUB, DEVICE)
                && let HubAuthentication::SymmetricKeys(keys) = &mut entry.authentication
            {
                *keys = keys.clone().map(|key| key.derive("another"));
            }
            service.unlink_hub(DEFAULT_HUB);
            service.link_hub("hub-b.test", 1)
        })?;
        Ok(())
    }
}

async fn send_message(http: &Client, stored: &StoredAssignment, token: &str) -> Answer {
    let Some(url) = events_url(&stored.hub, &stored.device_id) else { return Answer::Trouble };
    let Ok(reply) = http.post(url).header("Authorization", token).send().await else { return Answer::Trouble };
    let wait = reply.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
    match reply.status().as_u16() {
        200..=299 => Answer::Welcome,
        401 | 403 | 404 => Answer::Rejected,
        429 => Answer::Busy(Duration::from_secs(wait.unwrap_or(10))),
        _ => Answer::Trouble,
    }
}

/// Returns the URL for messages of a device. Device ids may contain `#`, `?` and `%`, which are percent-encoded here.
fn events_url(hub: &str, device_id: &str) -> Option<Url> {
    let mut url = Url::parse(&format!("https://{hub}/?api-version=2020-03-13")).ok()?;
    url.path_segments_mut().ok()?.extend(["devices", device_id, "messages", "events"]);
    Some(url)
}

#[cfg(test)]
mod tests {
    use dps_client::SymmetricKey;
    use dps_emulator::EmulatorOptions;

    use super::*;

    #[tokio::test]
    async fn unknown_device_is_rejected_and_missing_hub_is_trouble() {
        // The emulator has no such path and answers like a hub that does not know the device.
        let emulator = Emulator::start(EmulatorOptions::new()).await.unwrap();
        let hub = Hub::real(&Roots::replace_pem(emulator.ca_pem().as_bytes()).unwrap()).unwrap();
        let client = ProvisioningClient::builder()
            .id_scope("0ne00A1B2C3")
            .registration_id(DEVICE)
            .symmetric_key(SymmetricKey::from_bytes(&[7; 32]).unwrap())
            .build()
            .unwrap();
        let (id_scope, id) = ("0ne00A1B2C3".parse().unwrap(), DEVICE.parse().unwrap());
        let mut stored = StoredAssignment::new(id_scope, id, emulator.endpoint(), DEVICE);
        assert_eq!(hub.ask(&client, &stored).await.unwrap(), Answer::Rejected);
        emulator.shutdown().await;
        assert_eq!(hub.ask(&client, &stored).await.unwrap(), Answer::Trouble);
        stored.registration_id = "dev-02".parse().unwrap();
        assert!(hub.ask(&client, &stored).await.is_err(), "another device's");
    }

    #[test]
    fn device_id_of_the_whole_alphabet_is_one_segment_of_the_url() {
        let url = events_url("hub-a.test", "aZ9-:.+%_#*?!(),=@;$'").unwrap();
        assert_eq!(
            (url.host_str(), url.query(), url.fragment()),
            (Some("hub-a.test"), Some("api-version=2020-03-13"), None)
        );
        assert_eq!(url.path(), "/devices/aZ9-:.+%25_%23*%3F!(),=@;$'/messages/events");
    }
}
