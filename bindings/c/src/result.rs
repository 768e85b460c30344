//! Results: numbers of the catalogue that all languages share, and what they mean.
//!
//! The names of the numbers in C are written into the header from `dps-core`; here they are plain numbers.

use core::mem::MaybeUninit;
use core::num::NonZero;

use dps_core::{ConfigError, ErrorCode, Family, Misuse, TooSmall, Verdict};

use crate::span::dps_span;

/// `DPS_OK`, or a number of the error catalogue (`docs/errors.md`), as `DPS_ERROR_*` names them. Numbers are never
/// changed and never used again; a newer library may return new ones.
pub type dps_result = i32;

/// It worked.
pub(crate) const DPS_OK: dps_result = 0;

/// Who has to act on a failure.
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum dps_family {
    /// The number is not in the catalogue.
    DPS_FAMILY_NONE = 0,
    /// The program: a call or an argument that no state allows.
    DPS_FAMILY_MISUSE = 1,
    /// The configuration: a value that can never work.
    DPS_FAMILY_CONFIGURATION = 2,
    /// This device: signer, file, buffer, clock, or who cancelled.
    DPS_FAMILY_LOCAL = 3,
    /// The service answered and refused.
    DPS_FAMILY_SERVICE = 4,
    /// The way to the service: nothing usable came back.
    DPS_FAMILY_LINK = 5,
}

/// Whether, and when, it makes sense to try the same again.
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum dps_verdict {
    /// The same will fail again: something outside the device must change first.
    DPS_VERDICT_NEVER = 0,
    /// It may work after a while; `dps_registration_retry_after_ms` is how long to wait first.
    DPS_VERDICT_AFTER = 1,
    /// It can work once the caller changes what it passed in: a value, a buffer, the clock.
    DPS_VERDICT_RECONFIGURE = 2,
}

impl From<Verdict> for dps_verdict {
    fn from(verdict: Verdict) -> Self {
        match verdict {
            Verdict::Never => Self::DPS_VERDICT_NEVER,
            Verdict::After(_) => Self::DPS_VERDICT_AFTER,
            Verdict::Reconfigure => Self::DPS_VERDICT_RECONFIGURE,
        }
    }
}

/// How long to wait before the next try; 0 where the verdict is another.
pub(crate) fn retry_after_ms(verdict: Verdict) -> u64 {
    match verdict {
        Verdict::After(wait) => wait.get(),
        _ => 0,
    }
}

/// The name of a result, such as `unauthorized`; empty for a number that is not known. A constant.
#[unsafe(no_mangle)]
pub extern "C" fn dps_result_name(result: i32) -> dps_span {
    dps_span::from_option(code(result).map(ErrorCode::name))
}

/// A sentence for people; empty for a number that is not known. A constant. Firmware that never calls it links no text.
#[unsafe(no_mangle)]
pub extern "C" fn dps_result_text(result: i32) -> dps_span {
    dps_span::from_option(code(result).map(ErrorCode::text))
}

/// Who has to act.
#[unsafe(no_mangle)]
pub extern "C" fn dps_result_family(result: i32) -> dps_family {
    match code(result).map(ErrorCode::family) {
        None => dps_family::DPS_FAMILY_NONE,
        Some(Family::Misuse) => dps_family::DPS_FAMILY_MISUSE,
        Some(Family::Configuration) => dps_family::DPS_FAMILY_CONFIGURATION,
        Some(Family::Local) => dps_family::DPS_FAMILY_LOCAL,
        Some(Family::Service) => dps_family::DPS_FAMILY_SERVICE,
        Some(Family::Link) => dps_family::DPS_FAMILY_LINK,
    }
}

fn code(result: dps_result) -> Option<ErrorCode> {
    ErrorCode::ALL.iter().copied().find(|code| number(*code) == result)
}

pub(crate) const fn number(code: ErrorCode) -> dps_result {
    code.number() as dps_result
}

/// Why a call did not do what it is for: a number of the catalogue. None is zero, so that an `Outcome<()>` is the
/// result itself, and one with a reference is two registers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Refused(NonZero<dps_result>);

pub(crate) type Outcome<T> = Result<T, Refused>;

impl Refused {
    pub(crate) const ARGUMENT: Self = Self::new(ErrorCode::InvalidArgument);
    pub(crate) const MISUSE: Self = Self::new(ErrorCode::Misuse);
    pub(crate) const OBJECT: Self = Self::new(ErrorCode::InvalidObject);
    pub(crate) const TOO_SMALL: Self = Self::new(ErrorCode::StorageTooSmall);

    pub(crate) const fn new(code: ErrorCode) -> Self {
        match NonZero::new(number(code)) {
            Some(number) => Self(number),
            // There is no such code, which the type does not show.
            None => Self(NonZero::<dps_result>::MAX),
        }
    }
}

impl From<ErrorCode> for Refused {
    fn from(code: ErrorCode) -> Self {
        Self::new(code)
    }
}

impl From<ConfigError> for Refused {
    fn from(error: ConfigError) -> Self {
        Self::new(error.code())
    }
}

impl From<Misuse> for Refused {
    fn from(_: Misuse) -> Self {
        Self::MISUSE
    }
}

/// The number for how a call ended.
pub(crate) fn done(outcome: Outcome<()>) -> dps_result {
    match outcome {
        Ok(()) => DPS_OK,
        Err(Refused(number)) => number.get(),
    }
}

/// Says how much would do, where a buffer is too small.
pub(crate) fn told<T>(outcome: Result<T, TooSmall>, needed: &mut MaybeUninit<usize>) -> Outcome<T> {
    outcome.map_err(|short| {
        needed.write(short.needed);
        Refused::TOO_SMALL
    })
}
