//! The fault matrix over real sockets, as `cargo xtask faults` prints it.

#[tokio::test(flavor = "multi_thread")]
async fn every_fault_has_the_expected_outcome_over_sockets_before_its_deadline() {
    let report = faults::run(faults::Client::Ours).await;
    assert!(report.lines.len() >= 40);
    let problems = report.problems();
    assert!(problems.is_empty(), "{} differ:\n{}", problems.len(), problems.join("\n"));
}
