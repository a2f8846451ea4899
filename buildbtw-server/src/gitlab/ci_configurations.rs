//! Where projects have their CI configuration, through GraphQL.

use super::GitLab;
use super::error::GitLabError;
use super::projects::{LARGEST_PAGE, ProjectId};
use super::queries::{CiConfigurations, ci_configurations};

/// Where a project has its CI configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CiConfiguration {
    /// The project.
    pub project: ProjectId,
    /// Its name.
    pub name: String,
    /// The path, GitLab's usual one where no other is set.
    pub path: String,
}

/// A page of them.
#[derive(Debug, Clone)]
pub struct CiPage {
    /// Those of projects that can be changed.
    pub configurations: Vec<CiConfiguration>,
    /// How many projects could not be read.
    pub unreadable: usize,
    /// Where the next page begins; none after the last one.
    pub next: Option<String>,
}

impl GitLab {
    /// A page of the group's projects with the places of their CI configurations.
    ///
    /// # Errors
    ///
    /// When GitLab is away or refuses, or does not see the group.
    pub async fn ci_configurations(
        &self,
        group: &str,
        after: Option<String>,
    ) -> Result<CiPage, GitLabError> {
        const WHAT: &str = "list the projects' CI configurations";
        let variables = ci_configurations::Variables {
            group: group.to_owned(),
            first: i64::try_from(LARGEST_PAGE).unwrap_or(1),
            after,
        };
        let answered = self.query::<CiConfigurations>(WHAT, variables).await?;
        let Some(group) = answered.data.group else {
            return Err(GitLabError::NotFound { what: WHAT });
        };
        let info = group.projects.page_info;
        let next = info.end_cursor.filter(|_| info.has_next_page);
        if info.has_next_page && next.is_none() {
            let reason = "there is a next page, and no word of where".to_owned();
            return Err(GitLabError::Garbled { what: WHAT, reason });
        }
        let mut page = CiPage {
            configurations: Vec::new(),
            unreadable: 0,
            next,
        };
        for node in group.projects.nodes.unwrap_or_default() {
            let read = node.and_then(|node| Some((ProjectId::read(&node.id)?, node)));
            match read {
                // Nobody may change these, and nothing is built there.
                Some((_, node))
                    if node.archived == Some(true) || node.marked_for_deletion == Some(true) => {}
                Some((project, node)) => page.configurations.push(CiConfiguration {
                    project,
                    name: node.name,
                    path: node.ci_config_path_or_default,
                }),
                None => page.unreadable += 1,
            }
        }
        Ok(page)
    }
}
