//! What goes to GitLab, and what the runners there can do.

use buildbtw_api::BuildPlace;
use buildbtw_api::amounts::size;
use buildbtw_api::workers::WorkerOffer;
use buildbtw_graph::Architecture;
use clap::Args;

use crate::config::Config;
use crate::db::workers::StoredWorker;
use crate::scheduler::Requirements;

/// The settings of pipelines on GitLab.
#[derive(Debug, Clone, Args)]
pub struct FleetConfig {
    /// Builds run as pipelines on GitLab, not on workers that ask for them. Namespaces may say
    /// otherwise (`bbtw new --on`).
    #[arg(long, env = "RUN_BUILDS_ON_GITLAB", action = clap::ArgAction::Set, default_value = "false")]
    pub run_builds_on_gitlab: bool,

    /// Builds whose hints ask for one of these labels run as pipelines on GitLab in any case.
    #[arg(long, env = "GITLAB_FOR_LABELS", value_delimiter = ',')]
    pub gitlab_for_labels: Vec<String>,

    /// How many pipelines may be open on GitLab at once.
    #[arg(long, env = "GITLAB_OPEN_PIPELINES", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub gitlab_open_pipelines: u32,

    /// The tags that the jobs ask of runners, `$arch` standing for the architecture; those of the CI
    /// configuration unless given.
    #[arg(long, env = "GITLAB_RUNNER_TAGS", value_delimiter = ',')]
    pub gitlab_runner_tags: Vec<String>,

    /// Labels that some runner has. A build that asks for one asks the runner for a tag of that name.
    #[arg(long, env = "GITLAB_RUNNER_LABELS", value_delimiter = ',')]
    pub gitlab_runner_labels: Vec<String>,

    /// The architectures that the runners build for; all of ARCHITECTURES unless given.
    #[arg(long, env = "GITLAB_RUNNER_ARCHITECTURES", value_delimiter = ',')]
    pub gitlab_runner_architectures: Vec<Architecture>,

    /// The memory of the runners' hosts, such as 64G: for builds whose hints ask for memory.
    #[arg(long, env = "GITLAB_RUNNER_MEMORY", value_parser = size)]
    pub gitlab_runner_memory: Option<u64>,

    /// The builder that the executor on the runners' hosts uses.
    #[arg(long, env = "GITLAB_RUNNER_BUILDER", default_value = "sandbox")]
    pub gitlab_runner_builder: String,

    /// The CI configuration that builds packages, as FILE@PROJECT: the projects of the group are made
    /// to use it.
    #[arg(long, env = "GITLAB_PACKAGES_CI_CONFIG")]
    pub gitlab_packages_ci_config: Option<String>,

    /// Commits of origin changesets get a status on GitLab that links to the build; as
    /// RUN_BUILDS_ON_GITLAB unless given.
    #[arg(long, env = "GITLAB_COMMIT_STATUSES", action = clap::ArgAction::Set)]
    pub gitlab_commit_statuses: Option<bool>,
}

impl Default for FleetConfig {
    fn default() -> Self {
        Self {
            run_builds_on_gitlab: false,
            gitlab_for_labels: Vec::new(),
            gitlab_open_pipelines: 50,
            gitlab_runner_tags: Vec::new(),
            gitlab_runner_labels: Vec::new(),
            gitlab_runner_architectures: Vec::new(),
            gitlab_runner_memory: None,
            gitlab_runner_builder: "sandbox".to_owned(),
            gitlab_packages_ci_config: None,
            gitlab_commit_statuses: None,
        }
    }
}

/// The tag that the CI configuration of ours asks for unless it is told others.
const USUAL_TAG: &str = "buildbtw";

/// What goes to GitLab, and what is offered there.
#[derive(Debug, Clone)]
pub struct FleetSettings {
    /// Whether everything goes there of which nothing else is said.
    pub everything: bool,
    /// What goes there because of a label.
    pub for_labels: Vec<String>,
    /// How many pipelines may be open.
    pub open_pipelines: u32,
    /// The tags that jobs ask for, with `$arch` in them.
    pub tags: Vec<String>,
    /// The labels that are offered.
    pub labels: Vec<String>,
    /// The architectures that are offered.
    pub architectures: Vec<Architecture>,
    /// The memory that is offered.
    pub memory: Option<u64>,
    /// The builder that is used.
    pub builder: String,
    /// Where the CI configuration is to be.
    pub ci_config: Option<String>,
    /// Whether commits get statuses.
    pub commit_statuses: bool,
}

/// Without what an empty setting leaves behind.
fn words(list: &[String]) -> Vec<String> {
    let words = list.iter().map(|word| word.trim().to_owned());
    words.filter(|word| !word.is_empty()).collect()
}

impl FleetSettings {
    /// What the server's settings say.
    pub fn new(config: &Config) -> Self {
        let fleet = &config.fleet;
        let for_labels = words(&fleet.gitlab_for_labels);
        let mut labels = words(&fleet.gitlab_runner_labels);
        for label in &for_labels {
            if !labels.contains(label) {
                labels.push(label.clone());
            }
        }
        let architectures = match fleet.gitlab_runner_architectures.is_empty() {
            true => config.architectures.clone(),
            false => fleet.gitlab_runner_architectures.clone(),
        };
        let ci_config = fleet.gitlab_packages_ci_config.as_deref().map(str::trim);
        Self {
            everything: fleet.run_builds_on_gitlab,
            for_labels,
            open_pipelines: fleet.gitlab_open_pipelines,
            tags: words(&fleet.gitlab_runner_tags),
            labels,
            architectures,
            memory: fleet.gitlab_runner_memory,
            builder: fleet.gitlab_runner_builder.clone(),
            ci_config: ci_config.filter(|path| !path.is_empty()).map(str::to_owned),
            commit_statuses: fleet
                .gitlab_commit_statuses
                .unwrap_or(fleet.run_builds_on_gitlab),
        }
    }

    /// Who carries out a build of whose place its namespace says nothing.
    pub fn place(&self, asks: &Requirements) -> BuildPlace {
        let labelled = asks
            .labels
            .iter()
            .any(|label| self.for_labels.contains(label));
        match self.everything || labelled {
            true => BuildPlace::GitLab,
            false => BuildPlace::Workers,
        }
    }

    /// The tags that the job of a build asks for; none leaves them to the CI configuration.
    pub fn tags(&self, architecture: &Architecture, asks: &Requirements) -> Vec<String> {
        let own = self.tags.iter();
        let own = own.map(|tag| tag.replace("$arch", architecture.as_str()));
        let mut tags: Vec<String> = own.collect();
        if tags.is_empty() && !asks.labels.is_empty() {
            // What is asked for takes the place of what the configuration says.
            tags.push(USUAL_TAG.to_owned());
        }
        tags.extend(asks.labels.iter().cloned());
        tags
    }

    /// What the runners offer. That their builders are set up alike is taken from the one that claimed
    /// a run last; a claim under another configuration is noticed ([`super::claim`]).
    pub fn offer(&self, newest: Option<&StoredWorker>) -> WorkerOffer {
        let alike = newest.filter(|runner| runner.offer.builder == self.builder);
        WorkerOffer {
            architectures: self.architectures.clone(),
            slots: self.open_pipelines,
            memory: self.memory,
            labels: self.labels.clone(),
            builder: self.builder.clone(),
            configuration: alike
                .map_or_else(String::new, |runner| runner.offer.configuration.clone()),
            root_modes: Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(change: impl FnOnce(&mut FleetConfig)) -> FleetSettings {
        let mut config = Config::for_folders("data", "sources");
        change(&mut config.fleet);
        FleetSettings::new(&config)
    }

    fn asks(labels: &[&str]) -> Requirements {
        Requirements {
            labels: labels.iter().map(|&label| label.to_owned()).collect(),
            ..Requirements::default()
        }
    }

    #[test]
    fn builds_go_to_gitlab_all_or_by_label() {
        let none = settings(|_| ());
        assert_eq!(none.place(&asks(&["big"])), BuildPlace::Workers);
        let some = settings(|fleet| fleet.gitlab_for_labels = vec!["big".to_owned()]);
        assert_eq!(some.place(&asks(&["big", "kvm"])), BuildPlace::GitLab);
        assert_eq!(some.place(&asks(&["kvm"])), BuildPlace::Workers);
        assert_eq!(some.labels, ["big"]);
        let all = settings(|fleet| fleet.run_builds_on_gitlab = true);
        assert_eq!(all.place(&asks(&[])), BuildPlace::GitLab);
        assert!(all.commit_statuses && !none.commit_statuses);
    }

    #[test]
    fn jobs_ask_for_tags_by_architecture_and_label() {
        let x86_64 = "x86_64".parse().unwrap();
        let plain = settings(|_| ());
        assert!(plain.tags(&x86_64, &asks(&[])).is_empty());
        assert_eq!(plain.tags(&x86_64, &asks(&["kvm"])), ["buildbtw", "kvm"]);
        let tags = ["buildbtw", " $arch", ""].map(str::to_owned).to_vec();
        let tagged = settings(|fleet| fleet.gitlab_runner_tags = tags);
        assert_eq!(
            tagged.tags(&x86_64, &asks(&["kvm"])),
            ["buildbtw", "x86_64", "kvm"]
        );
    }
}
