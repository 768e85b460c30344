//! Custom allocation in virtual time: what a device sees of a webhook that replies quickly, late or never.

use dps_core::{ErrorCode, Hint, Link, LinkError, Reply, Request};
use dps_emulator::{IndividualEnrollment, SymmetricKey, WebhookCall, WebhookReply, WebhookUrl};
use pair::scene::DEVICE_KEY;
use pair::world::SERVICE_EPOCH;
use pair::{End, PairLink, Scene};

/// A link to a service whose webhook replies after a time.
struct WithWebhook {
    link: PairLink,
    /// How long the webhook takes, in milliseconds; `None` if it never replies.
    takes_ms: Option<u64>,
    reply: WebhookReply,
    /// The calls in progress, each with the time of its reply.
    calls: Vec<(u64, WebhookCall)>,
}

impl WithWebhook {
    fn new(scene: &Scene, takes_ms: Option<u64>, status: u16, body: &str) -> Self {
        let url = WebhookUrl::parse("https://f.test/api/choose?code=k").unwrap();
        let key = SymmetricKey::from_base64(DEVICE_KEY).unwrap();
        let enrollment = IndividualEnrollment::new("dev-01").primary_key(key).custom_allocation(url);
        scene.service.borrow_mut().put_enrollment(scene.now(), enrollment).unwrap();
        Self { link: scene.link(), takes_ms, reply: WebhookReply { status, body: body.into() }, calls: Vec::new() }
    }

    /// Gives the service the replies that have arrived by the time of the next request.
    fn answer(&mut self) {
        let arrives = self.link.world.millis() + self.link.latency;
        let (arrived, later) = std::mem::take(&mut self.calls).into_iter().partition(|(at, _)| *at <= arrives);
        self.calls = later;
        let arrived: Vec<(u64, WebhookCall)> = arrived;
        for (at, call) in arrived {
            let mut now = self.link.world.now_at(SERVICE_EPOCH);
            (now.monotonic_ms, now.unix_ms) = (at, SERVICE_EPOCH + at);
            self.link.service.borrow_mut().answer_webhook(now, call.id, Ok(self.reply.clone()));
        }
    }
}

impl Link for WithWebhook {
    async fn exchange<'b>(&mut self, request: &Request<'_>, buffer: &'b mut [u8]) -> Result<Reply<'b>, LinkError> {
        self.answer();
        let reply = self.link.exchange(request, buffer).await;
        let asked = self.link.world.millis() - self.link.latency;
        let calls = self.link.service.borrow_mut().take_webhook_calls();
        self.calls.extend(calls.into_iter().filter_map(|call| Some((asked + self.takes_ms?, call))));
        reply
    }

    async fn close(&mut self) {
        self.link.close().await;
    }
}

/// How the registration ends, how many requests it takes, and how long.
fn registered(takes_ms: Option<u64>, status: u16, body: &str) -> (End, usize, u64) {
    let mut scene = Scene::new();
    let mut link = WithWebhook::new(&scene, takes_ms, status, body);
    let start = scene.world.millis();
    let end = scene.register_over(&mut link);
    (end, link.link.sent.len(), scene.world.millis() - start)
}

const CHOSEN: &str = r#"{"iotHubHostName":"hub-a.test","payload":{"line":3}}"#;

#[test]
fn quick_webhook_does_not_lengthen_a_registration() {
    let (end, requests, ms) = registered(Some(5), 200, CHOSEN);
    let End::Assigned { hub, payload, .. } = end else { panic!("{end:?}") };
    assert_eq!((hub.as_str(), payload.as_deref()), ("hub-a.test", Some(r#"{"line":3}"#)));
    assert_eq!((requests, ms), (2, 4 * 20 + 1000));
}

#[test]
fn device_polls_until_a_slow_webhook_replies() {
    let (end, requests, ms) = registered(Some(4500), 200, CHOSEN);
    assert_eq!(end.hub(), Some("hub-a.test"));
    assert_eq!((requests, ms), (6, 6 * 40 + 5 * 1000));
}

#[test]
fn webhook_that_never_replies_fails_the_registration_after_its_time_limit() {
    let (end, requests, ms) = registered(None, 200, CHOSEN);
    assert_eq!((end.code(), end.first_hint()), (Some(ErrorCode::RegistrationFailed), Some(Hint::CheckWebhook)));
    assert_eq!((requests, ms), (6, 6 * 40 + 5 * 1000));
}

#[test]
fn error_of_a_webhook_reaches_the_device_as_400207() {
    for (status, body) in [(401, ""), (500, ""), (302, ""), (200, "{"), (200, r#"{"iotHubHostName":"hub-x.test"}"#)] {
        let (end, requests, _) = registered(Some(5), status, body);
        let End::Failed { code, error_code, ref hints, .. } = end else { panic!("{end:?}") };
        assert_eq!((code, error_code, requests), (ErrorCode::RegistrationFailed, Some(400_207), 2), "{status} {body}");
        assert_eq!(hints.first(), Some(&Hint::CheckWebhook));
    }
}
