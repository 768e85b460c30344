//! Registrations over real TLS against the local service: what works, and what the service refuses.

use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use crate::common::{Counted, GROUP_DEVICE, builder, device_key, group_key, service, service_with, what};
use dps_client::{
    BlockingSigner, ConnectionProfile, Probe, Progress, ProvisioningClient, RegistrationId, Resolver, ResumeToken,
    Roots, SendLink, SendSigner, SymmetricKey, Transport,
};
use dps_core::codec::http;
use dps_core::{
    Call, ErrorCode, Family, Hint, Key, LinkError, Reply, ReplyProblem, Request, SignError, Signature, Verdict,
};
use dps_emulator::{At, EmulatorOptions, Fault, IndividualEnrollment, RetryAfter, Scope};

const TWO_HOURS: Duration = Duration::from_secs(7200);

#[tokio::test]
async fn individual_enrollment_registers_over_one_connection() {
    let emulator = service().await;
    let counted = Counted::before(&emulator).await;
    let client = builder(&emulator).endpoint(counted.endpoint()).symmetric_key(device_key()).build().unwrap();
    let assignment = client.register().await.unwrap();
    assert_eq!((assignment.hub(), assignment.device_id()), ("hub-a.test", "dev-01"));
    assert_eq!(assignment.substatus(), Some("initialAssignment"));
    assert!(assignment.operation_id().is_some());
    assert_eq!(counted.accepted(), 1, "register and polls share a connection");
    let counters = emulator.with_service(|service| service.counters());
    assert_eq!((counters.registers, counters.polls), (1, 1));
}

#[tokio::test]
async fn group_key_and_derived_key_register_the_same_device() {
    let emulator = service().await;
    let of_group = || builder(&emulator).registration_id(GROUP_DEVICE);
    let derived = group_key().derive(&GROUP_DEVICE.parse::<RegistrationId>().unwrap());
    for client in [of_group().group_key(group_key()).build(), of_group().symmetric_key(derived).build()] {
        let assignment = client.unwrap().register().await.unwrap();
        assert_eq!(assignment.device_id(), GROUP_DEVICE);
        let connection = assignment.connection_string().unwrap().unwrap();
        assert!(connection.expose().ends_with("SharedAccessKey=Jsm0lyGpjaVYVP2g3FnmnmG9dI/9qU24wNoykUmermc="));
        assert_eq!(format!("{connection:?}"), "SecretString(..)");
    }
}

struct SlowSigner(Key);

impl SendSigner for SlowSigner {
    async fn sign(&mut self, to_sign: &[u8]) -> Result<Signature, SignError> {
        tokio::task::yield_now().await;
        Ok(self.0.sign(to_sign))
    }
}

#[tokio::test]
async fn custom_signer_registers() {
    let emulator = service().await;
    let key = || Key::from_base64(crate::common::DEVICE_KEY).unwrap();
    let held = key();
    let blocking = BlockingSigner::new(move |to_sign: &[u8]| Ok::<_, std::io::Error>(held.sign(to_sign))).unwrap();
    for client in [builder(&emulator).signer(SlowSigner(key())), builder(&emulator).signer(blocking)] {
        let assignment = client.build().unwrap().register().await.unwrap();
        assert_eq!(assignment.hub(), "hub-a.test");
        assert!(assignment.connection_string().unwrap().is_none(), "the key is not here to be written down");
        let mut credentials = assignment.hub_credentials().unwrap();
        assert!(credentials.password().await.unwrap().expose().starts_with("SharedAccessSignature sr=hub-a.test"));
    }
    let broken = BlockingSigner::new(|_: &[u8]| Err::<Signature, _>("the token was pulled out")).unwrap();
    let error = builder(&emulator).signer(broken).build().unwrap().register().await.unwrap_err();
    assert_eq!((error.code(), error.family()), (ErrorCode::SignerFailed, Family::Local));
}

#[tokio::test]
async fn hanging_signer_ends_the_registration_by_the_request_timeout() {
    let emulator = service().await;
    let (_never, wait) = std::sync::mpsc::channel::<()>();
    let stuck = BlockingSigner::new(move |_: &[u8]| wait.recv().map(|()| unreachable!())).unwrap();
    let client = builder(&emulator).signer(stuck).request_timeout(Duration::from_millis(50)).build().unwrap();
    let error = client.register().await.unwrap_err();
    assert_eq!(what(&error), (ErrorCode::SignerTimeout, Some(Hint::CheckSigner)));
}

#[tokio::test]
async fn error_names_what_is_wrong_with_a_reply() {
    let emulator = service_with(EmulatorOptions::new().service(|service| service.assign_at_once(true))).await;
    let patch = serde_json::json!({ "registrationState": { "assignedHub": "a;b", "deviceId": "dev-01" } });
    let fault = Fault::PatchReply { patch: patch.as_object().unwrap().clone() };
    emulator.with_service(|service| service.inject(Scope::All, At::Register, fault, 1000));
    let client = builder(&emulator).symmetric_key(device_key()).timeout(Duration::from_secs(1)).build().unwrap();
    let error = client.register().await.unwrap_err();
    assert_eq!((error.code(), error.reply_problem()), (ErrorCode::InvalidReply, Some(ReplyProblem::Hub)));
    assert!(error.message().ends_with("its assigned hub is not a host name"), "{error}");
    assert!(!error.hints().contains(&Hint::TrustCa), "TLS was good: {error}");
}

#[tokio::test]
async fn refused_credentials_name_their_likely_causes() {
    let emulator = service().await;
    let wrong = || SymmetricKey::from_bytes(&[9; 32]).unwrap();
    let group_as_device = SymmetricKey::from_base64(crate::common::GROUP_KEY).unwrap();
    let table = [
        ("wrong key", builder(&emulator).symmetric_key(wrong()), Hint::WrongKey),
        ("wrong scope", builder(&emulator).id_scope("0ne99999999").symmetric_key(device_key()), Hint::WrongKey),
        ("unknown id", builder(&emulator).registration_id("dev-02").symmetric_key(device_key()), Hint::WrongKey),
        (
            "group key",
            builder(&emulator).registration_id("dev-02").symmetric_key(group_as_device),
            Hint::GroupKeyAsDeviceKey,
        ),
        ("upper case", builder(&emulator).registration_id("DEV-02").symmetric_key(wrong()), Hint::UpperCaseId),
        ("odd length", builder(&emulator).symmetric_key(SymmetricKey::from_bytes(&[9; 20]).unwrap()), Hint::KeyLength),
    ];
    for (case, client, hint) in table {
        let error = client.build().unwrap().register().await.unwrap_err();
        let report = error.report().to_string();
        assert_eq!(what(&error), (ErrorCode::Unauthorized, Some(hint)), "{case}");
        assert_eq!((error.family(), error.verdict()), (Family::Service, Verdict::Never), "{case}");
        assert_eq!((error.http_status(), error.error_code()), (Some(401), Some(401_002)), "{case}");
        assert!(error.tracking_id().is_some_and(|id| report.contains(id)), "{case}: {report}");
        assert!(report.contains(hint.text()), "{case}: {report}");
        assert!(!error.to_string().contains(hint.text()), "{case}: {error}");
    }
}

#[tokio::test]
async fn disabled_unlinked_and_throttled_devices_have_their_errors() {
    let emulator = service().await;
    let client = |emulator| builder(emulator).symmetric_key(device_key()).build().unwrap();
    let key = dps_emulator::SymmetricKey::from_base64(crate::common::DEVICE_KEY).unwrap();
    let now = emulator.now();
    let disabled = IndividualEnrollment::new("dev-01").primary_key(key).enabled(false);
    emulator.with_service(|service| service.put_enrollment(now, disabled).unwrap());
    let error = client(&emulator).register().await.unwrap_err();
    assert_eq!(what(&error), (ErrorCode::EnrollmentDisabled, Some(Hint::EnableEnrollment)));

    let emulator = service().await;
    emulator.with_service(|service| service.unlink_hub("hub-a.test"));
    let error = client(&emulator).register().await.unwrap_err();
    assert_eq!(what(&error), (ErrorCode::RegistrationFailed, Some(Hint::CheckLinkedHubs)));
    assert!(error.error_code().is_some() && error.verdict() == Verdict::Never, "{error}");

    let emulator = service().await;
    let busy = Fault::Throttle { retry_after: Some(RetryAfter::Seconds(3600)) };
    emulator.with_service(|service| service.inject(Scope::All, At::Any, busy, u32::MAX));
    let error = client(&emulator).register().await.unwrap_err();
    assert_eq!(what(&error), (ErrorCode::Throttled, Some(Hint::SpreadStart)));
    assert_eq!(error.retry_after(), Some(Duration::from_secs(3600)));
    assert!(error.tracking_id().is_some());
}

#[tokio::test]
async fn clock_two_hours_off_is_refused_with_the_skew() {
    // The service two hours ahead of the device is a device two hours behind.
    let ahead = i64::try_from(TWO_HOURS.as_millis()).unwrap();
    let emulator = service_with(EmulatorOptions::new().clock_offset_ms(ahead)).await;
    let error = builder(&emulator).symmetric_key(device_key()).build().unwrap().register().await.unwrap_err();
    assert_eq!(what(&error), (ErrorCode::Unauthorized, Some(Hint::ClockBehind)));
    let skew = error.clock_skew_seconds().unwrap();
    assert!((7190..7210).contains(&skew), "{skew}");
    assert!(error.report().to_string().contains("s behind the service's"), "{error}");

    let correcting = builder(&emulator).symmetric_key(device_key()).correct_clock(true).build().unwrap();
    assert_eq!(correcting.register().await.unwrap().hub(), "hub-a.test");

    let emulator = service().await;
    let early = || Some(SystemTime::now() + TWO_HOURS);
    let client = builder(&emulator).symmetric_key(device_key()).clock(early).build().unwrap();
    assert_eq!(client.register().await.unwrap().hub(), "hub-a.test");

    let none = builder(&emulator).symmetric_key(device_key()).clock(|| None).build().unwrap();
    assert_eq!(what(&none.register().await.unwrap_err()), (ErrorCode::ClockNeeded, Some(Hint::SetClock)));
}

/// A link of the application's own: a modem's HTTP stack, say. It answers from memory.
struct Modem;

impl SendLink for Modem {
    async fn exchange<'b>(&mut self, request: &Request<'_>, buffer: &'b mut [u8]) -> Result<Reply<'b>, LinkError> {
        let (status, text) = match request.call {
            Call::Register { .. } => (202, r#"{"operationId":"5.0","status":"assigning"}"#),
            _ => (200, r#"{"status":"assigned","registrationState":{"assignedHub":"hub-m.test","deviceId":"m"}}"#),
        };
        let body = &mut buffer[..text.len()];
        body.copy_from_slice(text.as_bytes());
        http::read_reply(http::Head { status, ..http::Head::default() }, body)
    }
}

#[tokio::test]
async fn custom_link_registers() {
    let builder = || {
        ProvisioningClient::builder()
            .id_scope("0ne00A1B2C3")
            .registration_id("dev-01")
            .symmetric_key(device_key())
            .poll_interval(Duration::from_millis(1))
            .link(Modem)
    };
    let client = builder().build().unwrap();
    for _ in 0..2 {
        assert_eq!(client.register().await.unwrap().hub(), "hub-m.test");
    }
    // The link decides which API version it uses; the application tells whether that one reports the profile.
    for (asked, profile) in [(false, ConnectionProfile::NotReported), (true, ConnectionProfile::Classic)] {
        let assignment = builder().connection_profile(asked).build().unwrap().register().await.unwrap();
        assert_eq!(*assignment.connection_profile(), profile);
    }
    for (with_option, name) in [
        (builder().transport(Transport::Mqtt), "transport"),
        (builder().api_version("2021-06-01"), "api_version"),
        (builder().roots(Roots::platform()), "roots"),
        (builder().resolver(Resolver::default()), "resolver"),
    ] {
        let error = with_option.build().unwrap_err();
        assert_eq!(error.code(), ErrorCode::InvalidOption);
        assert!(error.to_string().contains(name), "{error}");
    }
}

#[tokio::test]
async fn payload_is_sent_and_received() {
    let emulator = service_with(EmulatorOptions::new().service(|service| service.echo_payload(true))).await;
    let client = builder(&emulator).symmetric_key(device_key()).payload(r#"{"line":"7 ü"}"#).build().unwrap();
    assert_eq!(client.register().await.unwrap().payload(), Some(r#"{"line":"7 ü"}"#));
}

#[tokio::test]
async fn lookup_does_not_register() {
    let emulator = service().await;
    let client = builder(&emulator).symmetric_key(device_key()).build().unwrap();
    let error = client.lookup().await.unwrap_err();
    assert_eq!(what(&error), (ErrorCode::NotFound, Some(Hint::NoEnrollment)));
    client.register().await.unwrap();
    let record = client.lookup().await.unwrap();
    assert_eq!((record.status.as_str(), record.hub.as_deref()), ("assigned", Some("hub-a.test")));
    assert_eq!(emulator.with_service(|service| service.counters()).registers, 1);
}

#[tokio::test]
async fn stopped_registration_is_resumed_by_its_token() {
    let emulator = dps_emulator::Emulator::start(EmulatorOptions::new().default_retry_after_s(60)).await.unwrap();
    let key = dps_emulator::SymmetricKey::from_base64(crate::common::DEVICE_KEY).unwrap();
    let now = emulator.now();
    emulator.with_service(|service| {
        service.put_enrollment(now, IndividualEnrollment::new("dev-01").primary_key(key)).unwrap();
    });
    let seen = Arc::new(Mutex::new(None));
    let (told, mut waiting) = tokio::sync::mpsc::unbounded_channel();
    let store = Arc::clone(&seen);
    let client = builder(&emulator)
        .symmetric_key(device_key())
        .timeout(Duration::from_secs(300))
        .on_progress(move |progress| {
            if let Progress::Waiting { resume: Some(token), .. } = progress {
                *store.lock().unwrap() = Some(token.to_string());
                let _ = told.send(());
            }
        })
        .build()
        .unwrap();
    // Stopped as soon as there is something to go on from: the service asked for a minute.
    tokio::select! {
        _ = client.register() => panic!("it waits for a minute"),
        _ = waiting.recv() => {}
    }
    let token: ResumeToken = seen.lock().unwrap().take().unwrap().parse().unwrap();
    // By now the assignment is made; a resumed device learns it at its first poll. The service needs half a second for
    // it and would otherwise ask for another minute.
    while emulator.with_service(|service| service.record("dev-01").map(|record| record.status()))
        != Some(dps_emulator::Status::Assigned)
    {
        tokio::task::yield_now().await;
    }
    let restarted = builder(&emulator).symmetric_key(device_key()).build().unwrap();
    let resumed = restarted.resume(&token).await.unwrap();
    assert_eq!(resumed.hub(), "hub-a.test");
    assert_eq!(resumed.operation_id(), Some(token.operation_id()));
    assert_eq!(token.to_string().parse::<ResumeToken>().unwrap(), token);
    assert_eq!(emulator.with_service(|service| service.counters()).registers, 1);

    // A hint beyond the deadline ends it before any wait: the error has what to go on from.
    let hasty = builder(&emulator).symmetric_key(device_key()).timeout(Duration::from_secs(10)).build().unwrap();
    let error = hasty.register().await.unwrap_err();
    assert_eq!(what(&error), (ErrorCode::DeadlineExceeded, Some(Hint::RaiseTimeout)));
    assert!(error.resume_token().is_some() && error.retry_after() == Some(Duration::from_secs(60)));

    let other = builder(&emulator).registration_id("dev-02").symmetric_key(device_key()).build().unwrap();
    let error = other.resume(&token).await.unwrap_err();
    assert_eq!(error.code(), ErrorCode::OperationMismatch);
}

#[tokio::test]
async fn register_after_resume_makes_a_fresh_assignment() {
    let emulator = service().await;
    let token: ResumeToken =
        format!("dps-operation/1 {} {} dev-01 5.forgotten", emulator.endpoint(), emulator.id_scope()).parse().unwrap();
    let client = builder(&emulator).symmetric_key(device_key()).build().unwrap();
    let registers = || emulator.with_service(|service| service.counters()).registers;

    let resumed = client.resume(&token).await.unwrap();
    assert_eq!(registers(), 1, "the service does not know the operation, so that the device is registered");
    let again = client.register().await.unwrap();
    assert!(registers() > 1, "it does not resume again");
    assert_ne!(again.operation_id(), resumed.operation_id());
    assert_eq!(client.resume(&token).await.unwrap().hub(), "hub-a.test", "a token can be used again");
}

#[test]
fn blocking_client_has_every_call_and_hub_passwords() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let emulator = runtime.block_on(service());
    let client: ProvisioningClient = builder(&emulator).symmetric_key(device_key()).build().unwrap();
    let blocking = client.blocking();
    let assignment = blocking.register().unwrap();
    assert_eq!(assignment.hub(), "hub-a.test");
    assert_eq!(blocking.lookup().unwrap().hub.as_deref(), Some("hub-a.test"));
    assert!(matches!(blocking.probe().unwrap(), Probe::Answered(answer) if answer.http_status == 200));
    assert!(blocking.service_time().unwrap().elapsed().unwrap_or_default() < TWO_HOURS);
    let operation = assignment.operation_id().unwrap_or("5.forgotten");
    let token = format!("dps-operation/1 {} {} dev-01 {operation}", client.endpoint(), client.id_scope());
    assert_eq!(blocking.resume(&token.parse().unwrap()).unwrap().hub(), "hub-a.test");

    let mut credentials = assignment.hub_credentials().unwrap();
    let password = credentials.blocking_password().unwrap().expose();
    assert!(password.starts_with("SharedAccessSignature sr=hub-a.test%2Fdevices%2Fdev-01&sig="));
    let misuse = runtime.block_on(async { credentials.blocking_password().map(|_| ()) });
    assert_eq!(misuse.unwrap_err().code(), ErrorCode::Misuse);
}

#[tokio::test]
async fn one_client_registers_often_and_at_the_same_time() {
    let emulator = service().await;
    let client = Arc::new(builder(&emulator).symmetric_key(device_key()).build().unwrap());
    let one = client.register().await.unwrap();
    let (two, three) = tokio::join!(client.register(), client.register());
    for assignment in [one, two.unwrap(), three.unwrap()] {
        assert_eq!(assignment.hub(), "hub-a.test");
    }
}

/// Registers `dev-01` where its enrollment gives it this device id at the hub.
async fn assigned_as(device_id: &str) -> (dps_emulator::Emulator, dps_client::Assignment) {
    let emulator = service().await;
    let key = dps_emulator::SymmetricKey::from_base64(crate::common::DEVICE_KEY).unwrap();
    let now = emulator.now();
    emulator.with_service(|service| {
        let device = IndividualEnrollment::new("dev-01").primary_key(key).device_id(device_id);
        service.put_enrollment(now, device).unwrap();
    });
    let assignment = builder(&emulator).symmetric_key(device_key()).build().unwrap().register().await.unwrap();
    assert_eq!(assignment.device_id(), device_id);
    (emulator, assignment)
}

#[tokio::test]
async fn connection_string_refuses_a_device_id_with_a_semicolon() {
    let (_emulator, assignment) = assigned_as("x;HostName=evil").await;
    let error = assignment.connection_string().unwrap_err();
    assert_eq!(error.code(), ErrorCode::InvalidOption);
    assert!(error.message().contains(';'), "{error}");
}

#[tokio::test]
async fn device_id_of_the_whole_alphabet_signs_in_to_its_hub() {
    let device_id = "AZaz09-:.+%_#*?!(),=@;$'";
    let (emulator, assignment) = assigned_as(device_id).await;
    let mut credentials = assignment.hub_credentials().unwrap();
    let token = credentials.password().await.unwrap().expose().to_owned();
    let encoded = "AZaz09-%3A.%2B%25_%23%2A%3F%21%28%29%2C%3D%40%3B%24%27";
    assert!(token.starts_with(&format!("SharedAccessSignature sr=hub-a.test%2Fdevices%2F{encoded}&sig=")), "{token}");
    let now = emulator.now();
    let accepted = emulator.with_service(|service| {
        service.hub_device("hub-a.test", device_id).is_some_and(|device| device.accepts_token(now, &token))
    });
    assert!(accepted);
}

struct NeverAnswers;

impl SendLink for NeverAnswers {
    async fn exchange<'b>(&mut self, _request: &Request<'_>, _buffer: &'b mut [u8]) -> Result<Reply<'b>, LinkError> {
        std::future::pending().await
    }
}

#[tokio::test(start_paused = true)]
async fn registration_that_waits_for_a_custom_link_keeps_its_deadline() {
    // With 525, the link becomes free at the very moment at which the time is up.
    for seed in [1, 525] {
        let client = ProvisioningClient::builder()
            .id_scope("0ne00A1B2C3")
            .registration_id("dev-01")
            .symmetric_key(device_key())
            .timeout(Duration::from_secs(50))
            .seed(seed)
            .link(NeverAnswers)
            .build()
            .unwrap();
        let start = tokio::time::Instant::now();
        let (first, second) = tokio::join!(client.register(), client.register());
        for error in [first.unwrap_err(), second.unwrap_err()] {
            assert_eq!(error.code(), ErrorCode::Timeout, "{seed}: {error}");
        }
        assert_eq!(start.elapsed().as_secs(), 50);
    }
}
