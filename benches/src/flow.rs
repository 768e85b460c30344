//! Whole registrations in virtual time: the machine, the codec, the bytes between, and the pure emulator at the other
//! end, whose share is the larger one.

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
