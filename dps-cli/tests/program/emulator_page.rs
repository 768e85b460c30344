//! The page of `dps emulator`, and the commands that find an emulator that runs on this machine.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::process::Command;

use rustix::process::Signal;
use serde_json::Value;

use super::emulator::stop;
use super::run::{Folder, Run as _, Running, dps, finish, send};

/// A command line whose temporary files are in this folder, so that it finds the emulators of one test.
fn here(folder: &Folder, line: &str, words: &[&str]) -> Command {
    let mut command = dps(line.split_whitespace().chain(words.iter().copied()));
    command.env("TMPDIR", folder.path());
    command
}

/// Starts an emulator and waits for its ready line.
fn start(mut command: Command) -> (Running, Value) {
    let mut child = command.arg("--json").start();
    let mut line = String::new();
    BufReader::with_capacity(1, child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
    (child, serde_json::from_str(&line).expect("no ready line"))
}

fn port(ready: &Value) -> String {
    ready["endpoints"]["https"].as_str().unwrap().rsplit_once(':').unwrap().1.to_owned()
}

/// Opens the page of a link: the status of the exchange of its code.
fn open(link: &str) -> u16 {
    let (host, code) = link.strip_prefix("http://").unwrap().split_once("/#").unwrap();
    let body = format!("{{\"code\":\"{code}\"}}");
    let head = format!("POST /session HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\nConnection: close");
    let mut stream = TcpStream::connect(host).unwrap();
    write!(stream, "{head}\r\nContent-Length: {}\r\n\r\n{body}", body.len()).unwrap();
    let mut reply = String::new();
    stream.read_to_string(&mut reply).unwrap();
    reply.split(' ').nth(1).unwrap().parse().unwrap()
}

#[test]
fn emulator_is_found_by_commands_without_a_connection_string() {
    let folder = Folder::new();
    let missing = here(&folder, "emulator health --json", &[]).run().code(7).error();
    assert!(missing["message"].as_str().unwrap().contains("no emulator"), "{missing}");
    let (child, ready) = start(here(&folder, "emulator", &[]));

    let owner = here(&folder, "emulator connection-string", &[]).run().code(0).stdout;
    let path = ready["connectionStringFile"].as_str().unwrap();
    assert_eq!(owner.trim_end(), std::fs::read_to_string(path).unwrap());
    assert!(here(&folder, "emulator health", &[]).run().code(0).stdout.starts_with("ready\n"));

    let ca = std::fs::read_to_string(ready["caFile"].as_str().unwrap()).unwrap();
    assert_eq!(here(&folder, "emulator ca", &[]).run().code(0).stdout.trim_end(), ca.trim_end());
    let source = folder.file("ca.h");
    let told = here(&folder, "emulator ca --format c --json", &["--out", &source]).run().code(0).json();
    assert_eq!((&told["caSha256"], &told["caPem"]), (&ready["caSha256"], &ca.as_str().into()));
    let text = folder.read("ca.h");
    assert!(
        text.contains("static const char dps_emulator_ca_pem[] =\n    \"-----BEGIN CERTIFICATE-----\\n\"\n"),
        "{text}"
    );

    // Each link works once.
    let first = ready["pageUrl"].as_str().unwrap().to_owned();
    let second = here(&folder, "emulator ui", &[]).run().code(0).stdout.trim_end().to_owned();
    assert_eq!((open(&first), open(&second), open(&first)), (200, 200, 401));

    stop(child, Signal::TERM).code(0);
    here(&folder, "emulator connection-string", &[]).run().code(7);
    assert!(folder.names().iter().all(|name| !name.to_string_lossy().starts_with("dps-emulator-")), "it is removed");
}

#[test]
fn several_emulators_are_told_apart_by_port() {
    let folder = Folder::new();
    let (one, first) = start(here(&folder, "emulator", &["--no-ui"]));
    let (two, second) = start(here(&folder, "emulator", &[]));
    let error = here(&folder, "emulator connection-string --json", &[]).run().code(3).error();
    let message = error["message"].as_str().unwrap();
    assert!(message.contains(&port(&first)) && message.contains(&port(&second)), "{message}");
    let owner = here(&folder, "emulator connection-string", &["--https-port", &port(&second)]).run().code(0).stdout;
    assert!(owner.contains(&format!("localhost:{};", port(&second))), "{owner}");
    // One that was killed leaves its directory, and is not taken for one that runs.
    send(&two, Signal::KILL);
    drop(two);
    let owner = here(&folder, "emulator connection-string", &[]).run().code(0).stdout;
    assert!(owner.contains(&format!("localhost:{};", port(&first))), "{owner}");
    assert_eq!(first["pageUrl"], Value::Null);
    let error = here(&folder, "emulator ui --json", &[]).run().code(4).error();
    assert!(error["message"].as_str().unwrap().contains("has no page"), "{error}");
    stop(one, Signal::TERM).code(0);
}

#[test]
fn state_directory_and_host_names_come_from_the_environment_too() {
    let folder = Folder::new();
    let with_environment = |line: &str, words: &[&str]| {
        let mut command = here(&folder, line, words);
        command.env("DPS_EMULATOR_STATE", folder.file("state")).env("DPS_EMULATOR_HOSTS", "dps.test, 192.0.2.7,");
        command
    };
    with_environment("emulator connection-string", &[]).run().code(7);
    let (child, ready) = start(with_environment("emulator", &[]));
    assert!(ready["endpoints"]["https"].as_str().unwrap().starts_with("dps.test:"), "{ready}");
    assert!(ready["caFile"].as_str().unwrap().ends_with("state/ca.pem"), "{ready}");
    let owner = with_environment("emulator connection-string", &[]).run().code(0).stdout;
    assert!(owner.starts_with("HostName=dps.test:"), "{owner}");
    here(&folder, "emulator health --state", &[&folder.file("state")]).run().code(0);
    stop(child, Signal::TERM).code(0);

    let (child, ready) = start(with_environment("emulator", &["--host", "other.test"]));
    assert!(ready["endpoints"]["https"].as_str().unwrap().starts_with("other.test:"), "{ready}");
    stop(child, Signal::TERM).code(0);
}

#[test]
fn announced_addresses_are_in_the_ready_line_and_the_connection_string() {
    let folder = Folder::new();
    let words = ["--announce", "127.0.0.1:9443", "--announce", "mqtt=board.test", "--announce", "ui=localhost:19080"];
    let (child, ready) = start(here(&folder, "emulator", &words));
    assert_eq!(ready["endpoints"]["https"], "127.0.0.1:9443");
    assert!(ready["endpoints"]["mqtt"].as_str().unwrap().starts_with("board.test:"), "{ready}");
    assert!(ready["pageUrl"].as_str().unwrap().starts_with("http://localhost:19080/#"), "{ready}");
    let owner = here(&folder, "emulator connection-string", &[]).run().code(0).stdout;
    assert!(owner.starts_with("HostName=127.0.0.1:9443;"), "{owner}");
    // It is reached at its own port all the same.
    here(&folder, "emulator health", &[]).run().code(0);
    stop(child, Signal::TERM).code(0);
    for wrong in ["mqtt=", "amqp=a:1", "a:b"] {
        let error = here(&folder, "emulator --json --announce", &[wrong]).run().code(3).error();
        assert!(error["message"].as_str().unwrap().contains(wrong), "{error}");
    }
}

#[test]
fn options_of_the_page_that_contradict_each_other_are_refused() {
    for words in [&["--ui-port", "1"][..], &["--ui-listen", "127.0.0.1"], &["--ui-host", "a"], &["--ui-plain-http"]] {
        dps(["emulator", "--no-ui"]).args(words).run().code(2);
    }
    for name in ["not a name", "board.test:9080", ""] {
        dps(["emulator", "--ui-host", name]).run().code(3);
    }
    dps(["emulator", "--ui-port", "1", "health"]).run().code(2);
}

#[test]
fn page_can_be_set_by_a_configuration() {
    let folder = Folder::new();
    let config = folder.write("emulator.toml", "uiPort = false\nannounce = ['dps.test:443']\n");
    let (child, ready) = start(here(&folder, "emulator --config", &[&config]));
    assert_eq!((&ready["pageUrl"], &ready["endpoints"]["https"]), (&Value::Null, &"dps.test:443".into()));
    send(&child, Signal::TERM);
    finish(child).code(0);
    let (child, ready) = start(here(&folder, "emulator --ui-port 0 --config", &[&config]));
    assert!(ready["pageUrl"].as_str().unwrap().starts_with("http://127.0.0.1:"), "{ready}");
    stop(child, Signal::TERM).code(0);
}
