use std::time::Duration;

use alloy_primitives::B256;
use axum::{
    Json,
    http::{HeaderValue, Method, StatusCode, header},
    response::{IntoResponse, Response},
};
use openledger_types::amount::format_open;
use openledger_worker::operator::{PaymentProblem, PaymentRequired, ServeError};
use serde_json::{Value, json};

use crate::ParameterError;

/// A refusal in the shape of the OpenAI API: a status and `{"error": {message, type, param, code}}`.
#[derive(Debug)]
pub struct ApiError {
    status: StatusCode,
    message: String,
    kind: &'static str,
    param: Option<String>,
    code: &'static str,
    retry_after_s: Option<u64>,
    /// What is missing, for programs.
    payment: Option<Box<Value>>,
}

const INVALID: &str = "invalid_request_error";

impl ApiError {
    fn new(status: StatusCode, kind: &'static str, code: &'static str, message: impl Into<String>) -> Self {
        Self { status, message: message.into(), kind, param: None, code, retry_after_s: None, payment: None }
    }

    fn about(mut self, param: impl Into<String>) -> Self {
        self.param = Some(param.into());
        self
    }

    fn retry_after(mut self, seconds: u64) -> Self {
        self.retry_after_s = Some(seconds);
        self
    }

    pub(crate) fn no_key() -> Self {
        Self::new(
            StatusCode::UNAUTHORIZED,
            INVALID,
            "invalid_api_key",
            "there is no API key: send one as 'Authorization: Bearer ol-…'",
        )
    }

    pub(crate) fn too_large(limit: usize) -> Self {
        Self::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            INVALID,
            "request_too_large",
            format!("the body is larger than the limit of {limit} bytes"),
        )
    }

    pub(crate) fn unreadable_body(reason: &str) -> Self {
        Self::new(
            StatusCode::BAD_REQUEST,
            INVALID,
            "unreadable_body",
            format!("the body cannot be read: {reason}"),
        )
    }

    pub(crate) fn slow_body(limit: Duration) -> Self {
        Self::new(
            StatusCode::REQUEST_TIMEOUT,
            INVALID,
            "request_timeout",
            format!("the body did not arrive within {} s", limit.as_secs()),
        )
    }

    pub(crate) fn not_ready() -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "server_error", "not_ready", "no adapter is served yet")
            .retry_after(1)
    }

    pub(crate) fn unknown_route(method: &Method, path: &str) -> Self {
        let path: String = path.chars().take(200).collect();
        Self::new(StatusCode::NOT_FOUND, INVALID, "unknown_url", format!("there is no {method} {path} here"))
    }

    pub(crate) fn wrong_method(method: &Method, path: &str) -> Self {
        Self::new(
            StatusCode::METHOD_NOT_ALLOWED,
            INVALID,
            "method_not_allowed",
            format!("{path} does not take {method}"),
        )
    }

    pub(crate) fn receipt_id(text: &str) -> Self {
        let text: String = text.chars().take(80).collect();
        Self::new(
            StatusCode::BAD_REQUEST,
            INVALID,
            "invalid_receipt_id",
            format!("'{text}' is not a receipt id: 0x and 64 hexadecimal digits"),
        )
        .about("id")
    }

    pub(crate) fn receipt_not_found(id: B256) -> Self {
        Self::new(
            StatusCode::NOT_FOUND,
            INVALID,
            "receipt_not_found",
            format!("there is no receipt {id} here"),
        )
        .about("id")
    }

    /// Something that is not the asker's doing: logged here, and told without its details.
    pub(crate) fn internal(error: &dyn std::fmt::Display) -> Self {
        tracing::error!(%error, "a request failed");
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "server_error",
            "internal_error",
            "the answer could not be made; nothing is charged",
        )
    }

    fn payment(missing: &PaymentRequired) -> Self {
        let code = match missing.problem {
            PaymentProblem::UnknownKey => "key_not_authorised",
            PaymentProblem::OtherOperator { .. } => "key_of_other_operator",
            PaymentProblem::Expired { .. } => "key_expired",
            PaymentProblem::Revoked { .. } => "key_revoked",
            PaymentProblem::CapTooSmall => "cap_too_small",
            PaymentProblem::DepositTooSmall => "deposit_too_small",
        };
        let mut error =
            Self::new(StatusCode::PAYMENT_REQUIRED, "payment_required", code, missing.to_string());
        error.payment = Some(Box::new(json!({
            "needed_wei": missing.needed_wei.to_string(),
            "needed_open": format_open(missing.needed_wei),
            "available_wei": missing.available_wei.to_string(),
            "available_open": format_open(missing.available_wei),
            "escrow": missing.escrow,
            "operator": missing.operator,
            "payer": missing.payer,
            "key": missing.key,
        })));
        error
    }

    /// The body of the response; in a stream, the data of its last event.
    pub(crate) fn body(&self) -> Value {
        let mut error =
            json!({ "message": self.message, "type": self.kind, "param": self.param, "code": self.code });
        if let Some(payment) = &self.payment {
            error["openledger"] = payment.as_ref().clone();
        }
        json!({ "error": error })
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let mut response = (self.status, Json(self.body())).into_response();
        if let Some(seconds) = self.retry_after_s {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}

impl From<ParameterError> for ApiError {
    fn from(error: ParameterError) -> Self {
        let code = error.code();
        Self::new(StatusCode::BAD_REQUEST, INVALID, code, error.to_string()).about(error.param())
    }
}

impl From<ServeError> for ApiError {
    fn from(error: ServeError) -> Self {
        let message = error.to_string();
        match error {
            ServeError::InvalidKey(_) => {
                Self::new(StatusCode::UNAUTHORIZED, INVALID, "invalid_api_key", message)
            }
            ServeError::ModelNotFound { .. } => {
                Self::new(StatusCode::NOT_FOUND, INVALID, "model_not_found", message).about("model")
            }
            ServeError::InvalidRequest { param, .. } => {
                Self::new(StatusCode::BAD_REQUEST, INVALID, "invalid_value", message).about(param)
            }
            ServeError::ContextExceeded { .. } => {
                Self::new(StatusCode::BAD_REQUEST, INVALID, "context_length_exceeded", message)
                    .about("messages")
            }
            ServeError::Payment(missing) => Self::payment(&missing),
            ServeError::Busy { retry_after_s, .. } => {
                Self::new(StatusCode::TOO_MANY_REQUESTS, "requests", "rate_limit_exceeded", message)
                    .retry_after(retry_after_s)
            }
            ServeError::Payments(source) => {
                tracing::warn!(error = %source, "the chain could not be asked about a payment");
                Self::new(
                    StatusCode::SERVICE_UNAVAILABLE,
                    "server_error",
                    "chain_unavailable",
                    "the chain could not be asked about the payment; nothing is charged",
                )
                .retry_after(2)
            }
            ServeError::Cancelled
            | ServeError::Engine(_)
            | ServeError::Attribution(_)
            | ServeError::Store(_)
            | ServeError::Internal(_) => Self::internal(&message),
        }
    }
}
