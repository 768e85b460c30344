//! Builds the C library for bare metal, in each of the ways that make it smaller.
//!
//! The library's panic hook calls a function that nobody supplies here: an image links only if no panic can be reached.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::bare::COMPACT;
use crate::install_c::copy;
use crate::run::{command, output, run, target_dir};
use crate::setup::{Bare, bare, bare_for, rebuild};

/// How the library is built.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Build {
    /// By the stable toolchain, with the target's prebuilt core.
    Stable,
    /// The same, with functions inlined up to a size of 10 instead of what `opt-level = "z"` has.
    Inline10,
    /// With core rebuilt, and panics that abort immediately.
    CoreRebuilt,
    /// The same, without the frame pointer that Rust's Arm targets force.
    NoFramePointer,
}

/// Common instructions are not moved into functions: that costs more than it saves, and makes the code of one program depend
/// on code that another program uses.
const NO_OUTLINER: &str = "-Cllvm-args=-enable-machine-outliner=never";
const INLINE: &str = "-Cllvm-args=-inline-threshold=10";
const BUILD_CORE: &str = "-Zbuild-std=core";
const ABORT: &str = "-Zunstable-options -Cpanic=immediate-abort";
/// Cargo requires this flag to read a file that describes a target.
const TARGET_FILE: &str = "-Zjson-target-spec";

impl Build {
    pub(crate) const ALL: [Self; 4] = [Self::Stable, Self::Inline10, Self::CoreRebuilt, Self::NoFramePointer];

    /// Its name in the table, on the command line, and of its folder.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Stable => "stable",
            Self::Inline10 => "inline-10",
            Self::CoreRebuilt => "core-rebuilt",
            Self::NoFramePointer => "no-frame-pointer",
        }
    }

    pub(crate) fn from_name(name: &str) -> Result<Self, String> {
        let names = || Self::ALL.map(Self::name).join(", ");
        Self::ALL
            .into_iter()
            .find(|build| build.name() == name)
            .ok_or_else(|| format!("{name} is not one of {}", names()))
    }

    /// Returns the compiler that is used here, and its flags.
    pub(crate) fn how(self) -> Result<String, String> {
        let stable = || -> Result<String, String> {
            Ok(match bare()? {
                Bare::Prebuilt => format!("{}, prebuilt core", version(&mut command("rustc", ["--version"]))?),
                Bare::Debian { rustc, .. } => format!(
                    "{}, core built along, since no prebuilt one can be had here",
                    version(&mut command(rustc, ["--version"]))?
                ),
            })
        };
        match self {
            Self::Stable => Ok(format!("{} with `{NO_OUTLINER}`, as all of them", stable()?)),
            Self::Inline10 => Ok(format!("the same with `{INLINE}`")),
            Self::CoreRebuilt => {
                let rustc = version(rebuild()?.rustc().arg("--version"))?;
                Ok(format!("{rustc} with `{BUILD_CORE} {ABORT}`"))
            }
            Self::NoFramePointer => {
                Ok(format!("the same with `{TARGET_FILE}` and `\"frame-pointer\": \"may-omit\"` in the target"))
            }
        }
    }

    /// The name of the folder in which its compiler builds.
    fn compiler(self) -> &'static str {
        match self {
            Self::Stable | Self::Inline10 => "by-stable",
            Self::CoreRebuilt | Self::NoFramePointer => "by-nightly",
        }
    }

    fn flags(self) -> String {
        let more = match self {
            Self::Stable => String::new(),
            Self::Inline10 => format!(" {INLINE}"),
            Self::CoreRebuilt | Self::NoFramePointer => format!(" {ABORT}"),
        };
        format!("{COMPACT} {NO_OUTLINER}{more}")
    }
}

fn version(rustc: &mut Command) -> Result<String, String> {
    output(rustc).map(|text| text.trim().to_owned())
}

/// Builds the library for a target and gives the folder it is in; none where this build is no different from another. As a
/// static library alone: beside the other kinds it would be built without optimization across crates, by which panics are
/// found unreachable.
pub(crate) fn library(target: &str, build: Build) -> Result<Option<PathBuf>, String> {
    let folder = target_dir().join("c-bare").join(build.name());
    let described = match build {
        Build::NoFramePointer => match without_frame_pointer(target, &folder)? {
            Some(path) => path,
            None => return Ok(None),
        },
        _ => PathBuf::from(target),
    };
    let described = described.to_string_lossy();
    let mut arguments = vec!["rustc", "--quiet", "--locked", "--profile", "firmware", "-p", "dps-c"];
    arguments.extend(["--no-default-features", "--features", "panic-hook", "--crate-type", "staticlib"]);
    arguments.extend(["--target", &described]);
    let mut cargo = match build {
        Build::Stable | Build::Inline10 => bare_for(target)?.cargo(&arguments),
        Build::CoreRebuilt => rebuild()?.cargo(&[&arguments[..], &[BUILD_CORE]].concat()),
        Build::NoFramePointer => rebuild()?.cargo(&[&arguments[..], &[BUILD_CORE, TARGET_FILE]].concat()),
    };
    // Builds of one compiler share what runs at build time, such as procedural macros; each library is kept apart.
    let shared = target_dir().join("c-bare").join(build.compiler());
    run(cargo.env("RUSTFLAGS", build.flags()).env("CARGO_TARGET_DIR", &shared))?;
    let kept = folder.join(target);
    copy(&shared.join(target).join("firmware/libdps.a"), &kept.join("libdps.a"))?;
    Ok(Some(kept))
}

/// Writes the description of a target without the frame pointer that it forces, under the target's name; none where it
/// forces none.
fn without_frame_pointer(target: &str, folder: &Path) -> Result<Option<PathBuf>, String> {
    let print = ["-Zunstable-options", "--print", "target-spec-json", "--target", target];
    let text = output(rebuild()?.rustc().args(print))?;
    let mut described: Value = serde_json::from_str(&text).map_err(|error| format!("{target}: {error}"))?;
    let Some(frame_pointer) = described.get_mut("frame-pointer") else { return Ok(None) };
    *frame_pointer = "may-omit".into();
    let path = folder.join(format!("{target}.json"));
    std::fs::create_dir_all(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    std::fs::write(&path, described.to_string()).map_err(|error| format!("{}: {error}", path.display()))?;
    Ok(Some(path))
}
