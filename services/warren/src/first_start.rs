//! What standalone says to whoever started it: the address, the fresh keys, and what to try next.

use crate::credentials::Fresh;
use std::fmt::Write;
use std::net::SocketAddr;

/// The addresses in use.
#[derive(Debug, Clone)]
pub(crate) struct Addresses {
    /// The API.
    pub(crate) api: SocketAddr,
    /// Metrics and health.
    pub(crate) admin: SocketAddr,
    /// The simulator's `http://host:port`, if there is one.
    pub(crate) simulator: Option<String>,
}

/// The text for standard output. Everything in it is printed once, at this start.
pub(crate) fn greeting(addresses: &Addresses, fresh: Option<&Fresh>) -> String {
    let mut text = String::new();
    // Writing to a String does not fail.
    let _ = writeln!(text, "API        http://{}", addresses.api);
    let _ = writeln!(text, "Metrics    http://{}/metrics", addresses.admin);
    if let Some(simulator) = &addresses.simulator {
        let _ = writeln!(text, "Simulator  {simulator}");
    }
    if let Some(fresh) = fresh {
        let _ = writeln!(text, "Tenant     {} (default)", fresh.tenant);
        let _ = writeln!(text, "API key    {}", fresh.key.reveal());
        let _ = writeln!(text, "Admin key  {}", fresh.admin);
        let _ = writeln!(text, "\nThe keys are shown this once and kept only as hashes: store them now.\n\nTry:\n");
        text.push_str(&tutorial(addresses, fresh));
    }
    text
}

/// Shell lines that work as they stand, with curl and sed.
fn tutorial(addresses: &Addresses, fresh: &Fresh) -> String {
    let mut text = String::new();
    let _ = writeln!(text, "  W=http://{}/v1; A='Authorization: Bearer {}'", addresses.api, fresh.key.reveal());
    text.push_str("  J='Content-Type: application/json'\n  # an instance, and its pairing by QR code\n");
    text.push_str(concat!(
        "  I=$(curl -s $W/instances -H \"$A\" -H \"$J\" -d '{\"name\":\"first\"}' | sed -n 's/.*\"id\":\"\\([^\"]*\\)\".*/\\1/p')\n",
        "  curl -s $W/instances/$I/pairing -H \"$A\" -H \"$J\" -d '{\"method\":\"qr\"}'\n",
    ));
    match &addresses.simulator {
        Some(simulator) => {
            text.push_str("  # the code, as soon as it is there, scanned by a simulated phone\n");
            text.push_str(
                "  until curl -s $W/instances/$I/pairing -H \"$A\" | sed -n 's/.*\"qr\":\"\\([^\"]*\\)\".*/\\1/p' |\n",
            );
            let _ = writeln!(text, "    curl -sf {simulator}/admin/mock-phone/scan-qr --data-binary @-; do sleep 1; done");
            text.push_str("  # somebody to write to, a message, and what arrived\n");
            let _ = writeln!(text, "  curl -s {simulator}/admin/people -H \"$J\" -d '{{\"phone\":\"6281100000001\"}}'");
        }
        None => {
            text.push_str(
                "  # the code: scan it with WhatsApp > Settings > Linked devices (repeat until the file is a picture)\n",
            );
            text.push_str("  curl -s $W/instances/$I/pairing/qr.png -H \"$A\" -o qr.png\n");
            text.push_str("  # a message to yourself: put your own number here\n");
        }
    }
    text.push_str(concat!(
        "  curl -s \"$W/instances/$I/messages?wait=sent\" -H \"$A\" -H \"$J\" \\\n",
        "    -d '{\"to\":\"6281100000001\",\"type\":\"text\",\"text\":{\"body\":\"Hello\"}}'\n",
    ));
    if let Some(simulator) = &addresses.simulator {
        let _ = writeln!(text, "  curl -s {simulator}/admin/people/6281100000001/inbox");
    }
    text
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use warren_domain::{TenantId, key::Secret};

    fn addresses(simulator: Option<&str>) -> Addresses {
        Addresses {
            api: "127.0.0.1:8080".parse().unwrap(),
            admin: "127.0.0.1:9090".parse().unwrap(),
            simulator: simulator.map(str::to_owned),
        }
    }

    #[test]
    fn keys_are_shown_only_when_they_are_fresh() {
        let fresh = Fresh { admin: "wrn_admin_x".into(), tenant: TenantId::generate(), key: Secret::generate() };
        let text = greeting(&addresses(None), Some(&fresh));
        assert!(text.contains(fresh.key.reveal()) && text.contains("wrn_admin_x"), "{text}");
        let text = greeting(&addresses(None), None);
        assert_eq!(text, "API        http://127.0.0.1:8080\nMetrics    http://127.0.0.1:9090/metrics\n");
    }

    #[test]
    fn the_next_steps_fit_the_network() {
        let fresh = Fresh { admin: "wrn_admin_x".into(), tenant: TenantId::generate(), key: Secret::generate() };
        let simulated = greeting(&addresses(Some("http://127.0.0.1:8090")), Some(&fresh));
        assert!(simulated.contains("http://127.0.0.1:8090/admin/mock-phone/scan-qr"));
        let real = greeting(&addresses(None), Some(&fresh));
        assert!(real.contains("Linked devices") && !real.contains("mock-phone"));
    }
}
