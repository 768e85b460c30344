//! Tells the linker where memory is and which sections firmware has; does nothing for a host.

use std::path::Path;
use std::{env, fs};

fn main() {
    println!("cargo::rerun-if-changed=cortex_m.x");
    println!("cargo::rerun-if-changed=riscv.x");
    if env::var("CARGO_CFG_TARGET_OS").as_deref() != Ok("none") {
        return;
    }
    let arm = env::var("CARGO_CFG_TARGET_ARCH").as_deref() == Ok("arm");
    let out = env::var("OUT_DIR").expect("cargo sets OUT_DIR");
    let memory = if arm { "cortex_m.x" } else { "riscv.x" };
    fs::copy(memory, Path::new(&out).join("memory.x")).expect("the file is beside the manifest");
    println!("cargo::rustc-link-search={out}");
    // The script of cortex-m-rt includes it; that of riscv-rt does not, and leaves the linker its default of 64 bits.
    if !arm {
        println!("cargo::rustc-link-arg-bins=-melf32lriscv");
        println!("cargo::rustc-link-arg-bins=-Tmemory.x");
    }
    println!("cargo::rustc-link-arg-bins=-Tlink.x");
    println!("cargo::rustc-link-arg-bins=--nmagic");
}
