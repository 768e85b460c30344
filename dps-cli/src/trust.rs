//! Which certificate authorities a command trusts: the system's, those of a file instead, or those of a file too.

use std::path::Path;

use dps_core::ErrorCode;
use dps_net::{Roots, RootsError};

use crate::args::TrustArgs;
use crate::failure::{Failure, Result};

/// The largest file of certificates taken, in bytes.
const MOST: u64 = 1024 * 1024;

/// Reads the roots that the options name.
pub(crate) fn roots(args: &TrustArgs) -> Result<Roots> {
    match (args.ca_file.as_deref(), args.add_ca_file.as_deref()) {
        (None, None) => Ok(Roots::platform()),
        (Some(path), None) => read(path, Roots::replace_pem),
        (None, Some(path)) => read(path, Roots::add_pem),
        (Some(_), Some(_)) => Err(Failure::usage("give --ca-file or --add-ca-file, not both")),
    }
}

fn read(path: &Path, parse: impl FnOnce(&[u8]) -> std::result::Result<Roots, RootsError>) -> Result<Roots> {
    let pem = dps_files::read(path, MOST).map_err(|error| Failure::file("read", path, &error))?;
    parse(&pem).map_err(|error| Failure::new(ErrorCode::InvalidCertificate, format!("{}: {error}", path.display())))
}
