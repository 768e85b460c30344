//! The C header: written by `dps-c-header` from the binding's source, committed, and compared here. The same holds
//! for the layout of the structs in firmware, whose number is part of the names of the functions that firmware links.

use std::collections::BTreeSet;
use std::path::PathBuf;

use crate::run::{Outcome, cargo, output, read, root};

const HEADER: &str = "bindings/c/include/dps.h";
/// The folder that has a file for each number.
const LAYOUTS: &str = "bindings/c/abi";
/// Where the number is in the name of a function.
const MARK: &str = "_abi_";

/// Writes the header, and the layout where its number is new.
pub(crate) fn write() -> Outcome {
    let text = generated()?;
    let layout = root().join(layout_file(&text)?);
    if !layout.exists() {
        write_file(layout, &bare_layout(&text))?;
    }
    write_file(root().join(HEADER), &text)
}

pub(crate) fn check() -> Outcome {
    let text = generated()?;
    if read(HEADER)? != text {
        return Err(format!("{HEADER} is not what the source says; `cargo xtask write-header` writes it"));
    }
    let file = layout_file(&text)?;
    if read(&file)? == bare_layout(&text) {
        return Ok(());
    }
    Err(format!(
        "the structs of firmware are not those of {file}. Raise the number after {MARK} in bindings/c/src, so that a \
         program and a library that differ do not link; then `cargo xtask write-header` writes the layout of the new \
         number. Before the first release of this number, delete the file instead"
    ))
}

fn write_file(path: PathBuf, text: &str) -> Outcome {
    std::fs::write(&path, text).map_err(|error| format!("{}: {error}", path.display()))
}

fn generated() -> Result<String, String> {
    output(&mut cargo(["run", "--locked", "--quiet", "-p", "dps-c-header"]))
}

/// The file with the layout of the number in the header's names, which is the same in all of them.
fn layout_file(header: &str) -> Result<String, String> {
    let numbers: BTreeSet<&str> = header
        .split(MARK)
        .skip(1)
        .map(|after| after.split_once(|c: char| !c.is_ascii_digit()).map_or(after, |(number, _)| number))
        .collect();
    match Vec::from_iter(numbers)[..] {
        [number] => Ok(format!("{LAYOUTS}/{number}.txt")),
        ref several => Err(format!("the names with {MARK} have the numbers {several:?} instead of one")),
    }
}

/// What decides the layout in firmware: structs, the types of their members and the lengths of their arrays, without
/// comments and without what an operating system adds.
fn bare_layout(header: &str) -> String {
    let (bare, _) = header.split_once("\n#ifdef DPS_HOSTED\n").unwrap_or((header, ""));
    let code = without_comments(bare);
    let mut layout = String::new();
    let (mut in_struct, mut is_hosted) = (false, false);
    for line in code.lines().map(str::trim_end).filter(|line| !line.is_empty()) {
        is_hosted |= line == "#if defined(DPS_HOSTED)";
        in_struct |= line.starts_with("typedef struct");
        if !is_hosted && (in_struct || line.starts_with("typedef")) {
            layout.push_str(line);
            layout.push('\n');
        }
        is_hosted &= line != "#endif";
        in_struct &= !line.starts_with('}');
    }
    let lengths = code.lines().filter(|line| {
        let name = line.strip_prefix("#define ").and_then(|define| define.split_whitespace().next());
        name.is_some_and(|name| layout.contains(&format!("[{name}]")))
    });
    let lengths: String = lengths.flat_map(|line| [line.trim_end(), "\n"]).collect();
    lengths + &layout
}

fn without_comments(text: &str) -> String {
    let mut parts = text.split("/*");
    let mut code = parts.next().unwrap_or_default().to_owned();
    code.extend(parts.map(|part| part.split_once("*/").map_or("", |(_, after)| after)));
    code
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "#define f f_abi_1\n#define g g_abi_1\n/** A key. */\n#define WORDS 9\ntypedef struct dps_key {\n    /** Opaque. */\n    \
                        uint64_t opaque[WORDS];\n#if defined(DPS_HOSTED)\n    size_t size;\n#endif\n    uint8_t last;\n} dps_key;\n\
                        typedef uint32_t dps_call;\nvoid f(void);\n\n#ifdef DPS_HOSTED\ntypedef struct dps_more {\n    int a;\n\
                        } dps_more;\n#endif\n";
    const LAYOUT: &str = "#define WORDS 9\ntypedef struct dps_key {\n    uint64_t opaque[WORDS];\n    uint8_t last;\n} dps_key;\n\
                          typedef uint32_t dps_call;\n";

    #[test]
    fn layout_changes_with_members_sizes_and_types_alone() {
        assert_eq!(bare_layout(TEXT), LAYOUT);
        for same in [
            TEXT.replace("A key", "Another"),
            TEXT.replace("int a", "int b"),
            TEXT.replace("size_t size", "uint8_t size"),
        ] {
            assert_eq!(bare_layout(&same), LAYOUT, "{same}");
        }
        for other in [("WORDS 9", "WORDS 10"), ("uint8_t last", "uint16_t last"), ("uint32_t dps", "uint64_t dps")] {
            assert_ne!(bare_layout(&TEXT.replace(other.0, other.1)), LAYOUT, "{other:?}");
        }
    }

    #[test]
    fn layout_file_is_that_of_the_one_number() {
        assert_eq!(layout_file(TEXT).unwrap(), "bindings/c/abi/1.txt");
        assert!(layout_file(&TEXT.replace("g_abi_1", "g_abi_2")).unwrap_err().contains("[\"1\", \"2\"]"));
        assert!(layout_file("").is_err());
    }
}
