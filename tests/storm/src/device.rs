//! One device's life until its assignment: the SDK's machine and loop, and the loop that an application puts around them.

use std::cell::RefCell;
use std::ops::Range;

use dps_core::credentials::derive_device_key;
use dps_core::{
    Config, Identity, Instant, Key, Outcome, Registration, RegistrationId, UnixSeconds, Verdict, WallAnchor, drive,
};
use fastrand::Rng;
use pair::scene::{GROUP_KEY, ID_SCOPE};
use pair::world::SERVICE_EPOCH;
use pair::{Scene, World};

use crate::front::{Front, Line};

/// After a registration that failed a device pauses for as long as the verdict says and a random part of a time that
/// doubles with each failure, from a quarter of an hour to four hours.
const PAUSE_MS: Range<u64> = 900_000..14_400_000;
/// After a week it gives up.
const PATIENCE_MS: u64 = 7 * 86_400_000;
/// Holds what the machine has to remember. Short, as a million devices have one each.
const STORAGE: usize = 640;
/// Holds every reply of the service here.
const REPLY_MAX: usize = 512;

/// The registration id of a device.
pub(crate) fn id(index: u32) -> String {
    format!("dev-{index:07}")
}

/// The names a device goes by.
pub(crate) fn identity(id: &str) -> Identity<'_> {
    let registration_id = RegistrationId::new(id).expect("an id");
    Identity { registration_id, ..Scene::identity(ID_SCOPE, "any") }
}

/// The key a device left the factory with.
pub(crate) fn key(identity: &Identity<'_>) -> Key {
    derive_device_key(&Key::from_base64(GROUP_KEY).expect("a key"), identity.registration_id)
}

/// Waits for a while and registers until it is assigned; `false` when it gives up.
pub(crate) async fn live(world: &World, front: &RefCell<Front<'_>>, index: u32, first_wait_ms: u64) -> bool {
    let mut random = Rng::with_seed(u64::from(index));
    world.wait(first_wait_ms).await;
    let mut pause_ms = PAUSE_MS.start;
    while world.millis() < first_wait_ms + PATIENCE_MS {
        match register(world, front, index, random.u32(..)).await {
            Ok(()) => return true,
            Err(Verdict::After(wait)) => world.wait(wait.get() + random.u64(..pause_ms)).await,
            Err(_) => return false,
        }
        pause_ms = (2 * pause_ms).min(PAUSE_MS.end);
    }
    false
}

/// One registration under the SDK's defaults: it ends within two minutes.
async fn register(world: &World, front: &RefCell<Front<'_>>, index: u32, seed: u32) -> Result<(), Verdict> {
    let id = id(index);
    let identity = identity(&id);
    let clock = WallAnchor { at: Instant::from_millis(0), unix: UnixSeconds::new(SERVICE_EPOCH / 1000) };
    let config = Config::new().seed(seed).wall_anchor(clock);
    let (mut storage, mut buffer) = ([0; STORAGE], [0; REPLY_MAX]);
    let mut machine = Registration::new(identity, config, &mut storage).expect("the storage is large enough");
    drive(&mut machine, &mut Line(front), world, &mut key(&identity), &mut (), &mut buffer).await;
    match machine.outcome() {
        Some(Outcome::Assigned(_)) => Ok(()),
        Some(Outcome::Failed(failure)) => Err(failure.verdict()),
        other => unreachable!("a registration that ended: {other:?}"),
    }
}
