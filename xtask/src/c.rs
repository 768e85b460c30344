//! The C library for the host: its header in every dialect, its tests under sanitizers and valgrind, the fault matrix.

use std::path::Path;
use std::process::Command;

use crate::c_tests::{SANITIZERS, SYSTEM_LIBRARIES, Tests, VALGRIND, WARNINGS, compile, fault_client, library};
use crate::run::{Outcome, build_workspace, command, exists, is_part_of_all, output, run, target_dir};

const DEVICE: &str = "sn-007-888-abc-mac-a1-b2-c3-d4-e5-f6";
/// The common name of the certificate of `c-service`.
const CERTIFICATE_DEVICE: &str = "dev-01";
/// The device to which the second service of `c-service` issues certificates.
const ISSUED_DEVICE: &str = "dev-issued";
/// Uses the header's macros, and links only where the flavors of header and library are the same.
const DIALECTS: &str = "bindings/c/tests/dialects.c";

pub(crate) fn check() -> Outcome {
    let missing: Vec<&str> =
        ["gcc", "g++", "clang", "clang++", "valgrind"].into_iter().filter(|p| !exists(p)).collect();
    if !missing.is_empty() {
        return Err(format!("{} missing; `cargo xtask setup` installs them", missing.join(", ")));
    }
    header_in_every_dialect()?;
    let folder = crate::c_vectors::write(target_dir().join("c"))?;
    build_workspace()?;
    only_one_flavor_links(&folder)?;
    ignored_result_is_a_warning(&folder)?;
    sanitizers_are_there(&folder)?;
    if crate::c_asan::missing().is_some() {
        // Else `c-asan` does the same with Rust instrumented too.
        Tests::build(&folder, "sanitized", &SANITIZERS, &library())?.run("sanitizers of C", &[])?;
    }
    examples(&folder)?;
    let plain = Tests::build(&folder, "plain", &[], &library())?;
    if is_part_of_all() {
        // There `installed-c` runs the same tests under valgrind, with the library that users get.
        plain.run("nobody", &[])?;
    } else {
        plain.run("valgrind", &[&VALGRIND[..], &["--suppressions=bindings/c/valgrind.supp"]].concat())?;
    }
    crate::stalled_resolver::check_c(&folder)?;
    faults(&folder)
}

/// Compiles each separately, so that a failure names the dialect.
fn header_in_every_dialect() -> Outcome {
    let dialects = [
        ("gcc", ["-std=c99", "-xc"]),
        ("gcc", ["-std=c11", "-xc"]),
        ("g++", ["-std=c++17", "-xc++"]),
        ("clang", ["-std=c99", "-xc"]),
        ("clang", ["-std=c11", "-xc"]),
        ("clang++", ["-std=c++17", "-xc++"]),
    ];
    for (compiler, dialect) in dialects {
        for flavour in ["-DDPS_HOSTED", "-UDPS_HOSTED"] {
            let mut compile = command(compiler, WARNINGS);
            run(compile.args(dialect).args([flavour, "-fsyntax-only", "-Ibindings/c/include", DIALECTS]))?;
        }
    }
    println!("dps.h is C99, C11 and C++17 for gcc and clang, hosted and bare, without a warning");
    Ok(())
}

/// Checks that a program with the header's bare flavor does not link with the hosted library, since their structs differ.
fn only_one_flavor_links(folder: &Path) -> Outcome {
    for (flavor, links) in [("-UDPS_HOSTED", false), ("-DDPS_HOSTED", true)] {
        let mut gcc = command("gcc", ["-std=c11", flavor, "-Ibindings/c/include", DIALECTS, "-o"]);
        gcc.arg(folder.join("flavor")).arg(library()).args(SYSTEM_LIBRARIES.split(' '));
        let said = output(&mut gcc);
        let told = said.as_ref().is_err_and(|said| said.contains("dps_config_default_abi_"));
        if said.is_ok() != links || told == links {
            return Err(format!("{flavor}: to link is expected to be {links}: {said:?}"));
        }
    }
    run(&mut command(folder.join("flavor"), [""; 0]))
}

/// Checks that an ignored result is a warning.
fn ignored_result_is_a_warning(folder: &Path) -> Outcome {
    let source = folder.join("ignored.c");
    let text = "#include <dps.h>\nvoid f(dps_key *key);\nvoid f(dps_key *key)\n{\n    dps_key_sign(key, DPS_SPAN(\"x\"), 0);\n}\n";
    std::fs::write(&source, text).map_err(|error| format!("{}: {error}", source.display()))?;
    for compiler in [["gcc", "-xc"], ["clang", "-xc"], ["g++", "-xc++"], ["clang++", "-xc++"]] {
        let mut compile = command(compiler[0], WARNINGS);
        // gcc warns only when it generates code.
        compile.args([compiler[1], "-DDPS_HOSTED", "-c", "-Ibindings/c/include", "-o"]);
        compile.arg(folder.join("ignored.o")).arg(&source);
        let said = output(&mut compile);
        if !said.as_ref().is_err_and(|said| said.contains("unused-result")) {
            return Err(format!("{}: an ignored result is not a warning: {said:?}", compiler[0]));
        }
    }
    Ok(())
}

/// Checks that the sanitizers report faulty programs, since otherwise a clean run would mean nothing.
fn sanitizers_are_there(folder: &Path) -> Outcome {
    let control = compile(folder, "control", &["control.c"], &SANITIZERS, None)?;
    for (wrong, report) in [("overflow", "runtime error: signed integer overflow"), ("heap", "heap-buffer-overflow")] {
        let caught = output(&mut command(&control, [wrong]));
        if !caught.as_ref().is_err_and(|said| said.contains(report)) {
            return Err(format!("a faulty program ({wrong}) is not reported: {caught:?}"));
        }
    }
    println!("a deliberate heap overflow and signed overflow are reported");
    Ok(())
}

/// The examples for programs on an operating system register a device.
fn examples(folder: &Path) -> Outcome {
    let own_stack = r#""$0" "$DPS_TEST_ID_SCOPE" "$1" "$DPS_TEST_DEVICE_KEY_FILE" localhost "${DPS_TEST_HTTPS#*:}" "$DPS_TEST_CA_FILE""#;
    let blocking =
        r#""$0" "$DPS_TEST_ID_SCOPE" "$1" "$DPS_TEST_DEVICE_KEY_FILE" "$DPS_TEST_HTTPS" "$DPS_TEST_CA_FILE""#;
    let certificate = r#"export DPS_PASSPHRASE_FILE="$DPS_TEST_PASSPHRASE_FILE"; cd "$DPS_TEST_CERTIFICATES"
        "$0" "$DPS_TEST_ID_SCOPE" ec.pem ec-pbkdf2.pem "$DPS_TEST_HTTPS" "$DPS_TEST_CA_FILE""#;
    let issued = r#"for second in false true; do
            printed=$("$0" "$DPS_TEST_ID_SCOPE" "$1" "$DPS_TEST_DEVICE_KEY_FILE" "$DPS_TEST_IDENTITIES" "$DPS_TEST_ISSUING_HTTPS" "$DPS_TEST_ISSUING_CA_FILE") || exit 1
            if $second; then test "$printed" = "$1 has a valid certificate" || exit 1; else echo "$printed"; fi
        done"#;
    let all: [(&str, &[&str], &str, &str); 4] = [
        ("posix_register", &["posix_register.c"], blocking, DEVICE),
        ("posix_register_x509", &["posix_register_x509.c"], certificate, CERTIFICATE_DEVICE),
        ("posix_issued", &["posix_issued.c"], issued, ISSUED_DEVICE),
        ("posix_own_stack", &["posix_own_stack.c", "tls.c"], own_stack, DEVICE),
    ];
    for (name, sources, script, device) in all {
        let program = folder.join(name);
        let mut gcc = command("gcc", WARNINGS);
        gcc.args(["-std=c11", "-D_POSIX_C_SOURCE=200809L", "-DDPS_HOSTED", "-Ibindings/c/include"]);
        gcc.args(sources.iter().map(|source| format!("examples/c/{source}"))).arg(library());
        gcc.args(SYSTEM_LIBRARIES.split(' ')).args(["-lssl", "-lcrypto", "-o"]).arg(&program);
        run(&mut gcc)?;
        let mut service = command(target_dir().join("debug/c-service"), ["sh", "-c", script]);
        let said = output(service.arg(&program).arg(device))?;
        if said.trim() != format!("{device} is assigned to hub-a.test") {
            return Err(format!("{name} says: {said}"));
        }
        print!("{name}: {said}");
    }
    own_stack_names_a_timeout(folder)
}

/// Checks that a silent server is reported as a timeout, not as a connection that was cut.
fn own_stack_names_a_timeout(folder: &Path) -> Outcome {
    let silent = r#""$0" "$DPS_TEST_ID_SCOPE" x "$DPS_TEST_DEVICE_KEY_FILE" localhost "${DPS_TEST_SILENT#*:}" "$DPS_TEST_CA_FILE" 500"#;
    let mut service = command(target_dir().join("debug/c-service"), ["sh", "-c", silent]);
    let said = output(service.arg(folder.join("posix_own_stack")));
    if !said.as_ref().is_err_and(|said| said.contains("no answer came in time")) {
        return Err(format!("posix_own_stack does not report a timeout: {said:?}"));
    }
    Ok(())
}

/// Runs every row of the fault matrix with a C program.
fn faults(folder: &Path) -> Outcome {
    let client = fault_client(folder)?;
    println!("the fault matrix, run with a C program:");
    let mut matrix: Command = command(target_dir().join("debug/faults"), [&client]);
    let said = output(&mut matrix)?;
    println!("{}", said.lines().last().unwrap_or_default());
    Ok(())
}
