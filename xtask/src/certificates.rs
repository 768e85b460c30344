//! Devices with certificates: registrations from Rust, C, Python and the program.

use crate::c_tests;
use crate::python;
use crate::run::{Outcome, build_workspace, command, is_part_of_all, root, run, target_dir};

/// Prints a table of registrations that has every pair of client, enrollment, transport, kind of key, length of the chain and
/// version of TLS. As a part of all checks with the Python package that the check `python` installed.
pub(crate) fn check() -> Outcome {
    build_workspace()?;
    let venv = if is_part_of_all() { python::environment()? } else { python::installed()? };
    let folder = target_dir().join("certificates");
    std::fs::create_dir_all(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let client = c_tests::fault_client(&folder)?;
    let programs = target_dir().join("debug");
    let mut table = command(programs.join("certificates"), [programs.join("dps"), client, venv.program("python")]);
    run(table.arg(root().join("tests/certificates/register.py")))
}
