//! Generates configurations in unusual formatting: quotes of all kinds and none, inline tables, dotted keys, comments
//! that look like keys, other line ends, a byte order mark.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use dps_edge::Format;
use proptest::prelude::*;

const KEY: &str = "Jsm0lyGpjaVYVP2g3FnmnmG9dI/9qU24wNoykUmermc=";
const OTHER_KEY: &str = "O+H9VTcdJP0Tqkl7bh4nVG0OJNrAataMpuWB54D0VEc=";
const KEY_FILE: &str = "file:///var/secrets/device.key";

/// The most settings of a file.
pub(crate) const MOST: usize = 24;

/// A value as a reader sees it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Read {
    Text(String),
    Number(i64),
    Flag(bool),
}

#[derive(Clone, Copy, Debug)]
enum Old {
    Text(&'static str),
    Number(i64),
    Flag(bool),
    /// A symmetric key of TOML.
    Key(Member, &'static str),
}

/// How a symmetric key is written.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Member {
    /// `key = { value = "…" }`
    Inline(&'static str),
    /// `key.value = "…"`
    Dotted(&'static str),
    /// `key = "…"`
    Bare,
}

/// One value of a file and the one that it is changed to, if it is. `path` has the table first.
#[derive(Clone, Copy, Debug)]
struct Setting {
    path: &'static str,
    old: Old,
    new: &'static str,
}

impl Setting {
    fn table(&self) -> &'static str {
        self.path.rsplit_once('.').map_or("", |(table, _)| table)
    }

    fn name(&self) -> &'static str {
        self.path.rsplit('.').next().unwrap()
    }

    fn is_fixed(&self) -> bool {
        self.new.is_empty()
    }

    /// Where a reader finds the value, and what it is.
    fn value(&self) -> (String, Read) {
        let text = |text: &str| Read::Text(text.to_owned());
        match self.old {
            Old::Text(old) | Old::Key(Member::Bare, old) => (self.path.to_owned(), text(old)),
            Old::Key(Member::Inline(member) | Member::Dotted(member), old) => {
                (format!("{}.{member}", self.path), text(old))
            }
            Old::Number(old) => (self.path.to_owned(), Read::Number(old)),
            Old::Flag(old) => (self.path.to_owned(), Read::Flag(old)),
        }
    }

    fn change(&self) -> Change {
        let read = match self.old {
            Old::Text(_) | Old::Key(..) => Read::Text(self.new.to_owned()),
            Old::Number(_) => Read::Number(self.new.parse().unwrap()),
            Old::Flag(_) => Read::Flag(self.new.parse().unwrap()),
        };
        let writes = match self.old {
            Old::Key(..) => format!("{}.{}", self.path, if self.new.starts_with("file:") { "uri" } else { "value" }),
            _ => self.path.to_owned(),
        };
        Change { key: self.path, value: self.new, writes, read }
    }

    /// The value as it is written.
    fn written(&self, style: Style, format: Format) -> String {
        match self.old {
            Old::Text(old) | Old::Key(_, old) => style.text(old, format),
            Old::Number(old) => match (format, style.quotes) {
                (Format::Toml, Quotes::Single) => format!("{old:#X}"),
                (Format::Toml, Quotes::Escaped) if old > 9 => format!("{}_{}", old / 10, old % 10),
                _ => old.to_string(),
            },
            Old::Flag(old) if format == Format::Toml && style.quotes == Quotes::None => {
                if old { "True" } else { "FALSE" }.to_owned()
            }
            Old::Flag(old) => old.to_string(),
        }
    }
}

impl Style {
    fn text(self, text: &str, format: Format) -> String {
        match self.quotes {
            Quotes::Double => format!("\"{text}\""),
            Quotes::Single => format!("'{text}'"),
            Quotes::Escaped => format!("\"\\u{:04X}{}\"", u32::from(text.chars().next().unwrap()), &text[1..]),
            // No string used here ends early without quotes, in either format.
            Quotes::None => {
                assert!(!text.contains([',', '{', '}', '#', '"', '\'']) || format == Format::Yaml);
                text.to_owned()
            }
        }
    }

    fn key(self, name: &str) -> String {
        self.quoted_key.map_or(name.to_owned(), |quote| format!("{quote}{name}{quote}"))
    }
}

/// A change, and its effect on what is read.
pub(crate) struct Change {
    pub key: &'static str,
    pub value: &'static str,
    writes: String,
    read: Read,
}

impl Change {
    pub(crate) fn apply(&self, values: &mut BTreeMap<String, Read>) {
        let below = format!("{}.", self.key);
        values.retain(|path, _| path != self.key && !path.starts_with(&below));
        values.insert(self.writes.clone(), self.read.clone());
    }
}

/// How one setting is written.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Style {
    quotes: Quotes,
    quoted_key: Option<char>,
    spaces: usize,
    comment: &'static str,
    line_before: Option<&'static str>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Quotes {
    Double,
    Single,
    Escaped,
    None,
}

pub(crate) fn style() -> impl Strategy<Value = Style> {
    let quotes = prop::sample::select(vec![Quotes::Double, Quotes::Single, Quotes::Escaped, Quotes::None]);
    let quoted_key = prop::sample::select(vec![None, None, None, Some('"'), Some('\'')]);
    let comment = prop::sample::select(vec!["", "", " # ours", "   # \"x\" = { 'y' ]", " #id_scope = \"0ne\""]);
    let lines = vec![None, None, Some(""), Some("# [provisioning]"), Some("#\tü 🔑: \"x"), Some("# id_scope = '0ne'")];
    (quotes, quoted_key, 0..3_usize, comment, prop::sample::select(lines)).prop_map(
        |(quotes, quoted_key, spaces, comment, line_before)| Style { quotes, quoted_key, spaces, comment, line_before },
    )
}

/// How a table is written.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Layout {
    /// With a header; in YAML as a block.
    Header,
    Dotted,
    /// In braces.
    Inline,
}

/// A file before it is written.
#[derive(Clone, Debug)]
pub(crate) struct File {
    settings: Vec<Setting>,
    layouts: [Layout; 2],
    crlf: bool,
    mark: bool,
    open_end: bool,
}

fn file(settings: impl Strategy<Value = Vec<Setting>>) -> impl Strategy<Value = File> {
    let layouts = || prop::sample::select(vec![Layout::Header, Layout::Dotted, Layout::Inline]);
    (settings, layouts(), layouts(), any::<bool>(), any::<bool>(), any::<bool>()).prop_map(
        |(settings, of_tables, of_inner, crlf, mark, open_end)| File {
            settings,
            layouts: [of_tables, of_inner],
            crlf,
            mark,
            open_end,
        },
    )
}

const fn text(path: &'static str, old: &'static str, new: &'static str) -> Setting {
    Setting { path, old: Old::Text(old), new }
}

/// A value that cannot be changed by itself.
const fn fixed(path: &'static str, old: &'static str) -> Setting {
    text(path, old, "")
}

const fn number(path: &'static str, old: i64, new: &'static str) -> Setting {
    Setting { path, old: Old::Number(old), new }
}

const fn flag(path: &'static str, old: bool, new: &'static str) -> Setting {
    Setting { path, old: Old::Flag(old), new }
}

/// Every value that can be set, in files for each kind of provisioning.
pub(crate) fn toml_file() -> impl Strategy<Value = File> {
    let key = |path| {
        let members = vec![
            (Member::Inline("value"), KEY, OTHER_KEY),
            (Member::Inline("value"), KEY, KEY_FILE),
            (Member::Inline("uri"), "file:///a.key", OTHER_KEY),
            (Member::Dotted("value"), KEY, OTHER_KEY),
            (Member::Dotted("uri"), "file:///a.key", KEY_FILE),
            (Member::Bare, KEY, KEY_FILE),
        ];
        prop::sample::select(members).prop_map(move |(member, old, new)| Setting {
            path,
            old: Old::Key(member, old),
            new,
        })
    };
    let common = [
        text("hostname", "gate-way 1", "it's \"gateway\" #1"),
        text("auto_reprovisioning_mode", "Dynamic", "OnErrorOnly"),
        text("trust_bundle_cert", "file:///etc/ca.pem", "file:///etc/ü%20ca.pem"),
        number("cloud_timeout_sec", 90, "120"),
        number("cloud_retries", 1, "0"),
        flag("allow_elevated_docker_permissions", true, "false"),
        flag("prefer_module_identity_cache", false, "true"),
        text("aziot_keys.pkcs11_lib_path", "/usr/lib/p11.so", "/usr/lib/softhsm/libsofthsm2.so"),
        text("aziot_keys.pkcs11_base_slot", "pkcs11:token=Gateway", "pkcs11:slot-id=3?pin-value=1234"),
        text("tpm.tcti", "device", "swtpm:port=2321"),
        number("tpm.auth_key_index", 256, "4096"),
        text("tpm.hierarchy_authorization.endorsement", "no-secret", "pass 'word'"),
        text("tpm.hierarchy_authorization.owner", "0wner", "o\\wner"),
    ];
    let dps = [
        text("provisioning.source", "dps", "none"),
        text("provisioning.global_endpoint", "https://global.azure-devices-provisioning.net", "https://dps-a.test"),
        text("provisioning.id_scope", "0ne00A1B2C3", "0ne000EEBBD"),
    ];
    let manual = [text("provisioning.source", "manual", "none")];
    let by_key = key("provisioning.attestation.symmetric_key").prop_map(move |key| {
        let attestation = [
            text("provisioning.attestation.method", "symmetric_key", "tpm"),
            text("provisioning.attestation.registration_id", "true-north-1", "dev-02"),
            key,
        ];
        [&common[..], &dps, &attestation].concat()
    });
    let by_certificate = [
        text("provisioning.attestation.method", "x509", "tpm"),
        text("provisioning.attestation.registration_id", "i-01", "dev-02"),
        text("provisioning.attestation.identity_cert", "file:///etc/a.pem", "file:///etc/b.pem"),
        text("provisioning.attestation.identity_pk", "file:///etc/a.key", "pkcs11:token=Gateway;object=device-id"),
    ];
    let by_certificate = Just([&common[..], &dps, &by_certificate].concat());
    let by_string = text(
        "provisioning.connection_string",
        "HostName=hub-a.test;DeviceId=dev-01;SharedAccessKey=Jsm0lyGpjaVYVP2g3FnmnmG9dI/9qU24wNoykUmermc=",
        "HostName=hub-b.test;DeviceId=dev-02;SharedAccessKey=O+H9VTcdJP0Tqkl7bh4nVG0OJNrAataMpuWB54D0VEc=",
    );
    let by_string = Just([&common[..], &manual, &[by_string]].concat());
    let by_parts = key("provisioning.authentication.device_id_pk").prop_map(move |key| {
        let parts = [
            text("provisioning.iothub_hostname", "hub-a.test", "hub-b.test"),
            text("provisioning.device_id", "nr-1", "dev-02"),
            fixed("provisioning.authentication.method", "sas"),
            key,
        ];
        [&common[..], &manual, &parts].concat()
    });
    file(prop_oneof![by_key, by_certificate, by_string, by_parts])
}

/// The same for IoT Edge 1.1.
pub(crate) fn yaml_file() -> impl Strategy<Value = File> {
    let common = [
        text("hostname", "gate-way 1", "it's \"gateway\" #1"),
        text("certificates.device_ca_cert", "/etc/ca.pem", "/etc/other ca.pem"),
        text("certificates.device_ca_pk", "/etc/ca.key.pem", "/etc/other ca.key.pem"),
        text("certificates.trusted_ca_certs", "/etc/root.pem", "/etc/other roots.pem"),
        flag("provisioning.always_reprovision_on_startup", true, "false"),
        flag("provisioning.dynamic_reprovisioning", false, "true"),
        // Required by `external`.
        text("provisioning.endpoint", "http://localhost:9999", "https://dps-b.test"),
    ];
    let by_key = [
        text("provisioning.source", "dps", "external"),
        text("provisioning.global_endpoint", "https://global.azure-devices-provisioning.net", "https://dps-a.test"),
        text("provisioning.scope_id", "0ne00A1B2C3", "0ne000EEBBD"),
        text("provisioning.attestation.method", "symmetric_key", "tpm"),
        text("provisioning.attestation.registration_id", "true-north-1", "007"),
        text("provisioning.attestation.symmetric_key", KEY, OTHER_KEY),
    ];
    let by_string = [
        text("provisioning.source", "manual", "external"),
        text(
            "provisioning.device_connection_string",
            "HostName=hub-a.test;DeviceId=dev-01;SharedAccessKey=Jsm0lyGpjaVYVP2g3FnmnmG9dI/9qU24wNoykUmermc=",
            "HostName=hub-b.test;DeviceId=dev-02;SharedAccessKey=O+H9VTcdJP0Tqkl7bh4nVG0OJNrAataMpuWB54D0VEc=",
        ),
    ];
    let files = vec![[&common[..], &by_key].concat(), [&common[..], &by_string].concat()];
    file(prop::sample::select(files))
}

impl File {
    /// What a reader finds in it.
    pub(crate) fn values(&self) -> BTreeMap<String, Read> {
        self.settings.iter().map(Setting::value).collect()
    }

    /// A change of each value that can be changed.
    pub(crate) fn changes(&self) -> Vec<Change> {
        self.settings.iter().filter(|setting| !setting.is_fixed()).map(Setting::change).collect()
    }

    /// The changes that fix a value that other readers refuse.
    pub(crate) fn mistaken(&self, styles: &[Style], format: Format) -> Vec<bool> {
        let settings = self.settings.iter().zip(styles).filter(|(setting, _)| !setting.is_fixed());
        let is_mistaken = |(setting, style): (&Setting, &Style)| {
            format == Format::Toml && style.quotes == Quotes::None && !matches!(setting.old, Old::Number(_))
        };
        settings.map(is_mistaken).collect()
    }

    pub(crate) fn render(&self, styles: &[Style], format: Format) -> String {
        let mut settings: Vec<(Setting, Style)> = self.settings.iter().copied().zip(styles.iter().copied()).collect();
        for (setting, style) in &mut settings {
            if setting.is_fixed() && style.quotes == Quotes::None {
                style.quotes = Quotes::Double;
            }
        }
        let mut text = match format {
            Format::Toml => Toml { settings, layouts: self.layouts }.file(),
            Format::Yaml => Yaml { settings, layouts: self.layouts }.file(),
        };
        if self.open_end {
            text.truncate(text.trim_end().len());
        }
        if self.crlf {
            text = text.replace('\n', "\r\n");
        }
        // IoT Edge 1.1 refuses a mark.
        if self.mark && format == Format::Toml {
            text.insert(0, '\u{feff}');
        }
        text
    }
}

struct Toml {
    settings: Vec<(Setting, Style)>,
    layouts: [Layout; 2],
}

impl Toml {
    /// Dotted keys and inline tables belong to the top, before the first header.
    fn file(&self) -> String {
        let mut text = self.lines("", "");
        let tables = ["provisioning", "aziot_keys", "tpm"];
        let [layout, _] = self.layouts;
        for table in tables.into_iter().filter(|table| self.has(table)) {
            match layout {
                Layout::Inline if table != "provisioning" => {
                    writeln!(text, "{table} = {}", self.braces(table)).unwrap()
                }
                Layout::Inline | Layout::Header => {}
                Layout::Dotted => text += &self.table(table, &format!("{table}.")),
            }
        }
        for table in tables.into_iter().filter(|table| self.has(table)) {
            if layout == Layout::Header || layout == Layout::Inline && table == "provisioning" {
                writeln!(text, "\n[ {table} ]  # {table}").unwrap();
                text += &self.table(table, "");
            }
        }
        text
    }

    fn has(&self, table: &str) -> bool {
        self.settings.iter().any(|(setting, _)| setting.table() == table)
    }

    /// The tables directly below one.
    fn inner(&self, table: &str) -> Option<&'static str> {
        let inner = |setting: &Setting| setting.table().strip_prefix(table)?.strip_prefix('.');
        self.settings.iter().find_map(|(setting, _)| inner(setting).map(|_| setting.table()))
    }

    /// The lines of a table and of those below it. `prefix` is written before each key.
    fn table(&self, table: &str, prefix: &str) -> String {
        let mut text = self.lines(table, prefix);
        let Some(inner) = self.inner(table) else { return text };
        let name = inner.rsplit('.').next().unwrap();
        match self.layouts[1] {
            Layout::Inline => writeln!(text, "{prefix}{name} = {}", self.braces(inner)).unwrap(),
            Layout::Header if prefix.is_empty() => text += &format!("\n\t[{inner}]\n{}", self.lines(inner, "")),
            _ => text += &self.lines(inner, &format!("{prefix}{name}.")),
        }
        text
    }

    fn lines(&self, table: &str, prefix: &str) -> String {
        let mut text = String::new();
        for (setting, style) in self.settings.iter().filter(|(setting, _)| setting.table() == table) {
            if let Some(line) = style.line_before {
                writeln!(text, "{line}").unwrap();
            }
            let indent = if style.spaces == 2 { "\t" } else { "" };
            writeln!(text, "{indent}{prefix}{}{}", self.pair(setting, *style), style.comment).unwrap();
        }
        text
    }

    fn braces(&self, table: &str) -> String {
        let settings = self.settings.iter().filter(|(setting, _)| setting.table() == table);
        let mut pairs: Vec<String> = settings.map(|(setting, style)| self.pair(setting, *style)).collect();
        if let Some(inner) = self.inner(table) {
            pairs.push(format!("{}={}", inner.rsplit('.').next().unwrap(), self.braces(inner)));
        }
        format!("{{ {} }}", pairs.join(","))
    }

    fn pair(&self, setting: &Setting, style: Style) -> String {
        let spaces = " ".repeat(style.spaces);
        let key = style.key(setting.name());
        let value = setting.written(style, Format::Toml);
        match setting.old {
            Old::Key(Member::Inline(member), _) => format!("{key}{spaces}={spaces}{{{spaces}{member} = {value} }}"),
            Old::Key(Member::Dotted(member), _) => format!("{key}.{member}{spaces}={spaces}{value}"),
            _ => format!("{key}{spaces}={spaces}{value}"),
        }
    }
}

struct Yaml {
    settings: Vec<(Setting, Style)>,
    layouts: [Layout; 2],
}

impl Yaml {
    fn file(&self) -> String {
        let mut text = self.lines("", "");
        for table in ["provisioning", "certificates"] {
            let braces = table == "certificates" && self.layouts[0] == Layout::Inline;
            text += &self.table(table, table, "", braces);
        }
        text
    }

    fn table(&self, table: &str, name: &str, indent: &str, braces: bool) -> String {
        if !self.settings.iter().any(|(setting, _)| setting.table() == table) {
            return String::new();
        }
        if braces {
            let settings = self.settings.iter().filter(|(setting, _)| setting.table() == table);
            let pairs: Vec<String> = settings.map(|(setting, style)| pair(setting, *style)).collect();
            return format!("{indent}{name}: {{ {} }}\n", pairs.join(", "));
        }
        let deeper = format!("{indent}  ");
        let mut text = format!("{indent}{name}:   # {name}\n{}", self.lines(table, &deeper));
        if table == "provisioning" {
            text += &self.table("provisioning.attestation", "attestation", &deeper, self.layouts[1] == Layout::Inline);
        }
        text
    }

    fn lines(&self, table: &str, indent: &str) -> String {
        let mut text = String::new();
        for (setting, style) in self.settings.iter().filter(|(setting, _)| setting.table() == table) {
            if let Some(line) = style.line_before {
                writeln!(text, "{line}").unwrap();
            }
            writeln!(text, "{indent}{}{}", pair(setting, *style), style.comment).unwrap();
        }
        text
    }
}

/// With at least one space after the colon, which is required if the key has no quotes.
fn pair(setting: &Setting, style: Style) -> String {
    let value = setting.written(style, Format::Yaml);
    format!("{}: {}{value}", style.key(setting.name()), " ".repeat(style.spaces))
}
