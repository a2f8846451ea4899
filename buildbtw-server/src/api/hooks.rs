//! What GitLab tells by itself.

use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use buildbtw_api::{Problem, ProblemType};

use crate::Server;
use crate::dispatch::fleet;
use crate::gitlab::hooks::{Credentials, News};
use crate::problems::{HttpProblem, HttpResult};

/// Takes a hook of GitLab's: of a project, a group or the whole instance. What it names is asked for
/// afterwards; hooks of other kinds are taken and left.
#[utoipa::path(post, path = "/api/v1/gitlab/hooks", tag = "sources", request_body = serde_json::Value,
    responses((status = 200, description = "It was taken."), (status = "4XX", body = Problem)))]
pub async fn take(
    State(server): State<Server>,
    headers: HeaderMap,
    body: Bytes,
) -> HttpResult<StatusCode> {
    let Some(gitlab) = server.sources.gitlab() else {
        let detail = "the sources are not on GitLab, so nothing is told here";
        return Err(HttpProblem::new(ProblemType::NotFound, detail)
            .hint("GITLAB_PACKAGES_GROUP names the group whose projects are followed"));
    };
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let shown = Credentials {
        token: header("x-gitlab-token"),
        id: header("webhook-id"),
        timestamp: header("webhook-timestamp"),
        signature: header("webhook-signature"),
    };
    if let Some(news) = gitlab.hook(&shown, &body) {
        if let News::Pipeline { project, pipeline } = news {
            fleet::heard_of(&server, project.0, pipeline).await?;
        }
        return Ok(StatusCode::OK);
    }
    let detail = "this does not show to be GitLab's: token or signature is missing, wrong or old";
    Err(HttpProblem::new(ProblemType::Unauthorized, detail)
        .hint("GITLAB_HOOK_SECRET must be the hook's secret token or signing token"))
}
