//! The key that a command signs with: a device's own, or one derived from a group's key; and SAS tokens signed with it.
//!
//! Options take precedence over the environment. Two keys are an error, never a guess.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use clap::Args;
use dps_client::{GroupKey, ProvisioningClientBuilder, SymmetricKey};
use dps_core::credentials::{Resource, SasToken, derive_device_key};
use dps_core::{ErrorCode, Key, RegistrationId, Signature, TooSmall, UnixSeconds};
use dps_files::SecretString;
use zeroize::Zeroizing;

use crate::failure::{Failure, Result};
use crate::files::{invalid_in, is_stdin, read_secret};

/// The environment variable with a device's key in base64.
const DEVICE_VARIABLE: &str = "DPS_KEY";
/// The environment variable with a group's key in base64.
const GROUP_VARIABLE: &str = "DPS_GROUP_KEY";

/// Where the key is: one of the two files, or one of the environment variables DPS_KEY and DPS_GROUP_KEY. Only one option of
/// each group can be set: a key excludes a certificate, and a key in a token.
#[derive(Debug, Args)]
#[command(next_help_heading = "Identity")]
pub(crate) struct KeyArgs {
    /// A file with the device's key in base64 (- for stdin; or set DPS_KEY to the key)
    #[arg(long, value_name = "FILE|-", groups = ["credential", "key"])]
    pub(crate) key_file: Option<PathBuf>,
    /// A file with the key of the enrollment group in base64, from which the device's key is derived (- for stdin; or
    /// set DPS_GROUP_KEY to the key)
    #[arg(long, value_name = "FILE|-", groups = ["credential", "key"])]
    pub(crate) group_key_file: Option<PathBuf>,
}

impl KeyArgs {
    pub(crate) fn stdin_inputs(&self) -> usize {
        [&self.key_file, &self.group_key_file].into_iter().flatten().filter(|path| is_stdin(path)).count()
    }
}

/// Where a key is, determined before anything is read.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum KeySource {
    File(PathBuf),
    Variable(&'static str),
}

/// A valid key and its base64 text.
pub(crate) struct KeyText {
    text: SecretString,
    key: SymmetricKey,
}

/// A key of a device or of a group.
pub(crate) enum DeviceOrGroup {
    Device(KeyText),
    Group(KeyText),
}

/// Which key a command uses, and where it is.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum KeyChoice {
    Device(KeySource),
    Group(KeySource),
}

/// Reads a secret from a file; the second argument names it in messages.
type Reader = fn(&Path, &str) -> Result<SecretString>;

impl KeyChoice {
    /// Returns the choice that `args` or the environment makes.
    pub(crate) fn from_args(args: &KeyArgs) -> Result<Self> {
        choose(
            args.key_file.as_deref(),
            args.group_key_file.as_deref(),
            is_set(DEVICE_VARIABLE),
            is_set(GROUP_VARIABLE),
        )
    }

    /// Reads the key with `reader`.
    pub(crate) fn read_with(&self, reader: Reader) -> Result<DeviceOrGroup> {
        Ok(match self {
            Self::Device(source) => DeviceOrGroup::Device(source.read("the device's key", reader)?),
            Self::Group(source) => DeviceOrGroup::Group(source.read("the group's key", reader)?),
        })
    }

    /// Where the key is.
    pub(crate) fn source(&self) -> &KeySource {
        match self {
            Self::Device(source) | Self::Group(source) => source,
        }
    }
}

impl DeviceOrGroup {
    /// Reads the key that `args` or the environment names.
    pub(crate) fn read(args: &KeyArgs) -> Result<Self> {
        KeyChoice::from_args(args)?.read_with(read_secret)
    }

    /// Sets the key of a client.
    pub(crate) fn apply_to(&self, builder: ProvisioningClientBuilder) -> Result<ProvisioningClientBuilder> {
        Ok(match self {
            Self::Device(key) => builder.symmetric_key(key.key.clone()),
            Self::Group(key) => builder.group_key(GroupKey::from_base64(key.expose())?),
        })
    }

    /// Returns the device's own key.
    pub(crate) fn device_key(&self, registration_id: RegistrationId<'_>) -> Result<Key> {
        match self {
            Self::Device(key) => Ok(Key::from_bytes(key.key.as_ref().expose())?),
            Self::Group(key) => Ok(derive_device_key(key.key.as_ref(), registration_id)),
        }
    }

    /// Returns what the device's own key would be if a device's key had been given as a group's, or the other way
    /// round.
    pub(crate) fn mistaken_key(&self, registration_id: RegistrationId<'_>) -> Result<Key> {
        match self {
            Self::Device(key) => Ok(derive_device_key(key.key.as_ref(), registration_id)),
            Self::Group(key) => Ok(Key::from_bytes(key.key.as_ref().expose())?),
        }
    }

    /// Returns the length in bytes of the given key.
    pub(crate) fn length(&self) -> usize {
        match self {
            Self::Device(key) | Self::Group(key) => key.key.as_ref().length(),
        }
    }
}

/// Reads the key of an enrollment group, to derive keys from.
pub(crate) fn read_group_key(file: Option<&Path>) -> Result<GroupKey> {
    let source = match file {
        Some(path) => KeySource::File(path.to_owned()),
        None if is_set(GROUP_VARIABLE) => KeySource::Variable(GROUP_VARIABLE),
        None => {
            return Err(Failure::usage(
                "the key of an enrollment group is missing: set --group-key-file FILE, or DPS_GROUP_KEY",
            ));
        }
    };
    Ok(GroupKey::from_base64(source.read("the group's key", read_secret)?.expose())?)
}

/// Reads any symmetric key from a file.
pub(crate) fn read_key_file(path: &Path, what: &str) -> Result<KeyText> {
    KeySource::File(path.to_owned()).read(what, read_secret)
}

impl KeyText {
    /// Returns the base64 text as it was given.
    pub(crate) fn expose(&self) -> &str {
        self.text.expose()
    }
}

impl fmt::Display for KeySource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) if is_stdin(path) => f.write_str("stdin"),
            Self::File(path) => path.display().fmt(f),
            Self::Variable(name) => f.write_str(name),
        }
    }
}

impl KeySource {
    fn read(&self, what: &str, reader: Reader) -> Result<KeyText> {
        match self {
            Self::File(path) => {
                let text = reader(path, what)?;
                let key = SymmetricKey::from_base64(text.expose()).map_err(invalid_in(path))?;
                Ok(KeyText { text, key })
            }
            Self::Variable(name) => {
                let text =
                    Zeroizing::new(std::env::var(name).map_err(|_| {
                        Failure::new(ErrorCode::InvalidKey, format!("{name} does not contain valid text"))
                    })?);
                let text = Zeroizing::new(text.trim_ascii().to_owned());
                let key = SymmetricKey::from_base64(&text).map_err(|error| Failure::from(error).in_source(name))?;
                Ok(KeyText { text: text.into(), key })
            }
        }
    }
}

fn choose(device: Option<&Path>, group: Option<&Path>, device_set: bool, group_set: bool) -> Result<KeyChoice> {
    match (device, group) {
        (Some(path), None) => Ok(KeyChoice::Device(KeySource::File(path.to_owned()))),
        (None, Some(path)) => Ok(KeyChoice::Group(KeySource::File(path.to_owned()))),
        (Some(_), Some(_)) => Err(Failure::usage("use --key-file or --group-key-file, not both")),
        (None, None) => match (device_set, group_set) {
            (true, false) => Ok(KeyChoice::Device(KeySource::Variable(DEVICE_VARIABLE))),
            (false, true) => Ok(KeyChoice::Group(KeySource::Variable(GROUP_VARIABLE))),
            (true, true) => Err(Failure::usage("DPS_KEY and DPS_GROUP_KEY are both set: set only one of them")),
            (false, false) => Err(Failure::usage(
                "a key is missing: use --key-file FILE with the device's key, or --group-key-file FILE with the group's \
                 (- for stdin), or set DPS_KEY or DPS_GROUP_KEY; for a device with a certificate --cert-file, \
                 for a key in a token --pkcs11-uri, for a device with a TPM --tpm",
            )),
        },
    }
}

/// Whether the variable is set and not empty.
pub(crate) fn is_set(name: &str) -> bool {
    std::env::var_os(name).is_some_and(|value| !value.is_empty())
}

/// A SAS token and its expiry.
pub(crate) struct Token {
    pub(crate) text: Zeroizing<String>,
    pub(crate) expiry: UnixSeconds,
}

/// Signs a token for `resource` with `sign`; it is valid for `life` from now on, at least a second.
pub(crate) fn sas_token(
    resource: Resource<'_>,
    sign: impl FnOnce(&[u8]) -> Result<Signature>,
    life: Duration,
) -> Result<Token> {
    let expiry = UnixSeconds::new(unix_now()?).plus(life.as_secs().max(1));
    let mut buffer = Zeroizing::new(vec![0; resource.token_max()]);
    let internal = |error: TooSmall| Failure::internal(error.to_string());
    let unsigned = SasToken::prepare(&resource, expiry, &mut buffer).map_err(internal)?;
    let signature = sign(unsigned.to_sign())?;
    let text = Zeroizing::new(unsigned.finish(&signature).as_str().to_owned());
    Ok(Token { text, expiry })
}

fn unix_now() -> Result<u64> {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    let unset = |_| Failure::new(ErrorCode::ClockNeeded, "the clock of this machine is before 1970; set it");
    since.map(|since| since.as_secs()).map_err(unset)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn key_options_take_precedence_over_the_environment_and_two_keys_are_refused() {
        let file = Path::new("key");
        let from_file = || KeySource::File(file.to_owned());
        assert_eq!(choose(Some(file), None, true, true).unwrap(), KeyChoice::Device(from_file()));
        assert_eq!(choose(None, Some(file), true, false).unwrap(), KeyChoice::Group(from_file()));
        let variable = KeyChoice::Device(KeySource::Variable("DPS_KEY"));
        assert_eq!(choose(None, None, true, false).unwrap(), variable);
        assert!(choose(None, None, true, true).is_err());
        assert!(choose(None, None, false, false).is_err());
    }
}
