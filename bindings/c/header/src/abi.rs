//! Prevents that a program is used with a library of an incompatible build: by symbol names in firmware, by struct sizes on an
//! operating system.
//!
//! The number in `_abi_1` is raised, everywhere at once, when a released struct, or the size of an object, changes in the
//! bare flavor. `cargo xtask header` compares them with those in `bindings/c/abi` under that number.

use std::fmt::Write as _;

/// The source before the symbol name of a function in the library for firmware.
const BEFORE: &str = "#[cfg_attr(not(dps_hosted), unsafe(export_name = \"";
const AFTER: &str = "\"))]";
const EXPORTED: &str = "#[unsafe(no_mangle)]";

/// Returns the source with every function exported under its own name, as cbindgen requires.
pub(crate) fn plainly_exported(source: &str) -> String {
    let hosted = "#[cfg_attr(dps_hosted, unsafe(no_mangle))]\n";
    let lines = source.replace(hosted, "");
    let lines = lines.lines().map(|line| if line.starts_with(BEFORE) { EXPORTED } else { line });
    lines.flat_map(|line| [line, "\n"]).collect()
}

/// Returns the macros for firmware, which link the initializers by the name of the ABI.
pub(crate) fn bare(sources: &[String]) -> Result<String, String> {
    let mut text = String::from(
        "\n#ifndef DPS_HOSTED\n/* In firmware, header and library are of one build: these names are not found in another \
         library. */\n",
    );
    for source in sources {
        for exported in source.lines().filter_map(|line| line.strip_prefix(BEFORE)?.strip_suffix(AFTER)) {
            let (name, _) = exported.split_once("_abi_").ok_or(format!("{exported} names no ABI"))?;
            let _ = writeln!(text, "#define {name} {exported}");
        }
    }
    text.push_str("#endif\n");
    Ok(text)
}

/// Returns the macros for an operating system, one for each function with a size argument.
pub(crate) fn hosted(source: &str) -> String {
    let mut text = String::from("\n/* Tell the library the sizes that this header has. */\n");
    let mut rest = source;
    while let Some((_, function)) = rest.split_once("extern \"C\" fn ") {
        let (name, parameters) = function.split_once("_sized(").unwrap_or_default();
        let pointed = parameters.split_once("const ").into_iter().chain(parameters.split_once("mut "));
        let first = pointed.map(|(before, after)| (before.len(), after)).min().unwrap_or_default().1;
        let kind = first.split([',', ')', '\n']).next().unwrap_or_default();
        let _ = writeln!(text, "#define {name}(...) {name}_sized(sizeof({kind}), __VA_ARGS__)");
        rest = parameters;
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn macro_passes_size_of_first_pointed_type() {
        let source = "pub unsafe extern \"C\" fn dps_key_derive_sized(\n    size: usize,\n    group: *const dps_key,\n    \
                      id: dps_span,\n    device: *mut dps_key,\n) -> dps_result {}";
        let expected = "#define dps_key_derive(...) dps_key_derive_sized(sizeof(dps_key), __VA_ARGS__)\n";
        assert!(hosted(source).ends_with(expected), "{}", hosted(source));
        let source = "extern \"C\" fn dps_config_default_sized(size: usize, config: *mut dps_config) -> dps_result {}";
        let expected = "#define dps_config_default(...) dps_config_default_sized(sizeof(dps_config), __VA_ARGS__)\n";
        assert!(hosted(source).ends_with(expected), "{}", hosted(source));
    }

    #[test]
    fn abi_name_becomes_plain_export() {
        let source = "#[cfg_attr(not(dps_hosted), unsafe(export_name = \"f_abi_1\"))]\n\
                      #[cfg_attr(dps_hosted, unsafe(no_mangle))]\npub fn f() {}\n";
        assert_eq!(plainly_exported(source), "#[unsafe(no_mangle)]\npub fn f() {}\n");
    }
}
