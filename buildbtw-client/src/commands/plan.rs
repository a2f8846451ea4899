//! `bbtw plan`

use crate::cli;
use crate::failure::Outcome;
use crate::output::Session;
use crate::planning;

/// Shows a plan without starting anything.
pub async fn run(session: &Session, arguments: &cli::Plan) -> Outcome {
    let request = planning::request(&arguments.planning)?;
    let plan = session.client.plan(&request).await?;
    if session.json {
        return session.print_json(&plan);
    }
    session.print(|out| planning::write(out, &plan, arguments.full, session.width))
}
