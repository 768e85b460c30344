//! The blocking client on a thread with a stack of 96 KB, less than musl gives its threads. Of a release build only: a debug
//! build keeps every temporary value on the stack. `cargo xtask small-stack` runs it.
#![cfg(not(debug_assertions))]

use crate::common::{builder_over, device_key, service};
use dps_client::Transport;

const STACK: usize = 96 * 1024;

#[test]
fn register_needs_no_more_than_96_kib_of_stack_over_every_transport() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let emulator = runtime.block_on(service());
    for transport in [Transport::Https, Transport::Mqtt, Transport::MqttWebSocket] {
        let client = builder_over(transport, &emulator).symmetric_key(device_key()).build().unwrap();
        let small = std::thread::Builder::new().stack_size(STACK);
        let registered =
            small.spawn(move || client.blocking().register().map(|assignment| assignment.hub().to_owned()));
        assert_eq!(registered.unwrap().join().unwrap().unwrap(), "hub-a.test", "{transport:?}");
    }
    drop(runtime);
}
