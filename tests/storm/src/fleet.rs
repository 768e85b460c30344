//! The fleets, and the results of each.

use std::cell::RefCell;

use dps_emulator::{EnrollmentGroup, Service, ServiceOptions, SymmetricKey};
use fastrand::Rng;
use pair::World;
use pair::scene::{GROUP_KEY, ID_SCOPE};

use crate::device::{id, live};
use crate::front::Front;
use crate::naive;
use crate::series::Series;

/// The service accepts a registration every so many milliseconds: a thousand per minute.
const RATE_MS: u64 = 60;
/// Random starts are spread so that they use four fifths of the rate.
const SPREAD_MS: u64 = RATE_MS * 5 / 4;

/// The behavior of the devices of a fleet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fleet {
    /// The name in a table or legend.
    pub name: &'static str,
    way: Way,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// Every ten seconds, without the SDK.
    Stubborn,
    /// With the SDK.
    Sdk {
        /// Whether the service's hints reach the devices.
        hints: bool,
        /// Whether each device waits a random time before its first request.
        spread: bool,
    },
}

/// The fleets, each better than the one before.
pub const FLEETS: [Fleet; 4] = [
    Fleet { name: "every 10 s, no backoff, no jitter", way: Way::Stubborn },
    Fleet { name: "the SDK, ignoring the service's hints", way: Way::Sdk { hints: false, spread: false } },
    Fleet { name: "the SDK by default", way: Way::Sdk { hints: true, spread: false } },
    Fleet { name: "the SDK, each first request at a random time", way: Way::Sdk { hints: true, spread: true } },
];

/// The results of a fleet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Figures {
    /// The name of the fleet.
    pub name: &'static str,
    /// The number of devices.
    pub devices: u32,
    /// The number of devices with a hub at the end, by the service's records.
    pub assigned: u32,
    /// The requests that the service received.
    pub requests: Series,
    /// The number of requests beyond the rate limit.
    pub refused: u64,
    /// The devices that learned their hub.
    pub assignments: Series,
}

impl Fleet {
    /// Powers on so many devices at the same time, and waits until each has its hub or has given up.
    #[must_use]
    pub fn run(&self, devices: u32) -> Figures {
        self.run_with(devices, true)
    }

    /// The same with every refusal as a whole reply of the service, which is slow.
    #[must_use]
    pub fn run_in_full(&self, devices: u32) -> Figures {
        self.run_with(devices, false)
    }

    fn run_with(&self, devices: u32, short: bool) -> Figures {
        let world = World::default();
        let front = RefCell::new(Front {
            world: &world,
            service: Service::new(ServiceOptions::new().id_scope(ID_SCOPE).events_kept(0))
                .expect("the options are good"),
            hints: !matches!(self.way, Way::Sdk { hints: false, .. }),
            short,
            requests: Series::default(),
            refused: 0,
        });
        enroll(&mut front.borrow_mut());
        let mut assignments = Series::default();
        match self.way {
            Way::Stubborn => naive::run(&front, devices, &mut assignments),
            Way::Sdk { spread, .. } => power_on(&world, &front, devices, spread, &mut assignments),
        }
        let Front { service, requests, refused, .. } = front.into_inner();
        let has_hub = |index: &u32| service.record(&id(*index)).is_some_and(|record| record.assigned_hub().is_some());
        let assigned = (0..devices).filter(has_hub).count() as u32;
        Figures { name: self.name, devices, assigned, requests, refused, assignments }
    }
}

fn enroll(front: &mut Front<'_>) {
    let key = SymmetricKey::from_base64(GROUP_KEY).expect("a key");
    let (now, group) = (front.now(), EnrollmentGroup::new("fleet").primary_key(key));
    front.service.put_group(now, group).expect("the group is good");
}

fn power_on(world: &World, front: &RefCell<Front<'_>>, devices: u32, spread: bool, assignments: &mut Series) {
    let assignments = &RefCell::new(assignments);
    world.run_all((0..devices).map(|index| async move {
        let mut random = Rng::with_seed(!u64::from(index));
        let wait = if spread { random.u64(..u64::from(devices) * SPREAD_MS) } else { 0 };
        if live(world, front, index, wait).await {
            assignments.borrow_mut().add(world.millis(), 1);
        }
    }));
}
