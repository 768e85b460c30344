//! A service with enrollments, a device that belongs to it, and the outcome in a form that a test can compare.

use std::cell::RefCell;
use std::rc::Rc;

use dps_core::{
    Attestation, Config, Endpoint, ErrorCode, Hint, IdScope, Identity, Instant, Key, Link, NoSigner, Outcome,
    Registration, RegistrationId, UnixSeconds, Verdict, WallAnchor, X509, drive,
};
use dps_emulator::{
    ClientCertificates, EnrollmentGroup, IndividualEnrollment, Now, Service, ServiceOptions, SymmetricKey,
};

use crate::link::PairLink;
use crate::mqtt_link::MqttPairLink;
use crate::world::{SERVICE_EPOCH, SharedService, World};

/// The device's key of the individual enrollment.
pub const DEVICE_KEY: &str = "Jsm0lyGpjaVYVP2g3FnmnmG9dI/9qU24wNoykUmermc=";
/// The second key of the same enrollment.
pub const SECOND_DEVICE_KEY: &str = "9GWVnYuoOLXlHc346XjhLRb9pKgIOrKSwxDRSOgnvXo=";
/// The group's key.
pub const GROUP_KEY: &str = "8isrFI1sGsIlvvFSSFRiMfCNzv21fjbE/+ah/lSh3lF8e2YG1Te7w1KpZhJFFXJrqYKi9yegxkqIChbqOS9Egw==";
/// The id scope of the service.
pub const ID_SCOPE: &str = "0ne00A1B2C3";

/// A device and its service. The individual enrollment is `dev-01`, the group `line-7`.
pub struct Scene {
    /// The clock that both share.
    pub world: World,
    /// The service.
    pub service: SharedService,
    /// The names that the device goes by.
    pub identity: Identity<'static>,
    /// The key that the device has.
    pub key: Key,
    /// The certificates that the device presents over its links.
    pub certificates: ClientCertificates,
    /// The device's policy, without a clock.
    pub config: Config,
    /// How many seconds the device's clock is ahead of the service's; `None` for a device without one.
    pub clock_ahead: Option<i64>,
    /// Milliseconds from one side to the other.
    pub latency: u64,
    /// The size of the reply buffer, in bytes.
    pub reply_limit: usize,
}

/// How a registration ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// Assigned to this hub under this device id.
    Assigned {
        /// The hub.
        hub: String,
        /// The device id.
        device: String,
        /// The substatus.
        substatus: Option<String>,
        /// The custom payload.
        payload: Option<String>,
    },
    /// The record that a lookup found: its status and hub.
    Record(String, Option<String>),
    /// It failed.
    Failed {
        /// What went wrong.
        code: ErrorCode,
        /// Whether to try again.
        verdict: Verdict,
        /// The likely causes.
        hints: Vec<Hint>,
        /// Whether the service's tracking id came along.
        tracked: bool,
        /// The six-digit code.
        error_code: Option<u32>,
        /// How many seconds the device's clock is behind.
        skew: Option<i64>,
    },
}

impl End {
    /// The hub, if it was assigned.
    #[must_use]
    pub fn hub(&self) -> Option<&str> {
        if let Self::Assigned { hub, .. } = self { Some(hub) } else { None }
    }

    /// The code, if it failed.
    #[must_use]
    pub fn code(&self) -> Option<ErrorCode> {
        if let Self::Failed { code, .. } = self { Some(*code) } else { None }
    }

    /// The likeliest cause, if it failed.
    #[must_use]
    pub fn first_hint(&self) -> Option<Hint> {
        if let Self::Failed { hints, .. } = self { hints.first().copied() } else { None }
    }
}

impl Scene {
    /// With the service's defaults.
    #[must_use]
    pub fn new() -> Self {
        Self::with(ServiceOptions::new())
    }

    /// With a service of these options.
    ///
    /// # Panics
    /// When the options cannot be used.
    #[must_use]
    pub fn with(options: ServiceOptions) -> Self {
        let world = World::new();
        let mut service = Service::new(options.id_scope(ID_SCOPE)).expect("the options are good");
        let now = world.now_at(SERVICE_EPOCH);
        let key = |text| SymmetricKey::from_base64(text).expect("a key");
        let device =
            IndividualEnrollment::new("dev-01").primary_key(key(DEVICE_KEY)).secondary_key(key(SECOND_DEVICE_KEY));
        service.put_enrollment(now, device).expect("the enrollment is good");
        service.put_group(now, EnrollmentGroup::new("line-7").primary_key(key(GROUP_KEY))).expect("the group is good");
        Self {
            world,
            service: Rc::new(RefCell::new(service)),
            identity: Self::identity(ID_SCOPE, "dev-01"),
            key: Key::from_base64(DEVICE_KEY).expect("a key"),
            certificates: ClientCertificates::none(),
            config: Config::new(),
            clock_ahead: Some(0),
            latency: 20,
            reply_limit: 4096,
        }
    }

    /// Names for a device.
    ///
    /// # Panics
    /// When they cannot be used.
    #[must_use]
    pub fn identity(id_scope: &'static str, registration_id: &'static str) -> Identity<'static> {
        Identity {
            endpoint: Endpoint::new("dps.test").expect("a host"),
            id_scope: IdScope::new(id_scope).expect("a scope"),
            registration_id: RegistrationId::new(registration_id).expect("an id"),
        }
    }

    /// Both clocks as the service sees them now.
    #[must_use]
    pub fn now(&self) -> Now {
        self.world.now_at(SERVICE_EPOCH)
    }

    /// The policy with the device's clock.
    #[must_use]
    pub fn config(&self) -> Config {
        match self.clock_ahead {
            Some(ahead) => {
                let unix = UnixSeconds::new((SERVICE_EPOCH / 1000).saturating_add_signed(ahead));
                self.config.wall_anchor(WallAnchor { at: Instant::from_millis(0), unix })
            }
            None => self.config,
        }
    }

    /// A link of this device to its service, over HTTP.
    #[must_use]
    pub fn link(&self) -> PairLink {
        let certificates = self.certificates.clone();
        PairLink { latency: self.latency, certificates, ..PairLink::new(&self.world, &self.service) }
    }

    /// A link of this device to its service, over MQTT.
    #[must_use]
    pub fn mqtt_link(&self) -> MqttPairLink {
        let mut link = MqttPairLink::new(&self.world, &self.service, self.latency);
        link.certificates = self.certificates.clone();
        link
    }

    /// Registers over a fresh link in fair weather.
    pub fn register(&mut self) -> End {
        let mut link = self.link();
        self.register_over(&mut link)
    }

    /// Registers over this link.
    pub fn register_over<L: Link>(&mut self, link: &mut L) -> End {
        self.go(link, |identity, config, storage| {
            Registration::new(identity, config, storage).expect("it is large enough")
        })
    }

    /// Registers over this link with a certificate.
    ///
    /// # Panics
    /// When the machine cannot be made.
    pub fn register_with_certificate<L: Link>(&mut self, link: &mut L) -> End {
        let mut storage = [0; 1024];
        let mut buffer = vec![0; self.reply_limit];
        let machine = Registration::with_attestation(self.identity, X509, self.config(), &mut storage);
        let mut registration = machine.expect("it is large enough");
        let world = self.world.clone();
        self.world.run(drive(&mut registration, link, &world, &mut NoSigner, &mut (), &mut buffer));
        end(&registration, &buffer)
    }

    /// Makes a machine and drives it to its end.
    ///
    /// # Panics
    /// When the machine has no outcome then.
    pub fn go<L, F>(&mut self, link: &mut L, machine: F) -> End
    where
        L: Link,
        F: for<'m> FnOnce(Identity<'m>, Config, &'m mut [u8]) -> Registration<'m>,
    {
        let mut storage = [0; 1024];
        let mut buffer = vec![0; self.reply_limit];
        let mut registration = machine(self.identity, self.config(), &mut storage);
        let world = self.world.clone();
        self.world.run(drive(&mut registration, link, &world, &mut self.key, &mut (), &mut buffer));
        end(&registration, &buffer)
    }
}

impl Default for Scene {
    fn default() -> Self {
        Self::new()
    }
}

/// The outcome of a finished machine.
///
/// # Panics
/// When it is not finished.
#[must_use]
pub fn end<A: Attestation>(registration: &Registration<'_, A>, buffer: &[u8]) -> End {
    let text = |range: std::ops::Range<usize>| String::from_utf8(buffer[range].to_vec()).expect("JSON is text");
    match registration.outcome().expect("it is over") {
        Outcome::Assigned(assignment) => End::Assigned {
            hub: assignment.assigned_hub().as_str().into(),
            device: assignment.device_id().as_str().into(),
            substatus: assignment.substatus().map(|word| word.as_str().into()),
            payload: assignment.payload().map(text),
        },
        Outcome::Record(record) => {
            End::Record(record.status().as_str().into(), record.assigned_hub().map(|hub| hub.as_str().into()))
        }
        Outcome::Failed(failure) => End::Failed {
            code: failure.code(),
            verdict: failure.verdict(),
            hints: failure.hints().iter().collect(),
            tracked: failure.tracking_id().is_some(),
            error_code: failure.error_code(),
            skew: failure.clock_skew(),
        },
        other => panic!("{other:?}"),
    }
}
