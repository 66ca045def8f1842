//! `GET` and `HEAD` of `/v2/_oci/ext/discover`: what there is beyond the specification (distribution-spec,
//! `extensions/_oci.md`).

use http::Response;
use serde_json::json;

use crate::http::body::Body;
use crate::http::list;

/// The same for every repository.
pub(super) fn answer() -> Response<Body> {
    let extension = |name: &str, description: &str, endpoint: &str| {
        let url = "https://github.com/opencontainers/distribution-spec/tree/main/extensions";
        json!({ "name": name, "url": url, "description": description, "endpoints": [endpoint] })
    };
    let extensions = [
        extension("_oci", "which extensions there are", "/v2/_oci/ext/discover"),
        extension("_catalog", "which repositories there are", "/v2/_catalog"),
    ];
    list::json(&json!({ "extensions": extensions }), None)
}
