//! What a process of a cluster would need: each looked at for itself, so that one that is away hides no other.

use super::{Finding, Report};
use crate::compose::cluster::Client;
use crate::compose::{self, cluster};
use crate::failure::Failure;
use crate::sealing_key;
use crate::settings::Settings;
use warren_ports::ledger::Ownership;
use warren_postgres::Standing;

/// Looks at everything that the settings name.
pub(super) async fn examine(settings: &Settings, report: &mut Report) {
    let (postgres, redis, nats, coordinators) =
        tokio::join!(postgres(settings), redis(settings), nats(settings), coordinators(settings));
    let (postgres, more) = postgres;
    report.add("DATABASE_URL", postgres);
    if let Some((roles, sealing)) = more {
        report.add("database roles", roles);
        report.add("sealing key", sealing);
    }
    report.add("REDIS_URL", redis);
    report.add("NATS_URL", nats);
    report.add("coordinators", coordinators);
    report.add("files of messages", files(settings).await);
}

fn wrong(failure: Failure) -> String {
    let text = failure.to_string();
    // The subject of the line says it already.
    ["DATABASE_URL: ", "REDIS_URL: ", "NATS_URL: "]
        .iter()
        .find_map(|name| text.strip_prefix(name))
        .unwrap_or(&text)
        .to_owned()
}

/// Whether the store answers; and if it opens, how its roles and its key are.
async fn postgres(settings: &Settings) -> (Finding, Option<(Finding, Finding)>) {
    let store = match cluster::open_store(settings, Client::Command("warren doctor"), None, None, false).await {
        Ok(store) => store,
        Err(failure) => return (Err(wrong(failure)), None),
    };
    let answers = store.highest_epoch().await;
    let finding = match answers {
        Ok(_) => Ok("answers, and its schema is up to date".to_owned()),
        Err(error) => Err(error.detail.to_string()),
    };
    let key = settings.store.sealing_key.as_ref();
    let sealing = match key {
        None => Err("is not set; workers need it (WARREN_SEALING_KEY)".to_owned()),
        Some(_) => sealing_key::examine(&store, std::path::Path::new("."), key).await.map_err(wrong),
    };
    let roles = match store.standing().await {
        Ok(standing) => roles(&standing),
        Err(error) => Err(error.detail.to_string()),
    };
    store.close().await;
    (finding, Some((roles, sealing)))
}

/// Under which roles services run that have this login.
fn roles(standing: &Standing) -> Finding {
    let Standing { login, unbound, roles, acts_as } = standing;
    let named = acts_as.join(", ");
    match (roles.is_empty(), acts_as.is_empty(), unbound) {
        (_, false, _) => Ok(format!("services whose login is {login} run as {named}")),
        (true, _, true) => Err(format!(
            "there are none, and services run as {login}, whom row level security does not bind: `warren migrate` makes them"
        )),
        (true, _, false) => Ok(format!("there are none; services have all rights of {login}: `warren migrate` says why")),
        (false, true, _) => Err(format!("{login} may act as none of {}: grant it one of them", roles.join(", "))),
    }
}

async fn redis(settings: &Settings) -> Finding {
    warren_redis::check(cluster::redis_options(settings).map_err(wrong)?).await
}

async fn nats(settings: &Settings) -> Finding {
    let checked = warren_nats::check(&cluster::bus_options(settings, "doctor").map_err(wrong)?).await;
    let checked = checked.map_err(|error| error.to_string())?;
    let millis = checked.round_trip.as_secs_f64() * 1000.0;
    Ok(format!("answers in {millis:.1} ms, version {}", checked.server))
}

async fn coordinators(settings: &Settings) -> Finding {
    warren_raft::check(&cluster::group(settings).map_err(wrong)?).await
}

async fn files(settings: &Settings) -> Finding {
    cluster::needs_shared_files(settings).map_err(wrong)?;
    compose::objects(settings).await.map_err(wrong)?;
    let place = match settings.media.s3_endpoint.as_str() {
        "" => settings.media.folder.display().to_string(),
        endpoint => format!("{endpoint}, bucket {}", settings.media.s3_bucket),
    };
    Ok(format!("are in {place}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn standing(unbound: bool, roles: &[&str], acts_as: &[&str]) -> Standing {
        let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        Standing { login: "me".to_owned(), unbound, roles: owned(roles), acts_as: owned(acts_as) }
    }

    #[test]
    fn a_login_that_nothing_binds_is_wrong() {
        assert!(roles(&standing(true, &[], &[])).is_err());
        assert!(roles(&standing(false, &[], &[])).is_ok());
        assert!(roles(&standing(false, &["a_gateway"], &[])).is_err());
        assert_eq!(
            roles(&standing(true, &["g", "w"], &["g", "w"])),
            Ok("services whose login is me run as g, w".to_owned())
        );
    }
}
