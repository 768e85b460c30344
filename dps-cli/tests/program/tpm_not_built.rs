//! A program that was built without TPM attestation, as it is released.

use super::run::{CLOSED, Run, dps_line};

#[test]
fn program_without_tpm_attestation_names_the_build_that_has_it() {
    for line in ["register --scope 0ne1 --tpm", "lookup --scope 0ne1 --tpm", "check --scope 0ne1 --tpm"] {
        let error = dps_line(&format!("{line} --json --endpoint {CLOSED}"), &[]).run().code(3).error();
        assert_eq!(error["name"], "feature-missing");
        assert!(error["message"].as_str().unwrap().contains("feature `tpm`"), "{error}");
    }
    let error = dps_line("tpm identity --json", &[]).run().code(3).error();
    assert_eq!(error["name"], "feature-missing");
}
