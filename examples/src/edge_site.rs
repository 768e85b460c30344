//! The environment of the gateway example without arguments: a local service with two hubs, the gateway's enrollment, and
//! its `config.toml`.

use std::path::PathBuf;
use std::time::Duration;

use dps_client::{ProxyChoice, Resolver, Roots};
use dps_edge::policy::Mode;
use dps_emulator::{AllocationPolicy, Emulator, EmulatorOptions, IndividualEnrollment};
use serde_json::{Map, Value};
use tempfile::TempDir;

use crate::AnyError;
use crate::mqtt_hub::Hubs;
use crate::setting::DEVICE;

/// The hubs of the local service.
pub const HUB_A: &str = "hub-a.test";
/// The other one.
pub const HUB_B: &str = "hub-b.test";
/// Short, since traffic on loopback costs nothing.
const KEEP_ALIVE: Duration = Duration::from_secs(2);

/// A local service, and the enrollment of a gateway with `hub-a.test`.
pub struct EdgeSite {
    /// The service, and both hubs.
    pub emulator: Emulator,
    folder: TempDir,
}

impl EdgeSite {
    /// Starts the service; the gateway's configuration has this mode.
    ///
    /// # Errors
    /// If the service cannot be started, or a file cannot be written.
    pub async fn start(mode: Mode) -> Result<Self, AnyError> {
        let options = EmulatorOptions::new().mqtt_port(0).assign_at_once(true).hub(HUB_A, 1).hub(HUB_B, 1);
        let site = Self { emulator: Emulator::start(options).await?, folder: tempfile::tempdir()? };
        let key = site.enroll_at(HUB_A)?;
        let config = format!(
            "auto_reprovisioning_mode = \"{mode}\"\n\n[provisioning]\nsource = \"dps\"\n\
             global_endpoint = \"https://{endpoint}\"\nid_scope = \"{id_scope}\"\n\n[provisioning.attestation]\n\
             method = \"symmetric_key\"\nregistration_id = \"{DEVICE}\"\nsymmetric_key = {{ value = \"{key}\" }}\n",
            mode = mode.name(),
            endpoint = site.emulator.endpoint(),
            id_scope = site.emulator.id_scope(),
        );
        std::fs::write(site.config(), config)?;
        Ok(site)
    }

    /// Returns the path of the gateway's configuration. The directory is private, since the configuration contains the key.
    #[must_use]
    pub fn config(&self) -> PathBuf {
        self.folder.path().join("config.toml")
    }

    /// Returns the directory of the gateway's backup.
    #[must_use]
    pub fn state_dir(&self) -> PathBuf {
        self.folder.path().join("state")
    }

    /// Returns the certificates that the gateway must trust.
    ///
    /// # Errors
    /// Never: the service's own certificate can be read.
    pub fn roots(&self) -> Result<Roots, AnyError> {
        Ok(Roots::replace_pem(self.emulator.ca_pem().as_bytes())?)
    }

    /// Returns the connection settings of the hubs, whose names are not in DNS.
    ///
    /// # Errors
    /// Never: as [`EdgeSite::roots`].
    pub fn hubs(&self) -> Result<Hubs, AnyError> {
        let address = self.emulator.mqtt_addr().ok_or("the service has no MQTT")?;
        let (ip, port) = (address.ip(), address.port());
        let told = [HUB_A, HUB_B].into_iter().map(|hub| format!("{hub}:{port}:{ip}").parse());
        let resolver = Resolver::new(told.collect::<Result<Vec<_>, _>>()?);
        Hubs::new(&self.roots()?, ProxyChoice::Direct, resolver, port, KEEP_ALIVE)
    }

    /// Sets the enrollment to `hub-b.test` and deletes the device from `hub-a.test`, as its owner would.
    ///
    /// # Errors
    /// Never: both exist.
    pub fn move_device(&self) -> Result<(), AnyError> {
        self.enroll_at(HUB_B)?;
        let deleted = self.emulator.with_service(|service| service.delete_hub_device(HUB_A, DEVICE));
        deleted.then_some(()).ok_or_else(|| "hub A does not know the device".into())
    }

    /// Disables the device at hub A, or enables it again.
    ///
    /// # Errors
    /// If hub A does not know it.
    pub fn set_enabled(&self, enabled: bool) -> Result<(), AnyError> {
        self.emulator.with_service(|service| {
            let device = service.hub_device_mut(HUB_A, DEVICE).ok_or("hub A does not know the device")?;
            device.enabled = enabled;
            Ok(())
        })
    }

    /// Enrolls the device, keeping the keys of an existing enrollment. Returns its key.
    fn enroll_at(&self, hub: &str) -> Result<String, AnyError> {
        let tags = Map::from_iter([("site".to_owned(), Value::from("a"))]);
        let enrollment = IndividualEnrollment::new(DEVICE).iot_edge(true).initial_twin(tags, Map::new());
        let enrollment = enrollment.allocation(AllocationPolicy::Static, [hub]);
        let now = self.emulator.now();
        let enrolled = self.emulator.with_service(|service| service.put_enrollment(now, enrollment))?;
        let key = enrolled.settings.attestation.primary.ok_or("the enrollment has no key")?;
        Ok(key.expose().to_owned())
    }
}
