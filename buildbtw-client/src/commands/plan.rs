//! `bbtw plan`

use buildbtw_api::namespaces::PlanRequest;
use buildbtw_graph::Plan;

use crate::cli;
use crate::dot;
use crate::failure::{Failure, Outcome};
use crate::output::Session;
use crate::planning;
use crate::tree::Tree;

/// Shows a plan without starting anything.
pub async fn run(session: &Session, arguments: &cli::Plan) -> Outcome {
    let request = planning::request(&arguments.planning)?;
    let plan = make(session, &arguments.tree, &request).await?;
    if session.json {
        return session.print_json(&plan);
    }
    if arguments.dot {
        return session.print(|out| dot::write(out, &plan));
    }
    session.print(|out| planning::write(out, &plan, arguments.full, session.width))
}

async fn make(session: &Session, tree: &cli::Tree, request: &PlanRequest) -> Result<Plan, Failure> {
    match Tree::read(tree, request)? {
        Some(tree) => tree.plan(),
        None => Ok(session.client.plan(request).await?),
    }
}
