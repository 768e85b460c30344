//! A link that is always ready uses up what tokio lets a task do in one go; the deadline holds all the same.

mod common;

use std::time::Duration;

use common::device_key;
use dps_client::core::{ErrorCode, Instant, LinkError, Reply, Request};
use dps_client::{ProvisioningClient, SendLink};

/// How long a test waits before it calls the registration endless.
const ENDLESS: Duration = Duration::from_secs(60);

/// Never waits for anything, as a socket that always has another byte.
async fn always_ready() {
    loop {
        tokio::task::consume_budget().await;
    }
}

struct Flooded {
    answers: bool,
}

impl SendLink for Flooded {
    async fn exchange<'b>(&mut self, _request: &Request<'_>, buffer: &'b mut [u8]) -> Result<Reply<'b>, LinkError> {
        if self.answers {
            let body = br#"{"operationId":"4.1.2","status":"assigning"}"#;
            let space = buffer.get_mut(..body.len()).ok_or(LinkError::ReplyTooLarge { needed: None })?;
            space.copy_from_slice(body);
            let head = dps_client::core::codec::http::Head { status: 202, retry_after: Some("1".into()), date: None };
            return dps_client::core::codec::http::read_reply(head, space);
        }
        always_ready().await;
        Err(LinkError::Cut)
    }

    async fn idle(&mut self, _until: Instant) {
        always_ready().await;
    }
}

/// Registers on a thread of its own, so that a test can tell an endless registration from one that ends.
fn registers_over(link: Flooded) -> ErrorCode {
    let (tell, told) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let client = ProvisioningClient::builder()
            .id_scope("0ne00A1B2C3")
            .registration_id("dev-01")
            .symmetric_key(device_key())
            .timeout(Duration::from_secs(2))
            .link(link)
            .build()
            .unwrap();
        let _ = tell.send(client.blocking().register().unwrap_err().code());
    });
    told.recv_timeout(ENDLESS).expect("the registration ends by its deadline")
}

#[test]
fn deadline_holds_over_a_link_that_is_always_ready_in_an_exchange() {
    assert_eq!(registers_over(Flooded { answers: false }), ErrorCode::Timeout);
}

#[test]
fn deadline_holds_over_a_link_that_is_always_ready_while_idle() {
    assert_eq!(registers_over(Flooded { answers: true }), ErrorCode::DeadlineExceeded);
}
