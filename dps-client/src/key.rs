//! Where a symmetric key comes from: text, a file, or a group's key.
//!
//! A key is read once and checked before any network I/O. What is wrong with it is said without repeating any of it.

use std::fmt;
use std::io;
use std::path::Path;
use std::sync::Arc;

use dps_core::credentials::derive_device_key;
use dps_core::{ConfigError, ErrorCode, Key, KeyEvidence};
use dps_files::SecretString;
use zeroize::Zeroizing;

use crate::deriver::GroupDeriver;
use crate::error::DpsError;

/// No key file is longer, in bytes.
const FILE_MAX: u64 = 4096;

/// A device's own key: an individual enrollment's, or one derived from a group's.
///
/// A clone shares the key in memory, which is wiped when the last of them is dropped. To and from [`dps_core::Key`]: `From`
/// takes ownership of one, `AsRef` lends it.
#[derive(Clone)]
pub struct SymmetricKey(pub(crate) Arc<Key>);

impl SymmetricKey {
    /// Reads base64 of 16 to 64 bytes; padding is optional, blanks around it do no harm.
    ///
    /// # Errors
    /// [`ConfigError::Key`], which names PEM, connection strings and hex where they are given instead.
    pub fn from_base64(text: &str) -> Result<Self, ConfigError> {
        on_heap(|| Key::from_base64(text.trim())).map(Self)
    }

    /// Takes 16 to 64 raw bytes, as IoT Edge keeps keys in files.
    ///
    /// # Errors
    /// [`ConfigError::Key`] for any other length.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, ConfigError> {
        on_heap(|| Key::from_bytes(bytes)).map(Self)
    }

    /// Reads a file of base64 text; a line break after it does no harm. Of a FIFO, what was written into it within 30 s.
    ///
    /// # Errors
    /// [`DpsError`] with the file's name when it cannot be read, is longer than 4 KiB, or holds no key.
    pub fn from_file(path: impl AsRef<Path>) -> Result<Self, DpsError> {
        read_key(path.as_ref()).map(Self)
    }

    /// The key as base64.
    #[must_use]
    pub fn to_base64(&self) -> SecretString {
        to_base64(&self.0)
    }
}

/// An enrollment group's key, which makes every device key of the group.
///
/// For factories and tests. On a device, it makes everyone who takes that device apart able to be any device of the group: derive
/// the device's key elsewhere and give the device only that.
///
/// A clone shares the key in memory, which is wiped when the last of them is dropped. To and from [`dps_core::Key`]: `From`
/// takes ownership of one, `AsRef` lends it.
#[derive(Clone)]
pub struct GroupKey(Arc<Key>);

impl GroupKey {
    /// Reads base64 of 16 to 64 bytes; padding is optional, blanks around it do no harm.
    ///
    /// # Errors
    /// As [`SymmetricKey::from_base64`].
    pub fn from_base64(text: &str) -> Result<Self, ConfigError> {
        on_heap(|| Key::from_base64(text.trim())).map(Self)
    }

    /// Reads a file of base64 text; a line break after it does no harm.
    ///
    /// # Errors
    /// As [`SymmetricKey::from_file`].
    pub fn from_file(path: impl AsRef<Path>) -> Result<Self, DpsError> {
        read_key(path.as_ref()).map(Self)
    }

    /// The key of one device: base64(HMAC-SHA256(group key, registration id)) (Azure IoT DPS documentation, "Symmetric
    /// key attestation"). The id is used exactly as it is spelled.
    ///
    /// ```
    /// let group = dps_client::GroupKey::from_base64(
    ///     "8isrFI1sGsIlvvFSSFRiMfCNzv21fjbE/+ah/lSh3lF8e2YG1Te7w1KpZhJFFXJrqYKi9yegxkqIChbqOS9Egw==",
    /// )?;
    /// let id: dps_client::RegistrationId = "sn-007-888-abc-mac-a1-b2-c3-d4-e5-f6".parse()?;
    /// let device = group.derive(&id);
    /// assert_eq!(device.to_base64().expose(), "Jsm0lyGpjaVYVP2g3FnmnmG9dI/9qU24wNoykUmermc=");
    /// # Ok::<(), dps_client::ConfigError>(())
    /// ```
    #[must_use]
    pub fn derive<'a>(&self, registration_id: impl Into<dps_core::RegistrationId<'a>>) -> SymmetricKey {
        let registration_id = registration_id.into();
        SymmetricKey(on_wiped_stack(|| Arc::new(derive_device_key(&self.0, registration_id))))
    }

    /// This key, prepared for deriving the keys of many devices.
    #[must_use]
    pub fn deriver(&self) -> GroupDeriver {
        on_wiped_stack(|| GroupDeriver::new(&self.0))
    }

    /// What may be said of a key that was derived from this one.
    pub(crate) fn evidence(&self) -> KeyEvidence {
        KeyEvidence { length: Some(self.0.length()), derived_here: true }
    }
}

/// Conversions from and to the core's key, alike for both.
macro_rules! key_conversions {
    ($($name:ident)+) => { $(
        /// Moves the key to the heap, where it stays. The caller's stack may keep a copy of what was moved from it.
        impl From<Key> for $name {
            fn from(key: Key) -> Self {
                Self(on_wiped_stack(|| Arc::new(key)))
            }
        }

        impl AsRef<Key> for $name {
            fn as_ref(&self) -> &Key {
                &self.0
            }
        }
    )+ };
}

key_conversions! { SymmetricKey GroupKey }

impl fmt::Debug for SymmetricKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SymmetricKey({} bytes)", self.0.length())
    }
}

impl fmt::Debug for GroupKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "GroupKey({} bytes)", self.0.length())
    }
}

/// Makes a key and puts it on the heap, where it is not moved any more.
fn on_heap<E>(make: impl FnOnce() -> Result<Key, E>) -> Result<Arc<Key>, E> {
    on_wiped_stack(|| make().map(Arc::new))
}

/// Runs `work`, then wipes the part of the stack that it used, up to 8 KiB. What `work` returns is not wiped.
///
/// For work with a key: a value that is moved on the stack leaves a copy at each place.
pub(crate) fn on_wiped_stack<T>(work: impl FnOnce() -> T) -> T {
    /// In bytes. Reading, deriving and signing with a key use less.
    const WIPED: usize = 8 * 1024;

    // Neither is inlined, so that both frames begin at the same address.
    #[inline(never)]
    fn run<T>(work: impl FnOnce() -> T) -> T {
        work()
    }
    #[inline(never)]
    fn wipe() {
        drop(Zeroizing::new(std::hint::black_box([0_u8; WIPED])));
    }

    let result = run(work);
    wipe();
    result
}

pub(crate) fn to_base64(key: &Key) -> SecretString {
    let mut buffer = Zeroizing::new([0; dps_core::limits::KEY_TEXT_MAX]);
    // The buffer holds the longest key there is.
    let text = key.write_base64(buffer.as_mut_slice()).unwrap_or_default();
    SecretString::from(text)
}

fn read_key(path: &Path) -> Result<Arc<Key>, DpsError> {
    let wrong = |why: &dyn fmt::Display| DpsError::config(ErrorCode::InvalidKey, format!("{}: {why}", path.display()));
    let bytes = dps_files::read_secret(path, FILE_MAX).map_err(|error| match error.kind() {
        io::ErrorKind::FileTooLarge => {
            wrong(&"it is longer than 4 KiB, longer than any key; use a file with only the key")
        }
        _ => DpsError::file(path, "cannot be read", error),
    })?;
    let text = std::str::from_utf8(&bytes).map_err(|_| {
        wrong(&"it is not text; a key file holds base64 (a file of raw key bytes, as IoT Edge has them, is read by from_bytes)")
    })?;
    let text = text.trim_start_matches('\u{feff}').trim();
    on_heap(|| Key::from_base64(text)).map_err(|error| wrong(&error))
}
