//! Numbers of the TPM 2.0 Library, Part 2 and Part 3, that are used here.

use std::fmt;

/// A command of the TPM.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub(crate) enum Code {
    EvictControl = 0x120,
    CreatePrimary = 0x131,
    ActivateCredential = 0x147,
    PolicySecret = 0x151,
    Hmac = 0x155,
    Import = 0x156,
    Load = 0x157,
    FlushContext = 0x165,
    NvReadPublic = 0x169,
    ReadPublic = 0x173,
    StartAuthSession = 0x176,
    GetCapability = 0x17A,
}

/// The name in the specification.
impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Hmac => f.write_str("TPM2_HMAC"),
            Self::NvReadPublic => f.write_str("TPM2_NV_ReadPublic"),
            _ => write!(f, "TPM2_{self:?}"),
        }
    }
}

pub(crate) mod alg {
    pub(crate) const RSA: u16 = 0x0001;
    pub(crate) const AES: u16 = 0x0006;
    pub(crate) const KEYEDHASH: u16 = 0x0008;
    pub(crate) const SHA256: u16 = 0x000B;
    pub(crate) const NULL: u16 = 0x0010;
    pub(crate) const CFB: u16 = 0x0043;
}

pub(crate) mod handle {
    pub(crate) const OWNER: u32 = 0x4000_0001;
    pub(crate) const NULL: u32 = 0x4000_0007;
    pub(crate) const PASSWORD: u32 = 0x4000_0009;
    pub(crate) const ENDORSEMENT: u32 = 0x4000_000B;
    pub(crate) const PERSISTENT: u32 = 0x8100_0000;
    /// Where the C SDK, IoT Edge and the TCG's provisioning guidance keep the endorsement key and the storage root key.
    pub(crate) const ENDORSEMENT_KEY: u32 = 0x8101_0001;
    pub(crate) const STORAGE_ROOT_KEY: u32 = 0x8100_0001;
    /// The certificate of an RSA 2048 endorsement key (TCG EK Credential Profile 2.5, 2.2.1.4).
    pub(crate) const ENDORSEMENT_CERTIFICATE: u32 = 0x01C0_0002;
}

pub(crate) mod attribute {
    pub(crate) const FIXED_TPM: u32 = 1 << 1;
    pub(crate) const FIXED_PARENT: u32 = 1 << 4;
    pub(crate) const SENSITIVE_DATA_ORIGIN: u32 = 1 << 5;
    pub(crate) const USER_WITH_AUTH: u32 = 1 << 6;
    pub(crate) const ADMIN_WITH_POLICY: u32 = 1 << 7;
    pub(crate) const NO_DA: u32 = 1 << 10;
    pub(crate) const RESTRICTED: u32 = 1 << 16;
    pub(crate) const DECRYPT: u32 = 1 << 17;
    pub(crate) const SIGN: u32 = 1 << 18;
}

/// A response code other than success. Some resource managers put the number of their layer above the lower 16 bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Rc(pub(crate) u32);

/// What a response code says, without the number of the parameter, handle or session that it is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Meaning {
    Attributes,
    Value,
    Type,
    Handle,
    AuthFail,
    Size,
    Key,
    Integrity,
    BadAuth,
    Initialize,
    Failure,
    NvSpace,
    ObjectMemory,
    SessionMemory,
    Memory,
    SessionHandles,
    Yielded,
    Testing,
    NvRate,
    Lockout,
    Retry,
    NvUnavailable,
    Other,
}

impl Rc {
    pub(crate) fn meaning(self) -> Meaning {
        let code = self.0 & 0xFFFF;
        // Format one (Part 2, 6.6): six bits say what, the others where.
        let code = if code & 0x80 != 0 { code & 0xBF } else { code };
        match code {
            0x082 => Meaning::Attributes,
            0x084 => Meaning::Value,
            0x08A => Meaning::Type,
            0x08B => Meaning::Handle,
            0x08E => Meaning::AuthFail,
            0x095 => Meaning::Size,
            0x09C => Meaning::Key,
            0x09F => Meaning::Integrity,
            0x0A2 => Meaning::BadAuth,
            0x100 => Meaning::Initialize,
            0x101 => Meaning::Failure,
            0x14B => Meaning::NvSpace,
            0x902 => Meaning::ObjectMemory,
            0x903 => Meaning::SessionMemory,
            0x904 => Meaning::Memory,
            0x905 => Meaning::SessionHandles,
            0x908 => Meaning::Yielded,
            0x90A => Meaning::Testing,
            0x920 => Meaning::NvRate,
            0x921 => Meaning::Lockout,
            0x922 => Meaning::Retry,
            0x923 => Meaning::NvUnavailable,
            _ => Meaning::Other,
        }
    }

    /// Whether it objects to a parameter of the command.
    pub(crate) fn is_about_parameter(self) -> bool {
        self.0 & 0xC0 == 0xC0
    }

    /// Whether the TPM carries out the command if it is sent again.
    pub(crate) fn is_busy(self) -> bool {
        matches!(self.meaning(), Meaning::Yielded | Meaning::Testing | Meaning::NvRate | Meaning::Retry)
    }
}

impl fmt::Display for Rc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self.meaning() {
            Meaning::Attributes => "TPM_RC_ATTRIBUTES",
            Meaning::Value => "TPM_RC_VALUE",
            Meaning::Type => "TPM_RC_TYPE",
            Meaning::Handle => "TPM_RC_HANDLE",
            Meaning::AuthFail => "TPM_RC_AUTH_FAIL",
            Meaning::Size => "TPM_RC_SIZE",
            Meaning::Key => "TPM_RC_KEY",
            Meaning::Integrity => "TPM_RC_INTEGRITY",
            Meaning::BadAuth => "TPM_RC_BAD_AUTH",
            Meaning::Initialize => "TPM_RC_INITIALIZE: the TPM was not started (TPM2_Startup)",
            Meaning::Failure => "TPM_RC_FAILURE",
            Meaning::NvSpace => "TPM_RC_NV_SPACE",
            Meaning::ObjectMemory => "TPM_RC_OBJECT_MEMORY: other programs left objects in it; use a resource manager",
            Meaning::SessionMemory => {
                "TPM_RC_SESSION_MEMORY: other programs left sessions in it; use a resource manager"
            }
            Meaning::Memory => "TPM_RC_MEMORY",
            Meaning::SessionHandles => {
                "TPM_RC_SESSION_HANDLES: other programs left sessions in it; use a resource manager"
            }
            Meaning::Yielded => "TPM_RC_YIELDED",
            Meaning::Testing => "TPM_RC_TESTING",
            Meaning::NvRate => "TPM_RC_NV_RATE",
            Meaning::Lockout => "TPM_RC_LOCKOUT",
            Meaning::Retry => "TPM_RC_RETRY",
            Meaning::NvUnavailable => "TPM_RC_NV_UNAVAILABLE",
            Meaning::Other => return write!(f, "{:#05x}", self.0),
        };
        write!(f, "{:#05x} ({name})", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn response_codes_are_read_whatever_they_are_about() {
        for (code, meaning) in [
            (0x18B, Meaning::Handle),
            (0x28B, Meaning::Handle),
            (0x9A2, Meaning::BadAuth),
            (0x98E, Meaning::AuthFail),
            (0x1DF, Meaning::Integrity),
            (0x2D5, Meaning::Size),
            (0x921, Meaning::Lockout),
            (0x922, Meaning::Retry),
            (0x000B_0921, Meaning::Lockout),
            (0x143, Meaning::Other),
        ] {
            assert_eq!(Rc(code).meaning(), meaning, "{code:#x}");
        }
        assert_eq!(Rc(0x921).to_string(), "0x921 (TPM_RC_LOCKOUT)");
        assert_eq!(Code::EvictControl.to_string(), "TPM2_EvictControl");
        assert_eq!(Code::Hmac.to_string(), "TPM2_HMAC");
    }
}
