//! What is found in a file: which rule, where, and what to do about it.
//!
//! A finding cannot hold any of the file: it is made of names that this crate knows and of numbers.

use std::fmt;

use dps_core::ConfigError;
use dps_core::error::KeyProblem;

use crate::place::Place;
use crate::version::{EdgeVersion, Format};

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Good to know.
    Note,
    /// It works, but hardly as it was meant.
    Warning,
    /// The daemons refuse it, or it cannot work.
    Error,
}

impl Severity {
    /// The word for it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Note => "note",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}

/// One finding. [`Display`](fmt::Display) is `line:column: severity[id]: message`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Finding {
    /// Where.
    pub place: Place,
    /// The key that it is about, where that is one of IoT Edge's.
    pub key: Option<&'static str>,
    /// What.
    pub problem: Problem,
}

impl Finding {
    pub(crate) const fn new(place: Place, problem: Problem) -> Self {
        Self { place, key: None, problem }
    }

    /// The finding of a file that [`stray_files`](crate::stray_files) gives.
    #[must_use]
    pub const fn stray_file() -> Self {
        Self::new(Place { line: 1, column: 1 }, Problem::StrayFile)
    }

    /// What is wrong, of which key, and what to do.
    #[must_use]
    pub fn message(&self) -> String {
        let problem = self.problem.to_string();
        match (self.key, problem.strip_prefix("this key ")) {
            (Some(key), Some(predicate)) => format!("`{key}` {predicate}"),
            (Some(key), None) => format!("`{key}`: {problem}"),
            (None, _) => problem,
        }
    }

    /// How bad it is.
    #[must_use]
    pub fn severity(&self) -> Severity {
        self.problem.severity()
    }

    /// The rule's name; it never changes.
    #[must_use]
    pub fn id(&self) -> &'static str {
        self.problem.entry().0
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Place { line, column } = self.place;
        write!(f, "{line}:{column}: {}[{}]: {}", self.severity().name(), self.id(), self.message())
    }
}

/// What can be wrong. [`Display`](fmt::Display) says it, and what to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Problem {
    /// The text is not what its form asks for.
    Syntax(&'static str),
    /// The file seems to be of the other form.
    LooksLike(Format),
    /// The version that was named reads the other form.
    OtherFormat(EdgeVersion),
    /// The version gets no corrections any more.
    OutOfService {
        /// The version.
        version: EdgeVersion,
        /// Since when.
        since: &'static str,
    },
    /// A number or text of the right type that the daemons refuse all the same.
    OutOfRange {
        /// What is wanted, as in "a number of days from 1 on".
        wanted: &'static str,
    },
    /// A text without quotes in TOML.
    Unquoted,
    /// A key that nobody knows.
    UnknownKey,
    /// A key that is nearly one that belongs here.
    Misspelt {
        /// The key that was meant.
        nearest: &'static str,
    },
    /// A key that belongs to another table.
    Misplaced {
        /// Where it belongs.
        belongs: &'static str,
    },
    /// A key of the other generation.
    OtherGeneration {
        /// The form that has it.
        of: Format,
        /// What takes its place here.
        here: &'static str,
    },
    /// A key that the version does not know yet.
    TooNew {
        /// The first version that knows it.
        since: EdgeVersion,
    },
    /// A key that an upgrade brings to life.
    NowRead {
        /// The first version that knows it.
        since: EdgeVersion,
    },
    /// What the version before an upgrade refuses.
    NowAccepted {
        /// That version.
        from: EdgeVersion,
    },
    /// A file that daemons read beside those that `iotedge config apply` writes.
    StrayFile,
    /// A key that has to be there and is not.
    Missing {
        /// The key.
        key: &'static str,
        /// Where it belongs.
        table: &'static str,
    },
    /// One of several keys has to be there, and none is.
    MissingOneOf {
        /// The keys.
        keys: &'static str,
        /// Where they belong.
        table: &'static str,
    },
    /// Passed over, because another key is there.
    PassedOver {
        /// The other key.
        taken: &'static str,
    },
    /// A certificate that is to be issued by what is not configured.
    NoIssuer {
        /// What is missing.
        missing: &'static str,
    },
    /// A host name that does not fit into a certificate.
    LongHostname {
        /// Its length in characters.
        length: usize,
    },
    /// Modules look for the daemon in another way than it listens.
    SchemesDiffer,
    /// A value of another type.
    WrongType {
        /// What is wanted, as in "a text in quotes".
        wanted: &'static str,
    },
    /// A word that is none of the few that are taken.
    UnknownWord {
        /// Those that are taken.
        words: &'static [&'static str],
        /// The one that was meant, where it can be told.
        nearest: Option<&'static str>,
    },
    /// `symmetric_key = "…"`, which the daemons do not read.
    BareKey,
    /// The second name of a setting, beside the first.
    SameSetting {
        /// The first name.
        other: &'static str,
    },
    /// Both `value` and `uri`.
    ValueAndUri,
    /// A text of the documentation or a template where a value belongs.
    Placeholder,
    /// Something else than a symmetric key.
    NotAKey(KeyProblem),
    /// An id, a scope or an endpoint that cannot be one.
    BadValue(ConfigError),
    /// An endpoint without `https://`.
    NotHttps,
    /// A registration id with upper-case letters.
    UpperCaseId,
    /// Not a URI of the kinds that are taken.
    BadUri {
        /// The kinds that are taken.
        wanted: &'static str,
    },
    /// A connection string that lacks a part.
    BadConnectionString,
    /// A `pkcs11:` key and no library for it.
    Pkcs11WithoutLibrary,
    /// A time-out that the daemons of the version refuse.
    TimeoutTooShort {
        /// The least that they take, in seconds.
        least: u64,
        /// The version.
        version: EdgeVersion,
    },
    /// Behind a parent the daemons do not use the provisioning service.
    DpsBehindParent,
    /// Manually provisioned devices have no mode.
    ModeIgnored,
    /// A source that is known and not handled here.
    NotHandled {
        /// The source.
        source: &'static str,
    },
    /// Blanks before `provisioning:`.
    IndentedSection,
    /// Not two blanks deeper than the key above.
    Indentation,
    /// Base64 text in a key file, which is to hold raw bytes.
    Base64InKeyFile,
    /// A key file of a length that no key has.
    KeyFileLength {
        /// Its length in bytes; one more than the most that is read, when it is longer.
        length: usize,
    },
    /// A key file that others can read.
    KeyFileMode {
        /// Its permissions.
        mode: u32,
    },
    /// A key file that cannot be looked at from here.
    KeyFileUnreadable,
    /// A certificate's file that cannot be looked at from here.
    FileUnreadable,
    /// A file without a certificate in PEM at its start.
    NotACertificate,
    /// A certificate that is not valid any more.
    CertificateEnded {
        /// For how many whole days.
        days: i64,
    },
    /// A certificate that is not valid yet, or a clock that is wrong.
    CertificateNotYetValid,
    /// A flag whose default the conversion changes.
    OldDefault,
    /// A part of the file that the conversion leaves out.
    NotConverted,
    /// A configuration without `hostname`, whose default the conversion changes.
    HostnameDefault,
    /// YAML: a key that is given again further down.
    GivenAgain,
    /// YAML: every line is indented.
    IndentedFile,
    /// A byte order mark at the start of `config.yaml`.
    ByteOrderMark {
        /// Whether 1.1 refuses the file, or only loses its first key.
        refused: bool,
    },
    /// TOML 1.1, in a file for a version that reads TOML 1.0.
    OfToml1_1(&'static str),
    /// Something that the newest version takes and the one before it refuses.
    RefusedBefore {
        /// The newest version that refuses it.
        version: EdgeVersion,
        /// What it refuses: a rule's text or name.
        what: &'static str,
    },
    /// A file that a daemon wrote for itself.
    Generated,
    /// A device's key of a length that no enrollment's key has.
    KeyLength {
        /// Its length in bytes.
        length: usize,
    },
    /// An id scope that does not look like one.
    UnusualScope,
    /// A path after `file:` that does not begin at the root.
    RelativeUri,
    /// YAML: two keys of which 1.1 accepts only one.
    RefusedBeside {
        /// The other, as in "a connection string".
        other: &'static str,
    },
    /// A path of Windows in double quotes, with an escape in it.
    EscapeInPath,
    /// A key that the daemons ignore.
    Ignored {
        /// When they do, as in "where the source is dps".
        when: &'static str,
    },
    /// YAML: no source, and a connection string or `authentication`.
    DefaultSource,
    /// YAML: `certificates` without one of its three files.
    IncompleteCertificates,
}

impl Problem {
    pub(crate) const fn severity(&self) -> Severity {
        self.entry().1
    }

    /// The rule's name and severity.
    const fn entry(&self) -> (&'static str, Severity) {
        use Severity::{Error, Note, Warning};
        match self {
            Self::Syntax(_) => ("syntax", Error),
            Self::LooksLike(_) => ("looks-like", Error),
            Self::OtherFormat(_) => ("other-format", Error),
            Self::OutOfService { .. } => ("out-of-service", Note),
            Self::Unquoted => ("unquoted-value", Error),
            Self::UnknownKey => ("unknown-key", Warning),
            Self::Misspelt { .. } => ("misspelt-key", Warning),
            Self::Misplaced { .. } => ("misplaced-key", Warning),
            Self::OtherGeneration { .. } => ("other-generation", Warning),
            Self::TooNew { .. } => ("too-new-key", Warning),
            Self::NowRead { .. } => ("now-read", Warning),
            Self::NowAccepted { .. } => ("now-accepted", Note),
            Self::StrayFile => ("stray-file", Warning),
            Self::Missing { .. } => ("missing-key", Error),
            Self::MissingOneOf { .. } => ("missing-key", Error),
            Self::PassedOver { .. } => ("passed-over", Warning),
            Self::NoIssuer { .. } => ("no-issuer", Warning),
            Self::LongHostname { .. } => ("long-hostname", Warning),
            Self::SchemesDiffer => ("schemes-differ", Warning),
            Self::WrongType { .. } => ("wrong-type", Error),
            Self::OutOfRange { .. } => ("bad-value", Error),
            Self::UnknownWord { .. } => ("unknown-word", Error),
            Self::BareKey => ("bare-symmetric-key", Error),
            Self::SameSetting { .. } => ("same-setting", Error),
            Self::ValueAndUri => ("value-and-uri", Warning),
            Self::Placeholder => ("placeholder", Error),
            Self::NotAKey(_) => ("not-a-key", Error),
            Self::BadValue(_) => ("bad-value", Error),
            Self::NotHttps => ("not-https", Error),
            Self::UpperCaseId => ("upper-case-id", Warning),
            Self::BadUri { .. } => ("bad-uri", Error),
            Self::BadConnectionString => ("bad-connection-string", Error),
            Self::Pkcs11WithoutLibrary => ("pkcs11-without-library", Error),
            Self::TimeoutTooShort { .. } => ("cloud-timeout", Error),
            Self::DpsBehindParent => ("dps-behind-parent", Error),
            Self::ModeIgnored => ("mode-ignored", Warning),
            Self::NotHandled { .. } => ("not-handled", Warning),
            Self::IndentedSection => ("indented-section", Error),
            Self::Indentation => ("indentation", Warning),
            Self::Base64InKeyFile => ("base64-key-file", Error),
            Self::KeyFileLength { .. } => ("key-file-length", Error),
            Self::KeyFileMode { .. } => ("key-file-mode", Warning),
            Self::KeyFileUnreadable => ("key-file-unreadable", Warning),
            Self::FileUnreadable => ("file-unreadable", Warning),
            Self::NotACertificate => ("not-a-certificate", Warning),
            Self::CertificateEnded { .. } | Self::CertificateNotYetValid => ("certificate-time", Warning),
            Self::OldDefault => ("old-default", Warning),
            Self::NotConverted => ("not-converted", Note),
            Self::HostnameDefault => ("hostname-default", Warning),
            Self::GivenAgain => ("given-again", Warning),
            Self::IndentedFile => ("indented-file", Warning),
            Self::RefusedBeside { .. } => ("refused-beside", Error),
            Self::EscapeInPath => ("escape-in-path", Warning),
            Self::Ignored { .. } => ("ignored-key", Warning),
            Self::DefaultSource => ("default-source", Note),
            Self::IncompleteCertificates => ("incomplete-certificates", Warning),
            Self::ByteOrderMark { refused: true } => ("byte-order-mark", Error),
            Self::ByteOrderMark { refused: false } => ("byte-order-mark", Warning),
            Self::OfToml1_1(_) => ("syntax", Error),
            Self::RefusedBefore { .. } => ("refused-before", Warning),
            Self::Generated => ("generated-file", Error),
            Self::KeyLength { .. } => ("key-length", Warning),
            Self::UnusualScope => ("unusual-id-scope", Warning),
            Self::RelativeUri => ("relative-uri", Warning),
        }
    }
}

impl Problem {
    /// Whether it is about the key that stands at its place: not about the text, the version, or what is not there.
    pub(crate) const fn is_about_a_key(&self) -> bool {
        !matches!(
            self,
            Self::Syntax(_)
                | Self::LooksLike(_)
                | Self::OtherFormat(_)
                | Self::OutOfService { .. }
                | Self::Missing { .. }
                | Self::MissingOneOf { .. }
                | Self::IndentedSection
                | Self::Indentation
                | Self::Generated
        )
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Syntax(what) => f.write_str(what),
            Self::LooksLike(format) => {
                write!(f, "this looks like a {}: rename the file, or begin from the right template", format.file_name())
            }
            Self::OtherFormat(version) => {
                write!(f, "IoT Edge {version} reads {}, not this file", version.format().file_name())
            }
            Self::OutOfService { version, since } => {
                write!(f, "IoT Edge {version} is out of service since {since}: no fault of it is mended any more")
            }
            Self::Unquoted => f.write_str("TOML wants texts in quotes: write \"…\" around the value"),
            Self::UnknownKey => f.write_str("no key of this name is known here; the daemons pass over it"),
            Self::Misspelt { nearest } => write!(f, "no such key here; did you mean `{nearest}`?"),
            Self::Misplaced { belongs } => write!(f, "this key belongs to {belongs}"),
            Self::OtherGeneration { of, here } => {
                write!(f, "this is a key of {}; here it is {here}", of.file_name())
            }
            Self::TooNew { since } => {
                write!(f, "this key is known from IoT Edge {since} on; the daemons before pass over it")
            }
            Self::NowRead { since } => {
                write!(f, "this key is passed over before IoT Edge {since}: from then on what it says takes effect")
            }
            Self::NowAccepted { from } => write!(f, "IoT Edge {from} refuses this, the other version does not"),
            Self::StrayFile => f.write_str(
                "a daemon reads this file too, and what it says goes before config.toml: `iotedge config apply` neither \
                 writes nor removes it",
            ),
            Self::Missing { key, table } => write!(f, "`{key}` is missing in {table}"),
            Self::MissingOneOf { keys, table } => write!(f, "one of {keys} is missing in {table}"),
            Self::PassedOver { taken } => write!(f, "this key is passed over, because `{taken}` is there"),
            Self::NoIssuer { missing } => write!(f, "nothing is configured that could issue it: {missing} is missing"),
            Self::LongHostname { length } => {
                write!(f, "it has {length} characters; certificates hold host names of at most 64")
            }
            Self::SchemesDiffer => f.write_str(
                "[connect] and [listen] do not go together: unix: goes with unix: or fd:, http: with http: (without a \
                 table it is unix: and fd:)",
            ),
            Self::WrongType { wanted } | Self::OutOfRange { wanted } => write!(f, "the value has to be {wanted}"),
            Self::UnknownWord { words, nearest } => unknown_word(f, words, nearest),
            Self::BareKey => f.write_str(
                "the daemons take a table only: write symmetric_key = { value = \"…\" }, or { uri = \"file:///…\" }",
            ),
            Self::SameSetting { other } => write!(f, "this key is another name of `{other}`: keep one of them"),
            Self::ValueAndUri => {
                f.write_str("the daemons read `value`, and `uri` only where `value` is no base64: keep one of them")
            }
            Self::Placeholder => f.write_str("a placeholder stands here: put the device's own value in its place"),
            Self::NotAKey(problem) => write!(f, "this is no symmetric key: {problem}"),
            Self::BadValue(problem) => problem.fmt(f),
            Self::NotHttps => f.write_str("the endpoint has to begin with https://"),
            Self::UpperCaseId => f.write_str(
                "the registration id has upper-case letters: the service ignores letter case, a derived key does not",
            ),
            Self::BadUri { wanted } => write!(f, "the value has to be {wanted}"),
            Self::BadConnectionString => f.write_str(
                "this is no device's connection string: HostName=…;DeviceId=…;SharedAccessKey=… is needed, with a key \
                 in base64 and without spaces",
            ),
            Self::Pkcs11WithoutLibrary => {
                f.write_str("a pkcs11: URI needs the library of the token: pkcs11_lib_path in [aziot_keys] is missing")
            }
            Self::TimeoutTooShort { least, version } => {
                write!(f, "IoT Edge {version} refuses less than {least} s")
            }
            Self::DpsBehindParent => {
                f.write_str("the daemons do not use DPS behind a parent: provision manually, or remove the parent")
            }
            Self::ModeIgnored => f.write_str("the mode is passed over where the source is manual"),
            Self::NotHandled { source } => {
                write!(f, "the source `{source}` is known, but nothing here acts on it")
            }
            Self::IndentedSection => f.write_str("no blank may stand before `provisioning:`"),
            Self::Indentation => f.write_str("keys inside stand two blanks deeper than the key above"),
            Self::Base64InKeyFile => f.write_str(
                "the key file holds base64 text; the daemons take its bytes as they are: decode it (base64 -d)",
            ),
            Self::KeyFileLength { length } => {
                let more = if length > crate::files::KEY_FILE_MAX { "more than " } else { "" };
                let length = length.min(crate::files::KEY_FILE_MAX);
                write!(f, "the key file has {more}{length} bytes; a symmetric key has 16 to 64")
            }
            Self::KeyFileMode { mode } => {
                write!(f, "the key file can be read by others (mode {mode:04o}); chmod 600 makes it its owner's alone")
            }
            Self::KeyFileUnreadable => f.write_str("the key file cannot be read from here, so it was not looked at"),
            Self::FileUnreadable => f.write_str("the file cannot be read from here, so it was not looked at"),
            Self::NotACertificate => f.write_str("the file does not begin with a certificate in PEM"),
            Self::CertificateEnded { days } => write!(f, "the certificate's validity ended {days} days ago"),
            Self::CertificateNotYetValid => {
                f.write_str("the certificate is not valid yet: it is new, or this machine's clock is wrong")
            }
            Self::OldDefault => f.write_str(
                "always_reprovision_on_startup is not set: 1.1 then registers at every start, the importer makes it \
                 OnErrorOnly; set it to true before, or the mode to AlwaysOnStartup after, to keep what it does now",
            ),
            Self::NotConverted => f.write_str("no part of the provisioning, and not converted: carry it over by hand"),
            Self::HostnameDefault => f.write_str(
                "`hostname` is not set: IoT Edge 1.1 then uses localhost, later versions use the machine's name; set it \
                 to keep the name",
            ),
            Self::GivenAgain => f.write_str("this key is given again below, and the last one counts: remove one of them"),
            Self::IndentedFile => {
                f.write_str("every line is indented: IoT Edge 1.1 accepts this, but `provisioning:` belongs in column 1")
            }
            Self::RefusedBeside { other } => {
                write!(f, "this key is refused by IoT Edge 1.1 beside {other}: remove one of them")
            }
            Self::EscapeInPath => f.write_str(
                "a backslash in double quotes begins an escape, so that another path is read: write it twice, or use \
                 single quotes",
            ),
            Self::Ignored { when } => write!(f, "this key is ignored {when}"),
            Self::DefaultSource => f.write_str("no source is given: IoT Edge 1.1 uses `manual`"),
            Self::IncompleteCertificates => f.write_str(
                "IoT Edge 1.1 ignores `certificates` unless `device_ca_cert`, `device_ca_pk` and `trusted_ca_certs` \
                 are all given",
            ),
            Self::ByteOrderMark { .. } => f.write_str(
                "the file begins with a byte order mark, which IoT Edge 1.1 reads as a part of the first key, so that this \
                 key is lost: save the file as UTF-8 without a byte order mark",
            ),
            Self::OfToml1_1(what) => f.write_str(what),
            Self::RefusedBefore { version, what } => write!(f, "IoT Edge {version} and older refuse this: {what}"),
            Self::Generated => f.write_str(
                "this is a file that `iotedge config apply` writes anew for a daemon: edit /etc/aziot/config.toml instead",
            ),
            Self::KeyLength { length } => {
                write!(f, "the key has {length} bytes, which is unusual: the services make keys of 32 or 64 bytes")
            }
            Self::UnusualScope => {
                f.write_str("this is not shaped like an id scope, which is 0ne and eight letters and digits")
            }
            Self::RelativeUri => {
                f.write_str("the daemons read this path from the root on: write file:/// and the whole path")
            }
        }
    }
}

fn unknown_word(f: &mut fmt::Formatter<'_>, words: &[&str], nearest: Option<&str>) -> fmt::Result {
    f.write_str("one of ")?;
    for (index, word) in words.iter().enumerate() {
        write!(f, "{}\"{word}\"", if index == 0 { "" } else { ", " })?;
    }
    f.write_str(" is needed")?;
    match nearest {
        Some(nearest) => write!(f, "; did you mean \"{nearest}\"?"),
        None => Ok(()),
    }
}
