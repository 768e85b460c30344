//! Installs the C library for programs on this machine, laid out as cargo-c lays it out: header, shared and static
//! library, pkg-config file, CMake package. And checks that programs outside of the repository build and register with it.

use std::os::unix::fs::symlink;
use std::path::Path;

use crate::c::SYSTEM_LIBRARIES;
use crate::run::{Outcome, arguments, cargo, command, output, run, target_dir};

const VERSION: &str = env!("CARGO_PKG_VERSION");

/// How far a version reaches for the loader: before 1.0 a minor version may break programs. The name inside the library
/// is given by `bindings/c/build.rs`; were the two not the same, no program of `installed-c` would find the library.
fn loader_version() -> String {
    let parts: Vec<&str> = VERSION.split('.').take(2).collect();
    parts.join(".")
}

/// `install-c --prefix P`: into P, which programs are to find it in.
pub(crate) fn install() -> Outcome {
    match arguments().as_slice() {
        [option, prefix] if option == "--prefix" => {
            let prefix = std::path::absolute(prefix).map_err(|error| format!("{prefix}: {error}"))?;
            install_into(&prefix)?;
            println!("installed into {0}; for pkg-config: PKG_CONFIG_PATH={0}/lib/pkgconfig", prefix.display());
            Ok(())
        }
        _ => Err("say where to: cargo xtask install-c --prefix FOLDER".into()),
    }
}

fn install_into(prefix: &Path) -> Outcome {
    run(&mut cargo(["build", "--locked", "--quiet", "--release", "-p", "dps-c"]))?;
    let built = target_dir().join("release");
    let lib = prefix.join("lib");
    let shared = format!("libdps.so.{VERSION}");
    copy(Path::new("bindings/c/include/dps.h"), &prefix.join("include/dps.h"))?;
    copy(&built.join("libdps.a"), &lib.join("libdps.a"))?;
    copy(&built.join("libdps.so"), &lib.join(&shared))?;
    link(&shared, &lib.join(format!("libdps.so.{}", loader_version())))?;
    link(&shared, &lib.join("libdps.so"))?;
    write(&lib.join("pkgconfig/dps.pc"), &pkg_config(prefix))?;
    write(&lib.join("cmake/dps/dps-config.cmake"), CMAKE)?;
    write(&lib.join("cmake/dps/dps-config-version.cmake"), &cmake_version())
}

fn pkg_config(prefix: &Path) -> String {
    format!(
        "prefix={}\nlibdir=${{prefix}}/lib\nincludedir=${{prefix}}/include\n\nName: dps\n\
         Description: Device provisioning for Azure IoT Hub\nVersion: {VERSION}\nLibs: -L${{libdir}} -ldps\n\
         Libs.private: {SYSTEM_LIBRARIES}\nCflags: -I${{includedir}} -DDPS_HOSTED\n",
        prefix.display()
    )
}

/// Found from where it stands, so that the folder can be moved.
const CMAKE: &str = "get_filename_component(_dps_prefix \"${CMAKE_CURRENT_LIST_DIR}/../../..\" ABSOLUTE)
if(NOT TARGET dps::dps)
  add_library(dps::dps SHARED IMPORTED)
  set_target_properties(dps::dps PROPERTIES
    IMPORTED_LOCATION \"${_dps_prefix}/lib/libdps.so\"
    INTERFACE_INCLUDE_DIRECTORIES \"${_dps_prefix}/include\"
    INTERFACE_COMPILE_DEFINITIONS DPS_HOSTED)
endif()
";

/// Takes a request for the same version as far as it reaches.
fn cmake_version() -> String {
    format!(
        "set(PACKAGE_VERSION {VERSION})\nif(PACKAGE_FIND_VERSION MATCHES \"^{}(\\\\.|$)\" AND \
         NOT PACKAGE_FIND_VERSION VERSION_GREATER PACKAGE_VERSION)\n  set(PACKAGE_VERSION_COMPATIBLE TRUE)\nendif()\n",
        loader_version().replace('.', "\\\\.")
    )
}

/// Installs into a folder of its own, and builds and runs programs that know only what is installed.
pub(crate) fn check() -> Outcome {
    let folder = target_dir().join("c-installed");
    let _ = std::fs::remove_dir_all(&folder);
    let prefix = std::path::absolute(folder.join("prefix")).map_err(|error| error.to_string())?;
    install_into(&prefix)?;
    run(&mut cargo(["build", "--locked", "--quiet", "-p", "c-service"]))?;
    let outside = std::env::temp_dir().join(format!("dps-outside-{}", std::process::id()));
    let checked = programs_outside(&prefix, &outside);
    let _ = std::fs::remove_dir_all(&outside);
    checked
}

fn programs_outside(prefix: &Path, outside: &Path) -> Outcome {
    for (from, name) in
        [("examples/c/posix_register.c", "main.c"), ("examples/c/cmake/CMakeLists.txt", "CMakeLists.txt")]
    {
        copy(Path::new(from), &outside.join(name))?;
    }
    let script = |line: &str| {
        let mut shell = command("sh", ["-ec", line]);
        shell.current_dir(outside).env("PKG_CONFIG_PATH", prefix.join("lib/pkgconfig"));
        run(shell.env("PREFIX", prefix))
    };
    script("cc main.c $(pkg-config --cflags --libs dps) -o shared")?;
    let with_static_library = "cc main.c $(pkg-config --cflags dps) \"$PREFIX/lib/libdps.a\" \
                               $(pkg-config --static --libs-only-l dps | sed 's/-ldps//') -o static";
    script(with_static_library)?;
    script("cmake -S . -B build -DCMAKE_PREFIX_PATH=\"$PREFIX\" > cmake.log && cmake --build build >> cmake.log")?;
    for program in ["shared", "static", "build/register"] {
        registers(prefix, &outside.join(program))?;
    }
    Ok(())
}

fn registers(prefix: &Path, program: &Path) -> Outcome {
    let call = r#""$0" "$DPS_TEST_ID_SCOPE" sn-007-888-abc-mac-a1-b2-c3-d4-e5-f6 "$DPS_TEST_DEVICE_KEY_FILE" "$DPS_TEST_HTTPS" "$DPS_TEST_CA_FILE""#;
    let mut service = command(target_dir().join("debug/c-service"), ["sh", "-ec", call]);
    service.arg(program).env("LD_LIBRARY_PATH", prefix.join("lib"));
    let said = output(&mut service)?;
    if said.trim() != "sn-007-888-abc-mac-a1-b2-c3-d4-e5-f6 is assigned to hub-a.test" {
        return Err(format!("{} says: {said}", program.display()));
    }
    println!("{}: {}", program.display(), said.trim());
    Ok(())
}

fn copy(from: &Path, to: &Path) -> Outcome {
    let from = crate::run::root().join(from);
    let copied = folder_of(to).and_then(|()| std::fs::copy(&from, to));
    copied.map(|_| ()).map_err(|error| format!("{} to {}: {error}", from.display(), to.display()))
}

fn write(path: &Path, text: &str) -> Outcome {
    folder_of(path).and_then(|()| std::fs::write(path, text)).map_err(|error| format!("{}: {error}", path.display()))
}

fn link(target: &str, path: &Path) -> Outcome {
    let _ = std::fs::remove_file(path);
    symlink(target, path).map_err(|error| format!("{}: {error}", path.display()))
}

fn folder_of(path: &Path) -> std::io::Result<()> {
    std::fs::create_dir_all(path.parent().unwrap_or(Path::new("/")))
}
