//! Links C programs with the C library into images for bare metal, and runs them in QEMU.

use std::path::{Path, PathBuf};

use crate::cores::Core;
use crate::run::run;

/// What images for every board share.
const SHARED: &str = "examples/c/firmware";
/// Output, and what the library asks of a C library.
const SHARED_SOURCES: [&str; 2] = ["semihosting.c", "memory.c"];

/// Links C sources with the library, and returns the path of the image.
pub(crate) fn link(core: &Core, library: &Path, name: &str, sources: &[String]) -> Result<PathBuf, String> {
    let image = library.join(format!("{name}.elf"));
    let folder = core.board.folder;
    let shared = SHARED_SOURCES.map(|source| format!("{SHARED}/{source}"));
    let (startup, script) = (format!("{folder}/startup.c"), format!("{folder}/link.ld"));
    let warnings = ["-std=c11", "-Wall", "-Wextra", "-Wpedantic", "-Wconversion", "-Werror"];
    // Without these the compiler would see memcpy in the loop that is memcpy.
    let plain = ["-Os", "-ffreestanding", "-fno-builtin", "-fno-tree-loop-distribute-patterns"];
    let sections = ["-ffunction-sections", "-fdata-sections", "-nostartfiles", "-nostdlib", "-T", &script];
    let linking = ["-Wl,--gc-sections", "-Wl,--no-warn-rwx-segments", "-Wl,-z,noexecstack"];
    let mut gcc = core.board.tool("gcc")?;
    gcc.args(core.flags).args(warnings).args(plain).args(sections).args(core.board.memory).args(linking);
    gcc.args(["-Ibindings/c/include", "-Ibindings/c/sizes"]).args([SHARED, folder].map(|path| format!("-I{path}")));
    gcc.args(sources).arg(startup).args(shared).arg("-L").arg(library).args(["-ldps", "-lgcc", "-o"]).arg(&image);
    run(&mut gcc)?;
    Ok(image)
}

/// Runs an image and returns its output; an error if its exit status is not 0.
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
