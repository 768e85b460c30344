//! PKCS#11 modules: shared libraries that are loaded once and stay loaded.
//!
//! A module that is initialized already, by the application, is used as it is. None is ever finalized or unloaded: others in this
//! process may use it.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11};
use cryptoki::error::{Error, RvError};
use dps_core::ErrorCode;

use super::failure::{TokenError, returned};

/// p11-kit's proxy, which has the tokens of every module that the system is configured with; the first that loads is used.
#[cfg(target_vendor = "apple")]
const PROXIES: [&str; 2] = ["p11-kit-proxy.dylib", "libp11-kit.0.dylib"];
#[cfg(not(target_vendor = "apple"))]
const PROXIES: [&str; 2] = ["p11-kit-proxy.so", "libp11-kit.so.0"];

/// A module, once it is loaded. Who holds the lock loads it.
type Loaded = Arc<Mutex<Option<Pkcs11>>>;

/// Loads a module unless it is loaded, and initializes it unless it is initialized. `None` is p11-kit's proxy.
///
/// # Errors
/// `pkcs11-module`.
pub(super) fn load(path: Option<&Path>) -> Result<Pkcs11, TokenError> {
    static MODULES: LazyLock<Mutex<HashMap<Option<PathBuf>, Loaded>>> = LazyLock::new(Mutex::default);
    let entry = {
        let mut modules = MODULES.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(modules.entry(path.map(Path::to_owned)).or_default())
    };
    let mut loaded = entry.lock().unwrap_or_else(PoisonError::into_inner);
    let module = match &*loaded {
        Some(module) => module.clone(),
        None => loaded.insert(open(path)?).clone(),
    };
    // Each time: the application may have finalized it meanwhile.
    match module.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK)) {
        Ok(()) | Err(Error::Pkcs11(RvError::CryptokiAlreadyInitialized, _)) => Ok(module),
        Err(Error::Pkcs11(value, function)) => Err(refused(path, &returned(function, &value))),
        Err(error) => Err(refused(path, &error.to_string())),
    }
}

fn open(path: Option<&Path>) -> Result<Pkcs11, TokenError> {
    if cfg!(all(unix, target_feature = "crt-static")) {
        let words = "this program is linked statically, and such a program cannot load modules";
        return Err(TokenError::new(ErrorCode::Pkcs11Module, words));
    }
    let candidates = path.map_or_else(|| PROXIES.map(Path::new).to_vec(), |path| vec![path]);
    let mut problem = String::new();
    for candidate in candidates {
        match Pkcs11::new(candidate) {
            Ok(module) => return Ok(module),
            Err(Error::MissingSymbol(symbol)) => {
                problem = format!("it has no function {symbol}, so that it is not a PKCS#11 module")
            }
            Err(Error::LibraryLoading(error)) => problem = error.to_string(),
            Err(error) => problem = error.to_string(),
        }
    }
    Err(refused(path, &problem))
}

fn refused(path: Option<&Path>, problem: &str) -> TokenError {
    let words = match path {
        Some(path) => {
            let path = format!("{}: ", path.display());
            // The loader's own words begin with it, too.
            format!("{path}{}", problem.strip_prefix(&path).unwrap_or(problem))
        }
        None => format!("{problem}; set the path of the token's module, or install p11-kit"),
    };
    TokenError::new(ErrorCode::Pkcs11Module, words)
}
