//! Looks whether the GitLab of the settings can be followed and built on, and says how to mend what is not: for
//! `buildbtw-server doctor`.

use jiff::civil::Date;

use super::FleetSettings;
use crate::config::Config;
use crate::gitlab::{Cost, GitLab, GitLabError, Order, Project, TokenFacts};

/// What our queries are to cost at most: below GitLab's limit for any token, so that it may grow dearer.
const DEAREST: i64 = 200;

/// A token that ends within so many days is told of.
const SOON: i64 = 30;

/// As many projects as are asked for at once by their ids.
const BY_ID: usize = 50;

/// What a look found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Finding {
    /// It is as it should be.
    Well(String),
    /// It works, but a person should know: what, and what may be done.
    Odd(String, String),
    /// It does not work: what, and how to mend it.
    Ill(String, String),
}

use Finding::{Ill, Odd, Well};

/// Looks at everything. Nothing is changed, here or there.
pub async fn examine(config: &Config, gitlab: &GitLab, today: Date) -> Vec<Finding> {
    let group = config.gitlab_packages_group.as_deref().unwrap_or_default();
    let group = group.trim_matches('/');
    let settings = FleetSettings::new(config);
    let builds = settings.everything || !settings.for_labels.is_empty();
    let who = match gitlab.who_am_i(group).await {
        Ok(who) => who,
        Err(error) => return vec![told(&error)],
    };
    let mut found = vec![Well(format!(
        "{} is GitLab {}, and knows the token as {}'s",
        gitlab.url(),
        who.version.as_deref().unwrap_or("of an unknown version"),
        who.username.as_deref().unwrap_or("nobody in particular")
    ))];
    found.push(match gitlab.token_facts().await {
        Ok(facts) => token(&facts, builds, today),
        Err(error) if error.is_away() => told(&error),
        Err(_) => Odd(
            "GitLab does not say what the token may do".to_owned(),
            "it says so of personal, project and group tokens; of another kind only a try tells"
                .to_owned(),
        ),
    });
    match who.projects {
        None => {
            found.push(Ill(
                format!("there is no group {group}, or the token may not see it"),
                "correct GITLAB_PACKAGES_GROUP, or give the token's user a role in the group"
                    .to_owned(),
            ));
            return found;
        }
        Some(0) => found.push(Odd(
            format!("the group {group} has no project"),
            "look whether GITLAB_PACKAGES_GROUP names the group of the packages".to_owned(),
        )),
        Some(count) => found.push(Well(format!("the group {group} has {count} projects"))),
    }
    found.push(cost("who asks", who.cost));
    found.extend(queries(config, gitlab, group).await);
    found.push(hooks(config));
    if builds {
        found.push(configurations(&settings, gitlab, group).await);
    }
    found
}

/// An error, with what is to be done about it.
fn told(error: &GitLabError) -> Finding {
    let hint = match error {
        GitLabError::Unauthorized { .. } => {
            "make a new token on GitLab, and put it into GITLAB_TOKEN"
        }
        GitLabError::Forbidden { .. } => "give the token the scope that it lacks",
        error if error.is_away() => {
            "look at GITLAB_DOMAIN, at the network, and at GitLab itself; buildbtw tries again by itself"
        }
        _ => "what GitLab says may tell more",
    };
    Ill(error.to_string(), hint.to_owned())
}

fn token(facts: &TokenFacts, builds: bool, today: Date) -> Finding {
    let has = |scope: &str| facts.scopes.iter().any(|other| other == scope);
    let scopes = facts.scopes.join(", ");
    let enough = has("api") || (has("read_api") && !builds);
    if !enough {
        let (wanted, what) = match builds {
            true => ("api", "make pipelines"),
            false => ("read_api", "read projects"),
        };
        return Ill(
            format!("the token may not {what}: its scopes are {scopes}"),
            format!("make a token with the scope `{wanted}`, and put it into GITLAB_TOKEN"),
        );
    }
    let Some(end) = facts.expires_at else {
        return Well(format!("the token may {scopes}, and does not end"));
    };
    let days = today
        .until(end)
        .map_or(i64::MAX, |span| i64::from(span.get_days()));
    match days <= SOON {
        true => Odd(
            format!("the token ends on {end}, in {days} days"),
            "make a new one before that day, and put it into GITLAB_TOKEN".to_owned(),
        ),
        false => Well(format!("the token may {scopes}, and ends on {end}")),
    }
}

/// Whether a query stays far enough below what GitLab allows, by its own count.
fn cost(what: &str, cost: Option<Cost>) -> Finding {
    match cost {
        None => Odd(
            format!("GitLab does not say what it costs to ask for {what}"),
            "a newer one does".to_owned(),
        ),
        Some(Cost { score, limit }) if score > DEAREST.min(limit) => Odd(
            format!("asking for {what} costs {score} of the {limit} that GitLab allows"),
            "tell the people of buildbtw: a later GitLab may count more, and refuse it".to_owned(),
        ),
        Some(Cost { score, limit }) => Well(format!(
            "asking for {what} costs {score} of the {limit} that GitLab allows"
        )),
    }
}

/// Asks each query once, as it is asked in earnest, and says what GitLab counts for it.
async fn queries(config: &Config, gitlab: &GitLab, group: &str) -> Vec<Finding> {
    let branch = config.default_branch.as_deref();
    let page = gitlab.projects(group, None, BY_ID, Order::Activity, branch, true);
    let page = match page.await {
        Ok(page) => page,
        Err(error) => return vec![told(&error)],
    };
    let mut found = vec![cost("a page of projects with their texts", page.cost)];
    if page.unreadable > 0 {
        found.push(Odd(
            format!("{} of {BY_ID} projects cannot be read", page.unreadable),
            "the token's user needs a role in the group, or in these projects".to_owned(),
        ));
    }
    let ids: Vec<_> = page.projects.iter().map(|project| project.id).collect();
    found.push(match gitlab.projects_by_id(&ids, branch).await {
        Ok(page) => cost("projects by their ids", page.cost),
        Err(error) => told(&error),
    });
    let Some((project, head)) = page.projects.iter().find_map(with_commit) else {
        return found;
    };
    let path = gitlab.project_by_path(&project.full_path, branch).await;
    found.extend(path.err().map(|error| told(&error)));
    found.push(match gitlab.resolve(project.id, &head).await {
        Ok(reference) => cost("a branch, tag or commit", reference.cost),
        Err(error) => told(&error),
    });
    found.push(match gitlab.commit_files(project.id, &head).await {
        Ok(files) => cost("a commit", files.and_then(|files| files.cost)),
        Err(error) => told(&error),
    });
    found
}

fn with_commit(project: &Project) -> Option<(&Project, String)> {
    Some((project, project.head.as_ref()?.commit.clone()))
}

fn hooks(config: &Config) -> Finding {
    match config.gitlab_hook_secret {
        Some(_) => Well(
            "hooks are believed that know GITLAB_HOOK_SECRET, at /api/v1/gitlab/hooks".to_owned(),
        ),
        None => Odd(
            "no hook is believed, so a push shows within two minutes and not at once".to_owned(),
            "set GITLAB_HOOK_SECRET, and the same in a system hook or the projects' hooks"
                .to_owned(),
        ),
    }
}

/// Whether the projects use the CI configuration that builds.
async fn configurations(settings: &FleetSettings, gitlab: &GitLab, group: &str) -> Finding {
    let page = match gitlab.ci_configurations(group, None).await {
        Ok(page) => page,
        Err(error) => return told(&error),
    };
    let Some(wanted) = &settings.ci_config else {
        return Odd(
            "GITLAB_PACKAGES_CI_CONFIG is not set, so the projects' own CI configuration is used"
                .to_owned(),
            "it must take the inputs of notes/gitlab-ci.yml; set it to have that looked after"
                .to_owned(),
        );
    };
    let seen = page.configurations.len();
    let others = page
        .configurations
        .iter()
        .filter(|found| found.path != *wanted);
    match others.count() {
        0 => Well(format!("the {seen} projects looked at use {wanted}")),
        others => Odd(
            format!("{others} of {seen} projects looked at do not use {wanted}"),
            "`buildbtw-server ci-config` shows all of them, and `--apply` changes them; one that is built is changed \
             then in any case"
                .to_owned(),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_needs_a_scope_and_time() {
        let today: Date = "2026-03-01".parse().unwrap();
        let facts = |scopes: &[&str], end: Option<&str>| TokenFacts {
            scopes: scopes.iter().map(|&scope| scope.to_owned()).collect(),
            expires_at: end.map(|end| end.parse().unwrap()),
        };
        let far = Some("2026-12-31");
        assert!(matches!(token(&facts(&["api"], far), true, today), Well(_)));
        assert!(matches!(
            token(&facts(&["api"], None), false, today),
            Well(_)
        ));
        assert!(matches!(
            token(&facts(&["read_api"], far), false, today),
            Well(_)
        ));
        assert!(matches!(
            token(&facts(&["read_api"], far), true, today),
            Ill(..)
        ));
        assert!(matches!(
            token(&facts(&["read_user"], far), false, today),
            Ill(..)
        ));
        let Odd(what, _) = token(&facts(&["api"], Some("2026-03-08")), true, today) else {
            panic!("it ends soon");
        };
        assert!(what.contains("in 7 days"), "{what}");
    }

    #[test]
    fn a_query_that_grows_dear_is_told_of() {
        let of = |score, limit| cost("x", Some(Cost { score, limit }));
        assert!(matches!(of(200, 250), Well(_)));
        assert!(matches!(of(201, 250), Odd(..)));
        assert!(matches!(of(150, 100), Odd(..)));
        assert!(matches!(cost("x", None), Odd(..)));
    }
}
