//! What a body may be is what the document says: where it describes an object, nothing else is taken for one.

use crate::{
    messages::{online, text},
    support::{Answer, Gateway, Tenant},
};
use serde_json::{Value, json};

/// Where something stands in a body: names of members, and `[0]` for the items of a list.
type Place = Vec<String>;

/// An operation that takes JSON.
struct Operation<'a> {
    method: String,
    path: String,
    is_operators: bool,
    schema: &'a Value,
    examples: Vec<&'a Value>,
}

#[tokio::test]
async fn an_array_is_taken_for_no_object_of_any_body() {
    let gateway = Gateway::start().await;
    let tenant = gateway.tenant().await;
    let document = gateway.get("/openapi.json", "").await.is(200);
    let mut tried = 0;
    for operation in operations(&document) {
        for (example, place) in objects(&document, &operation) {
            let found = at(example, &place);
            let count = found.map_or(3, |found| found.as_object().map_or(3, |members| members.len() + 1));
            let values = found.and_then(Value::as_object).map(|members| members.values().cloned().collect());
            for array in [json!([]), json!(vec![Value::Null; count]), values.unwrap_or(json!([{}]))] {
                let body = with(example.clone(), &place, array);
                let answer = send(&gateway, &tenant, &operation, &body).await;
                let asked = format!("{} {} {body}: {answer:?}", operation.method, operation.path);
                assert_eq!(answer.status, 422, "{asked}");
                let problem = answer.json();
                assert_eq!(problem["code"], "invalid_request", "{asked}");
                if !place.is_empty() {
                    assert_eq!(problem["field"], place.join(".").replace(".[", "["), "{asked}");
                    assert_eq!(problem["detail"], "This field has the wrong type or an impossible value.", "{asked}");
                }
                tried += 1;
            }
        }
    }
    assert!(tried > 150, "{tried}");
}

#[tokio::test]
async fn an_array_is_taken_for_no_message_of_a_batch() {
    let gateway = Gateway::start().await;
    let (tenant, _, path) = online(&gateway).await;
    let path = format!("{path}:batch");
    for item in
        [json!([]), json!(["628123456", "text", {"body": "x"}]), json!(vec![Value::Null; 15]), json!(null), json!("x")]
    {
        let answer = gateway.post(&path, &tenant.key, json!({"messages": [text("x"), item]})).await;
        answer.is_problem(422, "invalid_request");
        assert_eq!(answer.json()["field"], "messages[1]");
    }
    // What is wrong inside one is its own matter.
    let nested = json!({"to": "628123456", "type": "text", "text": ["x", []]});
    let results = gateway.post(&path, &tenant.key, json!({"messages": [nested, text("x")]})).await.is(202);
    assert_eq!(
        (&results["data"][0]["status"], &results["data"][0]["problem"]["field"]),
        (&json!("refused"), &json!("text"))
    );
    assert_eq!(results["data"][1]["status"], "accepted");
}

#[tokio::test]
async fn a_name_is_taken_for_no_object_of_one_member() {
    let gateway = Gateway::start().await;
    let (tenant, _, path) = online(&gateway).await;
    let mut body = text("x");
    body["delivery"] = json!({"at_most_once": null});
    let answer = gateway.post(&path, &tenant.key, body).await;
    answer.is_problem(422, "invalid_request");
    assert_eq!(answer.json()["field"], "delivery");
}

fn operations(document: &Value) -> Vec<Operation<'_>> {
    let mut operations = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let media = &operation["requestBody"]["content"]["application/json"];
            if media.is_null() {
                continue;
            }
            let several = media["examples"].as_object().into_iter().flatten().map(|(_, example)| &example["value"]);
            let examples: Vec<_> = media.get("example").into_iter().chain(several).collect();
            assert!(!examples.is_empty(), "{method} {path} has no example");
            operations.push(Operation {
                method: method.to_uppercase(),
                path: filled(document, path, &operation["parameters"]),
                is_operators: ["tenants", "keys"].iter().any(|tag| operation["tags"][0] == *tag),
                schema: &media["schema"],
                examples,
            });
        }
    }
    operations
}

/// A path with the examples of its parameters.
fn filled(document: &Value, path: &str, parameters: &Value) -> String {
    let mut path = path.to_owned();
    for parameter in parameters.as_array().into_iter().flatten().filter(|parameter| parameter["in"] == "path") {
        let name = parameter["name"].as_str().unwrap();
        let example = parameter.get("example").unwrap_or(&resolved(document, &parameter["schema"])["examples"][0]);
        let example = example.as_str().unwrap_or_else(|| panic!("{path} has no example of {name}"));
        path = path.replace(&format!("{{{name}}}"), example);
    }
    path
}

/// Each example with the place of each object that could stand in it.
fn objects<'a>(document: &Value, operation: &Operation<'a>) -> Vec<(&'a Value, Place)> {
    let mut places = vec![Place::new()];
    search(document, operation.schema, &Place::new(), &mut places);
    places.sort();
    places.dedup();
    operation.examples.iter().flat_map(|example| places.iter().map(move |place| (*example, place.clone()))).collect()
}

/// Finds the objects inside what a schema describes.
fn search(document: &Value, schema: &Value, place: &Place, found: &mut Vec<Place>) {
    let schema = resolved(document, schema);
    for choice in ["oneOf", "anyOf", "allOf"] {
        for schema in schema[choice].as_array().into_iter().flatten() {
            search(document, schema, place, found);
        }
    }
    let kinds = &schema["type"];
    if kinds == "object" || kinds.as_array().is_some_and(|kinds| kinds.contains(&json!("object"))) {
        found.push(place.clone());
    }
    let inside = |name: &str| [place.as_slice(), &[name.to_owned()]].concat();
    for (name, member) in schema["properties"].as_object().into_iter().flatten() {
        search(document, member, &inside(name), found);
    }
    if let Some(item) = schema.get("items") {
        search(document, item, &inside("[0]"), found);
    }
}

fn resolved<'a>(document: &'a Value, schema: &'a Value) -> &'a Value {
    match schema["$ref"].as_str() {
        Some(reference) => document.pointer(reference.trim_start_matches('#')).unwrap(),
        None => schema,
    }
}

fn at<'a>(value: &'a Value, place: &[String]) -> Option<&'a Value> {
    place.iter().try_fold(value, |value, step| if step == "[0]" { value.get(0) } else { value.get(step) })
}

/// The body with something else at a place; what leads there is made.
fn with(body: Value, place: &[String], new: Value) -> Value {
    let Some((step, rest)) = place.split_first() else { return new };
    if step == "[0]" {
        let mut items = if let Value::Array(items) = body { items } else { Vec::new() };
        let first = if items.is_empty() { Value::Null } else { items.remove(0) };
        items.insert(0, with(first, rest, new));
        return Value::Array(items);
    }
    let mut members = if let Value::Object(members) = body { members } else { serde_json::Map::new() };
    let inner = members.remove(step).unwrap_or_default();
    members.insert(step.clone(), with(inner, rest, new));
    Value::Object(members)
}

async fn send(gateway: &Gateway, tenant: &Tenant, operation: &Operation<'_>, body: &Value) -> Answer {
    let key = if operation.is_operators { &gateway.admin } else { &tenant.key };
    gateway.call(&operation.method, &operation.path, key, &[], body.to_string()).await
}
