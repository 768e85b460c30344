//! URIs in configurations: `file:` and `pkcs11:`. A `pkcs11:` URI may contain a PIN, so it is kept as a secret.

use std::fmt;
use std::path::{Path, PathBuf};

use dps_files::SecretString;
use percent_encoding::{AsciiSet, CONTROLS, percent_decode_str, utf8_percent_encode};
use url::Url;
#[cfg(feature = "pkcs11")]
use zeroize::Zeroizing;

use crate::problem::Problem;

/// What to write instead of an absolute path.
pub(crate) const FILE_BEFORE_PATH: &str = "a URI: write file:// before the path";

/// What a URI must refer to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Location {
    /// A certificate, which the certificate daemon reads from a file only.
    Certificate,
    /// A key, in a file or in a PKCS#11 token.
    Key,
    /// A slot of a PKCS#11 token.
    Token,
    /// Anything that has a URL.
    AnyUrl,
}

impl Location {
    /// Returns what is wrong with a URI, or `None` if the daemons can use it.
    ///
    /// They parse certificates and addresses as URLs, and keys and tokens by their scheme in lower case
    /// (Azure/iot-identity-service, `PreloadedKeyLocation` and the URI of the pkcs11 crate).
    pub(crate) fn check(self, text: &str) -> Option<Problem> {
        const KEY: &str = "a file: or pkcs11: URI, such as file:///var/secrets/device-id.key";
        const CERTIFICATE: &str = "the URI of a file, such as file:///var/secrets/device-id.pem";
        const PATH: &str = "a URI: write file:// before the path, as in file:///var/secrets/device-id.pem";
        const SMALL: &str = "a URI with its scheme in lower case: file: or pkcs11:";
        const URL: &str = "a URL with its scheme, such as https://… or unix:///…";
        let wanted = |wanted| Some(Problem::BadUri { wanted });
        if text.starts_with('/') && self != Self::Token {
            return wanted(PATH);
        }
        match self {
            Self::AnyUrl if Url::parse(text).is_err() => wanted(URL),
            Self::AnyUrl => None,
            Self::Token => bad_token(text).and_then(wanted),
            Self::Key if text.starts_with("pkcs11:") => bad_token(text).and_then(wanted),
            Self::Key if !text.starts_with("file:") => {
                let in_capitals = ["file:", "pkcs11:"].into_iter().any(|scheme| has_scheme(text, scheme));
                wanted(if in_capitals { SMALL } else { KEY })
            }
            Self::Key | Self::Certificate => match file_path(text) {
                None => wanted(if self == Self::Key { KEY } else { CERTIFICATE }),
                // The daemons start at the root directory.
                Some(_) if !text["file:".len()..].starts_with('/') => Some(Problem::RelativeUri),
                Some(_) => None,
            },
        }
    }
}

/// What a `pkcs11:` URI should be, if it is invalid: RFC 7512, with a token or a slot, which the key daemon requires.
fn bad_token(text: &str) -> Option<&'static str> {
    let Some(rest) = text.strip_prefix("pkcs11:") else {
        return Some("a pkcs11: URI, such as pkcs11:token=Gateway;object=device-id");
    };
    let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
    let (mut token, mut slot) = (false, false);
    for attribute in path.split(';').chain(query.split('&')) {
        let (name, value) = attribute.split_once('=').unwrap_or((attribute, ""));
        let Ok(value) = percent_decode_str(value).decode_utf8() else {
            return Some("a pkcs11: URI whose values are in UTF-8");
        };
        match name {
            "token" => token = true,
            "slot-id" if value.parse::<u64>().is_ok() => slot = true,
            "slot-id" => return Some("a pkcs11: URI whose slot-id is a number"),
            _ => {}
        }
    }
    (!token && !slot).then_some("a pkcs11: URI with token= or slot-id=, such as pkcs11:token=Gateway;object=device-id")
}

/// The URI of a key in a PKCS#11 token (RFC 7512).
#[derive(Clone, PartialEq, Eq)]
pub struct Pkcs11Uri(SecretString);

impl Pkcs11Uri {
    pub(crate) fn parse(text: &str) -> Option<Self> {
        text.starts_with("pkcs11:").then(|| Self(SecretString::from(text)))
    }

    /// The URI, which may contain a PIN. Named so that every use can be found.
    #[must_use]
    pub fn expose(&self) -> &str {
        self.0.expose()
    }
}

#[cfg(feature = "pkcs11")]
impl Pkcs11Uri {
    /// Whether both name the same token: by its label, or by its slot.
    pub(crate) fn is_same_token(&self, other: &Self) -> bool {
        let same = |name| self.attribute(name).is_some_and(|value| other.attribute(name) == Some(value));
        same("token") || same("slot-id")
    }

    fn attribute(&self, name: &str) -> Option<Zeroizing<String>> {
        let rest = self.expose().strip_prefix("pkcs11:")?;
        let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
        let mut attributes = path.split(';').chain(query.split('&')).filter_map(|attribute| attribute.split_once('='));
        let (_, value) = attributes.find(|(found, _)| *found == name)?;
        percent_decode_str(value).decode_utf8().ok().map(|value| Zeroizing::new(value.into_owned()))
    }
}

/// Shows the URI without its query, where a PIN is.
impl fmt::Display for Pkcs11Uri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.expose().split_once('?') {
            Some((path, _)) => write!(f, "{path}?(hidden)"),
            None => f.write_str(self.expose()),
        }
    }
}

impl fmt::Debug for Pkcs11Uri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The path of a `file:` URL as IoT Edge 1.1 reads it: without a query (the daemon's settings).
pub(crate) fn file_url_path(text: &str) -> Option<PathBuf> {
    let has_query = text.split('#').next().is_some_and(|text| text.contains('?'));
    file_path(text).filter(|_| !has_query)
}

/// What a path in a `file:` URI cannot contain literally (URL Standard, path percent-encode set), and also `%` and `\`.
const IN_PATHS: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'#')
    .add(b'<')
    .add(b'>')
    .add(b'?')
    .add(b'`')
    .add(b'{')
    .add(b'}')
    .add(b'%')
    .add(b'\\');

/// The URI of an absolute path.
pub(crate) fn file_uri(path: &str) -> String {
    format!("file://{}", utf8_percent_encode(path, IN_PATHS))
}

/// The path on this machine that a `file:` URI refers to.
pub(crate) fn file_path(text: &str) -> Option<PathBuf> {
    let url = Url::parse(text).ok().filter(|url| url.scheme() == "file" && url.host().is_none())?;
    let path = percent_decode_str(url.path()).decode_utf8().ok()?;
    (path.len() > 1 && !path.contains('\0')).then(|| Path::new(&*path).to_owned())
}

fn has_scheme(text: &str, scheme: &str) -> bool {
    text.get(..scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_uris_refer_to_absolute_paths() {
        for (uri, path) in [
            ("file:///var/secrets/device-id.key", Some("/var/secrets/device-id.key")),
            ("FILE:///a%20b", Some("/a b")),
            ("file:/a", Some("/a")),
            ("file://localhost/a", Some("/a")),
            ("file://", None),
            ("file:///", None),
            ("file://server/a", None),
            ("file:a", Some("/a")),
            ("file:///a b#c", Some("/a b")),
            ("file:///a%00b", None),
            ("/a", None),
            ("http://a/b", None),
        ] {
            assert_eq!(file_path(uri).as_deref(), path.map(Path::new), "{uri}");
        }
    }

    #[test]
    fn location_check_accepts_what_the_daemons_can_use() {
        use Location::{AnyUrl, Certificate, Key, Token};
        for (location, text) in [
            (Certificate, "file:///a.pem"),
            (Certificate, "FILE:///a.pem"),
            (Key, "file:///a%20b"),
            (Key, "pkcs11:token=t;object=k?pin-value=1"),
            (Key, "pkcs11:object=k;slot-id=7"),
            (Token, "pkcs11:slot-id=0"),
            (AnyUrl, "unix:///run/a.sock"),
            (AnyUrl, "fd://a"),
        ] {
            assert_eq!(location.check(text), None, "{text}");
        }
        for (location, text) in [
            (Certificate, "/a.pem"),
            (Certificate, "pkcs11:token=t;object=c"),
            (Certificate, "https://a.test/c"),
            (Certificate, "file://server/a.pem"),
            (Key, "/a.pem"),
            (Key, r"C:\a.pem"),
            (Key, "FILE:///a"),
            (Key, "PKCS11:token=t"),
            (Key, "pkcs11:object=k"),
            (Key, "pkcs11:object=k?token=%ff"),
            (Key, "pkcs11:slot-id=zero;token=t"),
            (Key, "pkcs11:slot-id=-1"),
            (Token, "file:///a"),
            (Token, "/a"),
            (AnyUrl, "/a"),
            (AnyUrl, "a"),
            (AnyUrl, "https://"),
        ] {
            assert!(matches!(location.check(text), Some(Problem::BadUri { .. })), "{text}");
        }
        assert_eq!(Key.check("file:device.key"), Some(Problem::RelativeUri));
    }

    #[test]
    fn file_urls_of_1_1_accept_fewer_slashes() {
        for (url, path) in [
            ("file:var/k", Some("/var/k")),
            ("file:/var/k", Some("/var/k")),
            ("file:///var/k", Some("/var/k")),
            ("FILE://localhost/a%20b", Some("/a b")),
            (" file:///a#b ", Some("/a")),
            ("file:", None),
            ("file://server/a", None),
            ("file:///a?b", None),
            ("/var/k", None),
            ("var/k", None),
            ("C:/k", None),
        ] {
            assert_eq!(file_url_path(url).as_deref(), path.map(Path::new), "{url}");
        }
    }

    #[test]
    fn uri_of_a_path_reads_as_the_path() {
        for path in ["/var/secrets/id.pem", "/a b/#1/100%/ü🔑", "/a?b", "/a%20b", "/a\\b", "/\"<>`{}"] {
            let uri = file_uri(path);
            assert_eq!(file_path(&uri).as_deref(), Some(Path::new(path)), "{uri}");
            assert!(uri.is_ascii() && !uri.contains([' ', '#', '?']), "{uri}");
        }
        assert_eq!(file_uri("/a b"), "file:///a%20b");
    }

    #[test]
    fn pin_is_not_shown() {
        let uri = Pkcs11Uri::parse("pkcs11:token=t;object=k?pin-value=1234").unwrap();
        assert_eq!(format!("{uri} {uri:?}"), "pkcs11:token=t;object=k?(hidden) pkcs11:token=t;object=k?(hidden)");
        assert!(uri.expose().ends_with("1234"));
        assert!(Pkcs11Uri::parse("file:///a").is_none());
    }

    #[cfg(feature = "pkcs11")]
    #[test]
    fn tokens_are_the_same_under_their_label_or_slot() {
        let uri = |text| Pkcs11Uri::parse(text).unwrap();
        let slot = uri("pkcs11:token=Key%20store?pin-value=1234");
        assert!(slot.is_same_token(&uri("pkcs11:object=k;token=Key store")));
        assert!(!slot.is_same_token(&uri("pkcs11:token=Key%20store2;object=k")));
        let slot = uri("pkcs11:slot-id=0");
        assert!(slot.is_same_token(&uri("pkcs11:slot-id=0;object=k")) && !slot.is_same_token(&uri("pkcs11:object=k")));
    }
}
