//! The surface for programs of the seed, as the settings want it: for whom, and whether there is such a tenant.

use crate::failure::Failure;
use crate::settings::Settings;
use warren_domain::TenantId;
use warren_gateway::SeedSettings;
use warren_ports::ledger::Tenants;

/// What switches it on, if its credentials are set. `default` is the tenant that standalone made, if it made one.
pub(crate) async fn surface(
    settings: &Settings,
    tenants: &impl Tenants,
    default: Option<TenantId>,
) -> Result<Option<SeedSettings>, Failure> {
    let seed = &settings.seed;
    let Some(credentials) = seed.credentials() else { return Ok(None) };
    let tenant = match (seed.tenant.trim(), default) {
        ("", Some(default)) => default,
        ("", None) => {
            return Err(Failure::config(
                "WARREN_SEED_TENANT (seed.tenant) is missing: there is no default tenant, so name the one whose instances are used",
            ));
        }
        (text, _) => {
            text.parse().map_err(|_| Failure::config("WARREN_SEED_TENANT (seed.tenant): a tenant's id is 32 hex digits"))?
        }
    };
    if tenants.tenant(tenant).await?.is_none() {
        return Err(Failure::config("WARREN_SEED_TENANT (seed.tenant): there is no such tenant"));
    }
    Ok(Some(SeedSettings {
        username: credentials.username.to_owned(),
        password: credentials.password.reveal().to_owned(),
        jwt_secret: credentials.jwt_secret.reveal().to_owned(),
        tenant,
        open_websocket: seed.open_websocket,
        cors_origins: seed.cors_origins.clone(),
        requests_per_second: seed.requests_per_second,
        burst: seed.burst,
    }))
}
