//! A namespace's share of the workers, raised by a person for a time.

use axum::extract::State;
use buildbtw_api::namespaces::Namespace;
use buildbtw_api::priority::{PriorityRequest, WEIGHT_MAX};
use buildbtw_api::{NamespaceName, NamespaceStatus, Problem, ProblemType};

use super::extract::{self, Json, Path};
use super::namespaces::shown;
use crate::Server;
use crate::db::{namespaces, now, shares};
use crate::problems::{Hint, HttpProblem, HttpResult};

/// For how long a weight holds unless it is said, in seconds.
const DAY: u64 = 24 * 60 * 60;

/// The longest time for which a weight holds, in seconds: what is always first should be looked at
/// again now and then.
const LONGEST: u64 = 30 * DAY;

/// Sets a namespace's share of the workers for a time.
#[utoipa::path(put, path = "/api/v1/namespaces/{name}/priority", tag = "namespaces", params(("name" = String, Path)),
    request_body = PriorityRequest, responses((status = 200, body = Namespace), (status = "4XX", body = Problem)))]
pub async fn set(
    State(server): State<Server>,
    Path(name): Path<NamespaceName>,
    Json(request): Json<PriorityRequest>,
) -> HttpResult<Json<Namespace>> {
    let bad = |detail: String| HttpProblem::new(ProblemType::BadRequest, detail);
    if !(1..=WEIGHT_MAX).contains(&request.weight) {
        let detail = format!("a weight of {} is not possible", request.weight);
        return Err(bad(detail).hint(format!(
            "1 is that of every namespace, {WEIGHT_MAX} the largest"
        )));
    }
    let raised = request.weight > 1;
    let reason = extract::reason(request.reason.as_deref(), raised)?;
    let seconds = request.seconds.unwrap_or(DAY);
    if !(1..=LONGEST).contains(&seconds) {
        let detail = format!("a weight does not hold for {seconds} seconds");
        return Err(bad(detail).hint("up to 30 days are possible; it can be set again"));
    }
    let mut tx = server.db.write().await?;
    let namespace = namespaces::by_name(&mut tx, &name)
        .await?
        .ok_or_else(|| extract::unknown_namespace(&name))?;
    if namespace.status == NamespaceStatus::Archived {
        let detail = format!("namespace {name} is archived");
        return Err(HttpProblem::new(ProblemType::Conflict, detail).hint(
            Hint::from("nothing of it is built any more; make a new one with `bbtw new`")
                .on_page("nothing of it is built any more; make a new one from a plan"),
        ));
    }
    // At most 30 days, which are far from the end of the numbers.
    let micros = i64::try_from(seconds)
        .unwrap_or(i64::MAX)
        .saturating_mul(1_000_000);
    let until = raised.then(|| now().saturating_add(micros));
    let reason = reason.filter(|_| raised);
    shares::set_weight(&mut tx, namespace.key, request.weight, reason, until).await?;
    let stored = namespaces::by_key(&mut tx, namespace.key).await?;
    let answer = shown(&server, &mut tx, &stored).await?;
    tx.commit().await?;
    server.feed.wake();
    Ok(Json(answer))
}
