//! `GET /v2/`: is this a registry, and is it ready? It listens only when it is.

use http::HeaderValue;
use http::Response;
use http::header::CONTENT_TYPE;

use crate::http::body::Body;

/// Docker's body for it: an empty object.
pub(super) fn answer() -> Response<Body> {
    let mut response = Response::new(Body::full("{}"));
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}
