//! `config.yaml` to `config.toml`: the provisioning part, with the flags migrated as `iotedge config import` does it.

use dps_files::SecretString;
use zeroize::Zeroizing;

use crate::finding::{Finding, position_of};
use crate::model::{
    Attestation, Certificate, Dps, KeySource, Manual, ManualCredential, Provisioning, Reprovisioning, Source,
    X509Identity, key_text,
};
use crate::policy::Mode;
use crate::problem::{Problem, Severity};
use crate::read::{parse, read};
use crate::toml_syntax::quoted;
use crate::tree::{Entries, Entry, Value, find};
use crate::uri::{FILE_BEFORE_PATH, file_uri, file_url_path};
use crate::version::{EdgeVersion, Format};

/// The text of `config.toml`, and what the conversion changes or leaves out.
#[derive(Debug)]
#[non_exhaustive]
pub struct Converted {
    /// The new text; it may contain a key.
    pub text: SecretString,
    /// What the owner should know, with its line and column in the old text.
    pub findings: Vec<Finding>,
}

/// Why a file cannot be converted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ConvertError {
    /// The provisioning part cannot be read.
    Unreadable,
    /// IoT Edge 1.1 refuses the file, and the conversion cannot fix that. Contains the first error.
    Refused(Finding),
    /// Later versions would refuse the result. Contains the finding, at its cause in the old file.
    WouldBeRefused(Finding),
    /// The new generation does not have this source.
    External,
}

impl ConvertError {
    /// The finding in the old file.
    #[must_use]
    pub const fn finding(&self) -> Option<&Finding> {
        match self {
            Self::Refused(finding) | Self::WouldBeRefused(finding) => Some(finding),
            Self::Unreadable | Self::External => None,
        }
    }
}

impl std::fmt::Display for ConvertError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Unreadable => f.write_str("the provisioning part cannot be read; the lint reports why"),
            Self::Refused(finding) => write!(f, "{finding}; fix this before the conversion"),
            Self::WouldBeRefused(finding) => write!(f, "{finding}; later versions would refuse the converted file"),
            Self::External => {
                f.write_str("IoT Edge 1.2 and later have no external provisioning: choose dps or manual first")
            }
        }
    }
}

impl std::error::Error for ConvertError {}

/// Converts a `config.yaml`.
///
/// ```
/// let old = "hostname: \"gateway-1\"\nprovisioning:\n  source: \"dps\"\n  \
///            global_endpoint: \"https://global.azure-devices-provisioning.net\"\n  scope_id: \"0ne00A1B2C3\"\n  \
///            attestation:\n    method: \"tpm\"\n    registration_id: \"dev-01\"\n  \
///            dynamic_reprovisioning: true\n  always_reprovision_on_startup: false\n";
/// let converted = dps_edge::convert(old)?;
/// assert!(converted.text.expose().contains("auto_reprovisioning_mode = \"Dynamic\"\n"));
/// assert!(converted.findings.is_empty());
/// # Ok::<(), dps_edge::ConvertError>(())
/// ```
///
/// # Errors
/// [`ConvertError`] if 1.1 refuses the file, later versions would refuse the new one, or the new generation does not
/// have its source.
pub fn convert(yaml: &str) -> Result<Converted, ConvertError> {
    let reading = read(yaml, Format::Yaml, EdgeVersion::V1_1);
    let (entries, _) = parse(yaml, Format::Yaml);
    if let Some(first) = reading.findings.iter().find(|finding| is_error(finding) && !is_fixed(finding)) {
        return Err(ConvertError::Refused(*first));
    }
    let provisioning = reading.provisioning.ok_or(ConvertError::Unreadable)?;
    let text = Writer::default().file(&provisioning)?;
    refused_by_later(&text, yaml, &entries)?;
    let mut findings = reading.findings;
    findings.retain(|finding| finding.severity() > Severity::Note && !is_layout(finding));
    let known = findings.iter().map(|finding| finding.position).collect::<Vec<_>>();
    findings.extend(left_out(yaml, &entries, &provisioning).into_iter().filter(|left| !known.contains(&left.position)));
    findings.extend(changed_default(yaml, &entries, &provisioning));
    let no_hostname = find(&entries, "hostname").is_none();
    findings.extend(no_hostname.then(|| Finding::new(position_of(yaml, 0), Problem::HostnameDefault)));
    findings.sort_by_key(|finding| finding.position);
    Ok(Converted { text: SecretString::from(text), findings })
}

fn is_error(finding: &Finding) -> bool {
    finding.severity() == Severity::Error
}

/// Whether 1.1 refuses it but the new file does not have it: paths become URIs, and the byte order mark is left out.
/// With other errors the new file would contain less than the old one.
fn is_fixed(finding: &Finding) -> bool {
    match finding.problem {
        Problem::ByteOrderMark { .. } => true,
        Problem::BadUri { wanted } => wanted == FILE_BEFORE_PATH,
        _ => false,
    }
}

fn is_layout(finding: &Finding) -> bool {
    matches!(finding.problem, Problem::Indentation | Problem::IndentedFile)
}

/// Reads the result as the newest daemons do.
fn refused_by_later(toml: &str, yaml: &str, entries: &Entries) -> Result<(), ConvertError> {
    let reading = read(toml, Format::Toml, Format::Toml.newest_version());
    let Some(error) = reading.findings.iter().find(|finding| is_error(finding)) else { return Ok(()) };
    let old_name = match error.key {
        Some("id_scope") => Some("scope_id"),
        Some("trust_bundle_cert") => Some("trusted_ca_certs"),
        other => other,
    };
    let (key, at) = match old_name.and_then(|name| find_below(entries, name)) {
        Some(cause) => (old_name, cause.node.span.start),
        None => (error.key, find(entries, "provisioning").map_or(0, |section| section.at)),
    };
    Err(ConvertError::WouldBeRefused(Finding { position: position_of(yaml, at), key, ..*error }))
}

/// The first entry of this name, at any depth.
fn find_below<'e>(entries: &'e [Entry], name: &str) -> Option<&'e Entry> {
    find(entries, name).or_else(|| {
        entries.iter().find_map(|entry| match &entry.node.value {
            Value::Table(table) => find_below(&table.entries, name),
            _ => None,
        })
    })
}

/// What the flags become: `dynamic` takes precedence over `always`, and a missing flag counts as false.
const fn mode(reprovisioning: Reprovisioning) -> Mode {
    match reprovisioning {
        Reprovisioning::Mode(Some(mode)) => mode,
        Reprovisioning::Mode(None) => Mode::Dynamic,
        Reprovisioning::Flags { dynamic: Some(true), .. } => Mode::Dynamic,
        Reprovisioning::Flags { always_on_startup: Some(true), .. } => Mode::AlwaysOnStartup,
        Reprovisioning::Flags { .. } => Mode::OnErrorOnly,
    }
}

/// Reports where the default of 1.1 differs from that of its importer.
fn changed_default(yaml: &str, entries: &Entries, provisioning: &Provisioning) -> Option<Finding> {
    let of_dps = matches!(provisioning.source, Source::Dps(_));
    let left_to_default = Reprovisioning::Flags { always_on_startup: None, dynamic: None };
    let off = Reprovisioning::Flags { always_on_startup: None, dynamic: Some(false) };
    let differs = of_dps && [left_to_default, off].contains(&provisioning.reprovisioning);
    let at = find(entries, "provisioning").map_or(0, |entry| entry.at);
    differs.then(|| Finding::new(position_of(yaml, at), Problem::OldDefault))
}

fn left_out(yaml: &str, entries: &Entries, provisioning: &Provisioning) -> Vec<Finding> {
    const CONVERTED: [&str; 3] = ["provisioning", "hostname", "parent_hostname"];
    let converted = |name: &str| CONVERTED.contains(&name) || name == "certificates";
    let mut positions: Vec<usize> =
        entries.iter().filter(|entry| !converted(&entry.name)).map(|entry| entry.at).collect();
    if let Some(Value::Table(certificates)) = find(entries, "certificates").map(|entry| &entry.node.value) {
        let is_bundle = |name: &str| name == "trusted_ca_certs" && provisioning.trust_bundle.is_some();
        let others = certificates.entries.iter().filter(|entry| !is_bundle(&entry.name));
        positions.extend(others.map(|entry| entry.at));
    }
    positions.into_iter().map(|at| Finding::new(position_of(yaml, at), Problem::NotConverted)).collect()
}

/// Writes the file line by line.
#[derive(Default)]
struct Writer(Zeroizing<String>);

impl Writer {
    fn file(mut self, provisioning: &Provisioning) -> Result<Zeroizing<String>, ConvertError> {
        self.0.reserve(8 * 1024);
        self.optional("hostname", provisioning.hostname.as_deref());
        self.optional("parent_hostname", provisioning.parent_hostname.as_deref());
        self.optional("trust_bundle_cert", provisioning.trust_bundle.as_deref().map(as_uri).as_deref());
        match &provisioning.source {
            Source::Dps(dps) => {
                self.text("auto_reprovisioning_mode", mode(provisioning.reprovisioning).name());
                self.dps(dps);
            }
            Source::Manual(manual) => self.manual(manual),
            Source::External { .. } => return Err(ConvertError::External),
            Source::None => {
                self.header("provisioning");
                self.text("source", "none");
            }
        }
        Ok(self.0)
    }

    fn dps(&mut self, dps: &Dps) {
        self.header("provisioning");
        self.text("source", "dps");
        self.optional("global_endpoint", dps.global_endpoint.as_deref());
        self.text("id_scope", &dps.id_scope);
        self.header("provisioning.attestation");
        match &dps.attestation {
            Attestation::SymmetricKey { registration_id, key } => {
                self.text("method", "symmetric_key");
                self.text("registration_id", registration_id);
                self.key("symmetric_key", key);
            }
            Attestation::X509 { registration_id, identity } => {
                self.text("method", "x509");
                self.optional("registration_id", registration_id.as_deref());
                self.identity(identity);
            }
            Attestation::Tpm { registration_id } => {
                self.text("method", "tpm");
                self.text("registration_id", registration_id);
            }
        }
    }

    fn manual(&mut self, manual: &Manual) {
        self.header("provisioning");
        self.text("source", "manual");
        self.text("iothub_hostname", &manual.hub);
        self.text("device_id", &manual.device_id);
        self.header("provisioning.authentication");
        match &manual.credential {
            ManualCredential::Key(key) => {
                self.text("method", "sas");
                self.key("device_id_pk", key);
            }
            ManualCredential::X509(identity) => {
                self.text("method", "x509");
                self.identity(identity);
            }
        }
    }

    fn identity(&mut self, identity: &X509Identity) {
        match &identity.certificate {
            Some(Certificate::Uri(uri)) => self.text("identity_cert", &as_uri(uri)),
            Some(Certificate::Issued { method }) => {
                self.line(&format!("identity_cert = {{ method = {} }}", &*quoted(method)));
            }
            None => {}
        }
        self.optional("identity_pk", identity.key.as_ref().map(|key| as_uri(key.expose())).as_deref());
    }

    /// The daemons accept only a table, whatever form it was read from.
    fn key(&mut self, name: &str, key: &KeySource) {
        let (member, text) = match key {
            KeySource::Inline(key) => ("value", key_text(key)),
            KeySource::UnusualLength { text, .. } => ("value", text.clone()),
            KeySource::File(path) => ("uri", file_uri(&path.to_string_lossy()).as_str().into()),
            KeySource::Pkcs11(uri) => ("uri", SecretString::from(uri.expose())),
        };
        self.line(&key_table(name, member, text.expose()));
    }

    fn header(&mut self, name: &str) {
        if !self.0.is_empty() {
            self.line("");
        }
        self.line(&format!("[{name}]"));
    }

    fn optional(&mut self, name: &str, text: Option<&str>) {
        if let Some(text) = text {
            self.text(name, text);
        }
    }

    fn text(&mut self, name: &str, text: &str) {
        self.line(&format!("{name} = {}", &*quoted(text)));
    }

    fn line(&mut self, line: &str) {
        self.0.push_str(line);
        self.0.push('\n');
    }
}

/// A key in the form that the daemons read.
fn key_table(name: &str, member: &str, text: &str) -> Zeroizing<String> {
    Zeroizing::new(format!("{name} = {}", &*key_value(member, text)))
}

/// `{ value = "…" }` or `{ uri = "…" }`.
pub(crate) fn key_value(member: &str, text: &str) -> Zeroizing<String> {
    Zeroizing::new(format!("{{ {member} = {} }}", &*quoted(text)))
}

/// Returns a URI for a path, and for a URL in a form that later versions do not accept everywhere. Any other value
/// stays, to be refused.
fn as_uri(text: &str) -> String {
    if text.starts_with('/') {
        return file_uri(text);
    }
    match file_url_path(text) {
        Some(path) if !text.starts_with("file:///") || text.contains('#') => file_uri(&path.to_string_lossy()),
        _ => text.to_owned(),
    }
}
