//! Builds the C library for bare metal, links C programs with it into images, and runs them in QEMU.
//!
//! The library's panic hook calls a function that nobody supplies here: an image links only if no panic can be reached.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::bare::COMPACT;
use crate::cores::Core;
use crate::run::{command, output, run, target_dir};
use crate::setup::{Bare, Rebuild, bare, bare_for, rebuild};

/// How the library is built.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Build {
    /// By the stable toolchain, with the target's prebuilt core.
    Stable,
    /// With core built along, and panics that abort at once.
    Rebuilt,
}

impl Build {
    pub(crate) const BOTH: [Self; 2] = [Self::Stable, Self::Rebuilt];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Stable => "stable",
            Self::Rebuilt => "core rebuilt",
        }
    }

    /// How it was really built here, in a sentence.
    pub(crate) fn how(self) -> Result<String, String> {
        Ok(match self {
            Self::Stable => match bare()? {
                Bare::Prebuilt => format!("{}, prebuilt core", version(&mut command("rustc", ["--version"]))?),
                Bare::Debian { rustc, .. } => format!(
                    "{}, core built along, since no prebuilt one can be had here",
                    version(&mut command(rustc, ["--version"]))?
                ),
            },
            Self::Rebuilt => {
                let rustc = match rebuild()? {
                    Rebuild::Nightly => version(&mut command("rustup", ["run", "nightly", "rustc", "--version"]))?,
                    Rebuild::Debian { rustc, .. } => version(&mut command(rustc, ["--version"]))?,
                };
                format!("{rustc}, {}", REBUILT_FLAGS.join(" "))
            }
        })
    }
}

fn version(rustc: &mut Command) -> Result<String, String> {
    output(rustc).map(|text| text.trim().to_owned())
}

const REBUILT_FLAGS: [&str; 3] = ["-Zbuild-std=core", "-Zunstable-options", "-Cpanic=immediate-abort"];

/// Builds the library and gives the folder it is in.
pub(crate) fn library(core: &Core, build: Build) -> Result<PathBuf, String> {
    library_for(core.target, build)
}

/// Builds the library for any target and gives the folder it is in. As a static library alone: beside the other kinds it
/// would be built without optimization across crates, by which panics are found unreachable.
pub(crate) fn library_for(target: &str, build: Build) -> Result<PathBuf, String> {
    let folder = target_dir().join("c-bare").join(if build == Build::Stable { "stable" } else { "rebuilt" });
    let mut flags = COMPACT.to_owned();
    let mut arguments = vec!["rustc", "--quiet", "--locked", "--profile", "firmware", "-p", "dps-c"];
    arguments.extend(["--no-default-features", "--features", "panic-hook", "--crate-type", "staticlib"]);
    arguments.extend(["--target", target]);
    let mut cargo = match build {
        Build::Stable => bare_for(target)?.cargo(&arguments),
        Build::Rebuilt => {
            flags.push_str(&format!(" {} {}", REBUILT_FLAGS[1], REBUILT_FLAGS[2]));
            arguments.push(REBUILT_FLAGS[0]);
            rebuild()?.cargo(&arguments)
        }
    };
    run(cargo.env("RUSTFLAGS", flags).env("CARGO_TARGET_DIR", &folder))?;
    Ok(folder.join(target).join("firmware"))
}

/// What images for every board share.
const SHARED: &str = "examples/c/firmware";
/// What belongs to every image of a board: start-up and output.
const BOARD_SOURCES: [&str; 2] = ["startup.c", "semihosting.c"];

/// Links C sources with the library, and gives the image's path.
pub(crate) fn link(core: &Core, library: &Path, name: &str, sources: &[String]) -> Result<PathBuf, String> {
    let image = library.join(format!("{name}.elf"));
    let folder = core.board.folder;
    let board = BOARD_SOURCES.map(|source| format!("{folder}/{source}"));
    let (memory, script) = (format!("{SHARED}/memory.c"), format!("{folder}/link.ld"));
    let warnings = ["-std=c11", "-Wall", "-Wextra", "-Wpedantic", "-Wconversion", "-Werror"];
    // Without these the compiler would see memcpy in the loop that is memcpy.
    let plain = ["-Os", "-ffreestanding", "-fno-builtin", "-fno-tree-loop-distribute-patterns"];
    let sections = ["-ffunction-sections", "-fdata-sections", "-nostartfiles", "-nostdlib", "-T", &script];
    let linking = ["-Wl,--gc-sections", "-Wl,--no-warn-rwx-segments", "-Wl,-z,noexecstack"];
    let mut gcc = core.board.tool("gcc")?;
    gcc.args(core.flags).args(warnings).args(plain).args(sections).args(linking);
    gcc.args(["-Ibindings/c/include", "-Ibindings/c/sizes"]).arg(format!("-I{SHARED}"));
    gcc.args(sources).args(board).arg(memory).arg("-L").arg(library).args(["-ldps", "-lgcc", "-o"]).arg(&image);
    run(&mut gcc)?;
    Ok(image)
}

/// Runs an image and gives what it printed; an error when it ended with another status than 0.
pub(crate) fn emulate(core: &Core, image: &Path) -> Result<String, String> {
    // Semihosting prints on stderr.
    let ran = core.board.emulator(image, "none")?.output().map_err(|error| format!("cannot run QEMU: {error}"))?;
    let said = String::from_utf8_lossy(&ran.stderr).into_owned();
    if ran.status.success() { Ok(said) } else { Err(format!("{} ended with {}:\n{said}", image.display(), ran.status)) }
}

/// The C sources of a folder of the repository, by name.
pub(crate) fn sources(folder: &str, names: &[&str]) -> Vec<String> {
    names.iter().map(|name| format!("{folder}/{name}")).collect()
}
