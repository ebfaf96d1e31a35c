//! Making roles: at once, again, by whom may not, and where there are others of the name.

use crate::world::{World, make_login, migrating, url_of};
use futures::future::join_all;
use warren_domain::{Network, TenantId};
use warren_ports::ledger::{InstanceFilter, Instances, Ownership};
use warren_postgres::{OpenError, Options, Postgres, Service};
use warren_testkit::services::{Database, Postgres as Server};

fn as_gateway(url: impl Into<String>) -> Options {
    Options { service: Some(Service::Gateway), ..Options::new(url, Network::Whatsapp) }
}

async fn roles_of(database: &Database) -> Vec<String> {
    let named = format!("SELECT rolname FROM pg_roles WHERE starts_with(rolname, '{}_') ORDER BY 1", database.name());
    database.execute(&[&named]).await.unwrap().lines().map(str::to_owned).collect()
}

/// Several databases of one server, each by several processes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_may_make_them_at_once() {
    let first = Server::database().await.unwrap();
    // Of the same server, where tests share none.
    let second = format!("{}_two", first.name());
    let (server, _) = first.url().rsplit_once('/').unwrap();
    first.execute(&[&format!("CREATE DATABASE {second} TEMPLATE template0")]).await.unwrap();
    let url = format!("{server}/{second}");
    let opening = (0..8).map(|number| Postgres::open(migrating(if number % 2 == 0 { first.url() } else { &url })));
    for opened in join_all(opening).await {
        opened.unwrap().close().await;
    }
    let names = Service::ALL.map(|service| [service.role(first.name()), service.role(&second)]);
    let found = roles_of(&first).await;
    assert!(names.iter().flatten().all(|name| found.contains(name)), "{found:?}");
    first.execute(&[&format!("DROP DATABASE {second} WITH (FORCE)")]).await.unwrap();
}

/// Migrating again locks no table.
#[tokio::test(flavor = "multi_thread")]
async fn what_was_granted_is_not_granted_again() {
    let world = World::new().await;
    let marks = "SELECT string_agg(oid || ' ' || xmin, ',' ORDER BY oid) FROM pg_policy";
    let before = world.database.execute(&[marks]).await.unwrap();
    Postgres::open(migrating(world.database.url())).await.unwrap().close().await;
    assert_eq!(world.database.execute(&[marks]).await.unwrap(), before);
    // What was taken away comes back.
    let role = world.role(Service::Worker);
    world.database.execute(&[&format!("REVOKE ALL ON ALL TABLES IN SCHEMA public FROM {role}")]).await.unwrap();
    Postgres::open(migrating(world.database.url())).await.unwrap().close().await;
    let worker = world.open(Service::Worker).await;
    worker.highest_epoch().await.unwrap();
}

/// An owner who may make no roles, as many a hosted Postgres has them: everything works, without roles. Then somebody makes them.
#[tokio::test(flavor = "multi_thread")]
async fn an_owner_who_may_make_none_goes_on_without() {
    let database = Server::database().await.unwrap();
    let owner = format!("{}_owner", database.name());
    make_login(&database, &owner, "").await;
    let owned = format!("ALTER DATABASE {} OWNER TO {owner}", database.name());
    database.execute(&[&owned]).await.unwrap();
    let url = url_of(&database, &owner);
    Postgres::open(migrating(&url)).await.unwrap().close().await;
    assert_eq!(roles_of(&database).await, [owner.as_str()]);
    let gateway = Postgres::open(as_gateway(&url)).await.unwrap();
    gateway.instances(TenantId::generate(), &InstanceFilter::default(), None, 1).await.unwrap();
    let standing = gateway.standing().await.unwrap();
    assert_eq!((standing.login.as_str(), standing.unbound, standing.roles.len()), (owner.as_str(), false, 0));

    for service in Service::ALL {
        let role = service.role(database.name());
        let make = format!("CREATE ROLE {role} NOLOGIN");
        database.execute(&[&make, &format!("GRANT {role} TO {owner}")]).await.unwrap();
    }
    Postgres::open(migrating(&url)).await.unwrap().close().await;
    let gateway = Postgres::open(as_gateway(&url)).await.unwrap();
    assert_eq!(gateway.standing().await.unwrap().acts_as.len(), 3);
    let instances = gateway.instances(TenantId::generate(), &InstanceFilter::default(), None, 1).await;
    assert_eq!(instances.unwrap().len(), 0);
}

/// An owner who is no superuser and may make roles.
#[tokio::test(flavor = "multi_thread")]
async fn an_owner_who_may_make_roles_acts_as_them() {
    let database = Server::database().await.unwrap();
    let owner = format!("{}_owner", database.name());
    make_login(&database, &owner, "CREATEROLE").await;
    let owned = format!("ALTER DATABASE {} OWNER TO {owner}", database.name());
    database.execute(&[&owned]).await.unwrap();
    let url = url_of(&database, &owner);
    Postgres::open(migrating(&url)).await.unwrap().close().await;
    let standing = Postgres::open(as_gateway(&url)).await.unwrap().standing().await.unwrap();
    assert_eq!(standing.acts_as, Service::ALL.map(|service| service.role(database.name())));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_powerful_role_of_the_name_is_refused() {
    for power in ["SUPERUSER", "BYPASSRLS", "CREATEROLE", "LOGIN"] {
        let database = Server::database().await.unwrap();
        let role = Service::Worker.role(database.name());
        database.execute(&[&format!("CREATE ROLE {role} {power}")]).await.unwrap();
        let refused = Postgres::open(migrating(database.url())).await.unwrap_err();
        assert!(matches!(&refused, OpenError::PowerfulRole { role: named } if *named == role), "{power}: {refused}");
    }
}

/// A login of one service is no login of another.
#[tokio::test(flavor = "multi_thread")]
async fn a_login_of_another_service_is_refused() {
    let world = World::new().await;
    let url = url_of(&world.database, &world.login(Service::Gateway));
    let worker = Options { service: Some(Service::Worker), ..Options::new(url, Network::Whatsapp) };
    let refused = Postgres::open(worker).await.unwrap_err();
    assert!(matches!(&refused, OpenError::NoMember { .. }), "{refused}");
    let nobody = format!("{}_nobody", world.database.name());
    make_login(&world.database, &nobody, "").await;
    let refused = Postgres::open(as_gateway(url_of(&world.database, &nobody))).await.unwrap_err();
    assert!(matches!(&refused, OpenError::NoMember { login, .. } if *login == nobody), "{refused}");
    assert!(refused.to_string().contains("GRANT"), "{refused}");
}
