//! A resolver that does not answer for a minute, as a library to preload. The program's tests take it by its path.

#![allow(dead_code, unreachable_pub, reason = "each test file uses its part")]
#![allow(clippy::print_stdout, reason = "the task that shows the figures prints them")]

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// A name that the resolver does not answer for.
pub const NAME: &str = "dps.stalled.test";

/// Builds the library with the system's C compiler and gives its path.
pub fn resolver() -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let file = |ending: &str| folder.join(format!("stalled-resolver-{}.{ending}", std::process::id()));
    let (source, library) = (file("c"), file("so"));
    std::fs::write(&source, include_str!("../stalled-resolver/getaddrinfo.c")).unwrap();
    let built = Command::new("cc").args(["-shared", "-fPIC", "-o"]).arg(&library).arg(source).arg("-ldl").status();
    assert!(built.expect("a C compiler is needed").success());
    library
}

/// How long a call may take beyond its time limit. By default it says only that nobody waited for the resolver, whatever
/// else this machine does; `cargo xtask stalled-resolver` sets what a quiet machine keeps.
pub fn margin() -> Duration {
    let set = std::env::var("DPS_STALLED_MARGIN_MS").ok();
    set.map_or(Duration::from_secs(25), |text| Duration::from_millis(text.parse().unwrap()))
}

/// Prints how long a call took and checks it.
pub fn check(call: &str, limit: Duration, took: Duration) {
    println!("stalled resolver: {call}: limit {limit:.1?}, took {took:.2?}");
    assert!(took >= limit - Duration::from_millis(100), "{call} ended after {took:?}, before the resolver was asked");
    assert!(took <= limit + margin(), "{call} took {took:?}");
}
