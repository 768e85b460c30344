//! The checks that are one or a few cargo commands.

use crate::run::{
    Outcome, TESTED, arguments, build_workspace, cargo, command, exists, is_part_of_all, limited, output, run,
    target_dir,
};

/// What is built for bare metal stands outside the workspace.
pub(crate) const OUTSIDE: [&str; 2] = ["examples/bare-flow/Cargo.toml", "examples/embassy/Cargo.toml"];

pub(crate) fn fmt() -> Outcome {
    run(&mut cargo(["fmt", "--all", "--check"]))?;
    for manifest in OUTSIDE {
        run(&mut cargo(["fmt", "--manifest-path", manifest, "--check"]))?;
    }
    Ok(())
}

/// The workspace with all features, then the libraries without any. `features` lints every set of them.
pub(crate) fn clippy() -> Outcome {
    let lint = |arguments: &[&str]| {
        let all = ["clippy", "--locked"].iter().chain(arguments).chain(&["--", "-D", "warnings"]);
        run(&mut cargo(all))
    };
    // The fuzz targets need what `cfg(fuzzing)` adds.
    lint(&["--workspace", "--exclude", "dps-fuzz", "--all-targets", "--all-features"])?;
    lint(&["--lib", "-p", "dps-emulator", "-p", "dps-c", "-p", "dps-client", "--no-default-features"])
}

/// As a part of all checks, properties are checked with the same values each time: the check of a change must not fail by
/// chance. By itself, each run checks others, to find what is new.
pub(crate) fn unit() -> Outcome {
    let (test, more): (&[&str], &[&str]) = if exists("cargo-nextest") {
        (&["nextest", "run"], &["--status-level", "fail"])
    } else {
        (&["test", "--all-targets"], &[])
    };
    let mut tests = cargo(test);
    tests.arg("--no-fail-fast").args(more).args(TESTED);
    if is_part_of_all() {
        tests.env("PROPTEST_RNG_SEED", "1");
    }
    run(&mut tests)
}

pub(crate) fn doctest() -> Outcome {
    run(cargo(["test", "--doc"]).args(TESTED))
}

/// Licenses, bans and sources; advisories where their database can be reached, as `deny.toml` configures them.
pub(crate) fn deny() -> Outcome {
    let check = |arguments: &[&str]| run(&mut cargo(["deny", "--all-features", "check"].iter().chain(arguments)));
    check(&["licenses", "bans", "sources"])?;
    if let Err(problem) = output(&mut limited(&cargo(["deny", "fetch", "db"]))) {
        let reason = problem.lines().find(|line| line.contains("fatal:")).unwrap_or("it cannot be fetched").trim();
        println!("advisories SKIPPED: their database cannot be reached ({reason})");
        return Ok(());
    }
    check(&["advisories"])
}

/// The README's first command, by the program that the workspace's build has: built alone, its dependencies have other
/// features, and all of them would be compiled again.
pub(crate) fn demo() -> Outcome {
    build_workspace()?;
    run(&mut command(target_dir().join("debug/dps"), ["demo"]))
}

/// The tests hold the same table; this prints it.
pub(crate) fn faults() -> Outcome {
    run(&mut cargo(["run", "--locked", "--quiet", "-p", "faults"]))
}

/// The tests hold the same ends with wide limits of time; this measures, so nothing else should run beside it.
pub(crate) fn floods() -> Outcome {
    let runs = arguments();
    for profile in [&[][..], &["--release"]] {
        println!("{}:", if profile.is_empty() { "debug" } else { "release" });
        let run_floods = ["run", "--locked", "--quiet", "-p", "faults", "--bin", "floods"];
        let words = run_floods.iter().chain(profile).map(|word| (*word).to_owned());
        run(&mut cargo(words.chain(["--".to_owned()]).chain(runs.iter().cloned())))?;
    }
    Ok(())
}

/// The unit tests hold the same bound with fewer devices; this measures, so nothing else should run beside it.
pub(crate) fn event_load() -> Outcome {
    let words =
        ["test", "--locked", "--quiet", "--release", "-p", "dps-emulator", "--features", "server", "--test", "suite"];
    run(cargo(words).args(["--", "--ignored", "--nocapture", "event_load"]))
}

/// The test compares the same table; this writes it, to be reviewed in the diff.
pub(crate) fn write_reasons() -> Outcome {
    let words =
        ["test", "--locked", "--quiet", "-p", "dps-emulator", "--features", "server", "--test", "suite", "reasons::"];
    run(cargo(words).env("DPS_WRITE_REASONS", "1"))
}

/// The tests hold the same expectations; this writes what comes out, to be looked at in the diff.
pub(crate) fn write_golden() -> Outcome {
    let mut test = cargo(["test", "--locked", "--quiet", "-p", "dps-edge", "--test", "suite", "golden::"]);
    run(test.env("DPS_WRITE_GOLDEN", "1"))
}
