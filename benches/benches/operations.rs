//! Every operation, in turn: `cargo bench -p dps-benches`. Compare the column `fastest` of rows with the same name.
#![allow(missing_docs, reason = "a bench")]

use divan::Bencher;
use dps_benches::{OPERATIONS, Operation};

fn main() {
    divan::main();
}

// Long samples, since shorter times than the clock's resolution cannot be measured.
#[divan::bench(args = OPERATIONS, sample_size = 200, sample_count = 200)]
fn operation(bencher: Bencher<'_, '_>, operation: &Operation) {
    let run = (operation.prepare)();
    bencher.bench_local(run);
}
