//! `image`: the container image of the emulator, from nothing but the static program, in `target/dist`.
//!
//! buildah builds it: no daemon is needed, and no privilege beyond root. `container/Containerfile` says what is in it.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::dist::{self, DOCUMENTS, Dist, VERSION, put};
use crate::run::{Outcome, arguments, command, exists, root, run};

/// A processor: its name here, in Rust, and for containers.
pub(crate) struct Processor {
    pub(crate) name: &'static str,
    pub(crate) target: &'static str,
    platform: &'static str,
}

pub(crate) const PROCESSORS: [Processor; 2] = [
    Processor { name: "x86_64", target: "x86_64-unknown-linux-musl", platform: "linux/amd64" },
    Processor { name: "aarch64", target: "aarch64-unknown-linux-musl", platform: "linux/arm64" },
];

/// The largest image, in bytes.
const LARGEST: u64 = 15_000_000;

/// `image [NAME…]`: builds the image for the named processors, or for all.
pub(crate) fn make() -> Outcome {
    let chosen = arguments();
    if let Some(unknown) = chosen.iter().find(|word| !PROCESSORS.iter().any(|processor| processor.name == **word)) {
        return Err(format!("{unknown} is unknown; an image can be built for: x86_64, aarch64"));
    }
    let dist = Dist::new()?;
    let is_chosen = |processor: &&Processor| chosen.is_empty() || chosen.iter().any(|word| word == processor.name);
    for processor in PROCESSORS.iter().filter(is_chosen) {
        build(&dist, processor)?;
        println!("{}", dist::size_line(&archive(processor))?);
    }
    dist::write_checksums()
}

/// The file of an image, in the format that keeps the health check. Not every engine loads a compressed one.
pub(crate) fn archive(processor: &Processor) -> PathBuf {
    dist::folder().join(format!("dps-emulator-{VERSION}-image-{}.tar", processor.name))
}

/// The name of the image once it is loaded.
pub(crate) fn tag() -> String {
    format!("dps-emulator:{VERSION}")
}

fn build(dist: &Dist, processor: &Processor) -> Outcome {
    let buildah = Buildah::new(&dist.work)?;
    let tree = dist.tree(processor.target)?;
    let context = dist.work.join(format!("image-{}", processor.name));
    let _ = std::fs::remove_dir_all(&context);
    put(&tree.join("bin/dps"), &context.join("dps"))?;
    let licenses = std::fs::read_dir(tree.join(DOCUMENTS)).map_err(|error| error.to_string())?;
    for license in licenses.flatten() {
        put(&license.path(), &context.join("licenses").join(license.file_name()))?;
    }
    std::fs::create_dir_all(context.join("state")).map_err(|error| error.to_string())?;
    let size = size_of(&context)?;
    if size > LARGEST {
        return Err(format!("the image has {size} bytes, {LARGEST} at most"));
    }
    let mut bud = buildah.command(["bud", "--quiet", "--isolation", "chroot", "--format", "docker"]);
    bud.args(["--platform", processor.platform, "--timestamp", &dist.epoch, "--build-arg"]);
    bud.arg(format!("VERSION={VERSION}")).args(["--tag", &tag(), "--file"]);
    run(bud.arg(root().join("container/Containerfile")).arg(&context))?;
    let file = archive(processor);
    let _ = std::fs::remove_file(&file);
    let place = std::path::absolute(&file).map_err(|error| error.to_string())?;
    run(buildah.command(["push", "--quiet", &tag()]).arg(format!("docker-archive:{}:{}", place.display(), tag())))
}

/// The bytes of all files below a folder.
fn size_of(folder: &Path) -> Result<u64, String> {
    let mut size = 0;
    for entry in std::fs::read_dir(folder).map_err(|error| format!("{}: {error}", folder.display()))?.flatten() {
        let metadata = entry.metadata().map_err(|error| error.to_string())?;
        size += if metadata.is_dir() { size_of(&entry.path())? } else { metadata.len() };
    }
    Ok(size)
}

/// buildah with a storage of its own, so that nothing of the machine's engines is touched.
pub(crate) struct Buildah {
    storage: PathBuf,
}

impl Buildah {
    pub(crate) fn new(work: &Path) -> Result<Self, String> {
        if !exists("buildah") {
            return Err("buildah is missing; in Debian: apt-get install buildah".into());
        }
        Ok(Self { storage: work.join("buildah") })
    }

    pub(crate) fn command<'a>(&self, words: impl IntoIterator<Item = &'a str>) -> Command {
        let mut buildah = command("buildah", ["--storage-driver", "vfs", "--root"]);
        buildah.arg(self.storage.join("root")).arg("--runroot").arg(self.storage.join("run")).args(words);
        buildah
    }
}
