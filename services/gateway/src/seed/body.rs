//! JSON bodies: read as strictly as our own, but unknown fields are passed over, and what is left out is empty.

use super::{
    codes::Code,
    envelope::{Failure, coded},
};
use crate::{json, state::App};
use axum::extract::Request;
use serde::de::DeserializeOwned;

/// Reads a body; what is none is answered with `code`.
pub(super) async fn read<T: DeserializeOwned>(app: &App, request: Request, code: Code) -> Result<T, Failure> {
    let bytes = json::read(request, app).await.map_err(coded(code))?;
    json::parse(&bytes).map_err(coded(code))
}

/// A text that has to be given: none, if it is nothing but space.
pub(super) fn given(text: Option<String>) -> Option<String> {
    text.filter(|text| !text.trim().is_empty())
}
