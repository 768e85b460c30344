//! Looks into a linked firmware image: which symbols are in it, and how large it is.

use std::path::Path;

use object::{Object, ObjectSection, ObjectSymbol, SectionFlags, elf};

/// What an image holds.
pub(crate) struct Image {
    symbols: Vec<String>,
    /// Bytes of flash: code, constants and initial values.
    pub(crate) flash: u64,
    /// Bytes of static RAM.
    pub(crate) ram: u64,
}

impl Image {
    pub(crate) fn read(path: &Path) -> Result<Self, String> {
        let bytes = std::fs::read(path).map_err(|error| format!("{}: {error}", path.display()))?;
        let file = object::File::parse(bytes.as_slice()).map_err(|error| format!("{}: {error}", path.display()))?;
        let names =
            file.symbols().filter(ObjectSymbol::is_definition).filter_map(|symbol| symbol.name().ok().map(demangle));
        let symbols: Vec<String> = names.collect();
        if symbols.is_empty() {
            return Err(format!("{} has no symbols, so that nothing can be said about it", path.display()));
        }
        let mut image = Self { symbols, flash: 0, ram: 0 };
        for section in file.sections() {
            let SectionFlags::Elf { sh_flags } = section.flags() else { continue };
            let allocated = sh_flags & u64::from(elf::SHF_ALLOC) != 0;
            let writable = sh_flags & u64::from(elf::SHF_WRITE) != 0;
            let zeroed = section.kind() == object::SectionKind::UninitializedData;
            // Some start-up code has a section for the stack, which is all remaining memory.
            let stack = section.name() == Ok(".stack");
            image.ram += if allocated && writable && !stack { section.size() } else { 0 };
            image.flash += if allocated && !zeroed { section.size() } else { 0 };
        }
        Ok(image)
    }

    /// As [`read`](Self::read); an error when there is a panic, a heap or a division of 64-bit numbers in it.
    pub(crate) fn checked(path: &Path) -> Result<Self, String> {
        let image = Self::read(path)?;
        match image.unwanted().as_slice() {
            [] => Ok(image),
            unwanted => Err(format!("{}: the image holds {}", path.display(), unwanted.join(", "))),
        }
    }

    /// The symbols by which a panic, a heap or a division shows.
    pub(crate) fn unwanted(&self) -> Vec<&str> {
        let unwanted = |name: &&str| is_panic(name) || is_heap(name) || is_wide_division(name);
        self.symbols.iter().map(String::as_str).filter(unwanted).collect()
    }

    pub(crate) fn panics(&self) -> bool {
        self.symbols.iter().any(|name| is_panic(name))
    }
}

fn demangle(name: &str) -> String {
    format!("{:#}", rustc_demangle::demangle(name))
}

fn is_panic(name: &str) -> bool {
    ["panicking", "panic_fmt", "rust_begin_unwind", "unwrap_failed", "expect_failed", "panic_"]
        .iter()
        .any(|part| name.contains(part))
}

fn is_heap(name: &str) -> bool {
    let c = ["malloc", "calloc", "realloc", "free", "_sbrk", "sbrk"].contains(&name);
    c || ["__rust_alloc", "__rg_alloc", "__rdl_alloc", "__rust_realloc", "handle_alloc_error", "alloc::"]
        .iter()
        .any(|part| name.contains(part))
}

/// Division of 64-bit numbers, which such a processor does by a routine of most of a kilobyte.
fn is_wide_division(name: &str) -> bool {
    let c = ["__udivdi3", "__umoddi3", "__divdi3", "__moddi3", "__aeabi_uldivmod", "__aeabi_ldivmod"].contains(&name);
    c || ["u64_div_rem", "udivmoddi4"].iter().any(|part| name.contains(part))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_panics_heaps_and_divisions_are_known() {
        for name in ["core::panicking::panic_bounds_check", "rust_begin_unwind", "core::option::unwrap_failed"] {
            assert!(is_panic(name), "{name}");
        }
        for name in ["malloc", "__rust_alloc", "__rustc::__rust_alloc", "alloc::raw_vec::finish_grow"] {
            assert!(is_heap(name), "{name}");
        }
        for name in ["__aeabi_uldivmod", "compiler_builtins::int::specialized_div_rem::u64_div_rem"] {
            assert!(is_wide_division(name), "{name}");
        }
        for name in ["dps_core::registration::Registration<A>::poll", "__aeabi_uidiv", "memcpy", "freeze"] {
            assert!(!is_panic(name) && !is_heap(name) && !is_wide_division(name), "{name}");
        }
    }
}
