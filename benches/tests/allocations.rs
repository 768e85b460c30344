//! The core's operations do not use the heap.

use dps_benches::OPERATIONS;

/// How often the heap is asked once an operation is prepared.
fn allocations(prepare: fn() -> Box<dyn FnMut()>) -> u64 {
    let run = prepare();
    allocation_counter::measure(run).count_total
}

#[test]
fn core_operations_do_not_allocate() {
    for operation in OPERATIONS.iter().filter(|operation| !operation.heap) {
        assert_eq!(allocations(operation.prepare), 0, "{operation}");
    }
}

/// Checks that the test above can fail.
#[test]
fn allocation_of_a_peer_is_counted() {
    let token = OPERATIONS.iter().find(|operation| operation.name == "token" && operation.peer.is_some()).unwrap();
    assert!(allocations(token.prepare) > 0);
}
