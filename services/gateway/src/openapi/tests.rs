//! What the document promises by its form. That it is true is tested from outside, by sending its examples.

use super::{PROBLEMS, text};
use serde_json::Value;
use std::collections::BTreeSet;

fn document() -> Value {
    serde_json::from_str(text()).unwrap()
}

/// Every operation: its path, its method, itself.
fn operations(document: &Value) -> Vec<(&str, &str, &Value)> {
    let items = document["paths"].as_object().unwrap().iter();
    items
        .flat_map(|(path, item)| item.as_object().unwrap().iter().map(move |(method, it)| (&**path, &**method, it)))
        .collect()
}

fn walk(value: &Value, visit: &mut impl FnMut(&Value)) {
    visit(value);
    match value {
        Value::Object(members) => members.values().for_each(|member| walk(member, visit)),
        Value::Array(items) => items.iter().for_each(|item| walk(item, visit)),
        _ => {}
    }
}

#[test]
fn the_committed_document_is_the_one_of_this_code() {
    let here = std::env::var("CARGO_MANIFEST_DIR").unwrap();
    let committed = std::fs::read_to_string(format!("{here}/openapi.json")).unwrap_or_default();
    assert!(
        committed == text(),
        "services/gateway/openapi.json is behind the code: run `cargo xtask openapi` and commit it"
    );
}

#[test]
fn every_reference_leads_somewhere() {
    let document = document();
    let mut references = 0;
    walk(&document, &mut |value| {
        if let Some(reference) = value.get("$ref").and_then(Value::as_str) {
            references += 1;
            assert!(document.pointer(reference.strip_prefix('#').unwrap()).is_some(), "{reference} leads nowhere");
        }
    });
    assert!(references > 100, "{references}");
}

#[test]
fn every_operation_says_what_it_is() {
    let document = document();
    let tags: BTreeSet<_> = document["tags"].as_array().unwrap().iter().map(|tag| tag["name"].as_str().unwrap()).collect();
    let mut ids = BTreeSet::new();
    for (path, method, operation) in operations(&document) {
        assert!(ids.insert(operation["operationId"].as_str().unwrap()), "{method} {path}: its id is taken");
        assert!(!operation["summary"].as_str().unwrap_or_default().is_empty(), "{method} {path} has no summary");
        let own = operation["tags"].as_array().unwrap();
        assert!(own.len() == 1 && tags.contains(own[0].as_str().unwrap()), "{method} {path} has an unknown tag");
        for parameter in operation["parameters"].as_array().into_iter().flatten().filter(|it| it.get("$ref").is_none()) {
            assert!(parameter["description"].is_string(), "{method} {path}: {} has no description", parameter["name"]);
        }
    }
}

#[test]
fn every_body_has_an_example() {
    let document = document();
    for (path, method, operation) in operations(&document) {
        let request = operation["requestBody"].get("content");
        let responses = operation["responses"].as_object().unwrap().iter();
        let contents = responses.filter(|(status, _)| status.starts_with('2')).filter_map(|(_, it)| it.get("content"));
        for content in contents.chain(request) {
            for (kind, media) in content.as_object().unwrap().iter().filter(|(kind, _)| kind.contains("json")) {
                let is_document = operation["operationId"] == "readDocument";
                let has_example = media.get("example").or(media.get("examples")).is_some();
                assert!(has_example || is_document, "{method} {path} has no example of {kind}");
            }
        }
    }
}

#[test]
fn all_but_the_service_ask_for_a_key_and_name_their_problems() {
    let document = document();
    for (path, method, operation) in operations(&document) {
        let is_open = operation.get("security").is_some();
        let is_signed = operation["operationId"] == "downloadLinkedMedia";
        assert_eq!(is_open, operation["tags"][0] == "service" || is_signed, "{method} {path}");
        let responses = operation["responses"].as_object().unwrap();
        let has_problems = ["401", "404", "422", "503"].iter().all(|status| responses.contains_key(*status));
        assert!(is_open || has_problems, "{method} {path}");
        let takes_key = operation["parameters"].to_string().contains("IdempotencyKey");
        assert_eq!(takes_key, method != "get" && operation["operationId"] != "lookupMessages", "{method} {path}");
    }
}

#[test]
fn a_body_of_several_types_is_one_of_them() {
    let document = document();
    let drafts = document["components"]["schemas"]["Draft"]["oneOf"].as_array().unwrap();
    let kinds: Vec<_> = drafts.iter().map(|draft| draft["properties"]["type"]["enum"][0].as_str().unwrap()).collect();
    assert!(["text", "location", "contacts"].iter().all(|kind| kinds.contains(kind)), "{kinds:?}");
    for (draft, kind) in drafts.iter().zip(&kinds) {
        let others = kinds.iter().filter(|other| *other != kind);
        assert!(draft["required"].as_array().unwrap().iter().any(|name| name == kind), "{kind}");
        assert!(others.into_iter().all(|other| draft["properties"].get(other).is_none()), "{kind}");
        assert_eq!(draft["additionalProperties"], false);
    }
}

#[test]
fn every_problem_has_its_own_status() {
    let statuses: BTreeSet<_> = PROBLEMS.iter().map(|(status, ..)| status).collect();
    assert_eq!(statuses.len(), PROBLEMS.len());
}
