//! A hub, as far as an example needs one: does it let the device in?
//!
//! An application connects with its MQTT library here. This sends one empty message over HTTPS, or asks the local service
//! what the hub that it provisions would say (Azure IoT Hub documentation, "Device to cloud messages over HTTPS").

use std::time::Duration;

use dps_client::{ProvisioningClient, Roots, StoredAssignment};
use dps_emulator::{DEFAULT_HUB, Emulator};
use reqwest::header::RETRY_AFTER;
use reqwest::{Client, Url};

use crate::setting::DEVICE;
use crate::{Setting, Told};

/// What a hub says to a device that connects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It lets the device in.
    Welcome,
    /// It does not know the device, or not with this credential: HTTP 401, 403, 404; CONNACK 4 and 5.
    TurnedAway,
    /// It asks for this much patience: HTTP 429.
    Busy(Duration),
    /// It failed, or cannot be reached.
    Trouble,
}

/// All hubs that devices of a service may be assigned to.
pub enum Hub<'s> {
    /// Those of the local service.
    Local(&'s Emulator),
    /// Real ones.
    Real(Client),
}

impl<'s> Hub<'s> {
    /// The hubs of the example's service.
    ///
    /// # Errors
    /// When the system's certificate authorities cannot be had.
    pub fn of(setting: &'s Setting) -> Result<Self, Told> {
        if let Some(local) = setting.local() {
            return Ok(Self::Local(local));
        }
        Self::real(&Roots::platform())
    }

    fn real(roots: &Roots) -> Result<Self, Told> {
        let tls = dps_net::TlsOptions::new(roots.clone()).client_config()?;
        let client = Client::builder().tls_backend_preconfigured((*tls).clone()).timeout(Duration::from_secs(30));
        Ok(Self::Real(client.build()?))
    }

    /// Signs in to the hub of an assignment.
    ///
    /// # Errors
    /// When the assignment is not the client's, or nothing can be signed.
    pub async fn ask(&self, client: &ProvisioningClient, stored: &StoredAssignment) -> Result<Answer, Told> {
        let mut credentials = client.hub_credentials(stored).ok_or("the assignment is another device's")?;
        let token = credentials.password().await?.expose();
        match self {
            Self::Local(service) => {
                let now = service.now();
                let welcome = service.with_service(|service| {
                    let device = service.hub_device(&stored.hub, &stored.device_id);
                    device.is_some_and(|device| device.accepts_token(now, token))
                });
                Ok(if welcome { Answer::Welcome } else { Answer::TurnedAway })
            }
            Self::Real(http) => Ok(send_message(http, stored, token).await),
        }
    }

    /// Moves the local service's device to another hub, as its owner might; the one it knows turns it away from then on.
    ///
    /// # Errors
    /// When the service is not the local one.
    pub fn move_device(&self) -> Result<(), Told> {
        let Self::Local(service) = self else { return Err("only the local service does as it is told".into()) };
        service.with_service(|service| {
            if let Some(entry) = service.hub_device_mut(DEFAULT_HUB, DEVICE) {
                entry.keys = entry.keys.clone().map(|key| key.derive("another"));
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
        401 | 403 | 404 => Answer::TurnedAway,
        429 => Answer::Busy(Duration::from_secs(wait.unwrap_or(10))),
        _ => Answer::Trouble,
    }
}

/// Where a hub takes messages of a device. Device ids may contain `#`, `?` and `%`, which are percent-encoded here.
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
    async fn a_hub_that_knows_no_device_and_one_that_is_not_there() {
        // The emulator speaks HTTPS and has no such path: what a hub says that never heard of the device.
        let emulator = Emulator::start(EmulatorOptions::new()).await.unwrap();
        let hub = Hub::real(&Roots::replace_pem(emulator.ca_pem().as_bytes()).unwrap()).unwrap();
        let client = ProvisioningClient::builder()
            .id_scope("0ne00A1B2C3")
            .registration_id(DEVICE)
            .symmetric_key(SymmetricKey::from_bytes(&[7; 32]).unwrap())
            .build()
            .unwrap();
        let mut stored = StoredAssignment {
            id_scope: "0ne00A1B2C3".parse().unwrap(),
            registration_id: DEVICE.parse().unwrap(),
            hub: emulator.endpoint(),
            device_id: DEVICE.into(),
        };
        assert_eq!(hub.ask(&client, &stored).await.unwrap(), Answer::TurnedAway);
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
