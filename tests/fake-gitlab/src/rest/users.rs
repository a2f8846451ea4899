//! Who asks, and what answers.

use axum::Json;
use serde_json::{Value, json};

use super::Asking;
use super::refused::Refused;
use crate::access::Access;
use crate::state::user;

/// `GET /user`
pub async fn current(asking: Asking) -> Result<Json<Value>, Refused> {
    let username = asking.access.username().ok_or_else(Refused::unauthorized)?;
    let mut shown = user(username);
    shown["email"] = json!(format!("{username}@example.org"));
    shown["bot"] = json!(true);
    Ok(Json(shown))
}

/// `GET /personal_access_tokens/self`
pub async fn token(asking: Asking) -> Result<Json<Value>, Refused> {
    let Access::Token(token) = &asking.access else {
        return Err(Refused::unauthorized());
    };
    let scopes: Vec<&str> = token.scopes.iter().map(|scope| scope.word()).collect();
    Ok(Json(json!({
        "id": 1, "name": "buildbtw", "revoked": false, "active": true, "scopes": scopes, "user_id": 1,
        "created_at": "2026-01-01T00:00:00.000Z", "expires_at": token.expires_at,
    })))
}

/// `GET /version`
pub async fn version(asking: Asking) -> Result<Json<Value>, Refused> {
    asking.access.username().ok_or_else(Refused::unauthorized)?;
    Ok(Json(
        json!({"version": "19.5.0-ee", "revision": "0123456789a"}),
    ))
}
