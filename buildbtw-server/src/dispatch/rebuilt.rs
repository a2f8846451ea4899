//! Why a build was built although that package base had been built before.

use buildbtw_api::BuildStatus;
use buildbtw_api::ingredients::{ChangedIngredient, Rebuilt};
use sqlx::SqliteConnection;

use super::ingredients::Ingredients;
use crate::db::keys::BuildKey;
use crate::db::{DbResult, base_snapshots, builds, inputs, json, timestamp, word};

/// What a build differs in from the last successful run before it of the same package base,
/// architecture and pass; `None` where it was not handed out, or there is no such run.
pub async fn rebuilt(db: &mut SqliteConnection, build: BuildKey) -> DbResult<Option<Rebuilt>> {
    if builds::state(&mut *db, build).await?.status()? == BuildStatus::Reused {
        return Ok(None);
    }
    let own = inputs::of_handed_out(&mut *db, build).await?;
    let earlier = inputs::succeeded_before(&mut *db, build).await?;
    let (Some(own), Some(earlier)) = (own, earlier) else {
        return Ok(None);
    };
    // What was written down by another version may not be readable, and is then not compared.
    let read = |text: &str| json::<Ingredients>("ingredients", text).ok();
    let (Some(now), Some(then)) = (read(&own.ingredients), read(&earlier.input.ingredients)) else {
        return Ok(None);
    };
    let mut because = now.changed_since(&then);
    for changed in &mut because {
        if let ChangedIngredient::Bases { names, from, to } = changed {
            *names = base_names(&mut *db, from.iter().chain(to.iter())).await?;
        }
    }
    if because.is_empty() {
        because.push(match own.key {
            None => ChangedIngredient::ReuseOff,
            Some(_) => ChangedIngredient::NotServing,
        });
    }
    Ok(Some(Rebuilt {
        run: word("run's id", &earlier.run)?,
        namespace: word("namespace", &earlier.namespace)?,
        iteration: earlier.iteration,
        ended_at: timestamp(earlier.ended_at)?,
        because,
    }))
}

async fn base_names(
    db: &mut SqliteConnection,
    digests: impl Iterator<Item = &String>,
) -> DbResult<Vec<String>> {
    let mut names = Vec::new();
    for digest in digests {
        let found = base_snapshots::by_digest(&mut *db, digest).await?;
        if let Some(newest) = found.into_iter().next()
            && !names.contains(&newest.name)
        {
            names.push(newest.name);
        }
    }
    Ok(names)
}
