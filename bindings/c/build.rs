//! Sets the soname of the shared library, which changes with every incompatible version, prevents that the library is
//! unloaded, and sets `dps_hosted` if the library is for programs on an operating system.

use std::env;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rustc-check-cfg=cfg(dps_hosted)");
    let version = |part: &str| env::var(format!("CARGO_PKG_VERSION_{part}")).unwrap_or_default();
    let system = env::var("CARGO_CFG_TARGET_OS");
    if env::var_os("CARGO_FEATURE_HOSTED").is_some() && system.as_deref() != Ok("none") {
        println!("cargo::rustc-cfg=dps_hosted");
    }
    if system.as_deref() == Ok("linux") {
        // Before 1.0 a minor version may break programs.
        let name = format!("libdps.so.{}.{}", version("MAJOR"), version("MINOR"));
        println!("cargo::rustc-cdylib-link-arg=-Wl,-soname,{name}");
        // A thread that resolves a name may outlive its call, so its code must not be unloaded.
        println!("cargo::rustc-cdylib-link-arg=-Wl,-z,nodelete");
    }
}
