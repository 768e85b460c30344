//! Refusals by the service: the right code, hints in the right order, immediately.

use dps_core::{ErrorCode, Hint, Key, KeyEvidence, Verdict};
use dps_emulator::{EnrollmentGroup, IndividualEnrollment, RefusalReason, ServiceOptions, SymmetricKey};
use pair::scene::{DEVICE_KEY, GROUP_KEY, ID_SCOPE};
use pair::{End, Scene};

#[track_caller]
fn fails(end: End, code: ErrorCode, first: Hint) -> Vec<Hint> {
    let End::Failed { code: found, verdict, hints, tracked, .. } = end else { panic!("{end:?}") };
    assert_eq!((found, hints.first().copied(), tracked), (code, Some(first), true));
    assert_eq!(verdict, Verdict::Never);
    hints
}

/// The reason that the service does not report to the device.
fn reason(scene: &Scene) -> RefusalReason {
    scene.service.borrow().refusals().last().expect("it refused").reason
}

#[test]
fn wrong_key_is_unauthorized() {
    let mut scene = Scene::new();
    scene.key = Key::from_bytes(&[9; 32]).unwrap();
    scene.config = scene.config.key_evidence(KeyEvidence { length: Some(32), derived_here: false });
    let hints = fails(scene.register(), ErrorCode::Unauthorized, Hint::WrongKey);
    assert!(hints.contains(&Hint::WrongIdScope) && hints.contains(&Hint::NoEnrollment), "{hints:?}");
    assert_eq!(reason(&scene), RefusalReason::BadSignature);
}

#[test]
fn group_key_used_as_device_key_is_hinted() {
    let mut scene = Scene::new();
    scene.identity = Scene::identity(ID_SCOPE, "sn-1");
    scene.key = Key::from_base64(GROUP_KEY).unwrap();
    scene.config = scene.config.key_evidence(KeyEvidence { length: Some(64), derived_here: false });
    fails(scene.register(), ErrorCode::Unauthorized, Hint::GroupKeyAsDeviceKey);
    assert_eq!(reason(&scene), RefusalReason::GroupKeyUsed);
}

#[test]
fn wrong_scope_and_unknown_id_are_unauthorized() {
    let mut scene = Scene::new();
    scene.identity = Scene::identity("0ne99999999", "dev-01");
    let end = scene.register();
    assert_eq!(end.code(), Some(ErrorCode::Unauthorized), "{end:?}");
    assert_eq!(reason(&scene), RefusalReason::WrongIdScope);

    let mut scene = Scene::new();
    scene.service.borrow_mut().delete_group("line-7");
    scene.identity = Scene::identity(ID_SCOPE, "dev-02");
    let end = scene.register();
    assert_eq!(end.code(), Some(ErrorCode::Unauthorized), "{end:?}");
    assert_eq!(reason(&scene), RefusalReason::UnknownRegistration);
}

#[test]
fn upper_case_id_is_hinted_before_the_key() {
    let mut scene = Scene::new();
    scene.identity = Scene::identity(ID_SCOPE, "SN-1");
    scene.key = Key::from_bytes(&[9; 32]).unwrap();
    scene.config = scene.config.key_evidence(KeyEvidence { length: Some(32), derived_here: false });
    fails(scene.register(), ErrorCode::Unauthorized, Hint::UpperCaseId);
}

#[test]
fn disabled_enrollment_is_reported_by_the_poll() {
    let key = || SymmetricKey::from_base64(DEVICE_KEY).unwrap();
    let mut scene = Scene::new();
    let disabled = IndividualEnrollment::new("dev-01").primary_key(key()).enabled(false);
    scene.service.borrow_mut().put_enrollment(scene.now(), disabled).unwrap();
    let end = scene.register();
    assert_eq!((end.code(), end.first_hint()), (Some(ErrorCode::EnrollmentDisabled), Some(Hint::EnableEnrollment)));
    assert_eq!(scene.service.borrow().counters().polls, 1);
}

#[test]
fn unlinked_hub_fails_with_the_service_message() {
    let mut scene = Scene::new();
    scene.service.borrow_mut().unlink_hub("hub-a.test");
    let end = scene.register();
    let End::Failed { code, error_code: Some(error_code), ref hints, .. } = end else { panic!("{end:?}") };
    assert_eq!((code, error_code / 1000), (ErrorCode::RegistrationFailed, 400));
    assert_eq!(hints.first(), Some(&Hint::CheckLinkedHubs));
}

#[test]
fn disabled_group_refuses_every_device() {
    let mut scene = Scene::new();
    let group =
        EnrollmentGroup::new("line-7").primary_key(SymmetricKey::from_base64(GROUP_KEY).unwrap()).enabled(false);
    scene.service.borrow_mut().put_group(scene.now(), group).unwrap();
    scene.identity = Scene::identity(ID_SCOPE, "sn-1");
    let group = Key::from_base64(GROUP_KEY).unwrap();
    scene.key = dps_core::credentials::derive_device_key(&group, scene.identity.registration_id);
    let end = scene.register();
    assert_eq!(end.code(), Some(ErrorCode::EnrollmentDisabled), "{end:?}");
}

#[test]
fn clock_two_hours_behind_is_reported_and_corrected_if_allowed() {
    let mut scene = Scene::new();
    scene.clock_ahead = Some(-7200);
    let end = scene.register();
    let End::Failed { skew: Some(skew), .. } = end else { panic!("{end:?}") };
    assert!((7199..=7201).contains(&skew), "{skew}");
    fails(end, ErrorCode::Unauthorized, Hint::ClockBehind);

    let mut scene = Scene::new();
    scene.clock_ahead = Some(-7200);
    scene.config = scene.config.correct_clock(true);
    let mut link = scene.link();
    assert_eq!(scene.register_over(&mut link).hub(), Some("hub-a.test"));
    assert_eq!(link.sent.len(), 3, "refused, registered, polled");
    assert_ne!(link.sent[0].token, link.sent[1].token);
}

#[test]
fn clock_two_hours_ahead_registers() {
    let mut scene = Scene::new();
    scene.clock_ahead = Some(7200);
    assert_eq!(scene.register().hub(), Some("hub-a.test"));
}

#[test]
fn device_without_a_clock_fails_before_any_request() {
    let mut scene = Scene::new();
    scene.clock_ahead = None;
    let mut link = scene.link();
    let end = scene.register_over(&mut link);
    assert_eq!((end.code(), end.first_hint()), (Some(ErrorCode::ClockNeeded), Some(Hint::SetClock)));
    assert!(link.sent.is_empty());
}

#[test]
fn concurrent_registrations_of_one_id_are_both_assigned() {
    let mut scene = Scene::with(ServiceOptions::new().conflict_window_ms(60));
    let world = scene.world.clone();
    let config = scene.config();
    let identity = scene.identity;
    let device = |seed: u32, link: &mut pair::PairLink, key: &mut Key| {
        let (mut storage, mut buffer) = ([0; 1024], [0; 4096]);
        let mut machine = dps_core::Registration::new(identity, config.seed(seed), &mut storage).unwrap();
        world.run(dps_core::drive(&mut machine, link, &world, key, &mut (), &mut buffer));
        pair::scene::end(&machine, &buffer)
    };
    let mut other = Key::from_base64(DEVICE_KEY).unwrap();
    // The first device's request arrives, and before its window is over the second one's.
    let mut first = scene.link();
    let mut storage = [0; 1024];
    let mut buffer = [0; 4096];
    let mut machine = dps_core::Registration::new(identity, config, &mut storage).unwrap();
    let begun =
        world.run_for(1, dps_core::drive(&mut machine, &mut first, &world, &mut scene.key, &mut (), &mut buffer));
    assert!(begun.is_none());
    let mut second = scene.link();
    assert_eq!(device(2, &mut second, &mut other).hub(), Some("hub-a.test"));
    assert_eq!(scene.service.borrow().counters().conflicts, 1, "the second came too early once");
    world.run(dps_core::drive(&mut machine, &mut first, &world, &mut scene.key, &mut (), &mut buffer));
    assert_eq!(pair::scene::end(&machine, &buffer).hub(), Some("hub-a.test"));
}
