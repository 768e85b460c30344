//! Builds the firmware examples for every target, checks the images and runs them in QEMU.
//!
//! Built by the stable toolchain with the target's prebuilt library if that is available; the output says how. The core is
//! never rebuilt with immediate aborts: then no panic would appear, and the check could not fail.

use std::path::PathBuf;

use crate::cores::{CHECKED, M4};
use crate::image::Image;
use crate::run::{Outcome, run, target_dir};
use crate::setup::{Bare, bare};

const FLOW: &str = "examples/bare-flow/Cargo.toml";
const EMBASSY: &str = "examples/embassy/Cargo.toml";
/// Makes `sha2` small instead of fast.
pub(crate) const COMPACT: &str = "--cfg sha2_backend=\"soft\" --cfg sha2_backend_soft=\"compact\"";

pub(crate) fn check() -> Outcome {
    let way = bare()?;
    println!(
        "{}",
        match way {
            Bare::Prebuilt => "built by the toolchain in use, with the target's prebuilt library",
            Bare::Debian { .. } =>
                "built by Debian's compiler, the library along with it (no prebuilt one can be had here)",
        }
    );
    println!("{:<27} {:<8} {:>7} {:>5}", "whole HTTP registration", "build", "flash", "RAM");
    for core in CHECKED {
        let target = core.target;
        let logging: &[&str] = &["--features", "defmt"];
        for (name, flags, features) in [("plain", "", &[][..]), ("compact", COMPACT, &[]), ("defmt", COMPACT, logging)]
        {
            let image = build(&way, target, flags, features)?;
            let found = Image::checked(&image).map_err(|error| format!("{target}, {name}: {error}"))?;
            if found.ram > 0 {
                return Err(format!("{target}, {name}: {} bytes of static RAM, 0 are allowed", found.ram));
            }
            println!("{target:<27} {name:<8} {:>7} {:>5}", found.flash, found.ram);
            run(&mut core.board.emulator(&image, "none")?)?;
        }
    }
    let control = Image::read(&build(&way, M4.target, "", &["--features", "control"])?)?;
    if !control.panics() {
        return Err("the check does not find the panic in an image that has one on purpose".into());
    }
    CHECKED.iter().try_for_each(|core| compile(&way, EMBASSY, core.target, "", &["--lib"]))
}

/// The image of the flow example.
fn build(way: &Bare, target: &str, flags: &str, more: &[&str]) -> Result<PathBuf, String> {
    let mut arguments = vec!["--bin", "bare-flow"];
    arguments.extend(more);
    compile(way, FLOW, target, flags, &arguments)?;
    Ok(out_dir().join(target).join("release").join("bare-flow"))
}

fn out_dir() -> PathBuf {
    target_dir().join("bare")
}

fn compile(way: &Bare, manifest: &str, target: &str, flags: &str, more: &[&str]) -> Outcome {
    let arguments = ["build", "--quiet", "--locked", "--release", "--manifest-path", manifest, "--target", target];
    let mut cargo = way.cargo(&arguments);
    // Without it, defmt compiles only what is logged as an error.
    cargo.env("DEFMT_LOG", "trace").env("RUSTFLAGS", flags).env("CARGO_TARGET_DIR", out_dir());
    run(cargo.args(more))
}
