use std::time::Duration;

use axum::body::Bytes;
use axum::extract::rejection::{BytesRejection, FailedToBufferBody};
use axum::extract::{FromRequest, Request};
use axum::http::{HeaderMap, header};

use crate::ApiError;

/// Largest body of a request: far above any conversation that fits a model's context.
pub(crate) const MAX_BODY_BYTES: usize = 1 << 20;

/// How long a body may take to arrive.
const BODY_TIMEOUT: Duration = Duration::from_secs(30);

/// Reads a body within its limits; the route's `DefaultBodyLimit` is [`MAX_BODY_BYTES`].
pub(crate) async fn read(request: Request) -> Result<Bytes, ApiError> {
    match tokio::time::timeout(BODY_TIMEOUT, Bytes::from_request(request, &())).await {
        Ok(Ok(bytes)) => Ok(bytes),
        Ok(Err(BytesRejection::FailedToBufferBody(FailedToBufferBody::LengthLimitError(_)))) => {
            Err(ApiError::too_large(MAX_BODY_BYTES))
        }
        Ok(Err(error)) => Err(ApiError::unreadable_body(&error.to_string())),
        Err(_elapsed) => Err(ApiError::slow_body(BODY_TIMEOUT)),
    }
}

/// The key of a request.
pub(crate) fn bearer(headers: &HeaderMap) -> Result<&str, ApiError> {
    let value = headers.get(header::AUTHORIZATION).ok_or_else(ApiError::no_key)?;
    let text = value.to_str().map_err(|_bytes| ApiError::no_key())?;
    let (scheme, key) = text.split_once(' ').ok_or_else(ApiError::no_key)?;
    if scheme.eq_ignore_ascii_case("bearer") { Ok(key.trim()) } else { Err(ApiError::no_key()) }
}
