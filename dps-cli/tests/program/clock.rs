//! `dps emulator clock`: a test moves the clock of an emulator.

use dps_emulator::IndividualEnrollment;

use super::run::{Run as _, dps_line};
use super::service::Service;

#[test]
fn clock_is_shown_advanced_and_scaled() {
    let service = Service::start();
    let shown = service.as_owner("emulator clock show", &[]).run().code(0).stdout;
    assert!(shown.contains("offset  none") && shown.contains("scale   1"), "{shown}");
    let advanced = service.as_owner("emulator clock advance 60d --json", &[]).run().code(0).json();
    assert_eq!((&advanced["offsetMs"], &advanced["scale"]), (&5_184_000_000_u64.into(), &1.into()));
    let scaled = service.as_owner("emulator clock scale 60", &[]).run().code(0).stdout;
    assert!(scaled.contains("offset  60d ahead of its machine") && scaled.contains("scale   60"), "{scaled}");
    assert_eq!(service.set(|service| service.clock().scale()), 60);
}

#[test]
fn device_that_follows_an_advanced_clock_registers_and_another_is_refused() {
    let service = Service::with(|options| options.assign_at_once(true));
    let key = service.enroll(IndividualEnrollment::new("dev-01"));
    service.as_owner("emulator clock advance 20d", &[]).run().code(0);
    let register = |words: &[&str]| service.as_device("register --json", "dev-01", words).run();
    assert_eq!(register(&["--key-file", &key]).code(4).error()["name"], "unauthorized");
    register(&["--key-file", &key, "--clock-offset", "1728000"]).code(0);
}

#[test]
fn owner_follows_an_advanced_clock_too() {
    let service = Service::start();
    service.as_owner("emulator clock advance 20d", &[]).run().code(0);
    assert_eq!(service.as_owner("enrollment list --json", &[]).run().code(4).error()["name"], "unauthorized");
    service.as_owner("enrollment list --clock-offset 1728000", &[]).run().code(0);
    let words = ["--connection-string-file", &service.folder.file("owner"), "--endpoint", "192.0.2.1:1"];
    dps_line("enrollment list --clock-offset 5", &words).run().code(2);
}

#[test]
fn invalid_times_and_scales_are_a_usage_error() {
    let service = Service::start();
    for line in ["advance soon", "advance -1h", "advance 5", "scale 0", "scale 1001", "scale 1.5"] {
        service.as_owner(&format!("emulator clock {line}"), &[]).run().code(2);
    }
    let clock = service.set(|service| (service.clock().offset_ms(), service.clock().scale()));
    assert_eq!(clock, (0, 1));
}
