//! Five hundred devices over real sockets, with a fault for one in twenty: all are assigned.

use storm::Loopback;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_device_is_assigned_despite_faults() {
    let report = Loopback { devices: 500, at_a_time: 100 }.run().await.unwrap();
    report.check(500).unwrap();
    for ended in [&report.https, &report.mqtt] {
        assert_eq!((ended.devices, ended.faulted), (250, 13), "{ended:?}");
        assert!(ended.retried >= ended.faulted, "each faulted device retries: {ended:?}");
        assert!(ended.requests < 2 * ended.devices + 100, "no device retries without backoff: {ended:?}");
    }
}
