//! The firmware examples: built for a Cortex-M4 and for RISC-V, run in QEMU, they register for real, over a serial port, a
//! bridge and TLS, at an emulator: over MQTT with a key, where the project's vectors are checked too, and with a certificate;
//! over HTTPS without a clock.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::c_image::{link, sources};
use crate::c_library::Build;
use crate::cores::{Core, M4, RV32IMC};
use crate::emulator::Emulator;
use crate::firmware_lib::make_in;
use crate::image::Image;
use crate::run::{Outcome, command, output, run, target_dir};

const PROGRAM: &str = "examples/c/firmware";
const GROUP_KEY: &str = "8isrFI1sGsIlvvFSSFRiMfCNzv21fjbE/+ah/lSh3lF8e2YG1Te7w1KpZhJFFXJrqYKi9yegxkqIChbqOS9Egw==";
/// The group's other key, which nobody uses here.
const OTHER_KEY: &str = "G3vn0IZH9oK3d4wsxFpWBtd2KUrtjI+39dZVRf26To8w9OX0LaFV9yZ93ELXY7voqHEUsNhnb9bt717UP87KxA==";

/// One of the examples.
struct Example {
    name: &'static str,
    sources: &'static [&'static str],
    /// Whether it has no key, and the bridge presents a certificate.
    by_certificate: bool,
    over_https: bool,
    /// The lines that it has to print.
    expected: [&'static str; 2],
}

const EXAMPLES: [Example; 3] = [
    Example {
        name: "firmware",
        sources: &["main.c", "modem.c", "packets.c"],
        by_certificate: false,
        over_https: false,
        expected: ["all vectors pass", "sn-007-888-abc-mac-a1-b2-c3-d4-e5-f6 is assigned to hub-a.test"],
    },
    Example {
        name: "certificate",
        sources: &["main.c", "modem.c", "packets.c"],
        by_certificate: true,
        over_https: false,
        expected: ["all vectors pass", "sensor-12 is assigned to hub-a.test"],
    },
    Example {
        name: "clockless",
        sources: &["clockless.c", "modem.c"],
        by_certificate: false,
        over_https: true,
        expected: [
            "asking for the time",
            "sn-007-888-abc-mac-a1-b2-c3-d4-e5-f6 is assigned to hub-a.test, by the service's time",
        ],
    },
];

pub(crate) fn check() -> Outcome {
    let folder = crate::c_vectors::write(target_dir().join("c"))?;
    let bridge = bridge(&folder)?;
    let emulator = Emulator::start(&folder, &["--id-scope", "0ne00A1B2C3", "--retry-after", "1"])?;
    let (primary, secondary) = (key_file(&folder, "primary", GROUP_KEY)?, key_file(&folder, "secondary", OTHER_KEY)?);
    let keys = ["--primary-key-file", &primary, "--secondary-key-file", &secondary];
    emulator.administer(&[&["enrollment-group", "create", "--group-id", "line-7"], keys.as_slice()].concat())?;
    let (chain, key) = certificate(&folder, "sensor-12")?;
    emulator.administer(&["enrollment", "create", "--registration-id", "sensor-12", "--cert-file", &chain])?;
    for core in [&M4, &RV32IMC] {
        let prefix = target_dir().join("c-firmware").join(core.target);
        make_in(core.target, Build::Stable, &prefix)?;
        for example in &EXAMPLES {
            let image = image(core, example, &folder, &prefix)?;
            let service = if example.over_https { &emulator.https } else { &emulator.mqtt };
            let files = [&*emulator.ca, &chain, &key];
            let files = if example.by_certificate { &files } else { &files[..1] };
            let said = register(core, &image, &bridge, service, files)?;
            print!("{said}");
            example.complete(&said)?;
        }
    }
    Ok(())
}

impl Example {
    /// Whether the firmware printed all that it should.
    fn complete(&self, said: &str) -> Outcome {
        let missing: Vec<&str> =
            self.expected.into_iter().filter(|line| !said.lines().any(|said| said == *line)).collect();
        if missing.is_empty() { Ok(()) } else { Err(format!("{} does not say: {}", self.name, missing.join(", "))) }
    }
}

fn key_file(folder: &Path, name: &str, key: &str) -> Result<String, String> {
    let path = folder.join(name).with_extension("key");
    std::fs::write(&path, key).map_err(|error| format!("{}: {error}", path.display()))?;
    Ok(path.to_string_lossy().into_owned())
}

/// Makes a certificate, signed with its own key, and returns the files of both.
fn certificate(folder: &Path, common_name: &str) -> Result<(String, String), String> {
    let file = |name: &str| folder.join(name).to_string_lossy().into_owned();
    let (chain, key) = (file("device-certificate.pem"), file("device-certificate.key"));
    let new = ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"];
    let mut openssl = command("openssl", new);
    output(openssl.args(["-subj", &format!("/CN={common_name}"), "-out", &chain, "-keyout", &key]))?;
    Ok((chain, key))
}

fn image(core: &Core, example: &Example, folder: &Path, prefix: &Path) -> Result<PathBuf, String> {
    let mut all = sources(PROGRAM, example.sources);
    all.extend(example.by_certificate.then(|| "-DWITH_CERTIFICATE".to_owned()));
    all.extend(sources(core.board.folder, &["serial.c", "clock.c"]));
    all.push("bindings/c/tests/vectors_run.c".to_owned());
    all.extend([format!("-I{}", folder.display()), "-Ibindings/c/tests".to_owned()]);
    let path = link(core, &prefix.join("lib"), example.name, &all)?;
    let image = Image::checked(&path)?;
    println!(
        "{} for {}: {} bytes of flash, {} of RAM, no heap, no panic",
        example.name, core.name, image.flash, image.ram
    );
    Ok(path)
}

fn bridge(folder: &Path) -> Result<PathBuf, String> {
    let program = folder.join("bridge");
    let warnings =
        ["-std=c11", "-D_POSIX_C_SOURCE=200809L", "-Wall", "-Wextra", "-Wpedantic", "-Wconversion", "-Werror"];
    let mut gcc = command("gcc", warnings);
    gcc.args(["-Ibindings/c/include", "examples/c/firmware/bridge.c", "examples/c/tls.c", "-o"]).arg(&program);
    run(gcc.args(["-lssl", "-lcrypto"]))?;
    Ok(program)
}

/// Runs the image with the bridge, which uses these files, and returns its output.
fn register(core: &Core, image: &Path, bridge: &Path, service: &str, files: &[&str]) -> Result<String, String> {
    let address = service.strip_prefix("https://").unwrap_or(service).trim_end_matches('/');
    let (host, port) = address.rsplit_once(':').ok_or("the emulator has no such endpoint")?;
    let mut bridge = command(bridge, [host, port]);
    let mut bridge = Running::start(bridge.args(files).stdout(Stdio::piped()))?;
    let serial = format!("tcp:127.0.0.1:{},nodelay=on", bridge.first_line()?);
    Running::start(core.board.emulator(image, &serial)?.stderr(Stdio::piped()))?.output()
}

/// A process that ends with this value.
struct Running(Child);

impl Running {
    fn start(command: &mut Command) -> Result<Self, String> {
        let child = command.spawn();
        child.map(Self).map_err(|error| format!("{}: {error}", command.get_program().to_string_lossy()))
    }

    /// The first line that it prints.
    fn first_line(&mut self) -> Result<String, String> {
        let mut line = String::new();
        let read = self.0.stdout.take().map(|out| BufReader::new(out).read_line(&mut line));
        if line.is_empty() { Err(format!("the bridge did not start: {read:?}")) } else { Ok(line.trim().to_owned()) }
    }

    /// What it says on stderr, until it ends.
    fn output(&mut self) -> Result<String, String> {
        let mut said = String::new();
        for line in self.0.stderr.take().map(BufReader::new).into_iter().flat_map(BufRead::lines) {
            said.push_str(&(line.map_err(|error| error.to_string())? + "\n"));
        }
        let status = self.0.wait().map_err(|error| error.to_string())?;
        if status.success() { Ok(said) } else { Err(format!("the firmware ended with {status}:\n{said}")) }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
