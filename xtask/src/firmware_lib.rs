//! Makes the C library for firmware: header, archive and licenses in a folder. What firmware links is built here only, so
//! that no flag can be forgotten.

use std::path::Path;

use crate::c_library::{Build, library};
use crate::install_c::{copy, licenses, options};
use crate::run::Outcome;

/// `firmware-lib --target T --prefix P [--build B]`.
pub(crate) fn make() -> Outcome {
    let usage = "say for what and where to: cargo xtask firmware-lib --target TRIPLE --prefix FOLDER [--build NAME]";
    let [target, prefix, build] = options(["--target", "--prefix", "--build"], usage)?;
    let (Some(target), Some(prefix)) = (target, prefix) else { return Err(usage.into()) };
    let build = build.map_or(Ok(Build::Stable), |name| Build::from_name(&name))?;
    let prefix = std::path::absolute(&prefix).map_err(|error| format!("{prefix}: {error}"))?;
    make_in(&target, build, &prefix)?;
    println!("made {0}/lib/libdps.a for {target}, and {0}/include/dps.h", prefix.display());
    Ok(())
}

pub(crate) fn make_in(target: &str, build: Build, prefix: &Path) -> Outcome {
    if !target.split('-').any(|part| part == "none") {
        return Err(format!("{target} has an operating system; for that there is `cargo xtask install-c`"));
    }
    let built = library(target, build)?;
    let built = built.ok_or_else(|| format!("{target} forces no frame pointer; take --build core-rebuilt"))?;
    copy(&built.join("libdps.a"), &prefix.join("lib/libdps.a"))?;
    copy(Path::new("bindings/c/include/dps.h"), &prefix.join("include/dps.h"))?;
    licenses(prefix)
}
