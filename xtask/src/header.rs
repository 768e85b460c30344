//! The C header: written by `dps-c-header` from the binding's source, committed, and compared here.

use crate::run::{Outcome, cargo, output, read, root};

const HEADER: &str = "bindings/c/include/dps.h";

pub(crate) fn write() -> Outcome {
    let path = root().join(HEADER);
    std::fs::write(&path, generated()?).map_err(|error| format!("{}: {error}", path.display()))
}

pub(crate) fn check() -> Outcome {
    if read(HEADER)? == generated()? {
        return Ok(());
    }
    Err(format!("{HEADER} is not what the source says; `cargo xtask write-header` writes it"))
}

fn generated() -> Result<String, String> {
    output(&mut cargo(["run", "--locked", "--quiet", "-p", "dps-c-header"]))
}
