//! The end of `dps emulator` while clients are connected.

use std::time::{Duration, Instant};

use rustix::process::Signal;

use super::emulator::{start, stop};
use super::run::{Folder, Run as _, dps};

/// Far more than the two seconds that a shutdown takes, and far less than a connection may stay open.
const SOON: Duration = Duration::from_secs(20);

#[test]
fn sigterm_ends_the_emulator_although_connections_are_open() {
    let (child, ready) = start(&[]);
    let text = |member: &str| ready[member].as_str().unwrap();
    let owner = ["--connection-string-file", text("connectionStringFile"), "--ca-file", text("caFile")];
    let folder = Folder::new();
    let key = folder.file("device.key");
    dps(["enrollment", "create", "--registration-id", "dev-01", "--key-out", &key]).args(owner).run().code(0);
    dps(["emulator", "fault", "add", "--kind", "silent", "--at", "register", "--times", "9"]).args(owner).run().code(0);

    // One that never begins TLS, and two devices that wait for a reply.
    let port: u16 = ready["endpoints"]["https"].as_str().unwrap().rsplit(':').next().unwrap().parse().unwrap();
    let _idle = std::net::TcpStream::connect(("127.0.0.1", port)).unwrap();
    let devices = ["https", "mqtt"].map(|transport| {
        let endpoint = ready["endpoints"][transport].as_str().unwrap();
        let line =
            ["--registration-id", "dev-01", "--key-file", &key, "--endpoint", endpoint, "--transport", transport];
        dps(["register", "--id-scope", "0ne00A1B2C3", "--ca-file", text("caFile")]).args(line).start()
    });
    let arrived = || dps(["emulator", "counters", "--json"]).args(owner).run().code(0).json()["registers"] == 2;
    let began = Instant::now();
    while !arrived() {
        assert!(began.elapsed() < SOON, "the devices did not call");
    }

    let began = Instant::now();
    let done = stop(child, Signal::TERM).code(0);
    assert!(began.elapsed() < SOON, "{:?}", began.elapsed());
    assert_eq!(done.stderr, "");
    drop(devices);
}
