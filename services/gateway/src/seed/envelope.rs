//! The form of answers: `{"success", "message", "data"}`, `{"success", "message", "error": {"code", "details"}}`, and the ones
//! that are odd.

use super::codes::Code;
use crate::problem::Problem;
use axum::{
    body::Body,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde_json::{Map, Value, json};
use std::borrow::Cow;

/// An answer, or why there is none.
pub(crate) type Answer = Result<Response, Failure>;

/// Marks a response that has its final form already. Attached to it may be a problem, for the log only.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Shaped;

/// A success: `data` is left out where there is none.
pub(super) fn success(message: &'static str, data: Value) -> Answer {
    let mut body = Map::new();
    body.insert("success".into(), true.into());
    body.insert("message".into(), message.into());
    if !data.is_null() {
        body.insert("data".into(), data);
    }
    Ok(bare(StatusCode::OK, &Value::Object(body)))
}

/// A body without the envelope.
pub(super) fn bare(status: StatusCode, body: &Value) -> Response {
    let mut response = Response::new(Body::from(body.to_string()));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response.extensions_mut().insert(Shaped);
    response
}

/// What was not done.
#[derive(Debug)]
pub(crate) struct Failure {
    form: Form,
    /// What is behind it, for the log.
    problem: Option<Problem>,
}

#[derive(Debug)]
enum Form {
    /// In the envelope.
    Coded { code: Code, details: Cow<'static, str> },
    /// As the seed's framework answers what no handler does.
    Global,
    /// A body of its own.
    Odd(StatusCode, Value),
}

impl Failure {
    /// In the envelope, with a body of its own.
    pub(super) const fn odd(status: StatusCode, body: Value) -> Self {
        Self { form: Form::Odd(status, body), problem: None }
    }

    /// The same failure with what went wrong in particular: never what the caller wrote.
    pub(super) fn details(mut self, text: impl Into<Cow<'static, str>>) -> Self {
        if let Form::Coded { details, .. } = &mut self.form {
            *details = text.into();
        }
        self
    }

    /// The same failure, caused by a problem, which is for the log only.
    pub(super) fn caused(self, problem: Problem) -> Self {
        Self { problem: Some(problem), ..self }
    }

    /// The same failure, caused by a problem: its detail is shown, its cause logged.
    pub(super) fn because(self, problem: Problem) -> Self {
        self.details(problem.detail().to_owned()).caused(problem)
    }
}

impl From<Code> for Failure {
    fn from(code: Code) -> Self {
        Self { form: Form::Coded { code, details: Cow::Borrowed("") }, problem: None }
    }
}

impl From<Problem> for Failure {
    fn from(problem: Problem) -> Self {
        Self { form: Form::Global, problem: Some(problem) }
    }
}

/// What was caused by a problem, under a code of the contract.
pub(super) fn coded(code: Code) -> impl Fn(Problem) -> Failure {
    move |problem| Failure::from(code).because(problem)
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let mut response = match (self.form, &self.problem) {
            (Form::Coded { code, details }, _) => enveloped(code, &details),
            (Form::Odd(status, body), _) => bare(status, &body),
            (Form::Global, Some(problem)) => {
                let mut response = bare(problem.status(), &global(problem));
                if let Some(seconds) = problem.retry_after_seconds() {
                    response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
                }
                response
            }
            (Form::Global, None) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
        };
        if let Some(problem) = self.problem {
            response.extensions_mut().insert(problem);
        }
        response
    }
}

fn enveloped(code: Code, details: &str) -> Response {
    let (status, name, message) = code.row();
    let mut error = Map::new();
    error.insert("code".into(), name.into());
    if !details.is_empty() {
        error.insert("details".into(), details.into());
    }
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    bare(status, &json!({"success": false, "message": message, "error": error}))
}

/// What the seed's framework says of what no handler answered: the error as a text.
pub(crate) fn global(problem: &Problem) -> Value {
    let status = problem.status();
    let error = match status {
        StatusCode::TOO_MANY_REQUESTS if problem.code() == "rate_limited" => "rate limit exceeded",
        StatusCode::NOT_FOUND => "Not Found",
        StatusCode::METHOD_NOT_ALLOWED => "Method Not Allowed",
        StatusCode::UNAUTHORIZED => "Unauthorized",
        StatusCode::INTERNAL_SERVER_ERROR => "Internal Server Error",
        _ => problem.detail(),
    };
    let message = match status {
        StatusCode::UNAUTHORIZED => "Authentication required. Please login first.",
        StatusCode::NOT_FOUND => "Endpoint not found",
        StatusCode::METHOD_NOT_ALLOWED => "Method not allowed for this endpoint",
        _ => return json!({"success": false, "error": error}),
    };
    json!({"success": false, "error": error, "message": message})
}

#[cfg(test)]
#[expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]
mod tests {
    use super::*;
    use http_body_util::BodyExt as _;
    use warren_domain::ErrorKind;

    async fn shown(response: Response) -> (u16, Value) {
        let status = response.status().as_u16();
        assert!(response.extensions().get::<Shaped>().is_some());
        (status, serde_json::from_slice(&response.into_body().collect().await.unwrap().to_bytes()).unwrap())
    }

    #[tokio::test]
    async fn what_is_empty_is_left_out() {
        let with = success("Done", json!({"a": 1})).unwrap();
        assert_eq!(shown(with).await, (200, json!({"success": true, "message": "Done", "data": {"a": 1}})));
        let without = success("Done", Value::Null).unwrap();
        assert_eq!(shown(without).await, (200, json!({"success": true, "message": "Done"})));
        let refused = Failure::from(Code::SessionNotFound).into_response();
        let expected = json!({"success": false, "message": "Session not found", "error": {"code": "SESSION_NOT_FOUND"}});
        assert_eq!(shown(refused).await, (404, expected));
    }

    #[tokio::test]
    async fn a_problem_is_told_by_its_detail_and_never_by_its_cause() {
        let problem = Problem::from(warren_domain::Error::internal("row 17 is broken"));
        let (status, body) = shown(Failure::from(Code::DbError).because(problem.clone()).into_response()).await;
        assert_eq!((status, &body["error"]["code"]), (500, &json!("DB_ERROR")));
        assert!(!body.to_string().contains("17"), "{body}");
        let (status, body) = shown(Failure::from(problem).into_response()).await;
        assert_eq!((status, body), (500, json!({"success": false, "error": "Internal Server Error"})));
    }

    #[test]
    fn the_frameworks_answers_are_the_seeds() {
        let of = |status| global(&Problem::of_status(status));
        assert_eq!(of(StatusCode::NOT_FOUND)["message"], "Endpoint not found");
        assert_eq!(of(StatusCode::METHOD_NOT_ALLOWED)["message"], "Method not allowed for this endpoint");
        let limited = Problem::new(ErrorKind::Exhausted, "rate_limited", "Slow down.");
        assert_eq!(global(&limited), json!({"success": false, "error": "rate limit exceeded"}));
    }
}
