//! `try-image`: the image that `image` built, run by an engine as docs/container.md says, read-only and without a capability.
//! Clients register from outside of it: `dps`, the published Python client, and a test with testcontainers.

use std::net::TcpListener;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::container::{PROCESSORS, archive, tag};
use crate::dist::{self, VERSION};
use crate::documents::block;
use crate::engine::Engine;
use crate::interop::{self, PEERS};
use crate::peers::{self, Language};
use crate::run::{Outcome, command, limited, output, read, run, target_dir};
use crate::venv::Venv;

const DOCUMENT: &str = "docs/container.md";
const RESTRICTED: [&str; 5] = ["--read-only", "--cap-drop", "ALL", "--security-opt", "no-new-privileges"];
const ID_SCOPE: &str = "0ne00A1B2C3";
/// Waits until the page's listener of a container answers.
const WAIT: [&str; 9] =
    ["--silent", "--fail", "--max-time", "60", "--retry", "30", "--retry-delay", "1", "--retry-all-errors"];

pub(crate) fn check() -> Outcome {
    let work = std::path::absolute(target_dir().join("dist-build")).map_err(|error| error.to_string())?;
    let folder = work.join("try-image");
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let program = work.join(format!("dps-{VERSION}-{}/bin/dps", PROCESSORS[0].target));
    let trial = Trial { folder, program };
    let mut engine = Engine::new(&work)?;
    let file = archive(&PROCESSORS[0]);
    engine.load(&file)?;
    println!("{:<44} {}", "file", dist::size_line(&file)?);
    println!("{:<44} {} bytes", "image, unpacked", engine.inspect(&tag(), "{{.Size}}")?);
    trial.other_ports(&mut engine)?;
    trial.state_that_cannot_be_written(&mut engine)?;
    trial.published_client(&mut engine)?;
    trial.pasted_lines(&mut engine)?;
    let venv = trial.venv()?;
    trial.compose(&mut engine, &venv)?;
    trial.testcontainers(&mut engine, &venv)
}

struct Trial {
    folder: PathBuf,
    /// The static program, as a client on this machine.
    program: PathBuf,
}

impl Trial {
    /// Other ports are mapped and announced, and clients on this machine use them over every transport.
    fn other_ports(&self, engine: &mut Engine) -> Outcome {
        const NAME: &str = "dps-try-ports";
        let [https, mqtt, page] = free_ports()?;
        let mut words = RESTRICTED.map(str::to_owned).to_vec();
        for (port, inside) in [(https, 8443), (mqtt, 8883), (page, 9080)] {
            words.extend(["--publish".into(), format!("127.0.0.1:{port}:{inside}")]);
        }
        words.extend([tag(), "--json".into()]);
        for address in [format!("localhost:{https}"), format!("mqtt=localhost:{mqtt}"), format!("ui=127.0.0.1:{page}")]
        {
            words.extend(["--announce".into(), address]);
        }
        engine.start(NAME, &words.iter().map(String::as_str).collect::<Vec<_>>())?;
        wait(page)?;
        let ready: Value = serde_json::from_str(&engine.first_line(NAME)?).map_err(|error| error.to_string())?;
        println!("{:<44} {} ms", "from the start to the ready line", engine.ready_after_ms(NAME)?);
        println!("{:<44} {}", "user and capabilities", engine.user(NAME)?);
        let announced = [&ready["endpoints"]["https"], &ready["endpoints"]["mqtt"], &ready["endpoints"]["wss"]];
        let expected = [https, mqtt, https].map(|port| format!("localhost:{port}"));
        expect(announced.iter().zip(&expected).all(|(said, wanted)| said.as_str() == Some(wanted)), &ready)?;
        let client = self.client(engine, NAME, page, &ready)?;
        client.enroll("dev-01")?;
        for (transport, endpoint) in ["https", "mqtt", "mqtt-ws"].into_iter().zip(&expected) {
            println!(
                "{:<44} {}",
                format!("dps over {transport} at {endpoint}"),
                client.register("dev-01", endpoint, transport)?
            );
        }
        let health = |wanted: i32| {
            let (said, code) = engine.exec(NAME, &["dps", "emulator", "health"])?;
            println!("{:<44} exit code {code}", "health in the container");
            expect(code == wanted, &said)
        };
        health(0)?;
        output(&mut engine.command(["healthcheck", "run", NAME]))?;
        output(&mut engine.command(["restart", NAME]))?;
        wait(page)?;
        println!("{:<44} {}", "dps after a restart", client.register("dev-01", &expected[0], "https")?);
        output(&mut engine.command(["stop", NAME]))?;
        let stopped = client.health(&expected[0])?;
        println!("{:<44} exit code {stopped}", "health of a container that was stopped");
        expect(stopped == 5, stopped)
    }

    /// The volume has no room for an enrollment: the emulator runs and cannot be used.
    fn state_that_cannot_be_written(&self, engine: &mut Engine) -> Outcome {
        const NAME: &str = "dps-try-full";
        let [page] = free_ports()?;
        let small = SmallVolume::mount(self.folder.join("small"))?;
        let (publish, volume) = (format!("127.0.0.1:{page}:9080"), format!("{}:/state", small.0.display()));
        let tag = tag();
        let words = ["--publish", &publish, "--volume", &volume, &tag, "--json"];
        engine.start(NAME, &[&RESTRICTED[..], &words[..]].concat())?;
        wait(page)?;
        let owner = ["--connection-string-file", "/state/connection-string", "--ca-file", "/state/ca.pem"];
        let tags = format!("{{\"note\":\"{}\"}}", "x".repeat(4000));
        let mut refused = false;
        for number in 0..20 {
            let id = format!("dev-{number}");
            let create = ["dps", "enrollment", "create", "--registration-id", &id, "--initial-twin-tags", &tags];
            let (_, code) = engine.exec(NAME, &[&create[..], &owner[..]].concat())?;
            if code != 0 {
                refused = true;
                break;
            }
        }
        expect(refused, "20 enrollments fit into the volume")?;
        let (said, code) = engine.exec(NAME, &["dps", "emulator", "health"])?;
        println!("{:<44} exit code {code}", "health with a state that cannot be written");
        output(&mut engine.command(["stop", NAME]))?;
        expect(code == 4, &said)
    }

    /// The published client knows only the ports 443 and 8883.
    fn published_client(&self, engine: &mut Engine) -> Outcome {
        const NAME: &str = "dps-try-published";
        let [page] = free_ports()?;
        let (publish, tag) = (format!("127.0.0.1:{page}:9080"), tag());
        let ports = ["--publish", "127.0.0.1:443:8443", "--publish", "127.0.0.1:8883:8883", "--publish", &publish];
        let announced = ["--announce", "localhost:443", "--announce", "mqtt=localhost:8883", "--json"];
        engine.start(NAME, &[&RESTRICTED[..], &ports[..], &[tag.as_str()], &announced[..]].concat())?;
        wait(page)?;
        let ready: Value = serde_json::from_str(&engine.first_line(NAME)?).map_err(|error| error.to_string())?;
        let client = self.client(engine, NAME, page, &ready)?;
        let key = client.enroll("dev-02")?;
        let folder = target_dir().join("interop");
        peers::install_python(&folder)?;
        for peer in PEERS.iter().filter(|peer| peer.language == Language::Python) {
            let mut register = interop::client(peer, &folder, ID_SCOPE, "dev-02");
            register.env("SSL_CERT_FILE", &client.ca).env("DPS_KEY", read(&key)?.trim());
            let said = output(&mut limited(&register))?;
            let last = said.lines().last().unwrap_or_default();
            println!("{:<44} {last}", format!("{} over {}", peer.package, peer.transport));
            expect(last.contains("hub-a.test"), last)?;
        }
        output(&mut engine.command(["stop", NAME])).map(drop)
    }

    /// What the page tells readers to paste works as it is there, by an engine under the name of the other one.
    fn pasted_lines(&self, engine: &mut Engine) -> Outcome {
        let page = read(DOCUMENT)?;
        let blocks = [("## Run it", 0), ("## Run it", 1), ("## Trust", 0)];
        let lines: Option<Vec<&str>> =
            blocks.iter().map(|(heading, number)| block(&page, heading, "```sh", *number)).collect();
        let lines = lines.ok_or_else(|| format!("{DOCUMENT} has no lines to paste"))?.join("\n");
        let file = archive(&PROCESSORS[0]);
        dist::put(&file, &self.folder.join(file.file_name().unwrap_or_default()))?;
        engine.expect("dps");
        let script = format!("set -eux\ndocker() {{ podman \"$@\"; }}\n{lines}\n");
        let mut paste = engine.environment(command("sh", ["-c", &script]));
        let path = std::env::var("PATH").unwrap_or_default();
        let bin = self.program.parent().unwrap_or(Path::new(""));
        paste.env("PATH", format!("{}:{path}", bin.display())).current_dir(&self.folder);
        println!("{:<44} {}", "pasted lines", output(&mut paste)?.lines().last().unwrap_or_default());
        output(&mut engine.command(["stop", "dps"])).map(drop)
    }

    /// Python with what the last trials need, and this project's package as the device.
    fn venv(&self) -> Result<Venv, String> {
        let venv = Venv::at(&target_dir().join("dist-build/trials"))?;
        let wheels = std::fs::read_dir(dist::folder()).into_iter().flatten().flatten().map(|entry| entry.path());
        let wheel = wheels.into_iter().find(|path| path.to_string_lossy().contains("-manylinux2014_x86_64."));
        let wheel = wheel.ok_or("the wheel is missing: cargo xtask dist manylinux")?;
        venv.install(["podman-compose==1.6.0", "pytest==9.2.0", "testcontainers==4.15.0"])?;
        venv.install([Path::new("--force-reinstall"), Path::new("--no-deps"), &wheel])?;
        Ok(venv)
    }

    /// The compose file starts it, by podman's reader of such files.
    fn compose(&self, engine: &mut Engine, venv: &Venv) -> Outcome {
        let compose = |words: &[&str]| {
            let program = command(venv.program("podman-compose"), ["--file", "container/compose.yaml"]);
            output(engine.environment(program).args(words))
        };
        compose(&["up", "--detach"])?;
        let ready = wait(9080);
        println!("{:<44} {}", "compose file", if ready.is_ok() { "ready" } else { "not ready" });
        compose(&["down", "--volumes"])?;
        ready
    }

    /// The example, with the library itself. Its service for cleaning up is an image of its own, which is not there.
    fn testcontainers(&self, engine: &mut Engine, venv: &Venv) -> Outcome {
        let mut test = venv.python(["-m", "pytest", "-q", "-p", "no:cacheprovider", "container/test_device.py"]);
        // This machine may be a container itself.
        test.env("TESTCONTAINERS_CONNECTION_MODE", "docker_host").env("TESTCONTAINERS_HOST_OVERRIDE", "localhost");
        run(test.env("DOCKER_HOST", engine.serve()?).env("TESTCONTAINERS_RYUK_DISABLED", "true"))
    }

    /// A client on this machine, with what the container shows its owner. The certificate authority comes from the container
    /// itself, from its port and, as a fingerprint, from its ready line, which must be the same.
    fn client<'a>(&'a self, engine: &Engine, name: &str, page: u16, ready: &Value) -> Result<Client<'a>, String> {
        let file = |suffix: &str| self.folder.join(format!("{name}-{suffix}"));
        let client = Client { program: &self.program, folder: &self.folder, ca: file("ca.pem"), owner: file("owner") };
        let (ca, _) = engine.exec(name, &["dps", "emulator", "ca", "--format", "pem"])?;
        let fetched = output(command("curl", WAIT).arg(format!("http://127.0.0.1:{page}/ca.pem")))?;
        expect(ca.trim() == fetched.trim(), "the certificate authorities differ")?;
        let (owner, _) = engine.exec(name, &["dps", "emulator", "connection-string"])?;
        let https = ready["endpoints"]["https"].as_str().unwrap_or_default();
        expect(
            owner.contains(&format!("HostName={};", https.trim_end_matches(":443"))),
            "the connection string's host",
        )?;
        for (path, text) in [(&client.ca, &ca), (&client.owner, &owner)] {
            std::fs::write(path, text).map_err(|error| format!("{}: {error}", path.display()))?;
        }
        let shown = output(command("openssl", ["x509", "-noout", "-fingerprint", "-sha256", "-in"]).arg(&client.ca))?;
        let shown = shown.rsplit('=').next().unwrap_or_default().trim().replace(':', "");
        expect(ready["caSha256"].as_str().is_some_and(|said| said.eq_ignore_ascii_case(&shown)), ready)?;
        Ok(client)
    }
}

/// The program on this machine, outside of every container.
struct Client<'a> {
    program: &'a Path,
    folder: &'a Path,
    ca: PathBuf,
    owner: PathBuf,
}

impl Client<'_> {
    /// Creates an enrollment and returns the file of its key.
    fn enroll(&self, id: &str) -> Result<PathBuf, String> {
        let key = self.key(id);
        let mut create = command(self.program, ["enrollment", "create", "--registration-id", id, "--key-out"]);
        create.arg(&key).arg("--connection-string-file").arg(&self.owner).arg("--ca-file").arg(&self.ca);
        output(&mut create).map(|_| key)
    }

    /// Registers a device and returns its hub.
    fn register(&self, id: &str, endpoint: &str, transport: &str) -> Result<String, String> {
        let mut register =
            command(self.program, ["register", "--json", "--registration-id", id, "--id-scope", ID_SCOPE]);
        register.args(["--endpoint", endpoint, "--transport", transport, "--key-file"]).arg(self.key(id));
        let said = output(register.arg("--ca-file").arg(&self.ca))?;
        let result: Value = serde_json::from_str(&said).map_err(|error| error.to_string())?;
        result["assignedHub"].as_str().map(str::to_owned).ok_or(said)
    }

    /// The exit code of the health check from outside.
    fn health(&self, endpoint: &str) -> Result<i32, String> {
        let mut health = command(self.program, ["emulator", "health", "--endpoint", endpoint, "--ca-file"]);
        let done = health.arg(&self.ca).output().map_err(|error| error.to_string())?;
        done.status.code().ok_or_else(|| "it was killed".into())
    }

    fn key(&self, id: &str) -> PathBuf {
        self.folder.join(format!("{id}.key"))
    }
}

/// A file system of 64 KB for the user of the image.
struct SmallVolume(PathBuf);

impl SmallVolume {
    fn mount(folder: PathBuf) -> Result<Self, String> {
        std::fs::create_dir_all(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
        run(command("mount", ["-t", "tmpfs", "-o", "size=64k,uid=65532,gid=65532,mode=0700", "tmpfs"]).arg(&folder))?;
        Ok(Self(folder))
    }
}

impl Drop for SmallVolume {
    fn drop(&mut self) {
        // It goes away with the container that has it, if that still runs.
        let _ = run(command("umount", ["--lazy"]).arg(&self.0));
    }
}

fn wait(page: u16) -> Outcome {
    output(command("curl", WAIT).arg(format!("http://127.0.0.1:{page}/readyz"))).map(drop)
}

/// Ports of this machine that are free now.
fn free_ports<const N: usize>() -> Result<[u16; N], String> {
    let mut listeners = Vec::new();
    let mut ports = [0; N];
    for port in &mut ports {
        let listener = TcpListener::bind("127.0.0.1:0").map_err(|error| error.to_string())?;
        *port = listener.local_addr().map_err(|error| error.to_string())?.port();
        listeners.push(listener);
    }
    Ok(ports)
}

fn expect(is_true: bool, otherwise: impl ToString) -> Outcome {
    if is_true { Ok(()) } else { Err(format!("unexpected: {}", otherwise.to_string())) }
}
