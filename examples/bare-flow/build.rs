//! Sets the linker scripts with the memory layout and sections of firmware; does nothing for a host.

use std::path::Path;
use std::process::Command;
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
    if env::var_os("CARGO_FEATURE_DEFMT").is_some() {
        println!("cargo::rustc-link-arg-bins=-Tdefmt.x");
        println!("cargo::rustc-link-arg-bins={}", logger(&out));
    }
}

/// Compiles the functions with which defmt outputs its frames: in Rust they would be `unsafe`.
fn logger(out: &str) -> String {
    println!("cargo::rerun-if-changed=log.c");
    let (gcc, flags) = match env::var("TARGET").as_deref() {
        Ok("thumbv7em-none-eabihf") => ("arm-none-eabi-gcc", ["-mcpu=cortex-m4", "-mfloat-abi=hard"]),
        Ok("thumbv6m-none-eabi") => ("arm-none-eabi-gcc", ["-mcpu=cortex-m0plus", "-mfloat-abi=soft"]),
        Ok("riscv32imc-unknown-none-elf") => ("riscv64-unknown-elf-gcc", ["-march=rv32imc", "-mabi=ilp32"]),
        other => panic!("the C compiler's options for {other:?} are not known"),
    };
    let object = format!("{out}/log.o");
    let compiled = Command::new(gcc).args(flags).args(["-Os", "-ffreestanding", "-c", "log.c", "-o", &object]).status();
    assert!(compiled.is_ok_and(|status| status.success()), "{gcc} does not compile log.c");
    object
}
