//! The text of each problem: what is wrong, and what to do about it.

use std::fmt;

use crate::problem::Problem;

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Syntax(what) => f.write_str(what),
            Self::LooksLike(format) => {
                write!(f, "this looks like a {}: rename the file, or start from the right template", format.file_name())
            }
            Self::OtherFormat(version) => {
                write!(f, "IoT Edge {version} reads {}, not this file", version.format().file_name())
            }
            Self::OutOfService { version, since } => {
                write!(f, "IoT Edge {version} is out of service since {since} and no longer gets fixes")
            }
            Self::Unquoted => f.write_str("TOML requires quotes around strings: write \"…\" around the value"),
            Self::UnknownKey => f.write_str("unknown key; the daemons ignore it"),
            Self::Misspelt { nearest } => write!(f, "unknown key; did you mean `{nearest}`?"),
            Self::Misplaced { belongs } => write!(f, "this key belongs to {belongs}"),
            Self::OtherGeneration { of, here } => {
                write!(f, "this is a key of {}; here it is {here}", of.file_name())
            }
            Self::TooNew { since } => {
                write!(f, "this key is read since IoT Edge {since}; earlier daemons ignore it")
            }
            Self::NowRead { since } => {
                write!(f, "this key is ignored before IoT Edge {since}, and takes effect from that version on")
            }
            Self::NowAccepted { from } => write!(f, "IoT Edge {from} refuses this, the other version accepts it"),
            Self::StrayFile => f.write_str(
                "a daemon reads this file too, and what it says goes before config.toml: `iotedge config apply` neither \
                 writes nor removes it",
            ),
            Self::Missing { key, table } => write!(f, "`{key}` is missing in {table}"),
            Self::MissingOneOf { keys, table } => write!(f, "one of {keys} is missing in {table}"),
            Self::NoIssuer { missing } => write!(f, "no issuer is configured for this certificate: {missing} is missing"),
            Self::LongHostname { length } => {
                write!(f, "the host name has {length} characters; certificates can contain at most 64")
            }
            Self::SchemesDiffer => f.write_str(
                "[connect] and [listen] do not go together: unix: goes with unix: or fd:, http: with http: (without a \
                 table it is unix: and fd:)",
            ),
            Self::WrongType { wanted } | Self::OutOfRange { wanted } => write!(f, "the value must be {wanted}"),
            Self::UnknownWord { words, nearest } => unknown_word(f, words, nearest),
            Self::BareKey => f.write_str(
                "the daemons accept only a table: write symmetric_key = { value = \"…\" }, or { uri = \"file:///…\" }",
            ),
            Self::SameSetting { other } => write!(f, "this key is another name of `{other}`: keep one of them"),
            Self::ValueAndUri => {
                f.write_str("the daemons read `value`, and `uri` only if `value` is not base64: keep one of them")
            }
            Self::Placeholder => f.write_str("this is a placeholder: replace it with the device's own value"),
            Self::NotAKey(problem) => write!(f, "this is not a symmetric key: {problem}"),
            Self::BadValue(problem) => problem.fmt(f),
            Self::NotHttps => f.write_str("the endpoint must start with https://"),
            Self::UpperCaseId => f.write_str(
                "the registration id has upper-case letters: the service ignores letter case, a derived key depends on it",
            ),
            Self::BadUri { wanted } => write!(f, "the value must be {wanted}"),
            Self::BadConnectionString => f.write_str(
                "this is not a device's connection string: HostName=…;DeviceId=…;SharedAccessKey=… is needed, with a key \
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
            Self::ModeIgnored => f.write_str("the mode is ignored if the source is manual"),
            Self::NotHandled { source } => {
                write!(f, "the source `{source}` is valid, but not supported here")
            }
            Self::IndentedSection => f.write_str("`provisioning:` must not be indented"),
            Self::Indentation => f.write_str("keys inside a section must be indented by two more spaces than the key above"),
            Self::Base64InKeyFile => f.write_str(
                "the key file contains base64 text; the daemons use its bytes as they are: decode it (base64 -d)",
            ),
            Self::KeyFileLength { length } => {
                let more = if length > crate::files::KEY_FILE_MAX { "more than " } else { "" };
                let length = length.min(crate::files::KEY_FILE_MAX);
                write!(f, "the key file has {more}{length} bytes; a symmetric key has 16 to 64")
            }
            Self::KeyFileMode { mode } => {
                write!(f, "the key file can be read by others (mode {mode:04o}); restrict it to its owner (chmod 600)")
            }
            Self::KeyFileUnreadable => f.write_str("the key file cannot be read from here, so it was not checked"),
            Self::FileUnreadable => f.write_str("the file cannot be read from here, so it was not checked"),
            Self::NotACertificate => f.write_str("the file does not start with a certificate in PEM"),
            Self::CertificateEnded { days } => write!(f, "the certificate expired {days} days ago"),
            Self::CertificateNotYetValid => {
                f.write_str("the certificate is not valid yet: it is new, or this machine's clock is wrong")
            }
            Self::OldDefault => f.write_str(
                "always_reprovision_on_startup is not set: 1.1 then registers at every start, the importer makes it \
                 OnErrorOnly; set it to true before, or the mode to AlwaysOnStartup after, to keep what it does now",
            ),
            Self::NotConverted => f.write_str("not part of the provisioning, and not converted: migrate it by hand"),
            Self::HostnameDefault => f.write_str(
                "`hostname` is not set: IoT Edge 1.1 then uses localhost, later versions use the machine's name; set it \
                 to keep the name",
            ),
            Self::GivenAgain => f.write_str("this key is repeated below, and the last one is used: remove one of them"),
            Self::IndentedFile => {
                f.write_str("every line is indented: IoT Edge 1.1 accepts this, but `provisioning:` should start in column 1")
            }
            Self::RefusedBeside { other } => {
                write!(f, "this key is refused by IoT Edge 1.1 beside {other}: remove one of them")
            }
            Self::EscapeInPath => f.write_str(
                "a backslash in double quotes begins an escape, so that another path is read: write it twice, or use \
                 single quotes",
            ),
            Self::Ignored { when } => write!(f, "this key is ignored {when}"),
            Self::DefaultSource => f.write_str("the source is missing: IoT Edge 1.1 uses `manual`"),
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
                "this is a file that `iotedge config apply` generates for a daemon: edit /etc/aziot/config.toml instead",
            ),
            Self::KeyLength { length } => {
                write!(f, "the key has {length} bytes, which is unusual: the services generate keys of 32 or 64 bytes")
            }
            Self::UnusualScope => {
                f.write_str("this does not have the form of an id scope, which is 0ne and eight letters and digits")
            }
            Self::RelativeUri => {
                f.write_str("the daemons read this path from the root directory: write file:/// and the absolute path")
            }
        }
    }
}

fn unknown_word(f: &mut fmt::Formatter<'_>, words: &[&str], nearest: Option<&str>) -> fmt::Result {
    f.write_str("one of ")?;
    for (index, word) in words.iter().enumerate() {
        write!(f, "{}\"{word}\"", if index == 0 { "" } else { ", " })?;
    }
    f.write_str(" is required")?;
    match nearest {
        Some(nearest) => write!(f, "; did you mean \"{nearest}\"?"),
        None => Ok(()),
    }
}
