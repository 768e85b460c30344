//! One source file as a section of the header.

use std::path::Path;

use cbindgen::{Builder, Config, DocumentationStyle, EnumConfig, Language, Style};

use crate::{abi, plain};

/// A title and the file that it is made of.
pub(crate) struct Section {
    pub(crate) title: &'static str,
    pub(crate) file: &'static str,
    /// Types that no function of the file names.
    pub(crate) include: &'static [&'static str],
}

impl Section {
    /// The text of the file.
    pub(crate) fn read(&self, source: &Path) -> Result<String, String> {
        let path = source.join(self.file);
        std::fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))
    }

    pub(crate) fn write(&self, source: &Path) -> Result<String, String> {
        // cbindgen reads files only.
        let path = std::env::temp_dir().join(format!("dps-header-{}.rs", std::process::id()));
        let text = abi::plainly_exported(&self.read(source)?);
        std::fs::write(&path, text).map_err(|error| format!("{}: {error}", path.display()))?;
        let bindings = Builder::new().with_config(self.config()).with_src(&path).generate();
        let _ = std::fs::remove_file(&path);
        let bindings = bindings.map_err(|error| format!("{}: {error}", self.file))?;
        let mut written = Vec::new();
        bindings.write(&mut written);
        let text = String::from_utf8(written).map_err(|error| error.to_string())?;
        let rule = "-".repeat(75_usize.saturating_sub(self.title.len()));
        Ok(format!("\n/* {} {rule} */\n\n{}\n", self.title, plain::tidied(&text).trim()))
    }

    fn config(&self) -> Config {
        let mut config = Config {
            language: Language::C,
            cpp_compat: true,
            no_includes: true,
            usize_is_size_t: true,
            style: Style::Both,
            documentation_style: DocumentationStyle::Doxy,
            line_length: 100,
            tab_width: 4,
            enumeration: EnumConfig { prefix_with_name: false, ..EnumConfig::default() },
            ..Config::default()
        };
        config.export.include = self.include.iter().map(|name| (*name).to_owned()).collect();
        let widths = [("32", "DPS_POINTERS_OF_32_BITS"), ("64", "DPS_POINTERS_OF_64_BITS")];
        let defines = widths.map(|(width, name)| (format!("target_pointer_width = {width}"), name.to_owned()));
        config.defines = defines.into_iter().chain([("dps_hosted".to_owned(), "DPS_HOSTED".to_owned())]).collect();
        config
    }
}
