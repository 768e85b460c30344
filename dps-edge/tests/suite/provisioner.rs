//! A gateway with a local service: each row of the tables that a start can reach, and its effect on the backup.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::time::Duration;

use dps_edge::dps_client::dps_core::Family;
use dps_edge::dps_client::{ProvisioningClient, ProxyChoice, Roots};
use dps_edge::{
    Backup, BackupStore, EdgeVersion, Format, Note, Origin, ProvisionError, Provisioner, Provisioning, read,
};
use dps_emulator::{AllocationPolicy, Emulator, EmulatorOptions, IndividualEnrollment, SymmetricKey};

const KEY: &str = "Jsm0lyGpjaVYVP2g3FnmnmG9dI/9qU24wNoykUmermc=";

/// The configuration of `dev-01` with this mode, or these flags.
fn config(format: Format, reprovisioning: &str) -> Provisioning {
    let text = match format {
        Format::Toml => format!(
            "{reprovisioning}\n[provisioning]\nsource = \"dps\"\nglobal_endpoint = \"https://dps.test\"\n\
             id_scope = \"0ne00A1B2C3\"\n[provisioning.attestation]\nmethod = \"symmetric_key\"\n\
             registration_id = \"dev-01\"\nsymmetric_key = {{ value = \"{KEY}\" }}\n"
        ),
        Format::Yaml => format!(
            "provisioning:\n  source: \"dps\"\n  global_endpoint: \"https://dps.test\"\n  scope_id: \"0ne00A1B2C3\"\n  \
             attestation:\n    method: \"symmetric_key\"\n    registration_id: \"dev-01\"\n    symmetric_key: \"{KEY}\"\n\
             {reprovisioning}"
        ),
    };
    let version = if format == Format::Toml { EdgeVersion::V1_6 } else { EdgeVersion::V1_1 };
    read(&text, format, version).provisioning.unwrap()
}

struct Site {
    emulator: Emulator,
    folder: tempfile::TempDir,
}

impl Site {
    async fn start() -> Self {
        let options = EmulatorOptions::new().assign_at_once(true).hub("hub-a.test", 1).hub("hub-b.test", 1);
        let site = Self { emulator: Emulator::start(options).await.unwrap(), folder: tempfile::tempdir().unwrap() };
        site.point_to("hub-a.test");
        site
    }

    fn point_to(&self, hub: &str) {
        let now = self.emulator.now();
        let enrollment = IndividualEnrollment::new("dev-01").primary_key(SymmetricKey::from_base64(KEY).unwrap());
        let enrollment = enrollment.allocation(AllocationPolicy::Static, [hub]);
        self.emulator.with_service(|service| service.put_enrollment(now, enrollment)).unwrap();
    }

    fn calls(&self) -> u64 {
        self.emulator.with_service(|service| service.counters().registers)
    }

    fn gateway(&self, provisioning: &Provisioning, service_is_up: bool) -> Provisioner {
        let store =
            BackupStore::in_state_dir(self.folder.path(), provisioning.format, "0ne00A1B2C3", "dev-01").unwrap();
        self.gateway_with(provisioning, service_is_up, store)
    }

    fn gateway_with(&self, provisioning: &Provisioning, service_is_up: bool, store: BackupStore) -> Provisioner {
        let builder = ProvisioningClient::builder()
            .roots(Roots::replace_pem(self.emulator.ca_pem().as_bytes()).unwrap())
            .proxy(ProxyChoice::Direct)
            .timeout(if service_is_up { Duration::from_secs(20) } else { Duration::from_millis(300) });
        let endpoint = if service_is_up { self.emulator.endpoint() } else { CLOSED.to_owned() };
        let client = provisioning.configure(builder).unwrap().endpoint(endpoint).build().unwrap();
        Provisioner::new(client, provisioning.policy(), store)
    }
}

/// A port on which nothing listens: port 1 is never assigned automatically, so that no other test listens there either.
const CLOSED: &str = "127.0.0.1:1";

#[tokio::test]
async fn provisioner_follows_the_start_rows_of_the_tables() {
    for (format, reprovisioning, asks_with_backup) in [
        (Format::Yaml, "", true),
        (Format::Yaml, "  always_reprovision_on_startup: true\n", true),
        (Format::Yaml, "  always_reprovision_on_startup: false\n", false),
        (Format::Yaml, "  always_reprovision_on_startup: false\n  dynamic_reprovisioning: true\n", false),
        (Format::Toml, "", false),
        (Format::Toml, "auto_reprovisioning_mode = \"Dynamic\"", false),
        (Format::Toml, "auto_reprovisioning_mode = \"AlwaysOnStartup\"", true),
        (Format::Toml, "auto_reprovisioning_mode = \"OnErrorOnly\"", false),
    ] {
        let site = Site::start().await;
        let config = config(format, reprovisioning);

        // No backup and no service: an error with both reasons.
        let error = site.gateway(&config, false).start().await.unwrap_err();
        assert!(matches!(error, ProvisionError::NothingLeft { .. }), "{error}");
        assert_eq!(error.cause().family(), Family::Link);
        assert!(error.to_string().contains("no backup") && error.to_string().contains("service"), "{error}");

        // No backup: the device registers.
        let first = site.gateway(&config, true).start().await.unwrap();
        assert_eq!((first.origin, first.identity.hub.as_str()), (Origin::New, "hub-a.test"));
        assert_eq!((site.calls(), first.hub_changed()), (1, false));

        // A backup: the device registers only if the policy requires it.
        let second = site.gateway(&config, true).start().await.unwrap();
        let (origin, calls) = if asks_with_backup { (Origin::Unchanged, 2) } else { (Origin::Backup, 1) };
        assert_eq!((second.origin, site.calls()), (origin, calls), "{reprovisioning}");
        assert_eq!(second.credentials.user_name(), "hub-a.test/dev-01/?api-version=2021-04-12");

        // A backup and no service: the backup is used and kept.
        let mut gateway = site.gateway(&config, false);
        let offline = gateway.start().await.unwrap();
        assert_eq!((offline.origin, &offline.identity), (Origin::Backup, &first.identity));
        let said = offline.notes.iter().any(|note| matches!(note, Note::ServiceFailed(_)));
        assert_eq!(said, asks_with_backup, "{:?}", offline.notes);
        assert_eq!(offline.notes.contains(&Note::BackupKept), asks_with_backup && format == Format::Toml);
        assert_eq!(gateway.plan().unwrap().backup.identity(), Some(&first.identity));

        // The hub refused the device, and the service cannot be reached: the backup is kept.
        assert!(matches!(gateway.register().await, Err(ProvisionError::NotRegistered(_))));
        assert_eq!(gateway.plan().unwrap().backup.identity(), Some(&first.identity));

        // The device was moved: the caller learns what changed.
        site.point_to("hub-b.test");
        let moved = site.gateway(&config, true).register().await.unwrap();
        assert_eq!((moved.origin, moved.identity.hub.as_str()), (Origin::New, "hub-b.test"));
        assert_eq!((moved.hub_changed(), moved.device_id_changed()), (true, false));
        assert_eq!(moved.previous.unwrap().hub, "hub-a.test");
        site.emulator.shutdown().await;
    }
}

#[test]
fn backup_of_another_registration_id_is_not_used() {
    let folder = Path::new("state");
    let store = |scope, id| BackupStore::in_state_dir(folder, Format::Toml, scope, id).unwrap().path().to_owned();
    assert_ne!(store("0ne1", "dev-01"), store("0ne1", "dev-02"));
    assert_ne!(store("0ne1", "dev-01"), store("0ne2", "dev-01"));
    assert_eq!(store("0ne1", "dev-01"), store("0ne1", "DEV-01"));
}

#[test]
fn registration_id_cannot_escape_the_backup_directory() {
    let store = |scope, id| BackupStore::in_state_dir(Path::new("state"), Format::Toml, scope, id);
    for (scope, id) in
        [("..", "dev-01"), ("/etc", "dev-01"), ("0ne1", ".."), ("0ne1", "../x"), ("0ne1", "/etc"), ("", "a")]
    {
        assert!(store(scope, id).is_err(), "{scope} {id}");
    }
}

fn identity(hub: &str) -> dps_edge::HubIdentity {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("device_info"), format!("hub_name = \"{hub}\"\ndevice_id = \"dev-01\"\n")).unwrap();
    BackupStore::for_daemon(folder.path(), Format::Toml).load().unwrap().identity().unwrap().clone()
}

#[test]
fn backups_of_the_daemons_are_read_and_written() {
    let folder = tempfile::tempdir().unwrap();
    let home = folder.path();
    fs::create_dir(home.join("cache")).unwrap();
    BackupStore::for_daemon(home, Format::Yaml).lock().unwrap().save(&identity("hub-a.test")).unwrap();
    BackupStore::for_daemon(home, Format::Toml).lock().unwrap().save(&identity("hub-a.test")).unwrap();
    let text = |name: &str| fs::read_to_string(home.join(name)).unwrap();
    assert_eq!(text("cache/provisioning_backup.json"), r#"{"device_id":"dev-01","hub_name":"hub-a.test"}"#);
    assert_eq!(
        text("device_info"),
        "hub_name = \"hub-a.test\"\nlocal_gateway_hostname = \"hub-a.test\"\ndevice_id = \"dev-01\"\n"
    );
    fs::write(home.join("device_info"), "unprovisioned").unwrap();
    assert_eq!(BackupStore::for_daemon(home, Format::Toml).load().unwrap(), Backup::Nothing);
    fs::set_permissions(home.join("device_info"), fs::Permissions::from_mode(0o640)).unwrap();
    BackupStore::for_daemon(home, Format::Toml).lock().unwrap().save(&identity("hub-b.test")).unwrap();
    let metadata = fs::metadata(home.join("device_info")).unwrap();
    assert_eq!(metadata.permissions().mode() & 0o777, 0o640, "the mode is kept");
    let mut names: Vec<_> = fs::read_dir(home).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["cache", "device_info"], "nothing else is left in the daemon's folder");
}

#[tokio::test]
async fn backup_with_credentials_is_read_and_never_written() {
    let site = Site::start().await;
    let home = site.folder.path();
    fs::create_dir(home.join("cache")).unwrap();
    let path = home.join("cache/provisioning_backup.json");
    let foreign = r#"{"device_id":"dev-01","hub_name":"hub-x.test","credentials":{"auth_type":"symmetric-key","source":"payload","key":[1,2,3]}}"#;
    fs::write(&path, foreign).unwrap();
    let config = config(Format::Yaml, "");
    let store = BackupStore::for_daemon(home, Format::Yaml);
    let provisioned = site.gateway_with(&config, true, store).start().await.unwrap();
    assert_eq!((provisioned.identity.hub.as_str(), provisioned.notes), ("hub-a.test", vec![Note::BackupNotOurs]));
    assert_eq!(fs::read_to_string(&path).unwrap(), foreign);
    assert_eq!(fs::read_dir(home.join("cache")).unwrap().count(), 1);
}

#[tokio::test]
async fn links_and_damaged_backups_are_refused() {
    let site = Site::start().await;
    let home = site.folder.path();
    let config = config(Format::Toml, "");
    let gateway = || site.gateway_with(&config, true, BackupStore::for_daemon(home, Format::Toml));
    fs::write(home.join("target"), "precious").unwrap();
    symlink(home.join("target"), home.join("device_info")).unwrap();
    assert!(matches!(gateway().start().await, Err(ProvisionError::File(_))));
    assert_eq!((fs::read_to_string(home.join("target")).unwrap().as_str(), site.calls()), ("precious", 0));
    fs::remove_file(home.join("device_info")).unwrap();

    for damaged in ["", "hub_name = ", "hub_name = \"a\"\n", "\u{0}"] {
        fs::write(home.join("device_info"), damaged).unwrap();
        let provisioned = gateway().start().await.unwrap();
        let [Note::SetAside(aside)] = provisioned.notes.as_slice() else { panic!("{:?}", provisioned.notes) };
        assert_eq!(fs::read_to_string(aside).unwrap(), damaged, "nothing is lost");
        assert_eq!(gateway().plan().unwrap().backup.identity().unwrap().hub, "hub-a.test");
    }
}
