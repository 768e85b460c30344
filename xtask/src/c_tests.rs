//! The C programs that test the C library: how they are compiled, and run by themselves or under another program.

use std::path::{Path, PathBuf};

use crate::run::{Outcome, command, output, run, target_dir};

/// What a program that is linked with the static library needs from the system, besides what every compiler links.
pub(crate) const SYSTEM_LIBRARIES: &str = "-lutil -lrt -lpthread -lm -ldl";
pub(crate) const SANITIZERS: [&str; 3] =
    ["-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-fno-omit-frame-pointer"];
pub(crate) const VALGRIND: [&str; 6] = [
    "valgrind",
    "--quiet",
    // Frames enough to tell where memory comes from.
    "--num-callers=40",
    "--error-exitcode=9",
    "--leak-check=full",
    "--errors-for-leak-kinds=definite,indirect,possible",
];
/// No warning in C of ours.
pub(crate) const WARNINGS: [&str; 5] = ["-Wall", "-Wextra", "-Wpedantic", "-Wconversion", "-Werror"];
const TESTS: &str = "bindings/c/tests";
/// A thousand would take minutes.
const REGISTRATIONS_UNDER_VALGRIND: &str = "100";

/// Returns the path of the library's debug build, which checks its arithmetic and works with valgrind. In optimized code
/// valgrind reports harmless branches on uninitialized memory.
pub(crate) fn library() -> PathBuf {
    target_dir().join("debug").join("libdps.a")
}

/// Compiles a program of the tests' folder, linked with a library where it needs that.
pub(crate) fn compile(
    folder: &Path,
    name: &str,
    sources: &[&str],
    flags: &[&str],
    library: Option<&Path>,
) -> Result<PathBuf, String> {
    let program = folder.join(name);
    let mut gcc = command("gcc", WARNINGS);
    gcc.args(["-std=c11", "-D_POSIX_C_SOURCE=200809L", "-DDPS_HOSTED", "-g", "-Ibindings/c/include", "-I"]).arg(folder);
    gcc.args(flags).args(sources.iter().map(|source| format!("{TESTS}/{source}")));
    gcc.arg("-o").arg(&program);
    if let Some(library) = library {
        gcc.arg(library).args(SYSTEM_LIBRARIES.split(' '));
    }
    run(&mut gcc)?;
    Ok(program)
}

/// Compiles the client of the fault matrix, which is described by its environment.
pub(crate) fn fault_client(folder: &Path) -> Result<PathBuf, String> {
    compile(folder, "fault-client", &["fault_client.c"], &[], Some(&library()))
}

/// Compiles a program of the tests' folder with the release build of the library, which must exist, and runs it
/// beside a service.
pub(crate) fn run_with_release_build(name: &str) -> Outcome {
    let folder = target_dir().join("c");
    std::fs::create_dir_all(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let library = target_dir().join("release/libdps.a");
    let program = compile(&folder, &format!("{name}-release"), &[&format!("{name}.c")], &[], Some(&library))?;
    run(&mut command(target_dir().join("debug/c-service"), [&program]))
}

/// The two programs of tests.
pub(crate) struct Tests {
    bare: PathBuf,
    hosted: PathBuf,
}

impl Tests {
    pub(crate) fn build(folder: &Path, kind: &str, flags: &[&str], library: &Path) -> Result<Self, String> {
        let bare = [
            "bare.c",
            "pointers.c",
            "machine.c",
            "attestation.c",
            "issuance.c",
            "scene.c",
            "vectors_run.c",
            "wire.c",
            "flat.c",
        ];
        let tests = Self {
            bare: compile(folder, &format!("bare-{kind}"), &bare, flags, Some(library))?,
            hosted: compile(
                folder,
                &format!("hosted-{kind}"),
                &[
                    "hosted.c",
                    "hosted_scene.c",
                    "hosted_certificates.c",
                    "hosted_fallback.c",
                    "hosted_issued.c",
                    "hosted_profile.c",
                ],
                flags,
                Some(library),
            )?,
        };
        for program in [&tests.bare, &tests.hosted] {
            let symbols = output(command("nm", ["-a"]).arg(program))?;
            let present = ["__asan_init", "__ubsan_handle"].map(|name| symbols.contains(name));
            if present != [flags.iter().any(|flag| flag.starts_with("-fsanitize")); 2] {
                return Err(format!("{}: sanitizers present: {present:?}", program.display()));
            }
        }
        Ok(tests)
    }

    /// Under another program, or by themselves; `by` is who watches them, for the output.
    pub(crate) fn run(&self, by: &str, under: &[&str]) -> Outcome {
        println!("the C library's tests, watched by {by}:");
        let whole = |program: &Path| {
            let words = under.iter().map(PathBuf::from).chain([program.to_owned()]);
            words.collect::<Vec<_>>()
        };
        let bare = whole(&self.bare);
        run(&mut command(&bare[0], &bare[1..]))?;
        let mut hosted = command(target_dir().join("debug/c-service"), whole(&self.hosted));
        if !under.is_empty() {
            hosted.env("DPS_TEST_REGISTRATIONS", REGISTRATIONS_UNDER_VALGRIND);
        }
        run(hosted.env("ASAN_OPTIONS", "detect_leaks=1"))
    }
}
