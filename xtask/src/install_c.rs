//! Installs the C library for programs on this machine, laid out as cargo-c lays it out: header, shared and static
//! library, pkg-config file, CMake package, licenses. And checks that programs outside of the repository build and register with it.

use std::ffi::OsString;
use std::path::{Component, Path, PathBuf};
use std::process::Command;

use crate::c_tests::{SYSTEM_LIBRARIES, Tests, VALGRIND, compile};
use crate::run::{Outcome, arguments, build_workspace, cargo, command, is_part_of_all, output, run, target_dir};

const VERSION: &str = env!("CARGO_PKG_VERSION");
/// What valgrind reports of optimized code without reason.
const SUPPRESSIONS: &str = "bindings/c/valgrind.supp";

/// How far a version reaches for the loader: before 1.0 a minor version may break programs. The name inside the library
/// is given by `bindings/c/build.rs`; were the two not the same, no program of `installed-c` would find the library.
fn loader_version() -> String {
    let parts: Vec<&str> = VERSION.split('.').take(2).collect();
    parts.join(".")
}

/// Where things go.
struct Place {
    /// The folder that becomes the prefix: below DESTDIR where that is set.
    prefix: PathBuf,
    /// The folder for libraries, in the prefix.
    libdir: String,
}

/// `install-c --prefix P [--libdir L] [--features F]`, below the folder in DESTDIR where that is set, as packagers do.
pub(crate) fn install() -> Outcome {
    let usage = "usage: cargo xtask install-c --prefix FOLDER [--libdir FOLDER] [--features pkcs11,tpm]";
    let [prefix, libdir, features] = options(["--prefix", "--libdir", "--features"], usage)?;
    let place = Place::new(&prefix.ok_or(usage)?, libdir.as_deref(), std::env::var_os("DESTDIR"))?;
    place.install(features.as_deref().unwrap_or_default())?;
    let lib = place.lib();
    println!("installed into {}; for pkg-config: PKG_CONFIG_PATH={}/pkgconfig", place.prefix.display(), lib.display());
    Ok(())
}

/// The values of these options of the command line, in this order.
pub(crate) fn options<const N: usize>(names: [&str; N], usage: &str) -> Result<[Option<String>; N], String> {
    let mut values = [const { None }; N];
    for pair in arguments().chunks(2) {
        let place = names.iter().position(|name| *name == pair[0]).ok_or(usage)?;
        values[place] = Some(pair.get(1).ok_or(usage)?.clone());
    }
    Ok(values)
}

impl Place {
    fn new(prefix: &str, libdir: Option<&str>, staging: Option<OsString>) -> Result<Self, String> {
        let prefix = std::path::absolute(prefix).map_err(|error| format!("{prefix}: {error}"))?;
        let libdir = libdir.unwrap_or("lib");
        let inside = Path::new(libdir).strip_prefix(&prefix).unwrap_or(Path::new(libdir));
        let plain = inside.components().all(|part| matches!(part, Component::Normal(_)));
        if !plain || inside.as_os_str().is_empty() {
            return Err(format!("--libdir {libdir} is not a folder in {}", prefix.display()));
        }
        let libdir = inside.to_string_lossy().into_owned();
        let staged = staging.filter(|staging| !staging.is_empty()).map(|staging| {
            let below = prefix.components().filter(|part| matches!(part, Component::Normal(_)));
            PathBuf::from(staging).join(below.collect::<PathBuf>())
        });
        Ok(Self { prefix: staged.unwrap_or(prefix), libdir })
    }

    fn lib(&self) -> PathBuf {
        self.prefix.join(&self.libdir)
    }

    /// The way from a folder in the folder for libraries up to the prefix.
    fn up(&self, below: usize) -> String {
        vec![".."; Path::new(&self.libdir).components().count() + below].join("/")
    }

    /// Builds the library with these features of cargo, besides the default ones.
    fn install(&self, features: &str) -> Outcome {
        let mut build = cargo(["build", "--locked", "--quiet", "--release", "-p", "dps-c", "--features", features]);
        if is_part_of_all() {
            optimize_less(&mut build);
        }
        run(&mut build)?;
        let built = target_dir().join("release");
        let (prefix, lib) = (&self.prefix, self.lib());
        let shared = format!("libdps.so.{VERSION}");
        copy(Path::new("bindings/c/include/dps.h"), &prefix.join("include/dps.h"))?;
        copy(&built.join("libdps.a"), &lib.join("libdps.a"))?;
        copy(&built.join("libdps.so"), &lib.join(&shared))?;
        link(&shared, &lib.join(format!("libdps.so.{}", loader_version())))?;
        link(&shared, &lib.join("libdps.so"))?;
        write(&lib.join("pkgconfig/dps.pc"), &self.pkg_config())?;
        write(&lib.join("cmake/dps/dps-config.cmake"), &self.cmake())?;
        write(&lib.join("cmake/dps/dps-config-version.cmake"), &cmake_version())?;
        copy(Path::new(SUPPRESSIONS), &prefix.join("share/dps/valgrind.supp"))?;
        licenses(prefix)
    }

    /// Found from where it stands, so that the folder can be moved; so is the CMake package.
    fn pkg_config(&self) -> String {
        let (up, libdir) = (self.up(1), &self.libdir);
        format!(
            "prefix=${{pcfiledir}}/{up}\nlibdir=${{prefix}}/{libdir}\nincludedir=${{prefix}}/include\n\nName: dps\n\
             Description: Device provisioning for Azure IoT Hub\nVersion: {VERSION}\nLibs: -L${{libdir}} -ldps\n\
             Libs.private: {SYSTEM_LIBRARIES}\nCflags: -I${{includedir}} -DDPS_HOSTED\n"
        )
    }

    fn cmake(&self) -> String {
        let libraries = SYSTEM_LIBRARIES.split(' ').map(|name| name.trim_start_matches("-l")).collect::<Vec<_>>();
        CMAKE
            .replace("@UP@", &self.up(2))
            .replace("@LIBDIR@", &self.libdir)
            .replace("@LIBRARIES@", &libraries.join(";"))
    }
}

/// As a part of all checks: optimized, but not across crates, which halves the time of a build that would be the longest
/// of all. `installed-c` by itself checks what is shipped.
pub(crate) fn optimize_less(build: &mut Command) {
    build.env("CARGO_PROFILE_RELEASE_LTO", "off").env("CARGO_PROFILE_RELEASE_OPT_LEVEL", "1");
}

/// Both licenses; users of the library choose one.
pub(crate) fn licenses(prefix: &Path) -> Outcome {
    let folder = prefix.join("share/licenses/dps");
    ["LICENSE-APACHE", "LICENSE-MIT"].into_iter().try_for_each(|name| copy(Path::new(name), &folder.join(name)))
}

const CMAKE: &str = "get_filename_component(_dps_prefix \"${CMAKE_CURRENT_LIST_DIR}/@UP@\" ABSOLUTE)
if(NOT TARGET dps::dps)
  add_library(dps::dps SHARED IMPORTED)
  set_target_properties(dps::dps PROPERTIES
    IMPORTED_LOCATION \"${_dps_prefix}/@LIBDIR@/libdps.so\"
    INTERFACE_INCLUDE_DIRECTORIES \"${_dps_prefix}/include\"
    INTERFACE_COMPILE_DEFINITIONS DPS_HOSTED)
  add_library(dps::dps_static STATIC IMPORTED)
  set_target_properties(dps::dps_static PROPERTIES
    IMPORTED_LOCATION \"${_dps_prefix}/@LIBDIR@/libdps.a\"
    INTERFACE_INCLUDE_DIRECTORIES \"${_dps_prefix}/include\"
    INTERFACE_COMPILE_DEFINITIONS DPS_HOSTED
    INTERFACE_LINK_LIBRARIES \"@LIBRARIES@\")
endif()
";

/// Accepts requests for a compatible version.
fn cmake_version() -> String {
    format!(
        "set(PACKAGE_VERSION {VERSION})\nif(PACKAGE_FIND_VERSION MATCHES \"^{}(\\\\.|$)\" AND \
         NOT PACKAGE_FIND_VERSION VERSION_GREATER PACKAGE_VERSION)\n  set(PACKAGE_VERSION_COMPATIBLE TRUE)\nendif()\n",
        loader_version().replace('.', "\\\\.")
    )
}

/// Installs below a staging folder, moves what was installed, and builds and runs programs that know only that.
pub(crate) fn check() -> Outcome {
    let folder = std::path::absolute(target_dir().join("c-installed")).map_err(|error| error.to_string())?;
    let _ = std::fs::remove_dir_all(&folder);
    let staging = folder.join("staging");
    Place::new("/opt/dps", Some("/opt/dps/lib64"), Some(staging.clone().into()))?.install("")?;
    let moved = Place { prefix: folder.join("moved"), libdir: "lib64".into() };
    std::fs::rename(staging.join("opt/dps"), &moved.prefix)
        .map_err(|error| format!("{}: {error}", staging.display()))?;
    build_workspace()?;
    crate::small_stack::check_c()?;
    crate::memory::check_c()?;
    let outside = std::env::temp_dir().join(format!("dps-outside-{}", std::process::id()));
    let checked = programs_outside(&moved, &outside).and_then(|()| under_valgrind(&moved, &folder));
    let _ = std::fs::remove_dir_all(&outside);
    checked
}

fn programs_outside(place: &Place, outside: &Path) -> Outcome {
    for (from, name) in
        [("examples/c/posix_register.c", "main.c"), ("examples/c/cmake/CMakeLists.txt", "CMakeLists.txt")]
    {
        copy(Path::new(from), &outside.join(name))?;
    }
    let script = |line: &str| {
        let mut shell = command("sh", ["-ec", line]);
        shell.current_dir(outside).env("PKG_CONFIG_PATH", place.lib().join("pkgconfig"));
        run(shell.env("LIB", place.lib()))
    };
    script("cc main.c $(pkg-config --cflags --libs dps) -o shared")?;
    script(
        "cc -static main.c $(pkg-config --static --cflags --libs dps) -Wl,--gc-sections -o static 2> log || { cat log; exit 1; }",
    )?;
    let with_static_library = "cc main.c $(pkg-config --cflags dps) \"$LIB/libdps.a\" \
                               $(pkg-config --static --libs-only-l dps | sed 's/-ldps//') -o partly-static";
    script(with_static_library)?;
    script("cmake -S . -B build -Ddps_DIR=\"$LIB/cmake/dps\" > cmake.log && cmake --build build >> cmake.log")?;
    for program in ["shared", "static", "partly-static", "build/register", "build/register_static"] {
        registers(place, &outside.join(program))?;
    }
    Ok(())
}

/// Runs the C library's tests with the installed library under valgrind, which must find nothing there, and must find a
/// key that was not written in another program.
fn under_valgrind(place: &Place, folder: &Path) -> Outcome {
    let vectors = crate::c_vectors::write(folder.join("c"))?;
    let suppressions = format!("--suppressions={}", place.prefix.join("share/dps/valgrind.supp").display());
    let valgrind = [&VALGRIND[..], &[suppressions.as_str()]].concat();
    let wrong = compile(&vectors, "uninitialized", &["uninitialized.c"], &[], Some(&place.lib().join("libdps.a")))?;
    let found = output(command(valgrind[0], &valgrind[1..]).arg(&wrong));
    // In Rust's functions too, not only in those that C calls.
    let in_rust = |said: &String| said.contains("depends on uninitialised value") && said.contains("dps_core::");
    if !found.as_ref().is_err_and(in_rust) {
        return Err(format!("valgrind does not find a key that was not written: {found:?}"));
    }
    let lib = format!("-Wl,-rpath,{}", place.lib().display());
    // Both are the same code.
    Tests::build(&vectors, "static", &[], &place.lib().join("libdps.a"))?.run("nobody", &[])?;
    Tests::build(&vectors, "shared", &[&lib], &place.lib().join("libdps.so"))?.run("valgrind", &valgrind)
}

fn registers(place: &Place, program: &Path) -> Outcome {
    let call = r#""$0" "$DPS_TEST_ID_SCOPE" sn-007-888-abc-mac-a1-b2-c3-d4-e5-f6 "$DPS_TEST_DEVICE_KEY_FILE" "$DPS_TEST_HTTPS" "$DPS_TEST_CA_FILE""#;
    let mut service = command(target_dir().join("debug/c-service"), ["sh", "-ec", call]);
    service.arg(program).env("LD_LIBRARY_PATH", place.lib());
    let said = output(&mut service)?;
    if said.trim() != "sn-007-888-abc-mac-a1-b2-c3-d4-e5-f6 is assigned to hub-a.test" {
        return Err(format!("{} says: {said}", program.display()));
    }
    println!("{}: {}", program.display(), said.trim());
    Ok(())
}

pub(crate) fn copy(from: &Path, to: &Path) -> Outcome {
    let from = crate::run::root().join(from);
    let copied = folder_of(to).and_then(|()| std::fs::copy(&from, to));
    copied.map(|_| ()).map_err(|error| format!("{} to {}: {error}", from.display(), to.display()))
}

fn write(path: &Path, text: &str) -> Outcome {
    folder_of(path).and_then(|()| std::fs::write(path, text)).map_err(|error| format!("{}: {error}", path.display()))
}

/// A link to a file in the same folder; a copy where the system has no such links for everybody.
fn link(target: &str, path: &Path) -> Outcome {
    let _ = std::fs::remove_file(path);
    #[cfg(unix)]
    let linked = std::os::unix::fs::symlink(target, path);
    #[cfg(not(unix))]
    let linked = std::fs::copy(path.with_file_name(target), path).map(|_| ());
    linked.map_err(|error| format!("{}: {error}", path.display()))
}

fn folder_of(path: &Path) -> std::io::Result<()> {
    std::fs::create_dir_all(path.parent().unwrap_or(Path::new("/")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(prefix: &str, libdir: Option<&str>, staging: Option<&str>) -> Result<Place, String> {
        Place::new(prefix, libdir, staging.map(OsString::from))
    }

    #[test]
    fn libdir_is_in_prefix_and_files_do_not_name_the_staging_folder() {
        let staged = place("/usr", Some("/usr/lib/x86_64-linux-gnu"), Some("/tmp/stage")).unwrap();
        assert_eq!(staged.prefix, Path::new("/tmp/stage/usr"));
        assert!(
            staged.pkg_config().starts_with("prefix=${pcfiledir}/../../..\nlibdir=${prefix}/lib/x86_64-linux-gnu\n")
        );
        assert!(staged.cmake().contains("${CMAKE_CURRENT_LIST_DIR}/../../../..\""));
        assert!(!staged.pkg_config().contains("stage") && !staged.pkg_config().contains("gcc_s"));
        assert_eq!(place("/usr", None, Some("")).unwrap().lib(), Path::new("/usr/lib"));
        for outside in ["/opt/lib", "../lib", ""] {
            assert!(place("/usr", Some(outside), None).is_err(), "{outside}");
        }
    }
}
