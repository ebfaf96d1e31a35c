//! What stands in paths and queries.

use crate::problem::{Problem, Result};
use axum::{
    extract::{FromRequestParts, Path, Query},
    http::request::Parts,
    response::IntoResponse,
};
use serde::Deserialize;
use std::str::FromStr;

/// More parameters than any filter needs.
const MOST: usize = 1_024;

/// The one id of a path. What is no id is not found, like an id that does not exist.
pub(crate) struct Id<T>(pub(crate) T);

impl<T: FromStr, S: Send + Sync> FromRequestParts<S> for Id<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self> {
        let Path(text) = Path::<String>::from_request_parts(parts, state).await.map_err(of_rejection)?;
        id(&text).map(Self)
    }
}

/// The two ids of a path.
pub(crate) struct Ids<A, B>(pub(crate) A, pub(crate) B);

impl<A: FromStr, B: FromStr, S: Send + Sync> FromRequestParts<S> for Ids<A, B> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self> {
        let Path((first, second)) =
            Path::<(String, String)>::from_request_parts(parts, state).await.map_err(of_rejection)?;
        Ok(Self(id(&first)?, id(&second)?))
    }
}

fn id<T: FromStr>(text: &str) -> Result<T> {
    text.parse().map_err(|_| Problem::not_found())
}

fn of_rejection(rejection: impl IntoResponse) -> Problem {
    Problem::of_status(rejection.into_response().status())
}

/// The parameters of a query. A route takes out what it knows and [`Parameters::finish`]es: the rest is refused.
#[derive(Debug, Default)]
pub(crate) struct Parameters(Vec<(String, String)>);

impl<S: Send + Sync> FromRequestParts<S> for Parameters {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self> {
        let Query(pairs) = Query::<Vec<(String, String)>>::from_request_parts(parts, state)
            .await
            .map_err(|_| Problem::invalid("invalid_request", "The query is not well-formed."))?;
        if pairs.len() > MOST {
            return Err(Problem::invalid("too_many", "At most 1,024 query parameters."));
        }
        if pairs.iter().any(|(_, value)| value.contains('\0')) {
            return Err(Problem::invalid("invalid_request", "A query parameter holds a NUL character."));
        }
        Ok(Self(pairs))
    }
}

impl Parameters {
    /// Takes out all values of a parameter.
    pub(crate) fn all(&mut self, name: &str) -> Vec<String> {
        self.0.extract_if(.., |(key, _)| key == name).map(|(_, value)| value).collect()
    }

    /// Takes out a parameter that may be given once.
    pub(crate) fn one(&mut self, name: &'static str) -> Result<Option<String>> {
        let mut values = self.all(name);
        let value = values.pop();
        if !values.is_empty() {
            return Err(Problem::field(name, "This parameter may be given once."));
        }
        Ok(value)
    }

    /// Takes out a parameter that may be given once, read as what it stands for.
    pub(crate) fn parsed<T>(&mut self, name: &'static str, read: impl FnOnce(&str) -> Option<T>) -> Result<Option<T>> {
        self.one(name)?
            .map(|text| read(&text).ok_or_else(|| Problem::field(name, "This parameter has an impossible value.")))
            .transpose()
    }

    /// Takes out `limit`: 1 to `most`.
    pub(crate) fn limit(&mut self, default: u32, most: u32) -> Result<u32> {
        let limit = self.parsed("limit", |text| text.parse().ok().filter(|limit| (1..=most).contains(limit)))?;
        Ok(limit.unwrap_or(default))
    }

    /// Takes out the parameters whose name starts with a prefix: the rest of the name, and the value.
    pub(crate) fn with_prefix(&mut self, prefix: &str) -> Vec<(String, String)> {
        self.0
            .extract_if(.., |(key, _)| key.starts_with(prefix))
            .map(|(key, value)| (key.trim_start_matches(prefix).to_owned(), value))
            .collect()
    }

    /// Refuses what nobody took out.
    pub(crate) fn finish(self) -> Result<()> {
        match self.0.first() {
            None => Ok(()),
            Some((name, _)) => Err(Problem::invalid("invalid_request", "There is no such query parameter.")
                .with("field", crate::json::printable(name).into())),
        }
    }
}

/// Reads a field that is absent, `null` or a value: absent is `None`, `null` is `Some(None)`.
pub(crate) fn nullable<'de, T, D>(deserializer: D) -> Result<Option<Option<T>>, D::Error>
where
    T: Deserialize<'de>,
    D: serde::Deserializer<'de>,
{
    Option::<T>::deserialize(deserializer).map(Some)
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    fn parameters(pairs: &[(&str, &str)]) -> Parameters {
        Parameters(pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect())
    }

    #[test]
    fn takes_out_what_is_known_and_refuses_the_rest() {
        let mut query = parameters(&[("limit", "7"), ("instance", "a"), ("metadata.k", "v"), ("instance", "b"), ("x", "y")]);
        assert_eq!(query.limit(50, 100).unwrap(), 7);
        assert_eq!(query.all("instance"), ["a", "b"]);
        assert_eq!(query.with_prefix("metadata."), [("k".to_owned(), "v".to_owned())]);
        assert_eq!(query.finish().unwrap_err().code(), "invalid_request");
    }

    #[test]
    fn limits_are_limited() {
        for text in ["0", "101", "-1", "many", "1e3"] {
            assert!(parameters(&[("limit", text)]).limit(50, 100).is_err(), "{text}");
        }
        assert!(parameters(&[("after", "a"), ("after", "b")]).one("after").is_err());
    }
}
