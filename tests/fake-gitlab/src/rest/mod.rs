//! REST, version 4: one file a resource.

mod arguments;
mod groups;
mod hooks;
mod jobs;
mod paging;
mod pipelines;
mod projects;
mod refused;
mod repositories;
mod statuses;
mod users;

use std::sync::Arc;

use axum::Router;
use axum::extract::{FromRequest, Request};
use axum::http::Uri;
use axum::routing::{get, post};

use crate::Shared;
use crate::access::{Access, Role, shown_token};
use crate::faults::Asked;
use crate::state::{Project, State};
use arguments::Arguments;
use refused::Refused;

/// Everything below `/api/v4`.
pub fn router() -> Router<Arc<Shared>> {
    let project = Router::new()
        .route("/", get(projects::show).put(projects::change))
        .route("/pipeline", post(pipelines::create))
        .route("/pipelines", get(pipelines::list))
        .route("/pipelines/latest", get(pipelines::latest))
        .route(
            "/pipelines/{pipeline}",
            get(pipelines::show).delete(pipelines::delete),
        )
        .route("/pipelines/{pipeline}/variables", get(pipelines::variables))
        .route("/pipelines/{pipeline}/cancel", post(pipelines::cancel))
        .route("/pipelines/{pipeline}/retry", post(pipelines::retry))
        .route("/pipelines/{pipeline}/jobs", get(jobs::of_pipeline))
        .route("/jobs", get(jobs::list))
        .route("/jobs/{job}", get(jobs::show))
        .route("/jobs/{job}/trace", get(jobs::trace))
        .route("/jobs/{job}/cancel", post(jobs::cancel))
        .route("/jobs/{job}/retry", post(jobs::retry))
        .route("/statuses/{sha}", post(statuses::set))
        .route("/hooks", get(hooks::list).post(hooks::add))
        .route(
            "/hooks/{hook}",
            get(hooks::show).put(hooks::change).delete(hooks::delete),
        )
        .route("/repository/archive.tar.gz", get(repositories::archive))
        .route("/repository/archive", get(repositories::archive))
        .route("/repository/commits/{sha}", get(repositories::commit))
        .route(
            "/repository/commits/{sha}/statuses",
            get(statuses::of_commit),
        )
        .route("/repository/branches", get(repositories::branches))
        .route("/repository/tags", get(repositories::tags))
        .route("/repository/files/{path}", get(repositories::file))
        .route("/repository/files/{path}/raw", get(repositories::raw));
    Router::new()
        .route("/user", get(users::current))
        .route("/version", get(users::version))
        .route("/personal_access_tokens/self", get(users::token))
        .route("/projects", get(projects::list))
        .nest("/projects/{project}", project)
        .route("/groups/{group}", get(groups::show))
        .route("/groups/{group}/projects", get(groups::projects))
        .route(
            "/hooks",
            get(hooks::of_instance).post(hooks::add_to_instance),
        )
}

/// A request: who asks, what is given in the query and the body.
pub struct Asking {
    /// The fake.
    pub shared: Arc<Shared>,
    /// Who asks.
    pub access: Access,
    /// What is given.
    pub given: Arguments,
    /// Where to, for links.
    pub uri: Uri,
}

impl FromRequest<Arc<Shared>> for Asking {
    type Rejection = Refused;

    async fn from_request(request: Request, shared: &Arc<Shared>) -> Result<Self, Refused> {
        let (parts, body) = request.into_parts();
        let access = match shown_token(&parts.headers, parts.uri.query()) {
            None => Access::Anonymous,
            Some(secret) => match shared.state().tokens.get(&secret) {
                Some(token) => Access::Token(token.clone()),
                None => return Err(Refused::unauthorized()),
            },
        };
        let reading = parts.method == axum::http::Method::GET;
        if !access.may_read() || (!reading && access.username().is_some() && !access.may_write()) {
            return Err(Refused::scope());
        }
        if !reading && access.username().is_none() {
            return Err(Refused::unauthorized());
        }
        let body = axum::body::to_bytes(body, 8 << 20)
            .await
            .map_err(|error| Refused::bad(error.to_string()))?;
        Ok(Self {
            shared: Arc::clone(shared),
            access,
            given: Arguments::read(&parts.headers, parts.uri.query(), &body)?,
            uri: match parts.extensions.get::<Asked>() {
                Some(Asked(uri)) => uri.clone(),
                None => parts.uri,
            },
        })
    }
}

impl Asking {
    /// The project with an id or a path, if the asker may do what the role may.
    ///
    /// # Errors
    ///
    /// When there is none, or it may not be seen, or the asker may not do that. An old path leads to
    /// where the project is now.
    pub fn project(&self, word: &str, least: Role) -> Result<Project, Refused> {
        let state = self.shared.state();
        let found = match word.parse::<u64>() {
            Ok(id) => state.projects.get(&id),
            Err(_) => state.project_by_path(word),
        };
        if found.is_none()
            && let Some(id) = state.moved.get(&word.to_lowercase())
        {
            return Err(Refused::moved(&self.shared.url(), *id));
        }
        let found = found
            .filter(|found| State::sees(&self.access, found))
            .ok_or_else(|| Refused::not_found("Project"))?;
        if self.access.role() < least {
            return Err(Refused::forbidden());
        }
        Ok(found.clone())
    }
}
