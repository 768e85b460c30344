//! Whether libraries and programs compile for the other systems that they are for. Nothing is run there: the workflow does
//! that on machines of these systems.

use crate::run::{Outcome, cargo, command, run, target_dir};
use crate::zig::Zig;

const TARGETS: [&str; 5] = [
    "x86_64-pc-windows-gnu",
    "x86_64-apple-darwin",
    "aarch64-apple-darwin",
    "aarch64-unknown-linux-gnu",
    "aarch64-unknown-linux-musl",
];
/// What is compiled: the libraries with all their parts, the program, and the C library for programs.
const FEATURES: &str = "dps-client/http,dps-client/mqtt,dps-client/ring,dps-client/tpm,dps-edge/ring,dps-emulator/server,dps-emulator/ring,\
                        dps-cli/ring,dps-c/hosted,dps-c/ring";

pub(crate) fn check() -> Outcome {
    let folder = target_dir().join("platforms");
    let zig = Zig::install(&folder, &[])?;
    for target in TARGETS {
        println!("{target}");
        run(&mut command("rustup", ["target", "add", target]))?;
        let packages = ["dps-client", "dps-edge", "dps-emulator", "dps-cli", "dps-c"].map(|name| ["-p", name]).concat();
        let mut check = cargo(["check", "--locked", "--quiet", "--no-default-features", "--features", FEATURES]);
        check.args(packages).args(["--target", target]).env("CARGO_TARGET_DIR", &folder);
        zig.compiles_c(&mut check, target)?;
        run(&mut check)?;
    }
    Ok(())
}
