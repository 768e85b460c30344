//! The values of a configuration with their places, and what they must be.

use std::borrow::Cow;
use std::fmt::Display;
use std::ops::RangeInclusive;

use serde_json::{Map, Number, Value};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// What is wrong, and the offset where it is.
#[derive(Debug)]
pub(super) struct Mistake {
    pub(super) at: usize,
    pub(super) message: String,
}

/// A value, and the member that has it.
#[derive(Clone, Copy)]
pub(super) struct Node<'d> {
    /// The name of its member, for messages.
    pub(super) name: &'d str,
    name_at: usize,
    value: &'d Spanned<DeValue<'d>>,
}

/// A table of the file, in the order of its members.
pub(super) struct Section<'d> {
    at: usize,
    members: Vec<Node<'d>>,
}

impl<'d> Section<'d> {
    pub(super) fn new(at: usize, table: &'d DeTable<'d>) -> Self {
        let member = |(name, value): (&'d Spanned<Cow<'_, str>>, &'d Spanned<DeValue<'d>>)| Node {
            name: name.get_ref(),
            name_at: name.span().start,
            value,
        };
        let mut members: Vec<Node<'d>> = table.iter().map(member).collect();
        members.sort_by_key(|member| member.name_at);
        Self { at, members }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = Node<'d>> + '_ {
        self.members.iter().copied()
    }

    pub(super) fn get(&self, name: &str) -> Option<Node<'d>> {
        self.iter().find(|member| member.name == name)
    }

    pub(super) fn required(&self, name: &str) -> Result<Node<'d>, Mistake> {
        self.get(name).ok_or_else(|| self.mistake(format!("'{name}' is missing in this table")))
    }

    /// Refuses members that are not in the list.
    pub(super) fn check_names(&self, known: &[&str]) -> Result<(), Mistake> {
        match self.iter().find(|member| !known.contains(&member.name)) {
            Some(unknown) => Err(unknown.unknown(known)),
            None => Ok(()),
        }
    }

    pub(super) fn mistake(&self, message: impl Into<String>) -> Mistake {
        Mistake { at: self.at, message: message.into() }
    }
}

impl<'d> Node<'d> {
    /// What is wrong with the value.
    pub(super) fn mistake(&self, message: impl Display) -> Mistake {
        Mistake { at: self.value.span().start, message: format!("'{}' {message}", self.name) }
    }

    /// A mistake that names the member by itself.
    pub(super) fn about(&self, message: impl Into<String>) -> Mistake {
        Mistake { at: self.value.span().start, message: message.into() }
    }

    pub(super) fn must_be(&self, what: impl Display) -> Mistake {
        self.mistake(format!("must be {what}"))
    }

    /// What is wrong with its name.
    pub(super) fn unknown(&self, known: &[&str]) -> Mistake {
        let message = format!("unknown member '{}'; known here: {}", self.name, known.join(", "));
        Mistake { at: self.name_at, message }
    }

    pub(super) fn text(&self) -> Result<&'d str, Mistake> {
        self.value.get_ref().as_str().ok_or_else(|| self.must_be("a string"))
    }

    pub(super) fn flag(&self) -> Result<bool, Mistake> {
        self.value.get_ref().as_bool().ok_or_else(|| self.must_be("true or false"))
    }

    /// A whole number within this range.
    pub(super) fn whole<T>(&self, range: RangeInclusive<T>) -> Result<T, Mistake>
    where
        T: TryFrom<i64> + PartialOrd + Display,
    {
        let number = self.integer().and_then(|number| T::try_from(number).ok());
        let number = number.filter(|number| range.contains(number));
        number.ok_or_else(|| self.must_be(format!("a whole number from {} to {}", range.start(), range.end())))
    }

    /// The same, or `None` for false.
    pub(super) fn whole_or_off<T>(&self, range: RangeInclusive<T>) -> Result<Option<T>, Mistake>
    where
        T: TryFrom<i64> + PartialOrd + Display,
    {
        if self.is_off() {
            return Ok(None);
        }
        let expected = format!("a whole number from {} to {}, or false", range.start(), range.end());
        self.whole(range).map(Some).map_err(|_| self.must_be(expected))
    }

    /// Whether it is false, which stands for "none" where something else is expected.
    pub(super) fn is_off(&self) -> bool {
        self.value.get_ref().as_bool() == Some(false)
    }

    fn integer(&self) -> Option<i64> {
        let integer = self.value.get_ref().as_integer()?;
        i64::from_str_radix(integer.as_str(), integer.radix()).ok()
    }

    pub(super) fn section(&self) -> Result<Section<'d>, Mistake> {
        let table = self.value.get_ref().as_table().ok_or_else(|| self.must_be("a table"))?;
        Ok(Section::new(self.value.span().start, table))
    }

    /// The items of an array, each under the name of the array.
    pub(super) fn items(&self) -> Result<Vec<Node<'d>>, Mistake> {
        let items = self.value.get_ref().as_array().ok_or_else(|| self.must_be("an array"))?;
        Ok(items.iter().map(|value| Node { value, ..*self }).collect())
    }

    /// The tables of an array.
    pub(super) fn sections(&self) -> Result<Vec<Section<'d>>, Mistake> {
        let expected = || self.must_be(format!("an array of tables, as [[{}]]", self.name));
        let items = self.items().map_err(|_| expected())?;
        items.iter().map(|item| item.section().map_err(|_| expected())).collect()
    }

    /// An object of any members: a table, or a string with JSON, which can contain null.
    pub(super) fn object(&self) -> Result<Map<String, Value>, Mistake> {
        match self.free()? {
            Value::Object(members) => Ok(members),
            _ => Err(self.must_be("a table, or a string with a JSON object")),
        }
    }

    /// Any JSON: a value, or a string with JSON.
    pub(super) fn free(&self) -> Result<Value, Mistake> {
        match self.value.get_ref().as_str() {
            Some(text) => serde_json::from_str(text).map_err(|_| self.must_be("a table, or a string with JSON")),
            None => self.json(),
        }
    }

    /// Any value, as JSON.
    pub(super) fn json(&self) -> Result<Value, Mistake> {
        Ok(match self.value.get_ref() {
            DeValue::String(text) => text.as_ref().into(),
            DeValue::Boolean(flag) => (*flag).into(),
            DeValue::Integer(_) => self.integer().ok_or_else(|| self.mistake("is too large a number"))?.into(),
            DeValue::Float(float) => {
                let number = float.as_str().replace('_', "").parse().ok().and_then(Number::from_f64);
                Value::Number(number.ok_or_else(|| self.must_be("a finite number"))?)
            }
            DeValue::Datetime(_) => {
                return Err(self.mistake("is a date, which JSON does not have: write it as a string"));
            }
            DeValue::Array(_) => self.items()?.iter().map(Node::json).collect::<Result<Vec<_>, _>>()?.into(),
            DeValue::Table(_) => {
                let members = self.section()?;
                let pairs = members.iter().map(|member| Ok((member.name.to_owned(), member.json()?)));
                Value::Object(pairs.collect::<Result<_, Mistake>>()?)
            }
        })
    }
}
