//! Five hundred devices over real sockets, one in twenty with a fault on its way: all assigned, none lost.

use storm::Loopback;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_assigned_none_lost() {
    let report = Loopback { devices: 500, at_a_time: 100 }.run().await.unwrap();
    report.check(500).unwrap();
    for ended in [&report.https, &report.mqtt] {
        assert_eq!((ended.devices, ended.faulted), (250, 13), "{ended:?}");
        assert!(ended.retried >= ended.faulted, "a fault is got over by asking again: {ended:?}");
        assert!(ended.requests < 2 * ended.devices + 100, "nobody hammers: {ended:?}");
    }
}
