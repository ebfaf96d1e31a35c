//! How many requests a tenant may make.

use crate::support::{Gateway, Tenant};
use serde_json::json;
use warren_gateway::Options;

/// How many of so many requests pass, turn by turn over these gateways.
async fn passing(gateways: &[&Gateway], tenant: &Tenant, count: usize) -> usize {
    let mut passed = 0;
    for number in 0..count {
        let answer = gateways[number % gateways.len()].get("/v1/instances", &tenant.key).await;
        match answer.status.as_u16() {
            200 => passed += 1,
            _ => answer.is_problem(429, "rate_limited"),
        }
    }
    passed
}

#[tokio::test]
async fn row_72_gateways_count_a_tenants_requests_together() {
    let gateway = Gateway::start().await;
    let second = gateway.beside(Options::default()).await;
    let (tenant, other) = (gateway.tenant().await, gateway.tenant().await);
    let path = format!("/v1/tenants/{}", tenant.id);
    gateway.patch(&path, &gateway.admin, json!({"limits": {"requests_per_second": 1}})).await.is(200);
    assert_eq!(
        passing(&[&gateway], &tenant, 1).await,
        1,
        "the second one, which knows no limit yet, learns it at its first look"
    );
    let refused = second.get("/v1/instances", &tenant.key).await;
    let retry_after = refused.header("retry-after").map(str::to_owned);
    refused.is_problem(429, "rate_limited");
    assert_eq!(retry_after.as_deref(), Some("1"));
    assert_eq!(refused.json()["requests_per_second"], 1);
    assert_eq!(passing(&[&gateway, &second], &other, 20).await, 20, "others are not touched");
}

#[tokio::test]
async fn everybody_may_have_a_limit_and_a_tenant_another() {
    let gateway = Gateway::with(Options { requests_per_second: 1, ..Options::default() }).await;
    let (tenant, favoured) = (gateway.tenant().await, gateway.tenant().await);
    let path = format!("/v1/tenants/{}", favoured.id);
    gateway.patch(&path, &gateway.admin, json!({"limits": {"requests_per_second": 1000}})).await.is(200);
    assert!(passing(&[&gateway], &tenant, 10).await < 10);
    assert_eq!(passing(&[&gateway], &favoured, 50).await, 50);
}
