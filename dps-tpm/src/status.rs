//! The state of a TPM, for a diagnosis. Nothing is changed.

use crate::code::{Code, Meaning, handle};
use crate::command::Command;
use crate::error::{Error, Refusal};
use crate::tpm::{Tpm, unreadable};
use crate::wire::{Malformed, Writer};

/// `TPM_CAP_TPM_PROPERTIES` and the properties that are read (TPM 2.0 Library, Part 2, 6.12 and 6.13).
const PROPERTIES: u32 = 6;
const MANUFACTURER: u32 = 0x105;
const PERMANENT: u32 = 0x200;
const PERSISTENT_AVAILABLE: u32 = 0x209;
const LOCKOUT_COUNTER: u32 = 0x20E;
const MAX_AUTH_FAIL: u32 = 0x20F;
const LOCKOUT_INTERVAL: u32 = 0x210;
const LOCKOUT_RECOVERY: u32 = 0x211;
/// The bit `inLockout` of `TPMA_PERMANENT`.
const IN_LOCKOUT: u32 = 1 << 9;

/// The state of a TPM.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Status {
    /// The four characters of the manufacturer, such as `IFX`; others than letters, digits and spaces are left out.
    pub manufacturer: String,
    /// Whether the TPM is in lockout now.
    pub in_lockout: bool,
    /// How many failures count at present.
    pub failures: u32,
    /// At how many the TPM goes into lockout.
    pub failures_max: u32,
    /// After how many seconds a failure is forgotten; 0 for never.
    pub failure_forgotten_after: u32,
    /// How many seconds a wrong password of the lockout hierarchy blocks that.
    pub lockout_recovery: u32,
    /// Whether the endorsement key, the storage root key and the device's key are at their handles.
    pub has_endorsement_key: bool,
    /// See [`has_endorsement_key`](Self::has_endorsement_key).
    pub has_storage_root_key: bool,
    /// See [`has_endorsement_key`](Self::has_endorsement_key).
    pub has_device_key: bool,
    /// Whether the manufacturer's certificate of an RSA endorsement key is there.
    pub has_endorsement_certificate: bool,
}

impl Tpm {
    /// Reads the state of the TPM.
    ///
    /// # Errors
    /// [`Error`].
    pub fn status(&mut self) -> Result<Status, Error> {
        let manufacturer = self.property(MANUFACTURER)?.unwrap_or(0).to_be_bytes();
        let printable = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b' ';
        let manufacturer: String =
            manufacturer.iter().filter(|byte| printable(byte)).map(|byte| char::from(*byte)).collect();
        let mut number = |property| Ok::<u32, Error>(self.property(property)?.unwrap_or(0));
        Ok(Status {
            manufacturer: manufacturer.trim().to_owned(),
            in_lockout: number(PERMANENT)? & IN_LOCKOUT != 0,
            failures: number(LOCKOUT_COUNTER)?,
            failures_max: number(MAX_AUTH_FAIL)?,
            failure_forgotten_after: number(LOCKOUT_INTERVAL)?,
            lockout_recovery: number(LOCKOUT_RECOVERY)?,
            has_endorsement_key: self.read_public(handle::ENDORSEMENT_KEY)?.is_some(),
            has_storage_root_key: self.read_public(handle::STORAGE_ROOT_KEY)?.is_some(),
            has_device_key: self.read_public(self.access.key_handle)?.is_some(),
            has_endorsement_certificate: self.has_endorsement_certificate()?,
        })
    }

    /// How many more objects can be made persistent, as the TPM estimates it.
    pub(crate) fn free_persistent_slots(&mut self) -> Result<Option<u32>, Error> {
        self.property(PERSISTENT_AVAILABLE)
    }

    /// A property; `None` where the TPM does not have it.
    fn property(&mut self, property: u32) -> Result<Option<u32>, Error> {
        let parameters = Writer::new().u32(PROPERTIES).u32(property).u32(1);
        let response = self.send(&Command::new(Code::GetCapability, &[], &[], parameters), false)?;
        let mut reader = response.reader();
        let mut first = || {
            reader.u8()?;
            let (capability, count) = (reader.u32()?, reader.u32()?);
            // One that is missing is skipped: the next one comes instead.
            let found = if count == 0 { (0, 0) } else { (reader.u32()?, reader.u32()?) };
            if capability == PROPERTIES { Ok(Some(found.1).filter(|_| found.0 == property)) } else { Err(Malformed) }
        };
        first().map_err(|Malformed| unreadable(Code::GetCapability))
    }

    fn has_endorsement_certificate(&mut self) -> Result<bool, Error> {
        let read = Command::new(Code::NvReadPublic, &[handle::ENDORSEMENT_CERTIFICATE], &[], Writer::new());
        match self.send(&read, false) {
            Ok(_) => Ok(true),
            Err(Refusal::Code(_, rc)) if rc.meaning() == Meaning::Handle => Ok(false),
            Err(refusal) => Err(refusal.into()),
        }
    }
}
