//! Runs the storm: a million devices in virtual time and ten thousand over sockets. Writes the picture and the tables.

use std::process::Stdio;

use crate::page::Place;
use crate::run::{Outcome, cargo, output};

const PICTURE: &str = "docs/storm.svg";
const FLEETS: Place = Place {
    page: "README.md",
    begin: "<!-- storm: written by `cargo xtask storm` -->\n",
    end: "<!-- end of storm -->\n",
};
const SOCKETS: Place = Place {
    page: "README.md",
    begin: "<!-- sockets: written by `cargo xtask storm` -->\n",
    end: "<!-- end of sockets -->\n",
};

pub(crate) fn write() -> Outcome {
    for (place, arguments) in [(FLEETS, &["fleet", "--picture", PICTURE][..]), (SOCKETS, &["loopback"])] {
        let table = storm(arguments)?;
        println!("{table}");
        place.write(&table)?;
    }
    Ok(())
}

/// Runs the program and returns its output; its progress is shown on the terminal.
fn storm(arguments: &[&str]) -> Result<String, String> {
    let run = ["run", "--locked", "--quiet", "--release", "-p", "storm", "--"];
    output(cargo(run.iter().chain(arguments)).stderr(Stdio::inherit()))
}
