//! Which names in the environment mean which key.

/// A name in the environment and the key it sets.
#[derive(Debug, Clone, Copy)]
pub(super) struct Name {
    pub(super) variable: &'static str,
    pub(super) key: &'static str,
}

/// The names that need no section. (`PORT` is none of them: it sets a part of a key.)
pub(super) const WELL_KNOWN: &[Name] = &[
    Name { variable: "WARREN_LISTEN", key: "server.listen" },
    Name { variable: "WARREN_ADMIN_LISTEN", key: "admin.listen" },
    Name { variable: "WARREN_ADMIN_KEY", key: "admin.key" },
    Name { variable: "WARREN_DATA_DIR", key: "store.data_dir" },
    Name { variable: "WARREN_SEALING_KEY", key: "store.sealing_key" },
    Name { variable: "WARREN_CLUSTER_SECRET", key: "cluster.secret" },
    Name { variable: "DATABASE_URL", key: "database.url" },
    Name { variable: "REDIS_URL", key: "redis.url" },
    Name { variable: "NATS_URL", key: "nats.url" },
    Name { variable: "WARREN_SIMULATOR_LISTEN", key: "simulator.listen" },
    Name { variable: "WARREN_SEED_USERNAME", key: "seed.username" },
    Name { variable: "WARREN_SEED_PASSWORD", key: "seed.password" },
    Name { variable: "WARREN_SEED_JWT_SECRET", key: "seed.jwt_secret" },
    Name { variable: "WARREN_SEED_TENANT", key: "seed.tenant" },
    Name { variable: "WARREN_SEED_OPEN_WEBSOCKET", key: "seed.open_websocket" },
    Name { variable: "WARREN_SEED_CORS_ORIGINS", key: "seed.cors_origins" },
    Name { variable: "RUST_LOG", key: "log.filter" },
];

/// The keys that hold secrets: hidden in `config print`, and readable from a file.
pub(super) const SECRETS: &[&str] = &[
    "admin.key",
    "store.sealing_key",
    "media.s3_secret_key",
    "cluster.secret",
    "seed.password",
    "seed.jwt_secret",
    // They hold passwords.
    "database.url",
    "redis.url",
    "nats.url",
];

/// Names that begin like a setting and are none: the file to read, and the switches of test builds.
pub(super) const OTHERS: &[&str] = &["WARREN_CONFIG", "WARREN_FAULT_POINT", "WARREN_MUTATION"];

/// The key that a variable sets, and whether it names a file with the value.
pub(super) fn key_of(variable: &str) -> Option<(String, bool)> {
    if let Some(key) = direct(variable) {
        return Some((key, false));
    }
    let key = direct(variable.strip_suffix("_FILE")?)?;
    SECRETS.contains(&key.as_str()).then_some((key, true))
}

fn direct(variable: &str) -> Option<String> {
    if let Some(name) = WELL_KNOWN.iter().find(|name| name.variable == variable) {
        return Some(name.key.to_owned());
    }
    let (section, key) = variable.strip_prefix("WARREN_")?.split_once("__")?;
    let dotted = format!("{section}.{}", key.replace("__", ".")).to_ascii_lowercase();
    // `..._FILE` of a secret is a path, not a key of its own.
    let of_secret = dotted.strip_suffix("_file").is_some_and(|key| SECRETS.contains(&key));
    (!of_secret).then_some(dotted)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is(variable: &str, key: &str, file: bool) {
        assert_eq!(key_of(variable), Some((key.to_owned(), file)), "{variable}");
    }

    #[test]
    fn finds_the_key_of_a_variable() {
        is("WARREN_LISTEN", "server.listen", false);
        is("WARREN_SERVER__LISTEN", "server.listen", false);
        is("WARREN_SHUTDOWN__GRACE_SECONDS", "shutdown.grace_seconds", false);
        is("WARREN_ADMIN_KEY", "admin.key", false);
        is("WARREN_ADMIN_KEY_FILE", "admin.key", true);
        is("WARREN_ADMIN__KEY_FILE", "admin.key", true);
        is("RUST_LOG", "log.filter", false);
        for other in ["WARREN_LISTEN_FILE", "WARREN_TYPO", "PATH", "SERVER__LISTEN"] {
            assert_eq!(key_of(other), None, "{other}");
        }
    }
}
