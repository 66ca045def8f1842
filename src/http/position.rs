//! How far an upload session is, as headers: in its answers, and in every refusal after which it goes on.

use http::HeaderName;
use http::HeaderValue;
use http::header::LOCATION;
use http::header::RANGE;

use crate::http::content;
use crate::push::Position;

const UPLOAD_UUID: HeaderName = HeaderName::from_static("docker-upload-uuid");

/// Where a session goes on, and how far it is: `0-0` also before the first byte.
pub(super) fn headers(position: &Position) -> [(HeaderName, HeaderValue); 3] {
    let Position {
        repo,
        session,
        received,
    } = position;
    let location = format!("/v2/{repo}/blobs/uploads/{session}");
    let range = format!("0-{}", received.saturating_sub(1));
    [
        (LOCATION, content::value(&location)),
        (RANGE, content::value(&range)),
        (UPLOAD_UUID, content::value(session)),
    ]
}
