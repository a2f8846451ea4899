//! The description of the API, made from the code.

use axum::Json;
use utoipa::OpenApi;

use super::{
    builds, changing, events, failures, health, hooks, mode, namespaces, plans, priority, runs,
    sources, workers,
};

#[derive(OpenApi)]
#[openapi(
    info(
        title = "buildbtw",
        description = "Rebuilds everything that a changed package touches."
    ),
    paths(
        health::get,
        mode::get,
        mode::set,
        plans::create,
        plans::why,
        plans::get,
        plans::difference,
        namespaces::list,
        namespaces::create,
        namespaces::get,
        namespaces::cancel,
        namespaces::pause,
        namespaces::resume,
        changing::add,
        changing::remove,
        changing::update,
        changing::rebuild,
        failures::retry,
        failures::waive,
        failures::unwaive,
        namespaces::archive,
        priority::set,
        builds::list,
        builds::get,
        builds::explanation,
        runs::get,
        runs::log,
        runs::claim,
        runs::append_log,
        runs::source,
        runs::steps,
        runs::upload,
        runs::finish,
        workers::list,
        workers::register,
        workers::claim,
        workers::heartbeat,
        workers::leave,
        workers::set_mode,
        sources::list,
        hooks::take,
        events::stream,
    )
)]
struct Description;

/// The description as OpenAPI.
pub async fn get() -> Json<utoipa::openapi::OpenApi> {
    Json(Description::openapi())
}
