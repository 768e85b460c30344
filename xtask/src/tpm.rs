//! Tests of TPM attestation with swtpm, which each test starts and stops. They are ignored otherwise.

use serde_json::Value;

use crate::c_tests::{compile, library};
use crate::ignored::{self, check_default_builds};
use crate::run::{Outcome, build_workspace, command, exists, output, run, target_dir};
use crate::swtpm::Swtpm;

/// The tests: their packages and names.
const TESTS: [(&str, &str); 2] = [("dps-client", "tpm"), ("dps-cli", "program")];
/// What is published without TPM attestation, unless a feature asks for it.
const WITHOUT: [&str; 5] = ["dps-client", "dps-edge", "dps-cli", "dps-c", "dps-python"];
/// How many tests run at a time; most wait.
const AT_A_TIME: &str = "4";

pub(crate) fn check() -> Outcome {
    check_default_builds(&WITHOUT, "dps-tpm")?;
    if !exists("swtpm") {
        return Err("swtpm is not installed: cargo xtask setup".into());
    }
    for tests in ignored::build(&TESTS)? {
        let said = ignored::run(&mut tests.command(&["--test-threads", AT_A_TIME, "tpm"]))?;
        let passed = said.lines().filter(|line| line.ends_with("... ok")).count();
        if passed == 0 {
            return Err(format!("{} has no ignored tests to run", tests.package));
        }
        println!("{passed} tests of TPM attestation passed in {}", tests.package);
    }
    from_c()
}

/// The tests in C, with the library that was built with its feature `tpm`. The service has an enrollment of the TPM.
fn from_c() -> Outcome {
    build_workspace()?;
    let folder = std::path::absolute(target_dir().join("tpm")).map_err(|error| error.to_string())?;
    let swtpm = Swtpm::start(&folder.join("state"))?;
    let identity = ["tpm", "identity", "--json", "--tpm-tcti", &swtpm.tcti()];
    let identity = output(&mut command(target_dir().join("debug/dps"), identity))?;
    let identity: Value = serde_json::from_str(&identity).map_err(|error| error.to_string())?;
    let text = |member: &str| identity[member].as_str().unwrap_or_default().to_owned();
    let program = compile(&folder, "tpm", &["hosted_tpm.c", "hosted_scene.c"], &[], Some(&library()))?;
    let mut service = command(target_dir().join("debug/c-service"), [program]);
    service.env("DPS_TEST_TPM_TCTI", swtpm.tcti()).env("DPS_TEST_TPM_ID", text("registrationId"));
    run(service.env("DPS_TEST_TPM_ENDORSEMENT_KEY", text("endorsementKey")))
}
