//! A namespace's share of the workers, raised by a person for a time.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The largest weight.
pub const WEIGHT_MAX: u32 = 100;

/// A namespace's weight while it is not that of others.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Priority {
    /// Its part of the workers while others wait too: twice the weight gets twice the slots.
    pub weight: u32,
    /// Why.
    pub reason: Option<String>,
    /// Until when; then it is 1 again.
    #[schema(value_type = Option<String>)]
    pub until: Option<Timestamp>,
}

/// Sets a namespace's weight: the body of `PUT /api/v1/namespaces/{name}/priority`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PriorityRequest {
    /// From 1, which is that of every namespace, to 100.
    pub weight: u32,
    /// Why, for those who wait. Needed above 1.
    #[serde(default)]
    pub reason: Option<String>,
    /// For how many seconds; for a day unless given.
    #[serde(default)]
    pub seconds: Option<u64>,
}
