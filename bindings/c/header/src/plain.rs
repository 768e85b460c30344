//! Makes what cbindgen writes plainer to read: one language linkage for the whole header, enumerations of one fixed width
//! in every dialect, short comments on one line.

/// The same declarations, to be read by people.
pub(crate) fn tidied(text: &str) -> String {
    let mut plain = Plain { out: Vec::new(), lines: text.lines().peekable(), inside: None };
    plain.run();
    // cbindgen ends a conditional member after its condition.
    plain.out.join("\n").replace("\n#endif\n    ;", ";\n#endif")
}

struct Plain<'t> {
    out: Vec<String>,
    lines: std::iter::Peekable<std::str::Lines<'t>>,
    /// The struct whose members follow.
    inside: Option<&'t str>,
}

impl<'t> Plain<'t> {
    fn run(&mut self) {
        while let Some(line) = self.lines.next() {
            if let Some(opened) = line.strip_prefix("typedef struct ") {
                self.inside = opened.strip_suffix(" {");
            }
            match line.trim() {
                "#ifdef __cplusplus" | "#ifndef __cplusplus" => self.skip_conditional(),
                "/**" => self.comment(line),
                _ if line.starts_with("enum ") => self.enumeration(line),
                _ if line.starts_with("dps_result dps_") => {
                    let function = self.without_struct(line);
                    self.out.extend(["DPS_NODISCARD".to_owned(), function]);
                }
                "" if self.out.last().is_none_or(String::is_empty) => {}
                _ => {
                    let plain = self.without_struct(line);
                    self.out.push(plain);
                }
            }
            if line.starts_with('}') {
                self.inside = None;
            }
        }
    }

    /// What only tells C from C++.
    fn skip_conditional(&mut self) {
        let mut depth = 1;
        while depth > 0
            && let Some(line) = self.lines.next()
        {
            depth += i32::from(line.starts_with("#if")) - i32::from(line.starts_with("#endif"));
        }
    }

    fn comment(&mut self, opening: &str) {
        let indent = &opening[..opening.len() - opening.trim_start().len()];
        let first = self.lines.next().unwrap_or_default();
        if self.lines.peek().is_some_and(|next| next.trim() == "*/") {
            self.lines.next();
            self.out.push(format!("{indent}/** {} */", first.trim().trim_start_matches("* ")));
        } else {
            self.out.extend([opening.to_owned(), first.to_owned()]);
        }
    }

    /// Types are known by their short names, but for a struct that points to others of its kind.
    fn without_struct(&self, line: &str) -> String {
        match self.inside {
            _ if line.starts_with("typedef struct") => line.to_owned(),
            Some(own) if line.contains(&format!("struct {own} *")) => line.to_owned(),
            _ => line.replace("struct dps_", "dps_"),
        }
    }

    /// `enum name` with its width for C++ becomes an integer type and constants.
    fn enumeration(&mut self, opening: &str) {
        let name = opening.trim_start_matches("enum ");
        let mut width = "int";
        for line in self.lines.by_ref() {
            match line.trim() {
                "{" => break,
                other => width = other.strip_prefix(": ").unwrap_or(width),
            }
        }
        self.out.extend([format!("typedef {width} {name};"), "enum {".to_owned()]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_enumeration_has_one_width_in_every_dialect() {
        let text = "/**\n * Who.\n */\nenum dps_family\n#if defined(__cplusplus)\n  : uint32_t\n#endif\n {\n    /**\n     \
                    * None.\n     */\n    DPS_NONE = 0,\n};\n#ifndef __cplusplus\n#if X\ntypedef enum dps_family \
                    dps_family;\n#endif\n#endif // __cplusplus\n";
        let expected = "/** Who. */\ntypedef uint32_t dps_family;\nenum {\n    /** None. */\n    DPS_NONE = 0,\n};";
        assert_eq!(tidied(text), expected);
    }

    #[test]
    fn struct_that_points_to_others_of_its_kind_names_itself_in_full() {
        let text = "typedef struct dps_a {\n    const struct dps_a *next;\n    struct dps_b b;\n} dps_a;\nvoid f(struct dps_a *a);";
        let expected =
            "typedef struct dps_a {\n    const struct dps_a *next;\n    dps_b b;\n} dps_a;\nvoid f(dps_a *a);";
        assert_eq!(tidied(text), expected);
    }

    #[test]
    fn long_comments_stay_and_short_names_do() {
        let text = "/**\n * One.\n *\n * Two.\n */\nvoid f(const struct dps_key *key);\n\n\nint g;";
        assert_eq!(tidied(text), "/**\n * One.\n *\n * Two.\n */\nvoid f(const dps_key *key);\n\nint g;");
    }
}
