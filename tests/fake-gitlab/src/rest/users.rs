//! Who asks, and what answers.

use axum::Json;
use serde_json::{Value, json};

use super::Asking;
use super::refused::Refused;
use crate::state::user;

/// `GET /user`
pub async fn current(asking: Asking) -> Result<Json<Value>, Refused> {
    let username = asking.access.username().ok_or_else(Refused::unauthorized)?;
    let mut shown = user(username);
    shown["email"] = json!(format!("{username}@example.org"));
    shown["bot"] = json!(true);
    Ok(Json(shown))
}

/// `GET /version`
pub async fn version(asking: Asking) -> Result<Json<Value>, Refused> {
    asking.access.username().ok_or_else(Refused::unauthorized)?;
    Ok(Json(
        json!({"version": "19.5.0-ee", "revision": "0123456789a"}),
    ))
}
