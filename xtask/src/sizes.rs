//! Measures flash, RAM and stack of the programs in `bindings/c/sizes`, compared with an empty one.
//!
//! `sizes` measures what has a budget, and compares with that and with the table in `bindings/c/README.md`; `write-sizes`
//! measures every processor and every build, and writes that table. Stack is measured by painting, in QEMU.

use std::fmt::Write as _;
use std::path::Path;

use crate::c_image::{emulate, link, sources};
use crate::c_library::{Build, library};
use crate::cores::{Core, M0_PLUS, M4, M33, RV32IMC};
use crate::image::Image;
use crate::page::Place;
use crate::run::{Outcome, output, report};

const TABLE: Place = Place {
    page: "bindings/c/README.md",
    begin: "<!-- sizes: written by `cargo xtask write-sizes` -->\n",
    end: "<!-- end of sizes -->\n",
};

/// What is measured.
struct Row {
    /// What it is called in the table.
    name: &'static str,
    /// Its C sources.
    sources: &'static [&'static str],
    /// Which of [`FEATURES`] it uses.
    uses: &'static [&'static str],
    reached: Reached,
}

/// Bytes that were reached on a Cortex-M4; a figure may be 1 % above. To be lowered whenever the library gets smaller.
struct Reached {
    stable: u64,
    core_rebuilt: u64,
    stack: u64,
}

const ROWS: [Row; 7] = [
    Row {
        name: "derive a key",
        sources: &["derive.c"],
        uses: &[],
        reached: Reached { stable: 2_901, core_rebuilt: 2_949, stack: 440 },
    },
    Row {
        name: "derive a key, make a token",
        sources: &["token.c"],
        uses: &[],
        reached: Reached { stable: 4_301, core_rebuilt: 4_333, stack: 584 },
    },
    Row {
        name: "key, token, names, topics, body and reply of MQTT, no registration",
        sources: &["same_duties.c"],
        uses: &[],
        reached: Reached { stable: 8_741, core_rebuilt: 8_901, stack: 840 },
    },
    Row {
        name: "whole MQTT registration",
        sources: &["mqtt.c", "registration.c"],
        uses: &[],
        reached: Reached { stable: 15_325, core_rebuilt: 15_353, stack: 768 },
    },
    Row {
        name: "whole MQTT registration with an X.509 certificate",
        sources: &["x509.c"],
        uses: &[],
        reached: Reached { stable: 12_672, core_rebuilt: 12_709, stack: 760 },
    },
    Row {
        name: "whole MQTT registration with an X.509 certificate, and an issued chain",
        sources: &["issuance.c"],
        uses: &["a certificate request", "an issued chain"],
        reached: Reached { stable: 16_124, core_rebuilt: 16_165, stack: 808 },
    },
    Row {
        name: "whole HTTP registration",
        sources: &["http.c", "registration.c"],
        uses: &[],
        reached: Reached { stable: 18_657, core_rebuilt: 18_653, stack: 824 },
    },
];

/// What only an image holds that uses it, and the word by which it shows.
const FEATURES: [(&str, &str); 4] = [
    ("the attestation by a TPM", "endorsementKey"),
    ("a certificate request", ",\"csr\":"),
    ("an issued chain", "issuedCertificateChain"),
    ("the hub's profile", "connectionProfile"),
];

/// What every change is measured on: what has a budget, and where else a panic, a heap or static RAM might come in.
const CHECKED: [(&Core, &[Build]); 3] =
    [(&M0_PLUS, &[Build::Stable]), (&M4, &[Build::Stable, Build::CoreRebuilt]), (&RV32IMC, &[Build::Stable])];
/// What the table holds.
const STATED: [(&Core, &[Build]); 4] =
    [(&M0_PLUS, &Build::ALL), (&M4, &Build::ALL), (&M33, &Build::ALL), (&RV32IMC, &Build::ALL)];

/// The table is out of date when a figure is off by more than this share of it, in hundredths.
const DRIFT_MOST: u64 = 3;

/// One row, on one processor, in one build. All in bytes.
struct Measured {
    row: usize,
    core: &'static str,
    build: Build,
    flash: u64,
    stack: u64,
    /// The caller's memory for objects of the library and the registration's storage, and that for texts and messages.
    objects: u64,
    buffers: u64,
    static_ram: u64,
}

pub(crate) fn check() -> Outcome {
    let measured = measure_all(&CHECKED)?;
    print!("{}", table(&measured));
    let mut problems = over_budget(&measured);
    problems.extend(out_of_date(&measured, &TABLE.read()?));
    report(&problems)
}

pub(crate) fn write() -> Outcome {
    let builds: Result<Vec<String>, String> =
        Build::ALL.iter().map(|build| Ok(format!("*{}*: {}.\n", build.name(), build.how()?))).collect();
    TABLE.write(&format!("{}\n{}", table(&measure_all(&STATED)?), builds?.join("\n")))
}

fn measure_all(what: &[(&Core, &[Build])]) -> Result<Vec<Measured>, String> {
    let mut all = Vec::new();
    for (core, builds) in what {
        for build in *builds {
            let Some(library) = library(core.target, *build)? else { continue };
            whole_library(core, &library)?;
            let empty = Image::read(&image(core, &library, &["empty.c"])?)?;
            for (row, Row { sources, uses, .. }) in ROWS.iter().enumerate() {
                let image = image(core, &library, sources)?;
                holds_only(&image, uses)?;
                all.push(measure(row, core, *build, &image, &empty)?);
            }
        }
    }
    Ok(all)
}

/// Links an image that holds every function of the library: from none can a panic or a heap be reached.
fn whole_library(core: &Core, library: &Path) -> Outcome {
    let listed = output(core.board.tool("nm")?.arg("--defined-only").arg(library.join("libdps.a")))?;
    let names = listed.lines().filter_map(|line| line.split_once(" T ").map(|(_, name)| name));
    let functions: Vec<String> =
        names.filter(|name| name.starts_with("dps_")).map(|name| format!("-Wl,-u,{name}")).collect();
    if functions.is_empty() {
        return Err(format!("{}: libdps.a holds no function", library.display()));
    }
    let all = [sources("bindings/c/sizes", &["empty.c", "measure.c"]), functions].concat();
    let whole = link(core, library, "whole", &all)?;
    holds_only(&whole, &FEATURES.map(|(feature, _)| feature))?;
    Image::checked(&whole).map(|_| ())
}

/// Checks that an image holds the features that it uses and no other, each by a word that it sends or reads.
fn holds_only(image: &Path, uses: &[&str]) -> Outcome {
    let bytes = std::fs::read(image).map_err(|error| format!("{}: {error}", image.display()))?;
    for (feature, word) in FEATURES {
        let holds = bytes.windows(word.len()).any(|window| window == word.as_bytes());
        if holds != uses.contains(&feature) {
            let found = if holds { "holds parts of" } else { "does not hold" };
            return Err(format!("{} {found} {feature}", image.display()));
        }
    }
    Ok(())
}

fn image(core: &Core, library: &Path, files: &[&str]) -> Result<std::path::PathBuf, String> {
    let mut all = sources("bindings/c/sizes", files);
    all.push("bindings/c/sizes/measure.c".to_owned());
    link(core, library, files[0].trim_end_matches(".c"), &all)
}

fn measure(row: usize, core: &Core, build: Build, path: &Path, empty: &Image) -> Result<Measured, String> {
    let image = Image::checked(path)?;
    let said = emulate(core, path)?;
    let number = |name: &str| {
        let line = said.lines().find_map(|line| line.strip_prefix(name));
        line.and_then(|digits| digits.trim().parse::<u64>().ok()).ok_or(format!("{name} is missing in: {said}"))
    };
    let (objects, buffers) = (number("objects ")?, number("buffers ")?);
    let static_ram = (image.ram - empty.ram).checked_sub(objects + buffers);
    Ok(Measured {
        row,
        core: core.name,
        build,
        flash: image.flash - empty.flash,
        stack: number("stack ")?,
        objects,
        buffers,
        static_ram: static_ram.ok_or(format!("{}: it states more memory than it has", path.display()))?,
    })
}

fn over_budget(all: &[Measured]) -> Vec<String> {
    let mut problems = Vec::new();
    for found in all {
        let Row { name, reached, .. } = &ROWS[found.row];
        let mut complain = |what: &str, figure: u64, most: u64| {
            if figure > most {
                let (core, build) = (found.core, found.build.name());
                problems.push(format!("{name}, {core}, {build}: {figure} bytes of {what}, {most} at most"));
            }
        };
        complain("static RAM", found.static_ram, 0);
        if found.core != M4.name {
            continue;
        }
        match found.build {
            Build::Stable => complain("flash", found.flash, most(reached.stable)),
            Build::CoreRebuilt => complain("flash", found.flash, most(reached.core_rebuilt)),
            Build::Inline10 | Build::NoFramePointer => {}
        }
        complain("stack", found.stack, most(reached.stack));
    }
    problems
}

/// What was reached and 1 % more.
const fn most(reached: u64) -> u64 {
    reached + reached / 100
}

/// One line for each row and processor, with a cell for each build; a build that was not measured has a dash.
fn table(all: &[Measured]) -> String {
    let mut text = "| | core | objects | buffers |".to_owned();
    Build::ALL.iter().for_each(|build| text.push_str(&format!(" {} |", build.name())));
    text.push_str(&format!("\n|---|---|---:|---:|{}\n", "---:|".repeat(Build::ALL.len())));
    for (index, first) in all.iter().enumerate() {
        let same_line = |found: &&Measured| (found.core, found.row) == (first.core, first.row);
        if all[..index].iter().any(|earlier| same_line(&earlier)) {
            continue;
        }
        let _ = write!(text, "{}{} | {} |", first.head(), grouped(first.objects), grouped(first.buffers));
        for build in Build::ALL {
            let cell = all.iter().filter(same_line).find(|found| found.build == build).map(Measured::cell);
            let _ = write!(text, " {} |", cell.unwrap_or("–".into()));
        }
        text.push('\n');
    }
    text
}

impl Measured {
    /// How its line in the table begins.
    fn head(&self) -> String {
        format!("| {} | {} | ", ROWS[self.row].name, self.core)
    }

    /// Flash and stack.
    fn cell(&self) -> String {
        format!("{} / {}", grouped(self.flash), grouped(self.stack))
    }
}

/// 12345 as `12,345`.
fn grouped(number: u64) -> String {
    if number < 1000 { number.to_string() } else { format!("{},{:03}", grouped(number / 1000), number % 1000) }
}

/// Measured figures that the table states otherwise.
fn out_of_date(all: &[Measured], table: &str) -> Vec<String> {
    let mut problems = Vec::new();
    for found in all {
        let head = found.head();
        let line = table.lines().find_map(|line| line.strip_prefix(&head)).unwrap_or_default();
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        let column = 2 + Build::ALL.iter().position(|build| *build == found.build).unwrap_or_default();
        let cell = |at: usize| cells.get(at).copied().unwrap_or_default();
        let stated = [cell(0), cell(1)].into_iter().chain(cell(column).split('/'));
        let stated: Vec<u64> = stated.filter_map(|text| text.trim().replace(',', "").parse().ok()).collect();
        let figures = [found.objects, found.buffers, found.flash, found.stack];
        let near = |(stated, figure): (&u64, &u64)| stated.abs_diff(*figure) * 100 <= figure * DRIFT_MOST;
        if stated.len() != figures.len() || !stated.iter().zip(&figures).all(near) {
            let build = found.build.name();
            problems.push(format!("{} is out of date for {head}{build}: run `cargo xtask write-sizes`", TABLE.page));
        }
    }
    problems
}

#[cfg(test)]
mod tests {
    use super::*;

    fn measured(flash: u64, static_ram: u64, stack: u64) -> Measured {
        let (core, build) = (M4.name, Build::Stable);
        Measured { row: 1, core, build, flash, stack, objects: 192, buffers: 320, static_ram }
    }

    #[test]
    fn figures_may_exceed_the_budget_by_one_percent() {
        let Reached { stable, stack, .. } = ROWS[1].reached;
        let (flash, stack) = (stable + stable / 100, stack + stack / 100);
        assert_eq!(over_budget(&[measured(flash, 0, stack)]), Vec::<String>::new());
        assert_eq!(over_budget(&[measured(flash + 1, 0, stack)]).len(), 1);
        assert_eq!(over_budget(&[measured(flash, 4, stack + 1)]).len(), 2);
    }

    #[test]
    fn outdated_figures_of_the_table_are_reported() {
        let line = table(&[measured(7_000, 0, 1_080)]);
        assert_eq!(out_of_date(&[measured(7_100, 0, 1_080)], &line), Vec::<String>::new());
        assert_eq!(out_of_date(&[measured(7_300, 0, 1_080)], &line).len(), 1);
        assert_eq!(out_of_date(&[measured(7_000, 0, 1_200)], &line).len(), 1);
        assert_eq!(out_of_date(&[Measured { build: Build::CoreRebuilt, ..measured(7_000, 0, 1_080) }], &line).len(), 1);
        assert_eq!(out_of_date(&[Measured { objects: 208, ..measured(7_000, 0, 1_080) }], &line).len(), 1);
        assert_eq!(out_of_date(&[measured(7_000, 0, 1_080)], "").len(), 1);
        assert_eq!(grouped(1_234_567), "1,234,567");
    }

    #[test]
    fn builds_of_one_processor_share_a_line() {
        let both = [measured(7_000, 0, 1_080), Measured { build: Build::CoreRebuilt, ..measured(6_500, 0, 1_000) }];
        let text = table(&both);
        let line = "| derive a key, make a token | Cortex-M4 | 192 | 320 | 7,000 / 1,080 | – | 6,500 / 1,000 | – |";
        assert_eq!(text.lines().skip(2).collect::<Vec<_>>(), [line]);
    }
}
