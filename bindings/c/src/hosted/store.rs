//! The directory that keeps a device's issued identity over restarts.

use core::ffi::c_char;
use std::ffi::CString;
use std::ptr;

use dps_client::{IdentityStore, LoadedIdentity, LockedIdentityStore};

use crate::hosted::assignment::c_text;
use crate::hosted::attempt::{attempt, attempt_for};
use crate::hosted::credential::token_key;
use crate::hosted::error::dps_error;
use crate::hosted::issued::{dps_issued_identity, id, needed};
use crate::hosted::options::{Checked, option, unusable};
use crate::memory::{output, shared, usable};
use crate::result::{Refused, done, dps_result};
use crate::span::dps_span;

/// The directory that keeps one device's issued identity over restarts, locked for this process until it is freed with
/// `dps_identity_store_free`. One thread at a time may use it.
///
/// `identity.pem` is the truth: key and chain in one file, which is written whole or not at all. `key.pem` and `chain.pem` are copies
/// for programs that read them separately, written after it and repaired by `dps_identity_store_load`. Files with the key have
/// the mode 0600.
pub struct dps_identity_store {
    store: LockedIdentityStore,
    set_aside: CString,
}

/// Opens and locks a directory, which must exist. `registration_id` tells whose identity it is: that of another device is refused
/// instead of used or replaced; empty for any. The lock is a file in the directory, which stays.
///
/// Returns `DPS_OK` and sets `*store`; otherwise the same as `dps_operational_key_generate`. `DPS_ERROR_FILE` if another process
/// holds the lock, or it cannot be created.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dps_identity_store_open(
    directory: dps_span,
    registration_id: dps_span,
    store: *mut *mut dps_identity_store,
    error: *mut *mut dps_error,
) -> dps_result {
    // SAFETY: as the caller promises.
    let open = || lock(unsafe { described(directory, registration_id)? });
    // SAFETY: as the caller promises.
    unsafe { attempt_for(store, error, open) }
}

/// As `dps_identity_store_open`, for an identity whose key is in a PKCS#11 token, which cannot be loaded without it. `uri`,
/// `module` and `pin_file` are as for `dps_operational_key_from_pkcs11`; module and PIN are not stored.
///
/// Returns the same.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dps_identity_store_open_pkcs11(
    directory: dps_span,
    registration_id: dps_span,
    uri: dps_span,
    module: dps_span,
    pin_file: dps_span,
    store: *mut *mut dps_identity_store,
    error: *mut *mut dps_error,
) -> dps_result {
    let open = || {
        // SAFETY: as the caller promises.
        let (uri, module, pin_file) =
            unsafe { (needed("uri", uri)?, option("module", module)?, option("pin_file", pin_file)?) };
        // SAFETY: as the caller promises.
        let described = unsafe { described(directory, registration_id)? };
        lock(with_token(described, &token_key(uri, module, pin_file)?))
    };
    // SAFETY: as the caller promises.
    unsafe { attempt_for(store, error, open) }
}

/// # Safety
/// The spans are valid.
unsafe fn described(directory: dps_span, registration_id: dps_span) -> Checked<IdentityStore> {
    // SAFETY: promised on.
    let store = IdentityStore::new(unsafe { needed("directory", directory)? });
    if registration_id.len == 0 {
        return Ok(store);
    }
    // SAFETY: promised on.
    Ok(store.registration_id(&unsafe { id(registration_id)? }))
}

fn lock(store: IdentityStore) -> Checked<dps_identity_store> {
    let store = store.lock().map_err(unusable)?;
    Ok(dps_identity_store { store, set_aside: CString::default() })
}

#[cfg(feature = "pkcs11")]
fn with_token(store: IdentityStore, key: &crate::hosted::credential::TokenKey) -> IdentityStore {
    store.pkcs11_key(key)
}

#[cfg(not(feature = "pkcs11"))]
fn with_token(_: IdentityStore, key: &crate::hosted::credential::TokenKey) -> IdentityStore {
    match *key {}
}

/// Reads the stored identity, which may have expired, and repairs the copies of its key and chain. A key in a token is opened, in
/// 30 s at most. A file that cannot be used is renamed: see `dps_identity_store_set_aside`.
///
/// Returns `DPS_OK` and sets `*identity`, to be freed with `dps_issued_identity_free`, or to null if nothing is stored. Otherwise the
/// same as `dps_operational_key_generate`: `DPS_ERROR_FILE` if the file cannot be read, `DPS_ERROR_COMMON_NAME_MISMATCH` if it is another
/// device's, `DPS_ERROR_INVALID_OPTION` if its key is in a token that was not named.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dps_identity_store_load(
    store: *mut dps_identity_store,
    identity: *mut *mut dps_issued_identity,
    error: *mut *mut dps_error,
) -> dps_result {
    // SAFETY: as the caller promises.
    let (Ok(()), Ok(place)) = (usable(store), unsafe { output(identity) }) else {
        return done(Err(Refused::ARGUMENT));
    };
    let load = || {
        // SAFETY: neither null nor misaligned; the caller promises the rest.
        let store = unsafe { &mut *store };
        let loaded = store.store.load().map_err(unusable)?;
        store.set_aside = match &loaded {
            LoadedIdentity::SetAside { path, problem } => c_text(Some(&format!("{}: {problem}", path.display()))),
            _ => CString::default(),
        };
        let found = loaded.found().map(|found| Box::into_raw(Box::new(dps_issued_identity::from(found))));
        place.write(found.unwrap_or(ptr::null_mut()));
        Ok(())
    };
    // SAFETY: as the caller promises.
    unsafe { attempt(error, load) }
}

/// Returns what the last `dps_identity_store_load` renamed, a file that contained no identity, or a key and a chain that do not
/// fit: where it is now, and what is wrong with it. It ends with a NUL, is never null, is empty if there was none, and lives until
/// the next load.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dps_identity_store_set_aside(store: *const dps_identity_store) -> *const c_char {
    // SAFETY: as the caller promises.
    unsafe { store.as_ref() }.map_or(c"".as_ptr(), |store| store.set_aside.as_ptr())
}

/// Stores an identity: the old one or the new one is there afterwards, whatever happens. The copies follow.
///
/// Returns `DPS_OK`; otherwise the same as `dps_operational_key_generate`: `DPS_ERROR_FILE` if a file cannot be written, where the
/// identity itself may be stored already, and `dps_identity_store_load` tells which one is; `DPS_ERROR_COMMON_NAME_MISMATCH` if it is
/// another device's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dps_identity_store_save(
    store: *const dps_identity_store,
    identity: *const dps_issued_identity,
    error: *mut *mut dps_error,
) -> dps_result {
    // SAFETY: as the caller promises.
    let (Ok(store), Ok(identity)) = (unsafe { (shared(store), shared(identity)) }) else {
        return done(Err(Refused::ARGUMENT));
    };
    // SAFETY: as the caller promises.
    unsafe { attempt(error, || store.store.save(identity.identity()).map_err(unusable)) }
}

/// Removes the identity and its copies, if there are any.
///
/// Returns `DPS_OK`; otherwise the same as `dps_operational_key_generate`: `DPS_ERROR_FILE` if a file cannot be removed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dps_identity_store_clear(
    store: *const dps_identity_store,
    error: *mut *mut dps_error,
) -> dps_result {
    // SAFETY: as the caller promises.
    let Ok(store) = (unsafe { shared(store) }) else { return done(Err(Refused::ARGUMENT)) };
    // SAFETY: as the caller promises.
    unsafe { attempt(error, || store.store.clear().map_err(unusable)) }
}

/// Releases the lock and frees the store. Null is ignored.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dps_identity_store_free(store: *mut dps_identity_store) {
    if !store.is_null() {
        // SAFETY: it came from `Box::into_raw`, and the caller frees it once.
        drop(unsafe { Box::from_raw(store) });
    }
}
