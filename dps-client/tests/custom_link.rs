//! Custom links: one registration at a time, and time limits that hold whatever the link does. Needs no feature.

use std::future::pending;
use std::ops::ControlFlow;
use std::time::Duration;

use dps_client::{Probe, Progress, ProgressObserver, ProvisioningClient, SendLink, SymmetricKey};
use dps_core::{ErrorCode, Instant, LinkError, Reply, Request, codec::http};

fn device_key() -> SymmetricKey {
    SymmetricKey::from_base64("Jsm0lyGpjaVYVP2g3FnmnmG9dI/9qU24wNoykUmermc=").unwrap()
}

/// Answers its first request after `first`, and no other. Before an answer, its `close` does not return either.
struct Slow {
    first: Option<Duration>,
    answered: bool,
}

impl SendLink for Slow {
    async fn exchange<'b>(&mut self, _request: &Request<'_>, buffer: &'b mut [u8]) -> Result<Reply<'b>, LinkError> {
        let Some(wait) = self.first.take() else { return pending().await };
        tokio::time::sleep(wait).await;
        self.answered = true;
        let text = br#"{"status":"assigned","registrationState":{"assignedHub":"hub-a.test","deviceId":"dev-01"}}"#;
        let body = &mut buffer[..text.len()];
        body.copy_from_slice(text);
        http::read_reply(http::Head { status: 200, ..http::Head::default() }, body)
    }

    async fn close(&mut self) {
        if !self.answered {
            pending().await
        }
    }
}

fn client_over(first: Option<Duration>) -> ProvisioningClient {
    ProvisioningClient::builder()
        .id_scope("0ne00A1B2C3")
        .registration_id("dev-01")
        .symmetric_key(device_key())
        .timeout(Duration::from_secs(60))
        .request_timeout(Duration::from_secs(60))
        .link(Slow { first, answered: false })
        .build()
        .unwrap()
}

#[tokio::test(start_paused = true)]
async fn second_registration_ends_by_its_timeout_while_another_holds_the_link() {
    let client = client_over(None);
    let start = tokio::time::Instant::now();
    let second = async {
        let error = client.register().await.unwrap_err();
        (error, start.elapsed().as_secs())
    };
    let (first, (error, ended_after)) = tokio::join!(client.register(), second);
    assert_eq!(first.unwrap_err().code(), ErrorCode::Timeout);
    assert_eq!((error.code(), ended_after), (ErrorCode::Timeout, 60));
    assert!(error.message().contains("another registration used the custom link"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn wait_for_the_link_counts_against_the_timeout() {
    let client = client_over(Some(Duration::from_secs(45)));
    let start = tokio::time::Instant::now();
    let (first, second) = tokio::join!(client.register(), client.register());
    assert_eq!(first.unwrap().hub(), "hub-a.test");
    assert_eq!(second.unwrap_err().code(), ErrorCode::Timeout);
    assert_eq!(start.elapsed().as_secs(), 60);
}

#[tokio::test(start_paused = true)]
async fn probe_ends_by_its_timeout_while_a_registration_holds_the_link() {
    let client = client_over(None);
    let start = tokio::time::Instant::now();
    let probe = async { (client.probe().await.unwrap(), start.elapsed().as_secs()) };
    let (_, (probe, ended_after)) = tokio::join!(client.register(), probe);
    let Probe::NoAnswer { error, detail } = probe else { panic!("{probe:?}") };
    assert_eq!((error, ended_after), (LinkError::Timeout, 60));
    assert!(detail.contains("custom link"), "{detail}");
}

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
            let head = http::Head { status: 202, retry_after: Some("1".into()), date: None };
            return http::read_reply(head, space);
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

/// Refuses its first request after half a minute, and answers no other.
struct Refusing(bool);

impl SendLink for Refusing {
    async fn exchange<'b>(&mut self, _request: &Request<'_>, buffer: &'b mut [u8]) -> Result<Reply<'b>, LinkError> {
        if std::mem::replace(&mut self.0, true) {
            return pending().await;
        }
        tokio::time::sleep(Duration::from_secs(30)).await;
        let text = br#"{"errorCode":401002,"trackingId":"t-1","message":"Unauthorized"}"#;
        let body = &mut buffer[..text.len()];
        body.copy_from_slice(text);
        http::read_reply(http::Head { status: 401, ..http::Head::default() }, body)
    }
}

#[tokio::test(start_paused = true)]
async fn all_credentials_share_one_deadline() {
    let builder = ProvisioningClient::builder().id_scope("0ne00A1B2C3").registration_id("dev-01");
    let builder = builder.symmetric_key(device_key()).fallback(device_key()).link(Refusing(false));
    let minute = Duration::from_secs(60);
    let client = builder.timeout(minute).request_timeout(minute).build().unwrap();
    let start = tokio::time::Instant::now();
    let error = client.register().await.unwrap_err();
    assert_eq!((error.code(), start.elapsed()), (ErrorCode::Timeout, minute));
    let refused = error.refused_credentials();
    assert_eq!((refused.len(), refused[0].error_code()), (1, Some(401_002)), "{error:?}");
}

/// Does not return from a change of the credential.
struct Stuck;

impl ProgressObserver for Stuck {
    async fn observe(&mut self, progress: Progress) -> ControlFlow<()> {
        match progress {
            Progress::Switching { .. } => pending().await,
            _ => ControlFlow::Continue(()),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn observer_that_does_not_return_from_a_switch_ends_the_registration() {
    let builder = ProvisioningClient::builder().id_scope("0ne00A1B2C3").registration_id("dev-01").observer(Stuck);
    let builder = builder.symmetric_key(device_key()).fallback(device_key()).link(Refusing(false));
    let (minute, limit) = (Duration::from_secs(60), Duration::from_secs(40));
    let client = builder.timeout(minute).request_timeout(limit).build().unwrap();
    let start = tokio::time::Instant::now();
    let error = client.register().await.unwrap_err();
    assert_eq!((error.code(), error.refused_credentials().len()), (ErrorCode::ObserverTimeout, 1));
    assert_eq!(start.elapsed(), minute, "the rest of the time, which is shorter than the request timeout");
}
