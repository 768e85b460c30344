//! URIs as configurations hold them: `file:` and `pkcs11:`. A `pkcs11:` URI may hold a PIN, so it is kept as a secret.

use std::fmt;
use std::path::{Path, PathBuf};

use percent_encoding::percent_decode_str;

use crate::secret::Secret;

/// The URI of a key in a PKCS#11 token (RFC 7512).
#[derive(Clone, PartialEq, Eq)]
pub struct Pkcs11Uri(Secret);

impl Pkcs11Uri {
    pub(crate) fn parse(text: &str) -> Option<Self> {
        has_scheme(text, "pkcs11:").then(|| Self(Secret::new(text)))
    }

    /// The URI, which may hold a PIN. Named so that every use can be found.
    #[must_use]
    pub fn expose(&self) -> &str {
        self.0.expose()
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

/// The absolute path that a `file:` URI names on this machine.
pub(crate) fn file_path(text: &str) -> Option<PathBuf> {
    if !has_scheme(text, "file:") {
        return None;
    }
    let rest = &text["file:".len()..];
    let path = match rest.strip_prefix("//") {
        Some(rest) => rest.strip_prefix("localhost").unwrap_or(rest),
        None => rest,
    };
    let path = percent_decode_str(path).decode_utf8().ok()?;
    (path.starts_with('/') && path.len() > 1 && !path.contains('\0')).then(|| Path::new(&*path).to_owned())
}

fn has_scheme(text: &str, scheme: &str) -> bool {
    text.get(..scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_uris_name_absolute_paths() {
        for (uri, path) in [
            ("file:///var/secrets/device-id.key", Some("/var/secrets/device-id.key")),
            ("FILE:///a%20b", Some("/a b")),
            ("file:/a", Some("/a")),
            ("file://localhost/a", Some("/a")),
            ("file://", None),
            ("file:///", None),
            ("file://server/a", None),
            ("file:a", None),
            ("file:///a%00b", None),
            ("/a", None),
            ("http://a/b", None),
        ] {
            assert_eq!(file_path(uri).as_deref(), path.map(Path::new), "{uri}");
        }
    }

    #[test]
    fn a_pin_is_not_shown() {
        let uri = Pkcs11Uri::parse("pkcs11:token=t;object=k?pin-value=1234").unwrap();
        assert_eq!(format!("{uri} {uri:?}"), "pkcs11:token=t;object=k?(hidden) pkcs11:token=t;object=k?(hidden)");
        assert!(uri.expose().ends_with("1234"));
        assert!(Pkcs11Uri::parse("file:///a").is_none());
    }
}
