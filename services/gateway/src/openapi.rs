//! The description of the API, made from the code: what every route says of itself is gathered by the router; what they
//! share is here.

use std::collections::BTreeMap;
use utoipa::{
    IntoResponses, OpenApi, ToSchema,
    openapi::{ContentBuilder, Ref, RefOr, Response, ResponseBuilder},
};

/// The parts that are not of one route.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "Warren",
        description = "One API in front of any number of WhatsApp accounts.",
        license(name = "Apache-2.0", identifier = "Apache-2.0")
    ),
    components(schemas(Problem))
)]
pub(crate) struct Document;

/// The answer to a request that was not carried out (RFC 9457). Some problems have further members.
#[derive(ToSchema)]
#[expect(dead_code, reason = "the schema of what problem.rs writes")]
pub(crate) struct Problem {
    /// `urn:warren:problem:` and the code.
    r#type: String,
    /// The status in words.
    title: String,
    /// The status.
    status: u16,
    /// What went wrong: stable, for programs.
    code: String,
    /// What went wrong and what to do, for people.
    detail: String,
    /// The id of this request, also in the header `x-request-id`.
    request_id: String,
}

/// What every route may answer instead.
pub(crate) struct Problems;

const PROBLEMS: [(&str, &str); 12] = [
    ("400", "The request is not well-formed."),
    ("401", "No credentials, or wrong ones."),
    ("403", "The key does not allow this."),
    ("404", "There is no such thing for this key."),
    ("409", "The state of the thing does not allow it now."),
    ("413", "The body is larger than this server takes."),
    ("415", "The body is of another type than this route takes."),
    ("422", "A field has an impossible value."),
    ("429", "A limit is reached; try again after `Retry-After` seconds."),
    ("500", "Something went wrong on our side."),
    ("503", "Something that is needed does not answer now; try again after `Retry-After` seconds."),
    ("504", "It took too long; its outcome is not known."),
];

impl IntoResponses for Problems {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        let body = ContentBuilder::new().schema(Some(Ref::from_schema_name("Problem"))).build();
        let response = |words: &str| {
            ResponseBuilder::new().description(words).content("application/problem+json", body.clone()).build()
        };
        PROBLEMS.iter().map(|(status, words)| ((*status).to_owned(), response(words).into())).collect()
    }
}
