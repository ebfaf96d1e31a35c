//! Where settings come from, and in which order.

use super::{DEFAULT, Error, names};
use figment::{
    Figment,
    providers::{Format, Serialized, Toml},
    value::{Dict, Value},
};
use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};

/// The file that is read when none is named.
const USUAL_FILE: &str = "warren.toml";
/// More than any settings file or secret needs, in bytes.
const LARGEST_FILE: u64 = 1024 * 1024;

/// Where settings come from besides the defaults.
#[derive(Debug, Clone, Default)]
pub struct Sources {
    /// The file; `None` takes `warren.toml` of the current folder if there is one.
    pub file: Option<PathBuf>,
    /// The environment. Names that mean nothing here are skipped.
    pub environment: Vec<(String, String)>,
    /// Keys from the command line, such as `store.data_dir`, and their texts.
    pub overrides: Vec<(&'static str, String)>,
}

impl Sources {
    /// The environment of this process. Variables that are not Unicode are skipped.
    #[must_use]
    pub fn of_process(file: Option<PathBuf>) -> Self {
        let text = |(name, value): (std::ffi::OsString, std::ffi::OsString)| {
            Some((name.into_string().ok()?, value.into_string().ok()?))
        };
        Self { file, environment: std::env::vars_os().filter_map(text).collect(), overrides: Vec::new() }
    }

    /// The same with one more key from the command line.
    #[must_use]
    pub fn with(mut self, key: &'static str, value: impl Into<String>) -> Self {
        self.overrides.push((key, value.into()));
        self
    }
}

pub(super) struct Merged {
    pub(super) figment: Figment,
    pub(super) warnings: Vec<String>,
}

pub(super) fn merge(sources: &Sources) -> Result<Merged, Error> {
    let defaults = Figment::from(Toml::string(DEFAULT));
    let mut figment = defaults.clone();
    if let Some((name, text)) = file(sources.file.as_deref())? {
        // Parsed here first: the place of a syntax error is worth more than figment's word for it.
        toml::from_str::<toml::Table>(&text).map_err(|error| Error(format!("{name}: {}", one_line(error.message()))))?;
        figment = figment.merge(Toml::string(&text));
    }
    let mut warnings = Vec::new();
    let mut port = None;
    for (key, text) in environment(&sources.environment, &mut port, &mut warnings)? {
        figment = figment.merge(Serialized::default(&key, typed(&defaults, &key, text)));
    }
    for (key, text) in &sources.overrides {
        figment = figment.merge(Serialized::default(key, typed(&defaults, key, text.clone())));
    }
    if let Some(port) = port {
        figment = with_port(figment, port);
    }
    Ok(Merged { figment, warnings })
}

/// The keys that the environment sets, by key; the short names win over the long ones.
fn environment(
    variables: &[(String, String)],
    port: &mut Option<u16>,
    warnings: &mut Vec<String>,
) -> Result<BTreeMap<String, String>, Error> {
    let mut found: BTreeMap<String, (bool, String)> = BTreeMap::new();
    let mut by_file: BTreeMap<String, String> = BTreeMap::new();
    for (variable, value) in variables {
        if variable == "PORT" && !value.is_empty() {
            *port = Some(value.parse().map_err(|_| Error("PORT: a port is a number from 0 to 65535".to_owned()))?);
            continue;
        }
        let Some((key, is_file)) = names::key_of(variable) else {
            if variable.starts_with("WARREN_") && !names::OTHERS.contains(&variable.as_str()) {
                warnings.push(format!("{variable} is set and is no setting; see `warren config default`"));
            }
            continue;
        };
        if value.is_empty() {
            continue;
        }
        let short = !variable.contains("__");
        if is_file {
            let text = read(Path::new(value)).map_err(|error| Error(format!("{variable}: {error}")))?;
            by_file.insert(key, text.trim().to_owned());
        } else if short || !found.contains_key(&key) {
            found.insert(key, (short, value.clone()));
        }
    }
    let mut keys: BTreeMap<String, String> = found.into_iter().map(|(key, (_, value))| (key, value)).collect();
    for (key, text) in by_file {
        if text.is_empty() {
            return Err(Error(format!("{key}: its file is empty")));
        }
        if keys.insert(key.clone(), text).is_some() {
            return Err(Error(format!("{key}: given both as a value and as a file; give one of them")));
        }
    }
    Ok(keys)
}

/// The text as the type that the default has: a secret of digits stays a text, a number becomes one.
fn typed(defaults: &Figment, key: &str, text: String) -> Value {
    let is_text = names::SECRETS.contains(&key) || matches!(defaults.find_value(key), Ok(Value::String(..)));
    if is_text {
        return Value::from(text);
    }
    text.parse().unwrap_or_else(|_| Value::from(text))
}

fn with_port(figment: Figment, port: u16) -> Figment {
    let listen = figment.extract_inner::<String>("server.listen").unwrap_or_default();
    match listen.rsplit_once(':') {
        Some((host, _)) => figment.merge(Serialized::default("server.listen", format!("{host}:{port}"))),
        // Malformed: the error names it.
        None => figment,
    }
}

fn file(named: Option<&Path>) -> Result<Option<(String, String)>, Error> {
    let path = named.unwrap_or(Path::new(USUAL_FILE));
    if named.is_none() && !path.exists() {
        return Ok(None);
    }
    let name = path.display().to_string();
    let text = read(path).map_err(|error| Error(format!("{name}: {error}")))?;
    Ok(Some((name, text)))
}

fn read(path: &Path) -> Result<String, String> {
    let mut text = String::new();
    let opened = std::fs::File::open(path).map_err(|error| format!("cannot be read: {error}"))?;
    let read =
        opened.take(LARGEST_FILE + 1).read_to_string(&mut text).map_err(|error| format!("cannot be read: {error}"))?;
    if read as u64 > LARGEST_FILE {
        return Err(format!("is larger than {LARGEST_FILE} bytes"));
    }
    Ok(text)
}

/// The first error as one line that names the key. What a secret holds is never in it.
pub(super) fn line(error: figment::Error) -> Error {
    let first = error.into_iter().next();
    let Some(first) = first else { return Error("the settings cannot be read".to_owned()) };
    let key = first.path.join(".");
    if names::SECRETS.contains(&key.as_str()) {
        return Error(format!("{key}: must be a text"));
    }
    let kind = one_line(&first.kind.to_string());
    Error(if key.is_empty() { kind } else { format!("{key}: {kind}") })
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// What is in effect, as TOML, with secrets hidden.
pub(super) fn redacted(figment: &Figment) -> Result<String, Error> {
    let mut all: Dict = figment.extract().map_err(line)?;
    for secret in names::SECRETS {
        let Some((section, key)) = secret.split_once('.') else { continue };
        if let Some(Value::Dict(_, section)) = all.get_mut(section)
            && let Some(value) = section.get_mut(key)
        {
            *value = Value::from("(hidden)");
        }
    }
    toml::to_string(&all).map_err(|error| Error(one_line(&error.to_string())))
}
