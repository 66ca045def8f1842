//! Owns: reading the file and the environment, laying them over the defaults, and finding who said a value.
//!
//! Promises that a complaint names the file or the variable that it is about. Never changes what it reads.

use std::ffi::OsString;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use figment::Figment;
use figment::error::Kind;
use figment::providers::Serialized;
use toml::{Table, Value};

use super::error::shown;
use super::{Config, Error, Place};

const PREFIX: &str = "WHARF_";
const SEPARATOR: &str = "__";

/// What was said, by whom.
pub(super) struct Sources {
    file: Option<(PathBuf, Table)>,
    environment: Vec<Variable>,
}

impl fmt::Debug for Sources {
    // By hand: there are passwords among the values.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sources").finish_non_exhaustive()
    }
}

/// An environment variable that is configuration.
struct Variable {
    name: String,
    /// What it sets, from the top of the file; alone in its table, and that alone in the one above.
    table: Table,
}

impl Sources {
    pub(super) fn read(
        file: Option<&Path>,
        environment: impl Iterator<Item = (OsString, OsString)>,
    ) -> Result<Self, Error> {
        let file = file.map(|path| Ok((path.to_owned(), read_file(path)?))).transpose()?;
        let environment = environment
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value)))
            .filter(|(name, _)| name.strip_prefix(PREFIX).is_some_and(|key| key.contains(SEPARATOR)));
        Ok(Self {
            file,
            environment: environment.map(variable).collect::<Result<_, _>>()?,
        })
    }

    /// Defaults, the file over them, the environment over both.
    pub(super) fn extract(&self) -> Result<Config, Error> {
        let file = self.file.iter().map(|(_, table)| table);
        let environment = self.environment.iter().map(|variable| &variable.table);
        let defaults = Figment::from(Serialized::defaults(Config::default()));
        let figment = file
            .chain(environment)
            .fold(defaults, |below, table| below.merge(Serialized::defaults(table)));
        figment.extract().map_err(|error| self.explain(error))
    }

    fn explain(&self, error: figment::Error) -> Error {
        let path = error.path;
        if let Kind::UnknownField(_, accepted) = error.kind {
            return Error::Unknown {
                place: self.place(path),
                accepted,
            };
        }
        // An item of a list is named by its list.
        let list = path.split_last().map(|(_, list)| list.to_vec());
        let list = list.filter(|list| matches!(self.find(list), Some((_, Value::Array(_)))));
        let path = list.unwrap_or(path);
        let value = self
            .find(&path)
            .map_or_else(String::new, |(_, value)| shown(&path, value));
        Error::Value {
            place: self.place(path),
            value,
            kind: Box::new(error.kind),
        }
    }

    fn place(&self, path: Vec<String>) -> Place {
        match self.find(&path) {
            Some((Said::Variable(name), _)) => Place::Variable {
                name: name.to_owned(),
                path,
            },
            Some((Said::File(file), _)) => Place::File {
                file: file.to_owned(),
                path,
            },
            None => Place::Default { path },
        }
    }

    /// Who had the last word about a key, and what it was.
    fn find(&self, path: &[String]) -> Option<(Said<'_>, &Value)> {
        let variables = self
            .environment
            .iter()
            .rev()
            .map(|variable| (Said::Variable(&variable.name), &variable.table));
        let file = self.file.iter().map(|(file, table)| (Said::File(file), table));
        variables
            .chain(file)
            .find_map(|(said, table)| Some((said, look_up(table, path)?)))
    }
}

#[derive(Clone, Copy)]
enum Said<'a> {
    File(&'a Path),
    Variable(&'a str),
}

fn look_up<'a>(table: &'a Table, path: &[String]) -> Option<&'a Value> {
    let (first, rest) = path.split_first()?;
    // Items of lists go by their number.
    rest.iter().try_fold(table.get(first)?, |found, key| {
        found
            .get(key.as_str())
            .or_else(|| found.get(key.parse::<usize>().ok()?))
    })
}

fn read_file(path: &Path) -> Result<Table, Error> {
    let text = fs::read_to_string(path).map_err(|source| Error::Read {
        file: path.to_owned(),
        source,
    })?;
    text.parse().map_err(|error: toml::de::Error| {
        let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
        let line = 1 + before.matches('\n').count();
        Error::Syntax {
            file: path.to_owned(),
            line,
            message: error.message().to_owned(),
        }
    })
}

/// The value is TOML where it reads as TOML (`["a", "b"]`, `true`), and a string otherwise.
fn variable((name, value): (String, OsString)) -> Result<Variable, Error> {
    let Ok(value) = value.into_string() else {
        return Err(Error::NotUnicode { name });
    };
    let value = value.parse().unwrap_or(Value::String(value));
    let key = name.strip_prefix(PREFIX).unwrap_or(&name).to_lowercase();
    let nest = |inner: Value, key: &str| Value::Table(Table::from_iter([(key.to_owned(), inner)]));
    match key.rsplit(SEPARATOR).fold(value, nest) {
        Value::Table(table) => Ok(Variable { name, table }),
        Value::String(_)
        | Value::Integer(_)
        | Value::Float(_)
        | Value::Boolean(_)
        | Value::Datetime(_)
        | Value::Array(_) => Ok(Variable {
            name,
            table: Table::new(),
        }),
    }
}
