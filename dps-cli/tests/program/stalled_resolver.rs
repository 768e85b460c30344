//! A name server that does not respond: the program ends by its timeout, and at once when interrupted.

use std::io::{BufRead as _, BufReader};
use std::process::Command;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use super::run::{DEVICE_KEY, Run, finish, send};
use super::service::Service;
use super::stalled;

const TRANSPORTS: [&str; 3] = ["https", "mqtt", "mqtt-ws"];

fn register(service: &Service, line: &str, transport: &str) -> Command {
    let key = service.folder.write("device.key", DEVICE_KEY);
    let words = ["--endpoint", stalled::NAME, "--transport", transport, "--key-file", &key];
    let mut command = service.as_device(line, "dev-01", &words);
    command.env("LD_PRELOAD", stalled::resolver());
    command
}

#[test]
fn timeout_ends_the_program_during_name_resolution() {
    let service = Service::start();
    for transport in TRANSPORTS {
        let mut command = register(&service, "register --json --timeout 2s", transport);
        let start = Instant::now();
        let error = command.run().code(5).error();
        stalled::check(&format!("program, {transport}"), Duration::from_secs(2), start.elapsed());
        assert_eq!(
            (error["name"].as_str(), error["hints"][0].as_str()),
            (Some("timeout"), Some("check-dns")),
            "{error}"
        );
        assert!(error["message"].as_str().unwrap().contains("stalled during name resolution"), "{error}");
    }
}

#[test]
fn interrupt_ends_the_program_during_name_resolution() {
    let service = Service::start();
    for transport in TRANSPORTS {
        let mut child = register(&service, "register --json -vv --timeout 1h", transport).start();
        let mut log = BufReader::new(child.stderr.take().unwrap()).lines();
        assert!(log.any(|line| line.unwrap().contains("start")), "it never started");
        let (start, limit) = (Instant::now(), Duration::from_millis(500));
        std::thread::sleep(limit);
        send(&child, Signal::INT);
        finish(child).code(130);
        stalled::check(&format!("program, {transport} interrupted"), limit, start.elapsed());
    }
}
