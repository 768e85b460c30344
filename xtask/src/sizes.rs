//! What the C library costs on a Cortex-M: flash, RAM and stack of the programs in `bindings/c/sizes`, over an empty one.
//!
//! `sizes` measures and compares with the budgets and with the table in `bindings/c/README.md`; `write-sizes` writes that
//! table. Stack is measured by painting, in QEMU.

use std::fmt::Write as _;
use std::path::Path;

use crate::c_image::{Build, emulate, library, link, sources};
use crate::cores::{Core, M0_PLUS, M4};
use crate::image::Image;
use crate::page::Place;
use crate::run::{Outcome, output, report};

const TABLE: Place = Place {
    page: "bindings/c/README.md",
    begin: "<!-- sizes: written by `cargo xtask write-sizes` -->\n",
    end: "<!-- end of sizes -->\n",
};

/// What is measured: what it is called in the table, and its C sources.
const ROWS: [(&str, &[&str]); 4] = [
    ("derive a key", &["derive.c"]),
    ("derive a key, make a token", &["token.c"]),
    ("whole MQTT registration", &["mqtt.c", "registration.c"]),
    ("whole HTTP registration", &["http.c", "registration.c"]),
];

/// The most flash, in bytes, on a Cortex-M4 for each row: built by stable, and with core rebuilt. To be lowered whenever
/// the library gets smaller.
const FLASH_MOST: [(u64, u64); 4] = [(3_850, 4_000), (6_750, 6_950), (21_800, 21_900), (24_900, 25_000)];
/// The most stack, in bytes.
const STACK_MOST: u64 = 1_500;
/// The table is out of date when a figure is off by more than this share of it, in hundredths.
const DRIFT_MOST: u64 = 3;

/// One line of the table.
struct Measured {
    row: usize,
    core: &'static str,
    build: Build,
    flash: u64,
    static_ram: u64,
    caller_ram: u64,
    stack: u64,
}

pub(crate) fn check() -> Outcome {
    let measured = measure_all()?;
    print!("{}", table(&measured)?);
    let mut problems = over_budget(&measured);
    problems.extend(out_of_date(&measured, &TABLE.read()?));
    report(&problems)
}

pub(crate) fn write() -> Outcome {
    TABLE.write(&table(&measure_all()?)?)
}

fn measure_all() -> Result<Vec<Measured>, String> {
    let mut all = Vec::new();
    for build in Build::BOTH {
        for core in [&M0_PLUS, &M4] {
            let library = library(core, build)?;
            whole_library(core, &library)?;
            let empty = Image::read(&image(core, &library, "empty", &["empty.c"])?)?;
            for (row, (_, files)) in ROWS.iter().enumerate() {
                let name = files[0].trim_end_matches(".c");
                all.push(measure(row, core, build, &image(core, &library, name, files)?, &empty)?);
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
    Image::without_panic_and_heap(&link(core, library, "whole", &all)?).map(|_| ())
}

fn image(core: &Core, library: &Path, name: &str, files: &[&str]) -> Result<std::path::PathBuf, String> {
    let mut all = sources("bindings/c/sizes", files);
    all.push("bindings/c/sizes/measure.c".to_owned());
    link(core, library, name, &all)
}

fn measure(row: usize, core: &Core, build: Build, path: &Path, empty: &Image) -> Result<Measured, String> {
    let image = Image::without_panic_and_heap(path)?;
    let said = emulate(core, path)?;
    let number = |name: &str| {
        let line = said.lines().find_map(|line| line.strip_prefix(name));
        line.and_then(|digits| digits.trim().parse::<u64>().ok()).ok_or(format!("{name} is missing in: {said}"))
    };
    let (caller_ram, stack) = (number("caller ")?, number("stack ")?);
    let static_ram = (image.ram - empty.ram).checked_sub(caller_ram);
    Ok(Measured {
        row,
        core: core.name,
        build,
        flash: image.flash - empty.flash,
        static_ram: static_ram.ok_or(format!("{}: it states more memory than it has", path.display()))?,
        caller_ram,
        stack,
    })
}

fn over_budget(all: &[Measured]) -> Vec<String> {
    let mut problems = Vec::new();
    for found in all {
        let (stable, rebuilt) = FLASH_MOST[found.row];
        let most = if found.build == Build::Stable { stable } else { rebuilt };
        let mut complain = |what: &str, figure: u64, most: u64| {
            let (row, core, build) = (ROWS[found.row].0, found.core, found.build.name());
            problems.push(format!("{row}, {core}, {build}: {figure} bytes of {what}, {most} at most"));
        };
        if found.core == M4.name && found.flash > most {
            complain("flash", found.flash, most);
        }
        if found.stack > STACK_MOST {
            complain("stack", found.stack, STACK_MOST);
        }
        if found.static_ram > 0 {
            complain("static RAM", found.static_ram, 0);
        }
    }
    problems
}

fn table(all: &[Measured]) -> Result<String, String> {
    let mut text = String::from(
        "| | core | build | flash | static RAM | caller's RAM | stack | heap |\n|---|---|---|---:|---:|---:|---:|---:|\n",
    );
    for found in all {
        let (row, build) = (ROWS[found.row].0, found.build.name());
        let figures = [found.flash, found.static_ram, found.caller_ram, found.stack, 0].map(grouped).join(" | ");
        let _ = writeln!(text, "| {row} | {} | {build} | {figures} |", found.core);
    }
    text.push('\n');
    for build in Build::BOTH {
        let _ = writeln!(text, "*{}*: {}.", build.name(), build.how()?);
    }
    Ok(text)
}

/// 12345 as `12,345`.
fn grouped(number: u64) -> String {
    if number < 1000 { number.to_string() } else { format!("{},{:03}", grouped(number / 1000), number % 1000) }
}

/// Lines of the table that are no longer true.
fn out_of_date(all: &[Measured], table: &str) -> Vec<String> {
    let mut problems = Vec::new();
    for found in all {
        let head = format!("| {} | {} | {} | ", ROWS[found.row].0, found.core, found.build.name());
        let stated = table.lines().find_map(|line| line.strip_prefix(&head)).unwrap_or_default();
        let stated: Vec<u64> = stated.split('|').filter_map(|cell| cell.trim().replace(',', "").parse().ok()).collect();
        let figures = [found.flash, found.static_ram, found.caller_ram, found.stack, 0];
        let near = |(stated, figure): (&u64, &u64)| stated.abs_diff(*figure) * 100 <= figure * DRIFT_MOST;
        if stated.len() != figures.len() || !stated.iter().zip(&figures).all(near) {
            problems.push(format!("{} is out of date for {head}: `cargo xtask write-sizes` writes it", TABLE.page));
        }
    }
    problems
}

#[cfg(test)]
mod tests {
    use super::*;

    fn measured(flash: u64, static_ram: u64, stack: u64) -> Measured {
        Measured { row: 1, core: M4.name, build: Build::Stable, flash, static_ram, caller_ram: 512, stack }
    }

    #[test]
    fn each_budget_is_kept() {
        let most = FLASH_MOST[1].0;
        assert_eq!(over_budget(&[measured(most, 0, STACK_MOST)]), Vec::<String>::new());
        assert_eq!(over_budget(&[measured(most + 1, 0, STACK_MOST)]).len(), 1);
        assert_eq!(over_budget(&[measured(most, 4, STACK_MOST + 1)]).len(), 2);
    }

    #[test]
    fn a_figure_that_has_moved_is_found() {
        let line = format!("| {} | {} | stable | 7,000 | 0 | 512 | 1,080 | 0 |\n", ROWS[1].0, M4.name);
        assert_eq!(out_of_date(&[measured(7_100, 0, 1_080)], &line), Vec::<String>::new());
        assert_eq!(out_of_date(&[measured(7_300, 0, 1_080)], &line).len(), 1);
        assert_eq!(out_of_date(&[measured(7_000, 0, 1_080)], "").len(), 1);
        assert_eq!(grouped(1_234_567), "1,234,567");
    }
}
