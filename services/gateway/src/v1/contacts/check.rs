//! `POST /v1/instances/{instance}/contacts/check` `{"phones": [...]}` -> 200 `{data: [{phone, registered, jid, lid}]}`, in the
//! order asked. `?refresh=true` asks WhatsApp even for what is known.

use super::numbers::{self, Wish};
use crate::{
    auth::Writer,
    idempotency::{Answer, Mutation, Repeat},
    openapi::Problems,
    parameters::{Id, Parameters},
    problem::{Problem, Result},
    state::App,
};
use axum::{extract::State, http::StatusCode, response::Response};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use warren_domain::{InstanceId, NumberCheck, Recipient};

/// Numbers in one request.
const MOST: usize = 1_000;

/// Phone numbers to look up.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NumberCheckRequest, examples(json!({"phones": ["+5511987654321", "628123456789"]})))]
pub(crate) struct Body {
    /// Phone numbers with their country code, with or without `+`: 1 to 1,000.
    #[schema(min_items = 1, max_items = 1_000)]
    phones: Vec<String>,
}

/// What WhatsApp says of the numbers, in the order asked.
#[derive(Serialize, ToSchema)]
#[schema(as = NumberCheckResult)]
pub(crate) struct View {
    data: Vec<Checked>,
}

/// What WhatsApp says of one number.
#[derive(Serialize, ToSchema)]
#[schema(as = CheckedNumber, examples(json!({
    "phone": "+5511987654321",
    "registered": true,
    "jid": "551187654321@s.whatsapp.net",
    "lid": "123456789012345@lid"
})))]
pub(crate) struct Checked {
    /// The number as it was asked.
    phone: String,
    /// Whether it has an account; `null` if WhatsApp said nothing of it this time.
    registered: Option<bool>,
    /// The account's address, by the number that WhatsApp knows it by: numbers of Brazil, Mexico and Argentina are written in
    /// two ways, and an account has one of them.
    #[schema(example = "551187654321@s.whatsapp.net")]
    jid: Option<String>,
    /// The account's hidden address.
    #[schema(example = "123456789012345@lid")]
    lid: Option<String>,
}

impl Checked {
    fn new(phone: String, check: Option<&NumberCheck>) -> Self {
        Self {
            phone,
            registered: check.map(NumberCheck::is_registered),
            jid: check.and_then(|check| check.jid.clone()),
            lid: check.and_then(|check| check.lid.clone()),
        }
    }
}

/// Find out which phone numbers have a WhatsApp account.
///
/// An answer is kept for the tenant: 7 days for a number with an account, 1 day for one without. Only what is not known counts
/// towards the day's quota (429 `quota` beyond it).
#[utoipa::path(
    post,
    path = "/v1/instances/{instance}/contacts/check",
    tag = "contacts",
    operation_id = "checkNumbers",
    params(
        ("instance" = InstanceId, Path),
        ("refresh" = Option<bool>, Query, description = "Ask WhatsApp even for what is known.")
    ),
    request_body = Body,
    responses((status = 200, description = "What WhatsApp says of the numbers, in the order asked.", body = View), Problems)
)]
pub(crate) async fn check(
    State(app): State<App>,
    caller: Writer,
    Id(id): Id<InstanceId>,
    mut query: Parameters,
    request: Mutation<Body>,
) -> Result<Response> {
    let refresh = query.parsed("refresh", |text| text.parse::<bool>().ok())?.unwrap_or_default();
    query.finish()?;
    let wish = if refresh { Wish::Fresh } else { Wish::Known };
    let numbers = digits(&request.body.phones)?;
    let (gateway, tenant) = (app.clone(), caller.tenant);
    let work = move |body: Body, _| async move {
        gateway.instance(tenant, id).await?;
        let found = numbers::check(&gateway, tenant, id, &numbers, wish).await?;
        let asked = body.phones.into_iter().zip(&numbers);
        let data = asked.map(|(phone, digits)| Checked::new(phone, found.get(digits))).collect();
        Answer::json(StatusCode::OK, &View { data })
    };
    request.once(&app, tenant, Repeat::Harmless, work).await
}

fn digits(phones: &[String]) -> Result<Vec<String>> {
    if phones.is_empty() {
        return Err(Problem::field("phones", "Name at least one phone number."));
    }
    if phones.len() > MOST {
        return Err(
            Problem::invalid("too_many", "At most 1,000 phone numbers in one request.").with("field", "phones".into())
        );
    }
    let read = |(place, phone): (usize, &String)| match Recipient::parse(phone) {
        Ok(Recipient::Phone(digits)) if !phone.contains('@') => Ok(digits),
        _ => Err(Problem::field(
            &format!("phones[{place}]"),
            "A phone number is written in full, with its country code: 5 to 15 digits, with or without a leading +.",
        )),
    };
    phones.iter().enumerate().map(read).collect()
}
