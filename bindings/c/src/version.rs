//! Which version of the library this is.

use core::ffi::c_char;

/// The version of the library that is linked, such as `0.1.0`; `DPS_VERSION` is that of the header. Ends with a NUL. A
/// constant.
#[unsafe(no_mangle)]
pub extern "C" fn dps_version() -> *const c_char {
    concat!(env!("CARGO_PKG_VERSION"), "\0").as_ptr().cast()
}
