//! The command line itself: help, usage errors in both forms, completions, logging options.

use super::run::{Folder, Run, dps, dps_line};

const COMMANDS: [&str; 9] =
    ["demo", "derive-key", "token", "register", "lookup", "emulator", "enrollment", "enrollment-group", "completions"];

#[test]
fn help_lists_commands_and_exit_codes() {
    let help = dps(["--help"]).run().code(0).stdout;
    for command in COMMANDS {
        assert!(help.contains(command), "{command} is not in the help");
        let own = dps([command, "--help"]).run().code(0).stdout;
        assert!(own.contains("Usage: dps"), "{own}");
    }
    assert!(help.contains("Exit codes"));
    assert!(dps(["--version"]).run().code(0).stdout.starts_with("dps "));
}

#[test]
fn usage_errors_are_text_or_json() {
    let done = dps_line("register --scope 0ne1", &[]).run().code(2);
    assert_eq!(done.stdout, "");
    assert!(done.stderr.contains("--registration-id"), "{}", done.stderr);
    let done = dps_line("register --scope 0ne1 --json", &[]).run().code(2);
    let error = done.error();
    assert_eq!((error["code"].as_u64(), error["family"].as_str()), (Some(1001), Some("misuse")));
    assert!(error["message"].as_str().unwrap().contains("--registration-id"));
    dps::<'_>([]).run().code(2);
    dps(["--json"]).run().code(2).error();
}

#[test]
fn keys_are_not_accepted_as_arguments() {
    for name in ["--key", "--group-key"] {
        let done = dps_line("token --scope 0ne1 --rid a", &[&format!("{name}=c2VjcmV0")]).run().code(2);
        assert!(done.stderr.contains("-file"), "{}", done.stderr);
        assert!(!done.stderr.contains("c2VjcmV0"), "{}", done.stderr);
    }
}

#[test]
fn invalid_resolve_is_a_usage_error() {
    for (told, why) in [
        ("dps.test", "write NAME:PORT:ADDR"),
        ("dps.test:443", "write NAME:PORT:ADDR"),
        (":443:127.0.0.1", "is not a host name"),
        ("dps.test:https:127.0.0.1", "is not a port"),
        ("dps.test:443:localhost", "is not an IP address"),
    ] {
        let lines = [
            "register --scope 0ne1 --rid a --key-file no-such-file --resolve",
            "edge provision --config no-such-file --resolve",
            "enrollment list --connection-string-file no-such-file --resolve",
        ];
        for line in lines {
            let done = dps_line(line, &[told]).run().code(2);
            assert!(done.stderr.contains("--resolve") && done.stderr.contains(why), "{}", done.stderr);
        }
        dps_line(lines[0], &[told, "--json"]).run().code(2).error();
    }
}

/// Returns what bash reports about the syntax of a script, which is too long for an argument.
fn bash_syntax_errors(script: &str) -> String {
    let folder = Folder::new();
    let mut bash = std::process::Command::new("bash");
    String::from_utf8(bash.args(["-n", &folder.write("script", script)]).output().unwrap().stderr).unwrap()
}

#[test]
fn completions_exist_for_every_shell() {
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let script = dps(["completions", shell]).run().code(0).stdout;
        for command in COMMANDS {
            assert!(script.contains(command), "{shell}: {command}");
        }
        assert!(script.lines().count() > COMMANDS.len(), "{shell}: {script}");
        if shell == "bash" {
            assert_eq!(bash_syntax_errors(&script), "");
        }
        // The subcommands of `emulator`; completions for fish have no more than these.
        assert!(script.contains("counters"), "{shell}");
        assert!(shell == "fish" || script.contains("retry-after-date"), "{shell}: an option of emulator fault add");
    }
    dps(["completions", "sh"]).run().code(2);
}

#[test]
fn logging_is_enabled_by_option_or_environment() {
    let line = ["derive-key", "--rid", "a"];
    dps(line).env("DPS_LOG", "trace").env("DPS_GROUP_KEY", super::run::GROUP_KEY).run().code(0);
    let done = dps(line).env("DPS_LOG", "loud=very").run().code(3);
    assert!(done.stderr.contains("DPS_LOG"), "{}", done.stderr);
}
