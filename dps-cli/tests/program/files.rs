//! Paths that are not regular files, and how files are written.

use std::os::unix::fs::symlink;
use std::path::Path;

use dps_emulator::IndividualEnrollment;
use rustix::fs::{CWD, FileType, Mode};

use super::run::{Folder, GROUP_KEY, Run, dps, dps_line, mode_of, set_mode};
use super::service::Service;

const CONFIG: &str = r#"[provisioning]
source = "dps"
id_scope = "0ne00A1B2C3"

[provisioning.attestation]
method = "symmetric_key"
registration_id = "dev-01"
symmetric_key = { value = "8isrFI1sGsIlvvFSSFRiMfCNzv21fjbE/+ah/lSh3lF8e2YG1Te7w1KpZhJFFXJrqYKi9yegxkqIChbqOS9Egw==" }
"#;

fn make_fifo(path: &str) {
    rustix::fs::mknodat(CWD, path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
}

/// Runs a command line with a FIFO, a directory and a device in place of `AT`: each is refused with its kind.
fn refuses(folder: &Folder, line: &str, things: &[&str]) {
    let fifo = folder.file("fifo");
    if !Path::new(&fifo).exists() {
        make_fifo(&fifo);
    }
    for thing in things {
        let path = match *thing {
            "FIFO" => fifo.as_str(),
            "directory" => folder.path().to_str().unwrap(),
            _ => "/dev/zero",
        };
        let words: Vec<&str> = line.split_whitespace().map(|word| if word == "AT" { path } else { word }).collect();
        let done = dps(words).env("DPS_GROUP_KEY", GROUP_KEY).arg("--json").run().code(7);
        let error = done.error();
        let message = error["message"].as_str().unwrap();
        assert!(message.contains(thing) && message.contains(path), "{line}: {message}");
    }
}

#[test]
fn fifos_directories_and_devices_are_refused_as_files() {
    let folder = Folder::new();
    let (out, config) = (folder.file("out"), folder.write("config.toml", CONFIG));
    let all = &["FIFO", "directory", "device"];
    let register = "register --scope 0ne1 --rid a";
    for line in [
        &format!("derive-key --ids AT --out {out}"),
        &format!("{register} --ca-file AT"),
        &format!("{register} --add-ca-file AT"),
        &format!("{register} --payload-file AT"),
        "edge show AT",
        &format!("edge convert AT --out {out}"),
        "edge provision --config AT",
    ] {
        refuses(&folder, line, all);
    }
    // In a directory, lint reads the configuration.
    refuses(&folder, "edge lint AT", &["FIFO", "device"]);
    // A secret may be read from a FIFO.
    for line in
        ["derive-key --group-key-file AT --rid a", &format!("{register} --proxy-password-file AT --proxy http://u@h")]
    {
        refuses(&folder, line, &["directory", "device"]);
    }
    // The lock file is next to the file, which is not possible next to a device.
    make_fifo(&folder.file("operation"));
    let resume = ["--resume", &folder.file("operation"), "--json"];
    let done = dps_line(register, &resume).env("DPS_GROUP_KEY", GROUP_KEY).run().code(7);
    assert!(done.error()["message"].as_str().unwrap().contains("FIFO"));
    // The daemon's backup.
    let home = folder.file("home");
    std::fs::create_dir(&home).unwrap();
    make_fifo(&format!("{home}/device_info"));
    let line = ["edge", "provision", "--config", &config, "--daemon-dir", &home, "--json"];
    for more in [&["--dry-run"][..], &[]] {
        let done = dps(line).args(more).run().code(7);
        assert!(done.error()["message"].as_str().unwrap().contains("FIFO"));
    }
}

#[test]
fn ca_file_over_one_mebibyte_is_refused() {
    let service = Service::start();
    let key = service.enroll(IndividualEnrollment::new("dev-01"));
    // The authority is within the first mebibyte: a truncated file would be accepted.
    let ca = service.folder.read("ca.pem") + &"#\n".repeat(600_000);
    let ca = service.folder.write("long.pem", ca);
    let done = service.as_device("register --json", "dev-01", &["--key-file", &key, "--ca-file", &ca]).run().code(7);
    assert!(done.error()["message"].as_str().unwrap().contains("1048576"));
}

#[test]
fn resume_file_is_locked_by_one_process() {
    let service = Service::with(|options| options.default_retry_after_s(3600));
    let key = service.enroll(IndividualEnrollment::new("dev-01"));
    let resume = service.folder.file("operation");
    let files = ["--key-file", &key, "--resume", &resume, "--timeout", "3h"];
    let mut first = service.as_device("register -vv", "dev-01", &files).start();
    let log = std::io::BufReader::new(first.stderr.take().unwrap());
    assert!(std::io::BufRead::lines(log).any(|line| line.unwrap().contains("operation was stored")));
    let second = service.as_device("register --json", "dev-01", &files).run().code(7);
    assert!(second.error()["message"].as_str().unwrap().contains("another process"));
    assert_eq!(service.set(|service| service.counters().registers), 1);
}

#[test]
fn output_through_a_symbolic_link_is_refused() {
    let service = Service::with(|options| options.default_retry_after_s(3600));
    let key = service.enroll(IndividualEnrollment::new("dev-01"));
    let victim = service.folder.write("victim", "as it was");
    let link = service.folder.file("link");
    symlink(&victim, &link).unwrap();
    let files = ["--key-file", &key, "--resume", &link, "--timeout", "1s"];
    service.as_device("register", "dev-01", &files).run().code(7);
    // The link is not replaced either, since something else may need it.
    dps(["derive-key", "--rid", "a", "--force", "--out", &link]).env("DPS_GROUP_KEY", GROUP_KEY).run().code(7);
    let done = dps(["emulator", "--ca-out", &link]).run().code(7);
    assert!(done.stderr.contains("link"), "{}", done.stderr);
    assert_eq!(service.folder.read("victim"), "as it was");
    assert!(Path::new(&link).is_symlink());
}

/// An unfinished file of a killed process, on a system where files always have a name.
#[test]
fn writers_remove_unfinished_files_of_killed_programs() {
    let service = Service::with(|options| options.default_retry_after_s(3600));
    let key = service.enroll(IndividualEnrollment::new("dev-01"));
    let folder = Folder::new();
    let config = folder.write("config.toml", CONFIG);
    let (state, home) = (folder.file("state"), folder.file("home"));
    let device = folder.path().join("state/0ne00A1B2C3/dev-01");
    std::fs::create_dir_all(&device).unwrap();
    std::fs::create_dir(&home).unwrap();
    let out = |name: &str| folder.file(name);
    let resumed = ["--key-file", &key, "--resume", &out("operation"), "--timeout", "1s"];
    let create = ["--registration-id", "dev-02", "--key-out", &out("device.key")];
    let endpoint = ["--endpoint", "127.0.0.1:9", "--timeout", "1s"];
    let mut provision = dps(["edge", "provision", "--config", &config, "--state-dir", &state]);
    provision.args(endpoint);
    let writers = [
        (dps(["derive-key", "--rid", "a", "--out", &out("key")]), folder.path()),
        (service.as_owner("enrollment create", &create), folder.path()),
        (service.as_device("register", "dev-01", &resumed), folder.path()),
        (provision, &device),
        (dps(["edge", "set", &config, "provisioning.id_scope", "0ne0"]), folder.path()),
    ];
    for (mut writer, folder) in writers {
        let left = folder.join(".dps-A1b2C3.unfinished");
        std::fs::write(&left, GROUP_KEY).unwrap();
        let done = writer.env("DPS_GROUP_KEY", GROUP_KEY).run();
        assert!(!left.exists(), "{writer:?}: {done:?}");
    }
    let left = folder.write(".dps-A1b2C3.unfinished", GROUP_KEY);
    let mut emulator = dps(["emulator", "--json", "--ca-out", &out("ca.pem")]).start();
    let mut ready = String::new();
    let mut stdout = std::io::BufReader::new(emulator.stdout.take().unwrap());
    std::io::BufRead::read_line(&mut stdout, &mut ready).unwrap();
    assert!(ready.contains("idScope") && !Path::new(&left).exists());
    assert_eq!(mode_of(out("ca.pem")), 0o644);
}

#[test]
fn edge_set_keeps_extended_attributes_and_drops_set_uid() {
    let folder = Folder::new();
    let config = folder.write("config.toml", CONFIG);
    set_mode(Path::new(&config), 0o4640);
    let value = b"kept";
    // A file system without extended attributes has nothing to keep.
    let attributes = rustix::fs::setxattr(&config, "user.label", value, rustix::fs::XattrFlags::empty()).is_ok();
    dps(["edge", "set", &config, "provisioning.id_scope", "0ne00A1B2C4"]).run().code(0);
    assert!(folder.read("config.toml").contains("0ne00A1B2C4"));
    assert_eq!(mode_of(&config), 0o640);
    if attributes {
        let mut found = [0; 16];
        let length = rustix::fs::getxattr(&config, "user.label", &mut found[..]).unwrap();
        assert_eq!(&found[..length], value);
    }
}
