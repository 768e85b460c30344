//! `dist`: what people install on Linux, in `target/dist`: archives with the static program, its completions and its manual,
//! wheels of the Python package, and the checksums of all files there.
//!
//! It runs on Linux on x86_64. zig compiles the C in TLS, so that no other compiler for the targets is needed.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::run::{Outcome, TESTED, arguments, cargo, command, output, registries, root, run, target_dir};
use crate::zig::Zig;
use crate::{licenses, python};

pub(crate) const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Something that is built, by the name that the command line has for it.
struct Part {
    name: &'static str,
    target: &'static str,
    kind: Kind,
}

enum Kind {
    Archive,
    /// A wheel for this platform.
    Wheel(&'static str),
}

const PARTS: [Part; 4] = [
    Part { name: "x86_64", target: "x86_64-unknown-linux-musl", kind: Kind::Archive },
    Part { name: "aarch64", target: "aarch64-unknown-linux-musl", kind: Kind::Archive },
    Part { name: "manylinux", target: "x86_64-unknown-linux-gnu", kind: Kind::Wheel("manylinux2014") },
    Part { name: "musllinux", target: "x86_64-unknown-linux-musl", kind: Kind::Wheel("musllinux_1_2") },
];

/// The completion scripts, each with its place in the archive, where the shells look for it below /usr/local.
const COMPLETIONS: [(&str, &str); 3] = [
    ("bash", "share/bash-completion/completions/dps"),
    ("fish", "share/fish/vendor_completions.d/dps.fish"),
    ("zsh", "share/zsh/site-functions/_dps"),
];
const MANUAL: &str = "share/man/man1";
/// The licenses, in the archive.
pub(crate) const DOCUMENTS: &str = "share/doc/dps";
const LICENSES: [&str; 2] = ["LICENSE-APACHE", "LICENSE-MIT"];
const LICENSES_OF_OTHERS: &str = "LICENSES-OF-OTHERS.txt";

/// `dist [NAME…]`: builds the named parts, or all.
pub(crate) fn make() -> Outcome {
    let names = PARTS.map(|part| part.name).join(", ");
    let chosen = arguments();
    if let Some(unknown) = chosen.iter().find(|word| !PARTS.iter().any(|part| part.name == **word)) {
        return Err(format!("{unknown} is unknown; what can be built: {names}"));
    }
    let dist = Dist::new()?;
    for part in PARTS.iter().filter(|part| chosen.is_empty() || chosen.iter().any(|word| word == part.name)) {
        let file = match part.kind {
            Kind::Archive => dist.archive(part.target)?,
            Kind::Wheel(platform) => dist.wheel(part.target, platform)?,
        };
        println!("{}", size_line(&file)?);
    }
    write_checksums()
}

/// Where the files for users are.
pub(crate) fn folder() -> PathBuf {
    target_dir().join("dist")
}

/// Writes the checksums of all files for users.
pub(crate) fn write_checksums() -> Outcome {
    const SUMS: &str = "SHA256SUMS";
    let listed = std::fs::read_dir(folder()).map_err(|error| format!("{}: {error}", folder().display()))?;
    let mut names: Vec<_> = listed.flatten().map(|entry| entry.file_name()).filter(|name| name != SUMS).collect();
    names.sort();
    let sums = output(command("sha256sum", ["--"]).args(names).current_dir(folder()))?;
    let path = folder().join(SUMS);
    std::fs::write(&path, sums).map_err(|error| format!("{}: {error}", path.display()))
}

/// The name of a file and its size.
pub(crate) fn size_line(file: &Path) -> Result<String, String> {
    let size = file.metadata().map_err(|error| format!("{}: {error}", file.display()))?.len();
    Ok(format!("{} has {:.1} MB", file.display(), size as f64 / 1e6))
}

/// With all that it has by default, `pkcs11` too: a static program cannot load the module of a token, and then says so.
const PROGRAM: [&str; 2] = ["--package", "dps-cli"];
/// The library that has `dlopen` on other systems. With musl, `libc` has it and this library is an empty archive, which
/// Rust's copy of musl lacks.
const LIBDL: (&str, &str) = ("libdl.a", "!<arch>\n");

/// What builds.
pub(crate) struct Dist {
    zig: Zig,
    /// Where everything is built, outside of the files for users.
    pub(crate) work: PathBuf,
    /// The time of the commit, in seconds since 1970: the date of the files, so that a commit always has the same files.
    pub(crate) epoch: String,
}

impl Dist {
    pub(crate) fn new() -> Result<Self, String> {
        let work = std::path::absolute(target_dir().join("dist-build")).map_err(|error| error.to_string())?;
        for folder in [&work, &folder()] {
            std::fs::create_dir_all(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
        }
        let zig = Zig::install(&work, &[&python::pinned("maturin")?])?;
        let epoch = output(&mut command("git", ["log", "-1", "--format=%ct"]))?.trim().to_owned();
        Ok(Self { zig, work, epoch })
    }

    /// Builds an archive and returns its file.
    fn archive(&self, target: &str) -> Result<PathBuf, String> {
        let tree = self.tree(target)?;
        let file = folder().join(format!("dps-{VERSION}-{target}.tar.gz"));
        self.pack(&tree, &file)?;
        Ok(file)
    }

    /// Builds the program and returns the folder with all that belongs below `/usr/local`: `bin` and `share`.
    pub(crate) fn tree(&self, target: &str) -> Result<PathBuf, String> {
        let program = self.program(target)?;
        let tree = self.work.join(format!("dps-{VERSION}-{target}"));
        let _ = std::fs::remove_dir_all(&tree);
        put(&program, &tree.join("bin/dps"))?;
        self.write_manual(&tree)?;
        for name in LICENSES {
            put(&root().join(name), &tree.join(DOCUMENTS).join(name))?;
        }
        write(&tree.join(DOCUMENTS).join(LICENSES_OF_OTHERS), &licenses::of_others(&PROGRAM, target)?)?;
        Ok(tree)
    }

    fn program(&self, target: &str) -> Result<PathBuf, String> {
        run(&mut command("rustup", ["target", "add", target]))?;
        let mut build = cargo(["build", "--locked", "--quiet", "--release", "--target", target]);
        build.args(PROGRAM);
        let libraries = self.work.join("libraries");
        write(&libraries.join(LIBDL.0), LIBDL.1)?;
        self.configure(&mut build, &[format!("-Lnative={}", libraries.display())]);
        self.zig.compiles_c(&mut build, target)?;
        // For its size: the image must stay small, and what takes time here is the network.
        build.env("CARGO_PROFILE_RELEASE_OPT_LEVEL", "s");
        // Rust brings a linker that knows all its targets, and what a static program for musl needs.
        let linker = format!("CARGO_TARGET_{}_LINKER", target.replace('-', "_").to_uppercase());
        run(build.env(linker, "rust-lld"))?;
        Ok(self.work.join(target).join("release/dps"))
    }

    /// The same result from every machine: flags of the environment do not count, such as those for the machine's own
    /// processor, and no path of it is in the program.
    fn configure(&self, build: &mut Command, further: &[String]) {
        let folders = registries().into_iter().map(|folder| (folder, "registry"));
        let folders = folders.chain([(self.work.clone(), "target"), (root(), ".")]);
        let flags = folders.map(|(folder, name)| format!("--remap-path-prefix={}={name}", folder.display()));
        let flags: Vec<String> = flags.chain(further.iter().cloned()).collect();
        build.env("CARGO_ENCODED_RUSTFLAGS", flags.join("\x1f"));
        build.env_remove("RUSTFLAGS").env("CARGO_TARGET_DIR", &self.work).env("SOURCE_DATE_EPOCH", &self.epoch);
    }

    /// Writes the completions and the manual, by a debug build for this machine, which has the same commands.
    fn write_manual(&self, tree: &Path) -> Outcome {
        run(cargo(["build", "--quiet", "--bin", "dps"]).args(TESTED))?;
        for (shell, place) in COMPLETIONS {
            let script = output(&mut command(target_dir().join("debug/dps"), ["completions", shell]))?;
            write(&tree.join(place), &script)?;
        }
        let manual = tree.join(MANUAL);
        std::fs::create_dir_all(&manual).map_err(|error| format!("{}: {error}", manual.display()))?;
        let mut write_pages = cargo(["test", "--quiet", "--bin", "dps"]);
        write_pages.args(TESTED).args(["--", "every_command_has_a_manual_page"]);
        output(write_pages.env("DPS_WRITE_MANUAL", &manual)).map(drop)
    }

    /// Packs the files of a folder: always the same bytes, and without folders, whose owner and mode would become those of the
    /// folders that exist where it is unpacked.
    fn pack(&self, tree: &Path, file: &Path) -> Outcome {
        let listed = output(command("find", [".", "-type", "f"]).current_dir(tree))?;
        let mut names: Vec<&str> = listed.lines().filter_map(|name| name.strip_prefix("./")).collect();
        names.sort_unstable();
        let tar = file.with_extension("");
        let owner = ["--owner=0", "--group=0", "--numeric-owner", "--mode=u=rwX,go=rX"];
        let mut pack = command("tar", ["--create", "--format=gnu", "--file"]);
        pack.arg(std::path::absolute(&tar).map_err(|error| error.to_string())?);
        pack.args(owner).arg(format!("--mtime=@{}", self.epoch)).args(names).current_dir(tree);
        run(&mut pack)?;
        run(command("gzip", ["--no-name", "--best", "--force"]).arg(&tar))
    }

    /// Builds the wheel and returns its file.
    fn wheel(&self, target: &str, platform: &str) -> Result<PathBuf, String> {
        run(&mut command("rustup", ["target", "add", target]))?;
        let work = self.work.join(platform);
        let sources = python::sources(&self.zig.venv, &work)?;
        for name in LICENSES {
            put(&root().join(name), &sources.join(name))?;
        }
        write(&sources.join(LICENSES_OF_OTHERS), &licenses::of_others(&["--package", "dps-python"], target)?)?;
        let out = work.join("wheel");
        let _ = std::fs::remove_dir_all(&out);
        let mut build = self.zig.venv.python(["-m", "maturin", "build", "--profile", "wheel", "--zig", "--quiet"]);
        build.args(["--target", target, "--compatibility", platform, "--out"]).arg(&out).current_dir(&sources);
        self.configure(&mut build, &[]);
        run(build.env("PATH", self.zig.venv.path()))?;
        let built = python::only_file(&out, "whl")?;
        let name = built.file_name().unwrap_or_default();
        if !name.to_string_lossy().contains(platform) {
            return Err(format!("{} is not for {platform}", built.display()));
        }
        let file = folder().join(name);
        put(&built, &file)?;
        Ok(file)
    }
}

/// Copies a file, and makes the folder that it goes into.
pub(crate) fn put(from: &Path, to: &Path) -> Outcome {
    let parent = to.parent().unwrap_or(Path::new(""));
    std::fs::create_dir_all(parent).map_err(|error| format!("{}: {error}", parent.display()))?;
    std::fs::copy(from, to).map(drop).map_err(|error| format!("{} to {}: {error}", from.display(), to.display()))
}

fn write(path: &Path, text: &str) -> Outcome {
    let parent = path.parent().unwrap_or(Path::new(""));
    let written = std::fs::create_dir_all(parent).and_then(|()| std::fs::write(path, text));
    written.map_err(|error| format!("{}: {error}", path.display()))
}
