//! How REST says no. There are several forms, and clients have to understand them all.

use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

/// An answer that says no.
#[derive(Debug)]
pub struct Refused {
    status: StatusCode,
    body: Value,
    location: Option<String>,
}

impl Refused {
    fn with(status: StatusCode, body: Value) -> Self {
        Self {
            status,
            body,
            location: None,
        }
    }

    /// The token is missing or not known.
    pub fn unauthorized() -> Self {
        Self::with(
            StatusCode::UNAUTHORIZED,
            json!({"message": "401 Unauthorized"}),
        )
    }

    /// The token's user may not do that.
    pub fn forbidden() -> Self {
        Self::with(StatusCode::FORBIDDEN, json!({"message": "403 Forbidden"}))
    }

    /// The token was not made for that.
    pub fn scope() -> Self {
        Self::with(
            StatusCode::FORBIDDEN,
            json!({
                "error": "insufficient_scope", "scope": "api",
                "error_description": "The request requires higher privileges than provided by the access token.",
            }),
        )
    }

    /// It is not there, or not to be seen.
    pub fn not_found(what: &str) -> Self {
        Self::with(
            StatusCode::NOT_FOUND,
            json!({"message": format!("404 {what} Not Found")}),
        )
    }

    /// A parameter is missing.
    pub fn missing(parameter: &str) -> Self {
        Self::with(
            StatusCode::BAD_REQUEST,
            json!({"error": format!("{parameter} is missing")}),
        )
    }

    /// Something does not fit.
    pub fn bad(text: impl Into<String>) -> Self {
        Self::with(StatusCode::BAD_REQUEST, json!({"message": text.into()}))
    }

    /// Something as a whole cannot be made.
    pub fn base(text: impl Into<String>) -> Self {
        Self::with(
            StatusCode::BAD_REQUEST,
            json!({"message": {"base": [text.into()]}}),
        )
    }

    /// It lives elsewhere now.
    pub fn moved(url: &str, id: u64) -> Self {
        let to = format!("{url}/api/v4/projects/{id}");
        Self {
            status: StatusCode::MOVED_PERMANENTLY,
            body: json!(format!("This resource has been moved permanently to {to}")),
            location: Some(to),
        }
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        match (self.location, self.body) {
            (Some(location), Value::String(text)) => {
                (self.status, [(header::LOCATION, location)], text).into_response()
            }
            (_, body) => (self.status, axum::Json(body)).into_response(),
        }
    }
}
