//! The service of one scenario: an emulator with its enrollment and faults, or an impostor, and the files of the device.

use std::net::SocketAddr;
use std::path::PathBuf;

use dps_emulator::{
    Certificate, Emulator, EmulatorOptions, EnrollmentGroup, IndividualEnrollment, Limits, Problem, SymmetricKey,
    TlsVersion,
};
use dps_files::{Ownership, PrivateFile};
use tempfile::TempDir;
use zeroize::Zeroizing;

use crate::certificates::{Authority, Issued};
use crate::error::AcceptError;
use crate::impostor::Impostor;
use crate::observe::observe;
use crate::place::Place;
use crate::scenario::{Credential, EnrollmentPlan, Scenario, SpecialId, TlsVersionName};
use crate::seen::Seen;
use crate::settings::Settings;

const GROUP: &str = "acceptance";

/// What a device meets in one scenario. Its files are deleted with it.
pub(crate) struct Scene {
    server: Server,
    pub(crate) settings: Settings,
    /// What the output of the device must not show: its key, or the lines of its private key.
    pub(crate) secrets: Vec<Zeroizing<String>>,
    _files: TempDir,
}

enum Server {
    Service(Box<Emulator>),
    Impostor(Impostor),
}

/// Who the device is.
pub(crate) enum Identity {
    /// A device of this credential that has never registered.
    Fresh(Credential),
    /// A board, whose id and credential are fixed.
    Fixed { registration_id: String, credential: FixedCredential },
}

/// The credential that a board has.
#[derive(Debug, Clone)]
pub(crate) enum FixedCredential {
    Key(SymmetricKey),
    Certificate(Certificate),
}

impl Identity {
    pub(crate) fn credential(&self) -> Credential {
        match self {
            Self::Fresh(credential) => *credential,
            Self::Fixed { credential: FixedCredential::Key(_), .. } => Credential::Key,
            Self::Fixed { credential: FixedCredential::Certificate(_), .. } => Credential::X509,
        }
    }

    fn registration_id(&self, scenario: &Scenario) -> String {
        match (self, scenario.registration_id) {
            (Self::Fixed { registration_id, .. }, _) => registration_id.clone(),
            (Self::Fresh(_), Some(SpecialId::Length64)) => format!("accept-{}", "x".repeat(57)),
            (Self::Fresh(_), Some(SpecialId::Length128)) => format!("accept-{}", "y".repeat(121)),
            (Self::Fresh(_), Some(SpecialId::Punctuation)) => "accept:line_2.unit-3".to_owned(),
            (Self::Fresh(_), None) => format!("accept-{}", scenario.name().replace('.', "-")),
        }
    }
}

impl Scene {
    /// Starts the service and plans the faults.
    pub(crate) async fn start(
        scenario: &Scenario,
        place: &Place,
        authority: &Authority,
        identity: &Identity,
    ) -> Result<Self, AcceptError> {
        let files = directory()?;
        let registration_id = identity.registration_id(scenario);
        let emulator = Emulator::start(options(scenario, place, authority)).await?;
        let enrolled = Enrolled::new(&emulator, scenario, identity, &registration_id)?;
        let id_scope = emulator.id_scope().to_owned();
        let (server, [https_port, mqtt_port, wss_port]) = match scenario.impostor {
            None => {
                emulator.with_service(|service| scenario.plans.iter().for_each(|plan| service.inject_plan(plan)));
                let port = |address: Option<SocketAddr>| address.map_or(0, |address| address.port());
                let ports = [port(Some(emulator.https_addr())), port(emulator.mqtt_addr()), port(emulator.wss_addr())];
                (Server::Service(Box::new(emulator)), ports)
            }
            Some(plan) => {
                // It listens where the service would.
                emulator.shutdown().await;
                let port = place.port();
                let impostor = Impostor::start(plan, authority, place.names(), (place.listen, port)).await?;
                let port = impostor.address.port();
                (Server::Impostor(impostor), [port; 3])
            }
        };
        let write = |name: &str, content: &[u8]| -> Result<PathBuf, AcceptError> {
            let path = files.path().join(name);
            PrivateFile::new(&path).replace(content, Ownership::Private)?;
            Ok(path)
        };
        let (mut key_file, mut cert_file, mut cert_key_file) = (None, None, None);
        if let Some(key) = &enrolled.key {
            key_file = Some(write("device.key", key.expose().as_bytes())?);
        }
        if let Some(certificate) = &enrolled.certificate {
            cert_file = Some(write("device.pem", certificate.chain_pem.as_bytes())?);
            cert_key_file = Some(write("device.key.pem", certificate.key_pem.as_bytes())?);
        }
        let settings = Settings {
            host: place.host.clone(),
            https_port,
            mqtt_port,
            wss_port,
            ca_file: write("ca.pem", authority.certificate_pem.as_bytes())?,
            id_scope,
            registration_id,
            transport: place.transport,
            key_file,
            cert_file,
            cert_key_file,
        };
        Ok(Self { server, settings, secrets: enrolled.secrets(), _files: files })
    }

    /// What was seen so far.
    pub(crate) fn seen(&self) -> Seen {
        match &self.server {
            Server::Service(emulator) => observe(emulator, &self.settings.registration_id),
            Server::Impostor(impostor) => impostor.seen(),
        }
    }

    /// The time on the clock of [`Seen`].
    pub(crate) fn now_ms(&self) -> u64 {
        match &self.server {
            Server::Service(emulator) => emulator.now().monotonic_ms,
            Server::Impostor(impostor) => impostor.now_ms(),
        }
    }

    /// Closes its ports.
    pub(crate) async fn end(self) {
        match self.server {
            Server::Service(emulator) => emulator.shutdown().await,
            Server::Impostor(impostor) => impostor.end().await,
        }
    }
}

fn options(scenario: &Scenario, place: &Place, authority: &Authority) -> EmulatorOptions {
    let [https, mqtt, wss] = place.ports;
    let settings = &scenario.service;
    let options = EmulatorOptions::new()
        .listen(place.listen)
        .https_port(https)
        .mqtt_port(mqtt)
        .wss_port(wss)
        .host_name(&place.host)
        .authority(authority.certificate_pem.as_str(), authority.key_pem.as_str())
        .service(|service| service.assigning_ms(settings.assigning_ms).hint(settings.retry_after));
    let options = match &place.id_scope {
        Some(id_scope) => options.id_scope(id_scope),
        None => options,
    };
    let options = match settings.refuses_polls {
        true => options,
        false => options.service(|service| service.limits(Limits { polls_per_10_s: None, ..Limits::default() })),
    };
    match settings.tls_version {
        Some(TlsVersionName::Tls12) => options.tls_version(TlsVersion::Tls12),
        Some(TlsVersionName::Tls13) => options.tls_version(TlsVersion::Tls13),
        None => options,
    }
}

/// The credential that the device is given, where it has none of its own.
#[derive(Default)]
struct Enrolled {
    key: Option<SymmetricKey>,
    certificate: Option<Issued>,
}

impl Enrolled {
    fn secrets(&self) -> Vec<Zeroizing<String>> {
        let key = self.key.iter().map(SymmetricKey::expose);
        let private_keys = self.certificate.iter().flat_map(|certificate| certificate.key_pem.lines());
        let secrets = key.chain(private_keys.filter(|line| !line.starts_with("-----")));
        // Some devices write base64 without its padding. The last line of a private key can be short.
        let secrets = secrets.map(|secret| secret.trim_end_matches('=')).filter(|secret| secret.len() >= 8);
        secrets.map(|secret| Zeroizing::new(secret.to_owned())).collect()
    }

    fn new(
        emulator: &Emulator,
        scenario: &Scenario,
        identity: &Identity,
        registration_id: &str,
    ) -> Result<Self, AcceptError> {
        let plan = scenario.enrollment;
        let is_enabled = plan != EnrollmentPlan::Disabled;
        let enrollment = IndividualEnrollment::new(registration_id).enabled(is_enabled);
        let mut given = Self::default();
        let enrollment = match identity {
            Identity::Fixed { .. } if plan == EnrollmentPlan::OtherKey => enrollment,
            Identity::Fixed { credential: FixedCredential::Key(key), .. } => enrollment.primary_key(key.clone()),
            Identity::Fixed { credential: FixedCredential::Certificate(certificate), .. } => {
                enrollment.client_certificate(certificate.clone())
            }
            Identity::Fresh(Credential::Key) => {
                let key = new_key(emulator)?;
                given.key = Some(key.clone());
                if plan == EnrollmentPlan::OtherKey { enrollment } else { enrollment.primary_key(key) }
            }
            Identity::Fresh(Credential::X509) if plan == EnrollmentPlan::GroupChain => {
                given.certificate = Some(enroll_chain(emulator, registration_id)?);
                return Ok(given);
            }
            Identity::Fresh(Credential::X509) => {
                let own = Issued::self_signed(registration_id)?;
                let other =
                    (plan == EnrollmentPlan::OtherKey).then(|| Issued::self_signed(registration_id)).transpose()?;
                let enrolled = parsed(&other.as_ref().unwrap_or(&own).leaf_pem)?;
                given.certificate = Some(own);
                enrollment.client_certificate(enrolled)
            }
        };
        let now = emulator.now();
        emulator.with_service(|service| {
            if plan == EnrollmentPlan::NoHub {
                let hubs: Vec<String> = service.linked_hubs().map(str::to_owned).collect();
                for hub in &hubs {
                    service.unlink_hub(hub);
                }
            }
            service.put_enrollment(now, enrollment).map_err(refused)
        })?;
        Ok(given)
    }
}

/// Has the service generate a key, as it does for an enrollment without one.
fn new_key(emulator: &Emulator) -> Result<SymmetricKey, AcceptError> {
    let now = emulator.now();
    let made = emulator.with_service(|service| {
        let made = service.put_enrollment(now, IndividualEnrollment::new("key-maker"));
        service.delete_enrollment("key-maker");
        made
    });
    let key = made.map_err(refused)?.settings.attestation.primary;
    key.ok_or_else(|| AcceptError::Enrollment("the service generated no key".to_owned()))
}

/// Enrolls a group of an intermediate authority, and issues a certificate below it.
fn enroll_chain(emulator: &Emulator, registration_id: &str) -> Result<Issued, AcceptError> {
    let root = Authority::generate("device root")?;
    let intermediate = root.intermediate()?;
    let (root_certificate, signing) = (parsed(&root.certificate_pem)?, parsed(&intermediate.certificate_pem)?);
    let now = emulator.now();
    emulator.with_service(|service| {
        service.put_ca_certificate(now, "root", root_certificate, true).map_err(refused)?;
        service.put_group(now, EnrollmentGroup::new(GROUP).signing_certificate(signing)).map_err(refused)
    })?;
    intermediate.device(registration_id)
}

fn parsed(pem: &str) -> Result<Certificate, AcceptError> {
    Certificate::from_pem(pem).map_err(|error| AcceptError::Certificate(error.to_string()))
}

fn refused(problem: Problem) -> AcceptError {
    AcceptError::Enrollment(problem.message)
}

/// A directory that only its owner can read.
fn directory() -> Result<TempDir, AcceptError> {
    let mut builder = tempfile::Builder::new();
    builder.prefix("dps-accept-");
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o700));
    builder.tempdir().map_err(|source| AcceptError::Directory { path: std::env::temp_dir(), source })
}
