//! What can be wrong in a file: the rules, their ids and severities.

use dps_core::{ConfigError, KeyProblem};

use crate::version::{EdgeVersion, Format};

/// How serious a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Information.
    Note,
    /// It works, but probably not as intended.
    Warning,
    /// The daemons refuse it, or it cannot work.
    Error,
}

impl Severity {
    /// The name that is printed.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Note => "note",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}

/// What can be wrong. [`Display`](std::fmt::Display) describes it, and what to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Problem {
    /// The text is not valid TOML or YAML.
    Syntax(&'static str),
    /// The file seems to have the other format.
    LooksLike(Format),
    /// The version reads the other format.
    OtherFormat(EdgeVersion),
    /// The version no longer gets fixes.
    OutOfService {
        /// The version.
        version: EdgeVersion,
        /// The day from which it gets none.
        since: &'static str,
    },
    /// A value of the right type that the daemons refuse nevertheless.
    OutOfRange {
        /// What is valid, as in "a number of days from 1 on".
        wanted: &'static str,
    },
    /// A string without quotes in TOML.
    Unquoted,
    /// An unknown key.
    UnknownKey,
    /// A key that resembles one that is valid here.
    Misspelt {
        /// The key that was probably meant.
        nearest: &'static str,
    },
    /// A key that belongs to another table.
    Misplaced {
        /// Where it belongs.
        belongs: &'static str,
    },
    /// A key of the other generation.
    OtherGeneration {
        /// The format that has it.
        of: Format,
        /// What replaces it here.
        here: &'static str,
    },
    /// A key that the version does not know yet.
    TooNew {
        /// The first version that knows it.
        since: EdgeVersion,
    },
    /// A key that takes effect after an upgrade.
    NowRead {
        /// The first version that knows it.
        since: EdgeVersion,
    },
    /// Something that the version before an upgrade refuses.
    NowAccepted {
        /// That version.
        from: EdgeVersion,
    },
    /// A file that daemons read besides those that `iotedge config apply` writes.
    StrayFile,
    /// A required key is missing.
    Missing {
        /// The key.
        key: &'static str,
        /// Where it belongs.
        table: &'static str,
    },
    /// One of several keys is required, and all are missing.
    MissingOneOf {
        /// The keys.
        keys: &'static str,
        /// Where they belong.
        table: &'static str,
    },
    /// A certificate is to be issued by something that is not configured.
    NoIssuer {
        /// What is missing.
        missing: &'static str,
    },
    /// A host name that is too long for a certificate.
    LongHostname {
        /// Its length in characters.
        length: usize,
    },
    /// Modules connect to the daemon by another scheme than it listens on.
    SchemesDiffer,
    /// A value of a wrong type.
    WrongType {
        /// What is valid, as in "a quoted string".
        wanted: &'static str,
    },
    /// An unknown word where one of a few is required.
    UnknownWord {
        /// The valid words.
        words: &'static [&'static str],
        /// The one that was probably meant, if one is similar.
        nearest: Option<&'static str>,
    },
    /// `symmetric_key = "…"`, which the daemons do not read.
    BareKey,
    /// Two names of one setting, both present.
    SameSetting {
        /// The first name.
        other: &'static str,
    },
    /// Both `value` and `uri`.
    ValueAndUri,
    /// A placeholder of the documentation or of a template in place of a value.
    Placeholder,
    /// Not a symmetric key.
    NotAKey(KeyProblem),
    /// An invalid id, scope or endpoint.
    BadValue(ConfigError),
    /// An endpoint without `https://`.
    NotHttps,
    /// A registration id with upper-case letters.
    UpperCaseId,
    /// Not a URI of a kind that is valid here.
    BadUri {
        /// The valid kinds.
        wanted: &'static str,
    },
    /// A connection string that lacks a part.
    BadConnectionString,
    /// A `pkcs11:` key without a configured library.
    Pkcs11WithoutLibrary,
    /// A timeout that the daemons of the version refuse.
    TimeoutTooShort {
        /// The shortest valid timeout, in seconds.
        least: u64,
        /// The version.
        version: EdgeVersion,
    },
    /// DPS behind a parent, where the daemons do not use it.
    DpsBehindParent,
    /// A reprovisioning mode for a manually provisioned device.
    ModeIgnored,
    /// A source that this crate knows but does not support.
    NotHandled {
        /// The source.
        source: &'static str,
    },
    /// Spaces before `provisioning:`.
    IndentedSection,
    /// Not indented by two more spaces than the key above.
    Indentation,
    /// Base64 text in a key file, which must contain raw bytes.
    Base64InKeyFile,
    /// A key file of an invalid length.
    KeyFileLength {
        /// Its length in bytes; if it is longer than the most that is read, one more than that.
        length: usize,
    },
    /// A key file that others can read.
    KeyFileMode {
        /// Its permissions.
        mode: u32,
    },
    /// A key file that this process cannot read.
    KeyFileUnreadable,
    /// A certificate file that this process cannot read.
    FileUnreadable,
    /// A file that does not start with a certificate in PEM.
    NotACertificate,
    /// An expired certificate.
    CertificateEnded {
        /// For how many whole days it has been expired.
        days: i64,
    },
    /// A certificate that is not valid yet, or a wrong clock.
    CertificateNotYetValid,
    /// A flag whose default the conversion changes.
    OldDefault,
    /// A part of the file that the conversion leaves out.
    NotConverted,
    /// A configuration without `hostname`, whose default the conversion changes.
    HostnameDefault,
    /// YAML: a key that is repeated further down.
    GivenAgain,
    /// YAML: every line is indented.
    IndentedFile,
    /// A byte order mark at the start of `config.yaml`.
    ByteOrderMark {
        /// Whether 1.1 refuses the file, or only ignores its first key.
        refused: bool,
    },
    /// TOML 1.1, in a file for a version that reads TOML 1.0.
    OfToml1_1(&'static str),
    /// Something that the newest version accepts and the one before it refuses.
    RefusedBefore {
        /// The newest version that refuses it.
        version: EdgeVersion,
        /// What it refuses: the text or id of a rule.
        what: &'static str,
    },
    /// A file that `iotedge config apply` wrote for a daemon.
    Generated,
    /// A symmetric key of a length that enrollments do not allow.
    KeyLength {
        /// Its length in bytes.
        length: usize,
    },
    /// An id scope of an unusual form.
    UnusualScope,
    /// A path after `file:` that does not start with `/`.
    RelativeUri,
    /// YAML: two keys of which 1.1 accepts only one.
    RefusedBeside {
        /// The other, as in "a connection string".
        other: &'static str,
    },
    /// A Windows path in double quotes that contains an escape.
    EscapeInPath,
    /// A key that the daemons ignore.
    Ignored {
        /// In which case, as in "if the source is dps".
        when: &'static str,
    },
    /// YAML: no source, but a connection string or `authentication`.
    DefaultSource,
    /// YAML: `certificates` without one of its three files.
    IncompleteCertificates,
}

impl Problem {
    pub(crate) const fn severity(&self) -> Severity {
        self.entry().1
    }

    /// The rule's id and severity.
    pub(crate) const fn entry(&self) -> (&'static str, Severity) {
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
            Self::KeyFileUnreadable => ("key-file-unreadable", Note),
            Self::FileUnreadable => ("file-unreadable", Note),
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

    /// Whether it is about the key at its place: not about the whole text, the version, or something missing.
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
