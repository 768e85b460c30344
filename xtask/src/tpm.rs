//! Tests of TPM attestation with swtpm, which each test starts and stops. They are ignored otherwise.

use crate::ignored::{self, check_default_build};
use crate::run::{Outcome, exists};

/// The tests: their packages and names.
const TESTS: [(&str, &str); 1] = [("dps-client", "tpm")];
/// How many tests run at a time; most wait.
const AT_A_TIME: &str = "4";

pub(crate) fn check() -> Outcome {
    check_default_build("dps-tpm")?;
    if !exists("swtpm") {
        return Err("swtpm is not installed: cargo xtask setup".into());
    }
    for tests in ignored::build(&TESTS)? {
        let said = ignored::run(&mut tests.command(&["--test-threads", AT_A_TIME, "tpm"]))?;
        let passed = said.lines().filter(|line| line.ends_with("... ok")).count();
        if passed == 0 {
            return Err(format!("there are no tests in {}", tests.package));
        }
        println!("{passed} tests of TPM attestation passed in {}", tests.package);
    }
    Ok(())
}
