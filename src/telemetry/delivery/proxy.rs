//! Which proxy a request over HTTP goes through: that of `http_proxy` and its like, never for this machine, and not for what
//! `NO_PROXY` names. gRPC goes straight.
//!
//! The HTTP client's own reading of these variables is not used: it sends what is for this machine to the proxy, too.

use crate::telemetry::config::without_password;
use crate::telemetry::env::Environment;
use std::fmt;
use std::net::IpAddr;

/// A proxy, and the variable that names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chosen {
    /// Such as `https_proxy`.
    pub variable: &'static str,
    /// As it stands there; may hold a password.
    pub url: String,
}

/// For messages: `the proxy http://proxy:3128 (https_proxy)`.
impl fmt::Display for Chosen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the proxy {} ({})", without_password(&self.url), self.variable)
    }
}

/// The proxy for a URL.
#[must_use]
pub fn choose(url: &str, env: &Environment) -> Option<Chosen> {
    let uri: http::Uri = url.parse().ok()?;
    let host = uri.host()?.trim_start_matches('[').trim_end_matches(']').to_ascii_lowercase();
    let secure = uri.scheme_str() == Some("https");
    let port = uri.port_u16().unwrap_or(if secure { 443 } else { 80 });
    let excepted = env.get("no_proxy").or_else(|| env.get("NO_PROXY")).unwrap_or_default();
    if is_loopback(&host) || excepted.split(',').any(|entry| covers(entry.trim(), &host, port)) {
        return None;
    }
    let names = if secure { ["https_proxy", "HTTPS_PROXY"] } else { ["http_proxy", "HTTP_PROXY"] };
    let names = names.into_iter().chain(["all_proxy", "ALL_PROXY"]);
    names.into_iter().find_map(|variable| Some(Chosen { variable, url: env.get(variable)?.to_owned() }))
}

fn is_loopback(host: &str) -> bool {
    let name = host.trim_end_matches('.');
    name == "localhost" || name.ends_with(".localhost") || host.parse().is_ok_and(|ip: IpAddr| ip.is_loopback())
}

/// Whether an entry of `NO_PROXY` is for a host: `*`, a name with all below it, an address, or a network `10.0.0.0/8`; a port
/// behind a colon narrows it.
fn covers(entry: &str, host: &str, port: u16) -> bool {
    let (entry, of_port) = match entry.rsplit_once(':') {
        Some((head, last)) if !head.contains(':') && last.parse::<u16>().is_ok() => (head, last.parse().ok()),
        _ => (entry, None),
    };
    if entry.is_empty() || of_port.is_some_and(|p: u16| p != port) {
        return false;
    }
    if let Ok(address) = host.parse::<IpAddr>() {
        return entry == "*" || entry.parse() == Ok(address) || in_network(entry, address);
    }
    let name = entry.trim_start_matches("*.").trim_start_matches('.').to_ascii_lowercase();
    entry == "*" || host == name || host.strip_suffix(name.as_str()).is_some_and(|head| head.ends_with('.'))
}

fn in_network(entry: &str, address: IpAddr) -> bool {
    let Some((network, bits)) = entry.split_once('/') else { return false };
    let (Ok(network), Ok(bits)) = (network.parse::<IpAddr>(), bits.parse::<u32>()) else { return false };
    match (network, address) {
        (IpAddr::V4(a), IpAddr::V4(b)) if bits <= 32 => {
            (a.to_bits() ^ b.to_bits()).checked_shr(32 - bits).unwrap_or(0) == 0
        }
        (IpAddr::V6(a), IpAddr::V6(b)) if bits <= 128 => {
            (a.to_bits() ^ b.to_bits()).checked_shr(128 - bits).unwrap_or(0) == 0
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(url: &str, except: &str) -> Option<String> {
        let env = Environment::from([("http_proxy", "http://p:3128"), ("NO_PROXY", except)]);
        choose(url, &env).map(|chosen| chosen.to_string())
    }

    #[test]
    fn this_machine_is_never_behind_a_proxy() {
        for host in ["localhost:4318", "127.0.0.1:4318", "127.8.9.1", "[::1]:4318", "otel.localhost", "LOCALHOST"] {
            assert_eq!(chosen(&format!("http://{host}/v1/traces"), ""), None, "{host}");
        }
        assert_eq!(chosen("http://c:4318/v1/traces", "").as_deref(), Some("the proxy http://p:3128 (http_proxy)"));
    }

    #[test]
    fn no_proxy_names_hosts_domains_addresses_and_networks() {
        for (except, host, without) in [
            ("*", "c", true),
            ("x, c", "c", true),
            ("cluster.example", "n1.cluster.example", true),
            (".cluster.example", "n1.cluster.example", true),
            ("*.cluster.example", "n1.cluster.example", true),
            ("cluster.example", "othercluster.example", false),
            ("10.0.0.0/8", "10.1.2.3", true),
            ("10.0.0.0/8", "11.1.2.3", false),
            ("0.0.0.0/0", "11.1.2.3", true),
            ("10.1.2.3", "10.1.2.3", true),
            ("fd00::/8", "[fd12::1]", true),
            ("c:4318", "c:4318", true),
            ("c:4317", "c:4318", false),
            ("", "c", false),
        ] {
            assert_eq!(chosen(&format!("http://{host}"), except).is_none(), without, "{except} for {host}");
        }
    }

    #[test]
    fn the_scheme_says_which_variable_and_passwords_are_not_told() {
        let env = Environment::from([("HTTPS_PROXY", "http://me:secret@p:1"), ("all_proxy", "http://q:2")]);
        let secure = choose("https://c", &env).unwrap();
        assert_eq!(secure.to_string(), "the proxy http://…@p:1 (HTTPS_PROXY)");
        assert_eq!(choose("http://c", &env).unwrap().variable, "all_proxy");
    }
}
