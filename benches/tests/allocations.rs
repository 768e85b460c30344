//! What the core does on a device it does without a heap.

use dps_benches::OPERATIONS;

/// How often the heap is asked once an operation is prepared.
fn allocations(prepare: fn() -> Box<dyn FnMut()>) -> u64 {
    let run = prepare();
    allocation_counter::measure(run).count_total
}

#[test]
fn nothing_of_the_core_allocates() {
    for operation in OPERATIONS.iter().filter(|operation| !operation.heap) {
        assert_eq!(allocations(operation.prepare), 0, "{operation}");
    }
}

/// Or the test above could not fail.
#[test]
fn an_allocation_is_seen() {
    let token = OPERATIONS.iter().find(|operation| operation.name == "token" && operation.peer.is_some()).unwrap();
    assert!(allocations(token.prepare) > 0);
}
