//! `/openapi.json`, and the page that shows it.

use crate::support::Gateway;

#[tokio::test]
async fn the_document_is_served_as_it_is_committed() {
    let gateway = Gateway::start().await;
    let answer = gateway.get("/openapi.json", "").await;
    assert_eq!(answer.header("content-type"), Some("application/json"));
    assert_eq!(answer.body, warren_gateway::openapi());
    let document = answer.is(200);
    assert_eq!(document["openapi"], "3.1.0");
}

#[tokio::test]
async fn the_page_needs_nothing_from_elsewhere_and_runs_nothing_inline() {
    let gateway = Gateway::start().await;
    let page = gateway.get("/docs", "").await;
    assert_eq!(page.header("content-type"), Some("text/html; charset=utf-8"));
    let policy = page.header("content-security-policy").unwrap().to_owned();
    assert!(policy.contains("default-src 'none'") && !policy.contains("unsafe"), "{policy}");
    let html = String::from_utf8(page.body.to_vec()).unwrap();
    assert!(!html.contains("//") && !html.contains("<style") && !html.contains(" on"), "{html}");

    let of = |attribute: &'static str| html.split(attribute).skip(1).map(|rest| rest.split('"').next().unwrap());
    let files: Vec<_> = of(" src=\"docs/").chain(of(" href=\"docs/")).collect();
    assert_eq!(files.len(), 3, "{files:?}");
    for file in files {
        let answer = gateway.get(&format!("/docs/{file}"), "").await;
        let kind = if file.ends_with(".css") { "text/css; charset=utf-8" } else { "text/javascript; charset=utf-8" };
        assert_eq!((answer.status.as_u16(), answer.header("content-type")), (200, Some(kind)), "{file}");
        assert!(answer.body.len() > 100, "{file}");
        assert_eq!(answer.header("content-security-policy"), Some(&*policy));
        assert!(answer.header("set-cookie").is_none());
    }
}

#[tokio::test]
async fn only_the_files_of_the_page_are_served() {
    let gateway = Gateway::start().await;
    for name in ["index.html", "oauth2-redirect.html", "swagger-ui.js", "..%2fCargo.toml", "start.js%00", "x"] {
        gateway.get(&format!("/docs/{name}"), "").await.is_problem(404, "not_found");
    }
    // The page opens no door: what it asks for is asked with a key, like everything.
    gateway.get("/v1/instances", "").await.is_problem(401, "unauthenticated");
}
