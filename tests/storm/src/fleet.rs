//! The fleets, and what comes of each.

use std::cell::RefCell;

use dps_emulator::{EnrollmentGroup, Service, ServiceOptions, SymmetricKey};
use fastrand::Rng;
use pair::World;
use pair::scene::{GROUP_KEY, ID_SCOPE};

use crate::device::{id, live};
use crate::front::Front;
use crate::naive;
use crate::series::Series;

/// The service lets a device of every so many milliseconds register: a thousand a minute.
const RATE_MS: u64 = 60;
/// A start is spread so that the rate is used up to four fifths.
const SPREAD_MS: u64 = RATE_MS * 5 / 4;

/// How the devices of a fleet go about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fleet {
    /// In a table or legend.
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
        /// Whether each device waits a random time before it asks for the first time.
        spread: bool,
    },
}

/// Each better than the one before.
pub const FLEETS: [Fleet; 4] = [
    Fleet { name: "every 10 s, no back-off, no jitter", way: Way::Stubborn },
    Fleet { name: "the SDK, the service's hints taken away", way: Way::Sdk { hints: false, spread: false } },
    Fleet { name: "the SDK as it is", way: Way::Sdk { hints: true, spread: false } },
    Fleet { name: "the SDK, each first request at a random time", way: Way::Sdk { hints: true, spread: true } },
];

/// What came of a fleet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Figures {
    /// The fleet's.
    pub name: &'static str,
    /// How many there were.
    pub devices: u32,
    /// How many have a hub at the end, by the service's own record.
    pub assigned: u32,
    /// Requests that the service saw.
    pub requests: Series,
    /// How many of them its rate refused.
    pub refused: u64,
    /// Devices that learned their hub.
    pub assignments: Series,
}

impl Fleet {
    /// Powers so many devices on at once and waits until each has its hub or has given up.
    #[must_use]
    pub fn run(&self, devices: u32) -> Figures {
        self.run_with(devices, true)
    }

    /// The same with every refusal as a whole reply of the service, which takes long.
    #[must_use]
    pub fn run_in_full(&self, devices: u32) -> Figures {
        self.run_with(devices, false)
    }

    fn run_with(&self, devices: u32, short: bool) -> Figures {
        let world = World::default();
        let front = RefCell::new(Front {
            world: &world,
            service: Service::new(ServiceOptions::new().id_scope(ID_SCOPE)).expect("the options are good"),
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
