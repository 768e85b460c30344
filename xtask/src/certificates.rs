//! Devices with certificates: registrations from Rust, C, Python and the program.

use crate::c_tests;
use crate::python;
use crate::run::{Outcome, build_workspace, command, is_part_of_all, root, run, target_dir};

/// Prints a table of registrations that has every pair of client, enrollment, transport, kind of key, length of the chain and
/// version of TLS; as a part of all checks every value of them, with the Python package that the check `python` installed.
pub(crate) fn check() -> Outcome {
    build_workspace()?;
    let (rows, venv) =
        if is_part_of_all() { ("values", python::environment()?) } else { ("pairs", python::installed()?) };
    let folder = target_dir().join("certificates");
    std::fs::create_dir_all(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let client = c_tests::fault_client(&folder)?;
    let programs = target_dir().join("debug");
    let mut table = command(programs.join("certificates"), [rows]);
    table.arg(programs.join("dps")).arg(client).arg(venv.program("python"));
    run(table.arg(root().join("tests/certificates/register.py")))
}
