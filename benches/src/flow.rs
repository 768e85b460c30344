//! Whole registrations in virtual time: the state machine, the codec, the bytes on the wire, and the emulator, which takes
//! most of the time.

use dps_core::Link;
use pair::Scene;

pub(crate) fn http() -> Box<dyn FnMut()> {
    register_over(Scene::link)
}

pub(crate) fn mqtt() -> Box<dyn FnMut()> {
    register_over(Scene::mqtt_link)
}

fn register_over<L: Link + 'static>(link: impl Fn(&Scene) -> L + 'static) -> Box<dyn FnMut()> {
    let mut scene = Scene::new();
    Box::new(move || {
        let mut link = link(&scene);
        assert!(scene.register_over(&mut link).hub().is_some(), "it is assigned");
    })
}
