//! What can be wrong in a file, by what name, and how bad it is.

use dps_core::{ConfigError, KeyProblem};

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

/// What can be wrong. [`Display`](std::fmt::Display) says it, and what to do.
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
    /// An unknown word where one of a few is required.
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
    /// Spaces before `provisioning:`.
    IndentedSection,
    /// Not indented by two more spaces than the key above.
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
