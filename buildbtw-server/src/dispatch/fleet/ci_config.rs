//! The projects of the group use the CI configuration that the settings name: all of them when somebody
//! says so, and one alone when GitLab refuses to make a pipeline there.

use super::{Fleet, FleetSettings};
use crate::config::Config;
use crate::gitlab::{GitLab, GitLabError, ProjectId};

/// Why nothing is looked at.
#[derive(Debug, thiserror::Error)]
pub enum CiConfigError {
    /// A setting is missing.
    #[error("{0} is not set; it says {1}")]
    Missing(&'static str, &'static str),
    /// GitLab is away, or does not let us.
    #[error(transparent)]
    GitLab(#[from] GitLabError),
}

/// A project that has its configuration elsewhere.
#[derive(Debug)]
pub struct Place<'a> {
    /// Its name.
    pub name: &'a str,
    /// Where it has it.
    pub from: &'a str,
    /// Why it was not changed.
    pub refused: Option<GitLabError>,
}

/// What was seen and done.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Done {
    /// Where the configuration is to be.
    pub wanted: String,
    /// How many projects there are.
    pub seen: usize,
    /// How many were changed, or would be.
    pub changed: usize,
    /// How many GitLab did not let us change.
    pub refused: usize,
    /// How many could not be read.
    pub unreadable: usize,
}

/// Looks at all projects of the group, and changes those that differ if that is wanted; each of them is
/// told.
///
/// # Errors
///
/// When a setting is missing, or GitLab does not answer; what was changed until then stays so.
pub async fn all(
    config: &Config,
    gitlab: &GitLab,
    apply: bool,
    mut tell: impl FnMut(Place<'_>),
) -> Result<Done, CiConfigError> {
    let wanted = FleetSettings::new(config)
        .ci_config
        .ok_or(CiConfigError::Missing(
            "GITLAB_PACKAGES_CI_CONFIG",
            "where the CI configuration is, as FILE@PROJECT",
        ))?;
    let group = config.gitlab_packages_group.as_deref();
    let group = group.map(|group| group.trim_matches('/'));
    let group = group
        .filter(|group| !group.is_empty())
        .ok_or(CiConfigError::Missing(
            "GITLAB_PACKAGES_GROUP",
            "which projects are meant",
        ))?;
    let mut done = Done {
        wanted: wanted.clone(),
        ..Done::default()
    };
    let mut after = None;
    loop {
        let page = gitlab.ci_configurations(group, after).await?;
        done.seen += page.configurations.len();
        done.unreadable += page.unreadable;
        for found in page.configurations {
            if found.path == wanted {
                continue;
            }
            let mut refused = None;
            if apply {
                match gitlab.set_ci_config_path(found.project, &wanted).await {
                    Ok(()) => {}
                    Err(error) if error.is_away() => return Err(error.into()),
                    Err(error) => refused = Some(error),
                }
            }
            match refused {
                Some(_) => done.refused += 1,
                None => done.changed += 1,
            }
            tell(Place {
                name: &found.name,
                from: &found.path,
                refused,
            });
        }
        match page.next {
            Some(next) => after = Some(next),
            None => return Ok(done),
        }
    }
}

/// Makes a project use the configuration that the settings name; true where it used another one.
///
/// # Errors
///
/// When GitLab is away or refuses.
pub async fn mend(fleet: &Fleet, project: ProjectId) -> Result<bool, GitLabError> {
    let Some(wanted) = &fleet.settings.ci_config else {
        return Ok(false);
    };
    let now = fleet.gitlab.ci_config_path(project).await?;
    if now.as_ref() == Some(wanted) {
        return Ok(false);
    }
    fleet.gitlab.set_ci_config_path(project, wanted).await?;
    let from = now.as_deref().unwrap_or("the usual place");
    tracing::info!(%project, from, to = wanted, "a project's CI configuration is another one now");
    Ok(true)
}
