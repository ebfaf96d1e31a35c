//! What is the same for every route, or follows from what the routes say of themselves, is put into the document here: so
//! that no route can forget it.

use super::PROBLEMS;
use serde_json::{Map, Value, json};
use utoipa::openapi::OpenApi;

/// Routes with a body that change nothing: they take no `Idempotency-Key`.
const READING: [&str; 1] = ["lookupMessages"];
/// Problems of a body: a route without one does not have them.
const OF_BODIES: [&str; 3] = ["408", "413", "415"];
const PROBLEM: &str = "#/components/schemas/Problem";
/// What stands in paths.
const IDS: [(&str, &str); 10] = [
    ("tenant", "The id of the tenant."),
    ("key", "The id of the key."),
    ("instance", "The id of the instance."),
    ("message", "The id of the message."),
    ("media", "The id of the file."),
    ("webhook", "The id of the webhook."),
    ("replay", "The id of the replay."),
    ("group", "The group's address, `...@g.us`."),
    ("contact", "A phone number, or an address."),
    ("chat", "A phone number, or an address."),
];
/// Examples of what has no type of its own to show them.
const ADDRESSES: [(&str, &str); 3] =
    [("group", "120363041234567890@g.us"), ("contact", "628123456789"), ("chat", "628123456789")];

/// The whole document, from what the routes say of themselves.
pub(super) fn complete(described: OpenApi) -> serde_json::Result<Value> {
    let mut document = serde_json::to_value(described)?;
    put(&mut document, &["servers"], json!([{"url": "/", "description": "This server."}]));
    put(&mut document, &["security"], json!([{"bearer": []}, {"api_key": []}]));
    add_shared(&mut document);
    if let Some(schemas) = document.pointer_mut("/components/schemas") {
        by_type(schemas, "Draft");
        name_items(schemas);
    }
    let schemas = at(&document, "/components/schemas").clone();
    for item in document.get_mut("paths").into_iter().flat_map(members) {
        for (method, operation) in item.as_object_mut().into_iter().flatten() {
            complete_operation(method, operation, &schemas);
        }
    }
    name_formats(&mut document);
    sort(&mut document);
    Ok(document)
}

/// What is at this place, or `null`.
fn at<'a>(value: &'a Value, pointer: &str) -> &'a Value {
    value.pointer(pointer).unwrap_or(&Value::Null)
}

/// Puts something into an object inside an object, making those on the way that are not there.
fn put(value: &mut Value, path: &[&str], new: Value) {
    let mut place = value;
    for name in path {
        if place.is_null() {
            *place = json!({});
        }
        let Some(object) = place.as_object_mut() else { return };
        place = object.entry(*name).or_insert(Value::Null);
    }
    *place = new;
}

fn members(value: &mut Value) -> impl Iterator<Item = &mut Value> {
    value.as_object_mut().into_iter().flat_map(Map::values_mut)
}

/// What routes refer to: problems, headers, credentials, the key of a mutation.
fn add_shared(document: &mut Value) {
    let credentials = json!({
        "bearer": {"type": "http", "scheme": "bearer", "description": "A tenant's key, or the operator's."},
        "api_key": {"type": "apiKey", "in": "header", "name": "X-Api-Key", "description": "The same, in a header of its own."},
    });
    put(document, &["components", "securitySchemes"], credentials);
    let headers = json!({
        "RequestId": {
            "description": "The id of this request: the caller's own `X-Request-Id` if it sent a harmless one.",
            "schema": {"type": "string"},
        },
        "RetryAfter": {"description": "After how many seconds to try again.", "schema": {"type": "integer", "minimum": 0}},
        "Replayed": {
            "description": "`true` if this answer was given before to the same `Idempotency-Key`.",
            "schema": {"type": "string", "enum": ["true"]},
        },
    });
    put(document, &["components", "headers"], headers);
    let parameters = json!({
        "IdempotencyKey": {
            "name": "Idempotency-Key",
            "in": "header",
            "description": "Makes it safe to repeat the request: the same key and body again gets the same answer and changes \
                nothing more; with another body it is refused. 1 to 255 visible ASCII characters.",
            "schema": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[!-~]+$"},
        },
    });
    put(document, &["components", "parameters"], parameters);
    let problems = PROBLEMS.iter().map(|(status, name, words)| ((*name).to_owned(), problem(status, words)));
    put(document, &["components", "responses"], Value::Object(problems.collect()));
}

fn problem(status: &str, words: &str) -> Value {
    let mut response = json!({
        "description": words,
        "headers": {"X-Request-Id": header("RequestId")},
        "content": {"application/problem+json": {"schema": {"$ref": PROBLEM}}},
    });
    if matches!(status, "429" | "503") {
        put(&mut response, &["headers", "Retry-After"], header("RetryAfter"));
    }
    response
}

fn header(name: &str) -> Value {
    json!({"$ref": format!("#/components/headers/{name}")})
}

/// Writes a body of which `type` says which of its objects is given as what it is: one of as many objects.
fn by_type(schemas: &mut Value, name: &str) {
    let Some(body) = schemas.get(name).cloned() else { return };
    let contents = at(schemas, "/Content/oneOf").as_array().into_iter().flatten();
    let kinds: Vec<&str> = contents
        .filter_map(|content| at(content, "/properties/type/enum/0").as_str())
        .filter(|kind| at(&body, "/properties").get(kind).is_some())
        .collect();
    let variants: Vec<_> = kinds.iter().map(|kind| of_type(&body, kind, &kinds)).collect();
    let whole = json!({"description": at(&body, "/description"), "examples": at(&body, "/examples"), "oneOf": variants});
    put(schemas, &[name], whole);
}

/// Such a body of one type.
fn of_type(body: &Value, kind: &str, kinds: &[&str]) -> Value {
    let mut variant = body.clone();
    if let Some(properties) = variant.get_mut("properties").and_then(Value::as_object_mut) {
        properties.retain(|property, _| property == kind || !kinds.contains(&property.as_str()));
        properties.insert("type".into(), json!({"type": "string", "enum": [kind]}));
        if let Some(object) = properties.get_mut(kind) {
            refuse_null(object);
        }
    }
    if let Some(required) = variant.get_mut("required").and_then(Value::as_array_mut) {
        required.push(kind.into());
    }
    if let Some(variant) = variant.as_object_mut() {
        variant.retain(|keyword, _| keyword != "examples" && keyword != "description");
    }
    variant
}

/// Has pages name the type of their items, instead of repeating it.
fn name_items(schemas: &mut Value) {
    let Some(schemas) = schemas.as_object_mut() else { return };
    let names: Vec<String> = schemas.keys().cloned().collect();
    for (name, schema) in schemas {
        let item = name.strip_prefix("Page_").filter(|item| names.iter().any(|name| name == item));
        if let (Some(item), Some(items)) = (item, schema.pointer_mut("/properties/data/items")) {
            *items = json!({"$ref": format!("#/components/schemas/{item}")});
        }
    }
}

/// Takes `null` out of what a schema allows.
fn refuse_null(schema: &mut Value) {
    let Some(schema) = schema.as_object_mut() else { return };
    for keyword in ["type", "oneOf"] {
        let Some(Value::Array(choices)) = schema.get_mut(keyword) else { continue };
        choices.retain(|choice| choice != "null" && choice.get("type").is_none_or(|kind| kind != "null"));
        let [only] = choices.as_slice() else { continue };
        let only = only.clone();
        schema.remove(keyword);
        match only {
            Value::Object(only) => schema.extend(only),
            only => _ = schema.insert(keyword.to_owned(), only),
        }
    }
}

/// Gives the formats of unsigned integers the names that OpenAPI's registry of formats has for them.
fn name_formats(value: &mut Value) {
    match value {
        Value::Object(object) => {
            if let Some(Value::String(format)) = object.get_mut("format")
                && let Some(bits) = format.strip_prefix("u-int")
            {
                *format = format!("uint{bits}");
            }
            object.values_mut().for_each(name_formats);
        }
        Value::Array(items) => items.iter_mut().for_each(name_formats),
        _ => {}
    }
}

/// Whether a body can be left out: none of its fields is required.
fn is_all_optional(schema: &Value, schemas: &Value) -> bool {
    let name = at(schema, "/$ref").as_str().and_then(|reference| reference.rsplit('/').next());
    let whole = name.map_or(schema, |name| at(schemas, &format!("/{name}")));
    whole.get("properties").is_some() && whole.get("required").is_none()
}

fn complete_operation(method: &str, operation: &mut Value, schemas: &Value) {
    for parameter in operation.get_mut("parameters").and_then(Value::as_array_mut).into_iter().flatten() {
        complete_parameter(parameter);
    }
    let is_reading = method == "get" || READING.iter().any(|id| at(operation, "/operationId") == *id);
    if !is_reading {
        let key = json!({"$ref": "#/components/parameters/IdempotencyKey"});
        match operation["parameters"].as_array_mut() {
            Some(parameters) => parameters.push(key),
            None => put(operation, &["parameters"], json!([key])),
        }
    }
    if operation["parameters"].is_null()
        && let Some(operation) = operation.as_object_mut()
    {
        operation.remove("parameters");
    }
    if let Some(content) = operation.get_mut("requestBody").and_then(|body| body.get_mut("content")) {
        // Those are sent by a test: they are written by hand.
        for media in members(content) {
            let examples = own_examples(at(media, "/schema"), schemas);
            add_examples(media, &examples);
        }
    }
    if is_all_optional(at(operation, "/requestBody/content/application~1json/schema"), schemas) {
        put(operation, &["requestBody", "required"], json!(false));
    }
    let Some(responses) = operation.get_mut("responses").and_then(Value::as_object_mut) else { return };
    if method == "get" {
        responses.retain(|status, _| !OF_BODIES.contains(&status.as_str()));
    }
    for (status, response) in responses.iter_mut().filter(|(_, response)| response.get("$ref").is_none()) {
        if status.starts_with(['4', '5']) && response.get("content").is_none() {
            put(response, &["content"], json!({"application/problem+json": {"schema": {"$ref": PROBLEM}}}));
        }
        if at(response, "/description").as_str().is_none_or(str::is_empty) {
            put(response, &["description"], "The answer.".into());
        }
        put(response, &["headers", "X-Request-Id"], header("RequestId"));
        if !is_reading {
            put(response, &["headers", "Idempotent-Replayed"], header("Replayed"));
        }
        if let Some(content) = response.get_mut("content") {
            leave_bytes_alone(content);
            for media in members(content).filter(|media| media.get("schema").is_some()) {
                let example = composed(at(media, "/schema"), schemas);
                add_examples(media, example.as_slice());
            }
        }
    }
}

/// Bytes have a type and no schema.
fn leave_bytes_alone(content: &mut Value) {
    let kinds = content.as_object_mut().into_iter().flatten();
    let is_bytes = |kind: &str| kind == "*/*" || kind.starts_with("image/") && !kind.ends_with("+xml");
    for (_, media) in kinds.filter(|(kind, _)| is_bytes(kind)) {
        *media = json!({});
    }
}

fn complete_parameter(parameter: &mut Value) {
    let place = at(parameter, "/in").as_str().unwrap_or_default().to_owned();
    let name = at(parameter, "/name").as_str().unwrap_or_default().to_owned();
    if place == "path" {
        for (member, known) in [("description", &IDS[..]), ("example", &ADDRESSES)] {
            let known = known.iter().find(|(id, _)| *id == name).filter(|_| parameter.get(member).is_none());
            if let Some((_, text)) = known {
                put(parameter, &[member], (*text).into());
            }
        }
    }
    // What is not given in a query is left out: there is no null.
    if place == "query"
        && let Some(schema) = parameter.get_mut("schema")
    {
        refuse_null(schema);
    }
}

/// Shows the examples of a type where it is a body.
fn add_examples(media: &mut Value, examples: &[Value]) {
    if media.get("example").is_some() || media.get("examples").is_some() {
        return;
    }
    match examples {
        [] => {}
        [only] => put(media, &["example"], only.clone()),
        several => {
            let named = several.iter().enumerate().map(|(number, example)| {
                let kind = at(example, "/type").as_str().or_else(|| at(example, "/method").as_str());
                (kind.map_or_else(|| format!("example {}", number + 1), str::to_owned), json!({"value": example}))
            });
            put(media, &["examples"], Value::Object(named.collect()));
        }
    }
}

/// The examples that a type gives of itself.
fn own_examples(schema: &Value, schemas: &Value) -> Vec<Value> {
    at(resolved(schema, schemas), "/examples").as_array().cloned().unwrap_or_default()
}

/// An example of a type: its own, or one put together from those of its parts.
fn composed(schema: &Value, schemas: &Value) -> Option<Value> {
    let schema = resolved(schema, schemas);
    let own = ["/examples/0", "/example", "/default", "/enum/0"].into_iter().find_map(|place| schema.pointer(place));
    if let Some(own) = own {
        return Some(own.clone());
    }
    if let Some(parts) = at(schema, "/allOf").as_array() {
        let parts = parts.iter().filter_map(|part| composed(part, schemas));
        return Some(Value::Object(parts.filter_map(|part| part.as_object().cloned()).flatten().collect()));
    }
    if let Some(choices) = at(schema, "/oneOf").as_array() {
        return choices.iter().find_map(|choice| composed(choice, schemas));
    }
    let kind = at(schema, "/type").as_str().or_else(|| at(schema, "/type/0").as_str())?;
    match kind {
        "object" => {
            let members = at(schema, "/properties").as_object().into_iter().flatten();
            Some(Value::Object(members.filter_map(|(name, it)| Some((name.clone(), composed(it, schemas)?))).collect()))
        }
        "array" => Some(composed(at(schema, "/items"), schemas).into_iter().collect()),
        "string" => Some("text".into()),
        "integer" | "number" => Some(schema.get("minimum").cloned().unwrap_or_else(|| 1.into())),
        "boolean" => Some(true.into()),
        _ => None,
    }
}

/// What a reference leads to; everything else as it is.
fn resolved<'a>(schema: &'a Value, schemas: &'a Value) -> &'a Value {
    let name = at(schema, "/$ref").as_str().and_then(|path| path.strip_prefix("#/components/schemas/"));
    name.map_or(schema, |name| schemas.get(name).unwrap_or(&Value::Null))
}

/// Puts every object's keys into alphabetical order, whichever order a map keeps in this build.
fn sort(value: &mut Value) {
    match value {
        Value::Object(object) => {
            let mut sorted: Vec<_> = std::mem::take(object).into_iter().collect();
            sorted.sort_by(|(one, _), (other, _)| one.cmp(other));
            sorted.iter_mut().for_each(|(_, member)| sort(member));
            object.extend(sorted);
        }
        Value::Array(items) => items.iter_mut().for_each(sort),
        _ => {}
    }
}
