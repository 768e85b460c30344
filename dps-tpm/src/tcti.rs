//! How to reach a TPM: the strings that `tpm2-tss` and its tools call TCTI.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use thiserror::Error;

/// The port of swtpm unless another is named, as in `tpm2-tss`.
const SWTPM_PORT: u16 = 2321;
/// What the string can be.
const KNOWN: &str = "device, device:/dev/tpmrm0, swtpm:host=HOST,port=PORT or swtpm:path=SOCKET";

/// How to reach a TPM.
///
/// | string | TPM |
/// |---|---|
/// | `device` | `/dev/tpmrm0`, or `/dev/tpm0` where that does not exist |
/// | `device:FILE` | a device file |
/// | `swtpm:host=HOST,port=PORT` | swtpm, over TCP; default `localhost` and 2321 |
/// | `swtpm:path=FILE` | swtpm, over a Unix socket |
///
/// Libraries, such as `tabrmd` or `libtss2-tcti-*.so`, are not loaded.
///
/// ```
/// use dps_tpm::Tcti;
/// let tcti: Tcti = "device:/dev/tpmrm0".parse()?;
/// assert_eq!(tcti.to_string(), "device:/dev/tpmrm0");
/// assert!("tabrmd".parse::<Tcti>().is_err());
/// # Ok::<(), dps_tpm::TctiError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Tcti(pub(crate) Way);

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Way {
    DefaultDevice,
    Device(PathBuf),
    Tcp { host: String, port: u16 },
    Socket(PathBuf),
}

/// `device`.
impl Default for Tcti {
    fn default() -> Self {
        Self(Way::DefaultDevice)
    }
}

/// A TCTI string cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{0}")]
pub struct TctiError(String);

impl FromStr for Tcti {
    type Err = TctiError;

    fn from_str(text: &str) -> Result<Self, TctiError> {
        let (name, options) = match text.split_once(':') {
            Some((name, options)) => (name, Some(options)),
            None => (text, None),
        };
        match (name, options) {
            ("", _) => Err(TctiError(format!("the TCTI string has no name of a transport; use {KNOWN}"))),
            ("device", None) => Ok(Self(Way::DefaultDevice)),
            ("device", Some("")) => Err(TctiError("device: needs the path of a file, as in device:/dev/tpmrm0".into())),
            ("device", Some(path)) => Ok(Self(Way::Device(path.into()))),
            ("swtpm", options) => swtpm(options.unwrap_or_default()).map(Self),
            (name, _) => Err(TctiError(format!(
                "the transport {name:?} of the TCTI string is not built in, and no library is loaded; use {KNOWN}"
            ))),
        }
    }
}

fn swtpm(options: &str) -> Result<Way, TctiError> {
    let (mut host, mut port, mut path) = (None, None, None);
    for option in options.split(',').filter(|option| !option.is_empty()) {
        let (name, value) = option.split_once('=').unwrap_or((option, ""));
        let place = match name {
            "host" => &mut host,
            "port" => &mut port,
            "path" => &mut path,
            _ => {
                let words = format!("the option {name:?} of swtpm is not known; use host and port, or path");
                return Err(TctiError(words));
            }
        };
        if value.is_empty() || place.replace(value).is_some() {
            return Err(TctiError(format!("the option {name:?} of swtpm must have one value")));
        }
    }
    match (host, port, path) {
        (None, None, Some(path)) => Ok(Way::Socket(path.into())),
        (_, _, Some(_)) => Err(TctiError("swtpm has a host and a port, or a path, but not both".into())),
        (host, port, None) => {
            let port = match port.map_or(Ok(SWTPM_PORT), str::parse) {
                Ok(port) if port > 0 => port,
                _ => return Err(TctiError("the port of swtpm must be a number from 1 to 65535".into())),
            };
            Ok(Way::Tcp { host: host.unwrap_or("localhost").to_owned(), port })
        }
    }
}

/// The string, with its defaults written out.
impl fmt::Display for Tcti {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Way::DefaultDevice => f.write_str("device"),
            Way::Device(path) => write!(f, "device:{}", path.display()),
            Way::Tcp { host, port } => write!(f, "swtpm:host={host},port={port}"),
            Way::Socket(path) => write!(f, "swtpm:path={}", path.display()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_are_read_with_their_defaults() {
        for (text, shown) in [
            ("device", "device"),
            ("device:/dev/tpm0", "device:/dev/tpm0"),
            ("swtpm", "swtpm:host=localhost,port=2321"),
            ("swtpm:", "swtpm:host=localhost,port=2321"),
            ("swtpm:port=9", "swtpm:host=localhost,port=9"),
            ("swtpm:host=127.0.0.1,port=2322", "swtpm:host=127.0.0.1,port=2322"),
            ("swtpm:path=/run/swtpm.sock", "swtpm:path=/run/swtpm.sock"),
        ] {
            assert_eq!(text.parse::<Tcti>().unwrap().to_string(), shown, "{text}");
        }
        assert_eq!(Tcti::default().to_string(), "device");
    }

    #[test]
    fn invalid_strings_are_refused_with_the_reason() {
        for (text, reason) in [
            ("", "no name of a transport"),
            (":x", "no name of a transport"),
            ("tabrmd", "\"tabrmd\" of the TCTI string is not built in"),
            ("mssim:host=localhost", "not built in"),
            ("/usr/lib/libtss2-tcti-device.so", "not built in"),
            ("\u{1b}[2J", "\"\\u{1b}[2J\""),
            ("device:", "needs the path"),
            ("swtpm:port=0", "1 to 65535"),
            ("swtpm:port=65536", "1 to 65535"),
            ("swtpm:port=1,port=2", "one value"),
            ("swtpm:host=", "one value"),
            ("swtpm:socket=a", "\"socket\" of swtpm is not known"),
            ("swtpm:path=a,port=2", "not both"),
        ] {
            let error = text.parse::<Tcti>().unwrap_err().to_string();
            assert!(error.contains(reason), "{text}: {error}");
        }
    }
}
