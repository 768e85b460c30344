//! Inputs of keys: files, FIFOs, stdin and the environment; never two from one stream, never printed.

use std::path::Path;

use rustix::fs::{CWD, FileType, Mode};

use super::run::{DEVICE_ID, DEVICE_KEY, Folder, GROUP_KEY, Run, dps, dps_line, finish, set_mode};

#[test]
fn key_is_read_from_stdin_or_the_environment() {
    let line = ["derive-key", "--group-key-file", "-", "--rid", DEVICE_ID];
    let done = dps(line).run_with_input(format!("{GROUP_KEY}\n").as_bytes()).code(0);
    assert_eq!(done.stdout.trim_end(), DEVICE_KEY);
    let done = dps(["derive-key", "--rid", DEVICE_ID]).env("DPS_GROUP_KEY", GROUP_KEY).run().code(0);
    assert_eq!(done.stdout.trim_end(), DEVICE_KEY);
}

#[test]
fn key_is_read_from_a_fifo() {
    let folder = Folder::new();
    let fifo = folder.file("key.fifo");
    rustix::fs::mknodat(CWD, &fifo, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
    let child = dps(["derive-key", "--group-key-file", &fifo, "--rid", DEVICE_ID]).start();
    std::fs::write(&fifo, GROUP_KEY).unwrap();
    assert_eq!(finish(child).code(0).stdout.trim_end(), DEVICE_KEY);
}

#[test]
fn stdin_is_refused_for_two_inputs() {
    for line in [
        "derive-key --group-key-file - --ids - --out keys",
        "register --scope 0ne1 --rid a --key-file - --payload-file -",
        "enrollment create --rid a --connection-string-file - --primary-key-file - --secondary-key-file k",
    ] {
        let done = dps_line(line, &["--json"]).run().code(2);
        assert!(done.error()["message"].as_str().unwrap().contains("stdin"), "{line}");
    }
}

#[test]
fn key_file_readable_by_others_is_used_with_a_warning() {
    let folder = Folder::new();
    let key = folder.write("group.key", GROUP_KEY);
    let line = ["derive-key", "--group-key-file", &key, "--rid", DEVICE_ID];
    for (mode, warned) in [(0o600, false), (0o400, false), (0o640, true), (0o644, true)] {
        set_mode(Path::new(&key), mode);
        let done = dps(line).run().code(0);
        assert_eq!(done.stdout.trim_end(), DEVICE_KEY);
        assert_eq!(done.stderr.contains("warning"), warned, "{mode:o}: {}", done.stderr);
    }
}

#[test]
fn endless_key_input_is_refused() {
    let zeros = std::fs::File::open("/dev/zero").unwrap();
    let error = dps_line("derive-key --group-key-file - --rid a --json", &[]).stdin(zeros).run().code(3).error();
    assert!(error["message"].as_str().unwrap().contains("longer than 4096 bytes"));
}

#[test]
fn mistaken_keys_are_refused_by_kind() {
    let folder = Folder::new();
    let (first, second) = GROUP_KEY.split_at(76);
    for (content, words) in [
        (format!("{first}\n{second}\n"), "a line break is at offset 76"),
        ("SharedAccessSignature sr=a&sig=b&se=1".to_owned(), "looks like a token"),
        (format!("export DPS_KEY={GROUP_KEY}\n"), "sets a variable"),
    ] {
        let key = folder.write("key", content);
        let error = dps(["derive-key", "--group-key-file", &key, "--rid", "a", "--json"]).run().code(3).error();
        let message = error["message"].as_str().unwrap();
        assert!(message.contains(words) && !message.contains("8isrFI1s"), "{message}");
    }
}

#[test]
fn two_keys_are_refused() {
    let folder = Folder::new();
    let key = folder.write("key", GROUP_KEY);
    dps(["token", "--scope", "0ne1", "--rid", "a", "--key-file", &key, "--group-key-file", &key]).run().code(2);
    let done =
        dps(["token", "--scope", "0ne1", "--rid", "a"]).env("DPS_KEY", GROUP_KEY).env("DPS_GROUP_KEY", GROUP_KEY).run();
    assert!(done.code(2).stderr.contains("both"));
    dps(["token", "--scope", "0ne1", "--rid", "a"]).run().code(2);
    // An option takes precedence over the environment, which may be set for another purpose.
    let line = ["token", "--scope", "0ne1", "--rid", "a", "--key-file", &key];
    dps(line).env("DPS_GROUP_KEY", "no key").run().code(0);
}

#[test]
fn refused_key_is_not_printed() {
    let secret = "c2VjcmV0LXRoYXQtaXMtbm8ga2V5!!";
    let folder = Folder::new();
    let key = folder.write("key", secret);
    for words in [&["--json"][..], &["-vvv"]] {
        let done = dps(["derive-key", "--group-key-file", &key, "--rid", "a"]).args(words).run().code(3);
        assert!(!done.stdout.contains(secret) && !done.stderr.contains(secret));
    }
}

/// These files belong to root when a process is not dumpable, and to its user otherwise (proc(5)).
#[cfg(target_os = "linux")]
#[test]
fn memory_and_environment_cannot_be_read_by_other_processes_of_the_user() {
    use std::os::unix::fs::MetadataExt as _;
    use std::os::unix::process::CommandExt as _;

    const SOMEBODY: u32 = 12345;
    let folder = Folder::new();
    let program = folder.path().join("dps");
    std::fs::copy(env!("CARGO_BIN_EXE_dps"), &program).unwrap();
    set_mode(folder.path(), 0o755);
    set_mode(&program, 0o755);
    let server = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = server.local_addr().unwrap().to_string();
    let mut command = std::process::Command::new(program);
    command.args(["register", "--scope", "0ne1", "--rid", "a", "--endpoint", &endpoint, "--timeout", "1h"]);
    command.env("DPS_KEY", GROUP_KEY).env("NO_PROXY", "*").current_dir("/").stdin(std::process::Stdio::null());
    let mut user = rustix::process::geteuid().as_raw();
    if user == 0 {
        // All files of a process of root belong to root.
        command.uid(SOMEBODY).gid(SOMEBODY);
        user = SOMEBODY;
    }
    let child = command.start();
    // The program is running once it connects.
    let _connection = server.accept().unwrap();
    for file in ["environ", "mem", "maps"] {
        let file = format!("/proc/{}/{file}", child.id());
        assert_ne!(std::fs::metadata(&file).unwrap().uid(), user, "{file} can be read by the same user");
        if user != SOMEBODY {
            assert_eq!(std::fs::read(&file).unwrap_err().kind(), std::io::ErrorKind::PermissionDenied, "{file}");
        }
    }
}
