//! The page of the emulator: its build result in the repository is what the sources give, and stories in a headless Chromium.
//!
//! Sources are copied into the target directory and built there, so that the repository contains no installed packages.

use std::path::{Path, PathBuf};

use crate::run::{
    Outcome, arguments, build_workspace, command, exists, output, report, root, run, target_dir, tracked,
};

/// Where the sources are.
const SOURCES: &str = "dps-emulator/page";
/// The build result, as the emulator embeds it.
const BUILT: &str = "dps-emulator/page/dist";
const LOCK: &str = "package-lock.json";
/// Where the documents have their images.
const IMAGES: &str = "docs/images";

/// The oldest major version of Node.js that the build runs with.
const NODE: u32 = 20;

/// Returns why the check cannot run here, and what to do about it.
pub(crate) fn missing() -> Option<String> {
    let program = ["node", "npm", "chromium", "openssl", "curl"].into_iter().find(|program| !exists(program));
    let missing = program.map(|program| {
        format!("{program} is missing; `cargo xtask setup` installs chromium, the others come from your system")
    });
    missing.or_else(node_is_old)
}

fn node_is_old() -> Option<String> {
    let version = output(&mut command("node", ["--version"])).unwrap_or_default();
    let major = version.trim().trim_start_matches('v').split('.').next().and_then(|major| major.parse().ok());
    let is_old = major.is_none_or(|major: u32| major < NODE);
    is_old.then(|| format!("node is version {}; install {NODE} or newer", version.trim()))
}

/// Builds and compares, then runs the stories; with `--write-screenshots` they also write the images of docs/page.md.
pub(crate) fn check() -> Outcome {
    let options = Options::parse(&arguments())?;
    let page = prepare()?;
    build(&page)?;
    compare(&page)?;
    build_workspace()?;
    stories(&page, &options)
}

/// `write-page`: writes the build result of the sources into the repository.
pub(crate) fn write() -> Outcome {
    let page = prepare()?;
    build(&page)?;
    let built = root().join(BUILT);
    let _ = std::fs::remove_dir_all(&built);
    files_below(&page.join("dist"))?.iter().try_for_each(|file| copy(&page.join("dist").join(file), &built.join(file)))
}

/// What the task was started with.
#[derive(Default)]
struct Options {
    write_screenshots: bool,
    only: Option<String>,
}

impl Options {
    fn parse(words: &[String]) -> Result<Self, String> {
        let mut options = Self::default();
        for word in words {
            match word.strip_prefix("--only=") {
                Some(part) => options.only = Some(part.to_owned()),
                None if word == "--write-screenshots" => options.write_screenshots = true,
                None => return Err(format!("unknown option {word}; known: --write-screenshots, --only=PART")),
            }
        }
        Ok(options)
    }
}

/// Copies the sources, installs the pinned packages unless they are there, and returns the directory.
fn prepare() -> Result<PathBuf, String> {
    // Below the same path as in the repository: the build reads a document beside it.
    let copied = target_dir().join("browser");
    let page = copied.join(SOURCES);
    let installed = std::fs::read(page.join(LOCK)).ok();
    for name in ["src", "stories", "public"] {
        let _ = std::fs::remove_dir_all(page.join(name));
    }
    let sources = |path: &String| path.starts_with(SOURCES) && !path.starts_with(BUILT) || path == "docs/events.md";
    for path in tracked()?.iter().filter(|path| sources(path)) {
        copy(&root().join(path), &copied.join(path))?;
    }
    let is_installed = page.join("node_modules").is_dir() && installed == std::fs::read(page.join(LOCK)).ok();
    if !is_installed {
        let install = ["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--silent"];
        let installed = run(command("npm", install).current_dir(&page));
        if installed.is_err() {
            // Otherwise the next run would take what there is for everything.
            let _ = std::fs::remove_file(page.join(LOCK));
        }
        installed?;
    }
    Ok(page)
}

fn build(page: &Path) -> Outcome {
    run(command("npm", ["run", "--silent", "build"]).current_dir(page).env("NO_COLOR", "1"))
}

/// Compares the build result with that in the repository, byte by byte.
fn compare(page: &Path) -> Outcome {
    let (built, kept) = (page.join("dist"), root().join(BUILT));
    let mut names = files_below(&built)?;
    names.extend(files_below(&kept)?);
    names.sort();
    names.dedup();
    let differs = |name: &&PathBuf| std::fs::read(built.join(name)).ok() != std::fs::read(kept.join(name)).ok();
    let problems: Vec<String> = names
        .iter()
        .filter(differs)
        .map(|name| format!("{BUILT}/{} is not what the sources give; run: cargo xtask write-page", name.display()))
        .collect();
    report(&problems)
}

fn stories(page: &Path, options: &Options) -> Outcome {
    let target = std::fs::canonicalize(target_dir().join("debug")).map_err(|error| error.to_string())?;
    let chromium = output(command("sh", ["-c", "command -v chromium"]).current_dir(page))?;
    let mut node = command("node", ["stories/main.js"]);
    node.current_dir(page)
        .env("DPS_PROGRAM", target.join("dps"))
        .env("CHROMIUM", chromium.trim())
        .env("FOLDER", target.join("../browser/run"));
    if target.join("libdps.so").is_file() {
        node.env("DPS_LIBRARY", &target).env("DPS_INCLUDE", root().join("bindings/c/include"));
    }
    // The package is installed by the check `python`, which runs before.
    let python = target_dir().join("python/venv/bin/python3");
    let folder = "import dps_client, os; print(os.path.dirname(os.path.dirname(dps_client.__file__)))";
    if let Ok(packages) = output(command(&python, ["-c", folder]).current_dir(page)) {
        node.env("DPS_PYTHON", python).env("DPS_PYTHON_PACKAGES", packages.trim());
    }
    if options.write_screenshots {
        node.env("SCREENSHOTS", root().join(IMAGES));
    }
    if let Some(part) = &options.only {
        node.env("ONLY", part);
    }
    run(&mut node)
}

/// The files of a directory and of those in it, as paths from it.
fn files_below(folder: &Path) -> Result<Vec<PathBuf>, String> {
    let mut files = Vec::new();
    let mut folders = vec![PathBuf::new()];
    while let Some(part) = folders.pop() {
        let path = folder.join(&part);
        let entries = std::fs::read_dir(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        for entry in entries {
            let entry = entry.map_err(|error| format!("{}: {error}", path.display()))?;
            let name = part.join(entry.file_name());
            if entry.path().is_dir() { folders.push(name) } else { files.push(name) }
        }
    }
    Ok(files)
}

fn copy(from: &Path, to: &Path) -> Outcome {
    let parent = to.parent().unwrap_or(to);
    let copied = std::fs::create_dir_all(parent).and_then(|()| std::fs::copy(from, to));
    copied.map(|_| ()).map_err(|error| format!("{} cannot be copied to {}: {error}", from.display(), to.display()))
}
