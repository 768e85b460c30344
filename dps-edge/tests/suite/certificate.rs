//! Devices that a configuration provisions with a certificate.

use std::fs;
use std::path::Path;

use dps_edge::dps_client::{ErrorCode, ProvisioningClient, ProvisioningClientBuilder, ProxyChoice, Roots};
use dps_edge::{BackupStore, EdgeVersion, Format, Origin, Provisioner, Provisioning, read};
use dps_emulator::{Certificate, Emulator, EmulatorOptions, IndividualEnrollment};
use rcgen::{CertificateParams, DnType, ExtendedKeyUsagePurpose, KeyPair, date_time_ymd};

/// The configuration of a device with these lines about its certificate and key, and this registration id.
fn config(format: Format, registration_id: Option<&str>, identity: &str) -> Provisioning {
    let registration_id =
        |separator: &str| registration_id.map_or(String::new(), |id| format!("registration_id{separator}\"{id}\"\n"));
    let (text, version) = match format {
        Format::Toml => (
            format!(
                "[provisioning]\nsource = \"dps\"\nglobal_endpoint = \"https://dps.test\"\nid_scope = \"0ne00A1B2C3\"\n\
                 [provisioning.attestation]\nmethod = \"x509\"\n{}{identity}",
                registration_id(" = ")
            ),
            EdgeVersion::V1_6,
        ),
        Format::Yaml => {
            let attestation = format!("method: \"x509\"\n{}{identity}", registration_id(": "));
            let attestation: String = attestation.lines().map(|line| format!("    {line}\n")).collect();
            let head = "provisioning:\n  source: \"dps\"\n  global_endpoint: \"https://dps.test\"\n  scope_id: \"0ne00A1B2C3\"\n";
            (format!("{head}  attestation:\n{attestation}"), EdgeVersion::V1_1)
        }
    };
    read(&text, format, version).provisioning.unwrap()
}

/// A folder with `device.pem` and `device.key.pem` of `gateway-1`.
struct Device {
    folder: tempfile::TempDir,
    certificate: String,
}

impl Device {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, "gateway-1");
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        (params.not_before, params.not_after) = (date_time_ymd(1975, 1, 1), date_time_ymd(4096, 1, 1));
        let certificate = params.self_signed(&key).unwrap().pem();
        fs::write(folder.path().join("device.pem"), &certificate).unwrap();
        fs::write(folder.path().join("device.key.pem"), key.serialize_pem()).unwrap();
        Self { folder, certificate }
    }

    fn uri(&self, name: &str) -> String {
        format!("file://{}", self.folder.path().join(name).display())
    }

    /// The lines of a configuration about the certificate and the key.
    fn identity(&self, format: Format) -> String {
        let separator = if format == Format::Toml { " =" } else { ":" };
        let (certificate, key) = (self.uri("device.pem"), self.uri("device.key.pem"));
        format!("identity_cert{separator} \"{certificate}\"\nidentity_pk{separator} \"{key}\"\n")
    }
}

fn builder() -> ProvisioningClientBuilder {
    ProvisioningClient::builder().proxy(ProxyChoice::Direct)
}

fn gateway(config: &Provisioning, emulator: &Emulator, backups: &Path) -> Provisioner {
    let builder = builder().roots(Roots::replace_pem(emulator.ca_pem().as_bytes()).unwrap());
    let client = config.configure(builder).unwrap().endpoint(emulator.endpoint()).build().unwrap();
    let id = client.registration_id().to_string();
    let store = BackupStore::in_state_dir(backups, config.format, "0ne00A1B2C3", &id).unwrap();
    Provisioner::new(client, config.policy(), store)
}

#[tokio::test]
async fn certificate_of_either_generation_registers_and_its_backup_is_used() {
    let options = EmulatorOptions::new().assign_at_once(true).hub("hub-a.test", 1);
    let emulator = Emulator::start(options).await.unwrap();
    let device = Device::new();
    let enrollment = IndividualEnrollment::new("gateway-1");
    let certificate = Certificate::from_pem(&device.certificate).unwrap();
    let now = emulator.now();
    emulator.with_service(|service| service.put_enrollment(now, enrollment.client_certificate(certificate))).unwrap();

    for format in [Format::Yaml, Format::Toml] {
        for id in [None, Some("gateway-1")] {
            let folder = tempfile::tempdir().unwrap();
            let config = config(format, id, &device.identity(format));
            let provisioned = gateway(&config, &emulator, folder.path()).start().await.unwrap();
            assert_eq!((provisioned.origin, provisioned.identity.device_id.as_str()), (Origin::New, "gateway-1"));
            assert!(provisioned.credentials.certificate().is_some());
        }
    }
    // A gateway of 1.2 and later whose backup is there asks nobody; its credential for the hub is the certificate.
    let folder = tempfile::tempdir().unwrap();
    let config = config(Format::Toml, None, &device.identity(Format::Toml));
    gateway(&config, &emulator, folder.path()).start().await.unwrap();
    let before = emulator.with_service(|service| service.counters().registers);
    let restored = gateway(&config, &emulator, folder.path()).start().await.unwrap();
    assert_eq!((restored.origin, restored.identity.hub.as_str()), (Origin::Backup, "hub-a.test"));
    assert!(restored.credentials.certificate().is_some());
    assert_eq!(emulator.with_service(|service| service.counters().registers), before);
}

#[test]
fn certificate_that_cannot_be_used_is_refused_with_its_file_or_reason() {
    let device = Device::new();
    let (certificate, key) = (device.uri("device.pem"), device.uri("device.key.pem"));
    let identity = |certificate: &str, key: &str| format!("identity_cert = {certificate}\nidentity_pk = \"{key}\"\n");
    let quoted = |uri: &str| format!("\"{uri}\"");
    let refused = |lines: &str| config(Format::Toml, None, lines).configure(builder()).map(drop).unwrap_err();

    let absent = refused(&identity(&quoted(&device.uri("absent.pem")), &key));
    assert_eq!(absent.code, ErrorCode::File);
    assert!(absent.message.contains("absent.pem"), "{absent}");
    let absent = refused(&identity(&quoted(&certificate), &device.uri("absent.key")));
    assert!(absent.message.contains("absent.key"), "{absent}");
    let issued = refused(&identity("{ method = \"est\", common_name = \"gateway-1\" }", &key));
    assert!(issued.message.contains("`est`") && issued.message.contains("in a file"), "{issued}");
    let exchanged = refused(&identity(&quoted(&key), &certificate));
    assert!(exchanged.message.contains("device.key.pem"), "{exchanged}");
    // The library of the token is missing, and no library is guessed.
    let in_token = refused(&identity(&quoted(&certificate), "pkcs11:token=Gateway;object=k?pin-value=1234"));
    assert!(in_token.message.contains("PKCS#11") && !in_token.message.contains("1234"), "{in_token}");
    // What is known when the client is built.
    let other = config(Format::Toml, Some("gateway-2"), &device.identity(Format::Toml));
    let error = other.configure(builder()).unwrap().build().unwrap_err();
    assert!(error.to_string().contains("gateway-2") || error.report().to_string().contains("gateway-2"), "{error}");
}
