//! Registry hosts as clients and configuration write them.

/// Whether a name component can only be a registry's host. A port cannot stand in a name, so a dot must tell.
pub(super) fn is_registry(component: &str) -> bool {
    component.contains('.')
}

/// A registry's host in lower case, one for all that have always meant Docker Hub.
pub(super) fn canonical(host: &str) -> String {
    let host = host.to_ascii_lowercase();
    match host.as_str() {
        "index.docker.io" | "registry-1.docker.io" => "docker.io".to_owned(),
        _ => host,
    }
}

/// A `Host` header's host in lower case; an IPv6 address keeps its brackets.
pub(super) fn without_port(host: &str) -> String {
    let after_address = host.rfind(']').map_or(0, |bracket| bracket + 1);
    let end = host[after_address..]
        .find(':')
        .map_or(host.len(), |colon| after_address + colon);
    host[..end].to_ascii_lowercase()
}
