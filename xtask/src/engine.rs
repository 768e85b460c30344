//! podman with settings and a storage of its own, so that no other container or image of the machine is touched. It works
//! without systemd, an overlay file system and the right to raise limits, as in a container of CI.

use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use crate::run::{Outcome, command, exists, output, run};

/// What it needs, with the Debian package that has it.
const PROGRAMS: [(&str, &str); 4] = [
    ("podman", "podman"),
    ("runc", "runc"),
    ("/usr/lib/podman/netavark", "netavark"),
    ("/usr/lib/podman/aardvark-dns", "aardvark-dns"),
];
const SETTINGS: &str = r#"[containers]
default_ulimits = ["nofile=1024:1024", "nproc=1024:1024"]
log_driver = "k8s-file"
[engine]
cgroup_manager = "cgroupfs"
events_logger = "file"
runtime = "runc"
"#;

/// An engine. Its containers and its service end when this is dropped.
pub(crate) struct Engine {
    folder: PathBuf,
    containers: Vec<String>,
    service: Option<Child>,
}

impl Engine {
    pub(crate) fn new(work: &Path) -> Result<Self, String> {
        let is_there = |program: &str| Path::new(program).is_file() || exists(program) || exists_for_root(program);
        let lacking: Vec<&str> =
            PROGRAMS.iter().filter(|(program, _)| !is_there(program)).map(|(_, package)| *package).collect();
        if !lacking.is_empty() {
            return Err(format!("install these and try again: {} (their names in Debian)", lacking.join(", ")));
        }
        let folder = work.join("podman");
        let storage =
            format!("[storage]\ndriver = \"vfs\"\ngraphroot = \"{0}/root\"\nrunroot = \"{0}/run\"\n", folder.display());
        let written = std::fs::create_dir_all(&folder)
            .and_then(|()| std::fs::write(folder.join("containers.conf"), SETTINGS))
            .and_then(|()| std::fs::write(folder.join("storage.conf"), storage));
        written.map_err(|error| format!("{}: {error}", folder.display()))?;
        Ok(Self { folder, containers: Vec::new(), service: None })
    }

    pub(crate) fn command<'a>(&self, words: impl IntoIterator<Item = &'a str>) -> Command {
        self.environment(command("podman", words))
    }

    /// Makes a program that calls podman use this engine.
    pub(crate) fn environment(&self, mut program: Command) -> Command {
        program.env("CONTAINERS_CONF", self.folder.join("containers.conf"));
        program.env("CONTAINERS_STORAGE_CONF", self.folder.join("storage.conf"));
        program
    }

    /// Starts a container, which is removed with its volumes when the engine is dropped.
    pub(crate) fn start(&mut self, name: &str, words: &[&str]) -> Outcome {
        self.expect(name);
        output(self.command(["run", "--detach", "--name", name]).args(words)).map(drop)
    }

    /// The same for a container that something else starts.
    pub(crate) fn expect(&mut self, name: &str) {
        self.remove(name);
        self.containers.push(name.to_owned());
    }

    fn remove(&self, name: &str) {
        let _ = output(&mut self.command(["rm", "--force", "--volumes", "--ignore", name]));
    }

    /// Runs a command in a container and returns its stdout and its exit code.
    pub(crate) fn exec(&self, container: &str, words: &[&str]) -> Result<(String, i32), String> {
        let done =
            self.command(["exec", container]).args(words).output().map_err(|error| format!("podman: {error}"))?;
        Ok((String::from_utf8_lossy(&done.stdout).into_owned(), done.status.code().unwrap_or(-1)))
    }

    /// A value that the engine knows of a container.
    pub(crate) fn inspect(&self, container: &str, format: &str) -> Result<String, String> {
        let words = ["inspect", "--format", format, container];
        output(&mut self.command(words)).map(|text| text.trim().to_owned())
    }

    /// The first line that a container printed on stdout.
    pub(crate) fn first_line(&self, container: &str) -> Result<String, String> {
        let log = output(&mut self.command(["logs", container]))?;
        Ok(log.lines().next().unwrap_or_default().to_owned())
    }

    /// How long the first line took from the start of the container's process.
    pub(crate) fn ready_after_ms(&self, container: &str) -> Result<i64, String> {
        let log = output(&mut self.command(["logs", "--timestamps", container]))?;
        let date = log.split(' ').next().unwrap_or_default();
        let ready = output(&mut command("date", ["--date", date, "+%s%3N"]))?;
        let started = self.inspect(container, "{{.State.StartedAt.UnixMilli}}")?;
        let number = |text: &str| text.trim().parse::<i64>().map_err(|error| format!("{text}: {error}"));
        Ok(number(&ready)? - number(&started)?)
    }

    /// The user, the group and the capabilities of a container's process, as the kernel has them.
    pub(crate) fn user(&self, container: &str) -> Result<String, String> {
        let process = self.inspect(container, "{{.State.Pid}}")?;
        let path = Path::new("/proc").join(process).join("status");
        let status = std::fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        let named = |name: &str| status.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default();
        let first = |name: &str| named(name).split_whitespace().next().unwrap_or_default().to_owned();
        Ok(format!("{}:{}, {}", first("Uid:"), first("Gid:"), first("CapEff:")))
    }

    /// Serves the API of Docker's engine, and returns its address for `DOCKER_HOST`.
    pub(crate) fn serve(&mut self) -> Result<String, String> {
        let socket = self.folder.join("podman.sock");
        let _ = std::fs::remove_file(&socket);
        let address = format!("unix://{}", socket.display());
        let mut serve = self.command(["system", "service", "--time", "0", &address]);
        self.service = Some(serve.spawn().map_err(|error| format!("podman: {error}"))?);
        let deadline = Instant::now() + Duration::from_secs(20);
        while !socket.exists() {
            if Instant::now() > deadline {
                return Err("podman does not serve its API".into());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(address)
    }

    /// Loads an image from a file.
    pub(crate) fn load(&self, archive: &Path) -> Outcome {
        run(self.command(["load", "--quiet", "--input"]).arg(archive))
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.containers.iter().for_each(|name| self.remove(name));
        if let Some(service) = &mut self.service {
            let _ = service.kill();
            let _ = service.wait();
        }
    }
}

/// Programs for root are not always in the search path.
fn exists_for_root(program: &str) -> bool {
    Path::new("/usr/sbin").join(program).is_file()
}
