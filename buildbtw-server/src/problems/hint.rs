//! What to do about problems, for who types commands and for who clicks.

/// What to do about a problem.
#[derive(Debug, Clone)]
pub struct Hint {
    /// For who types commands.
    pub(super) typed: String,
    /// For who clicks, on a page that always leads to what is near.
    pub(super) clicked: Option<String>,
}

impl<T: Into<String>> From<T> for Hint {
    fn from(text: T) -> Self {
        let text = text.into();
        Self {
            clicked: Some(text.clone()),
            typed: text,
        }
    }
}

impl Hint {
    /// The same, but something else for who clicks.
    pub fn on_page(self, text: impl Into<String>) -> Self {
        Self {
            clicked: Some(text.into()),
            ..self
        }
    }

    /// The same for who types; who clicks sees it without being told.
    pub fn not_on_page(self) -> Self {
        Self {
            clicked: None,
            ..self
        }
    }
}

/// Where all namespaces are listed.
pub fn there_are_namespaces() -> Hint {
    Hint::from("`bbtw list` shows those that there are")
        .on_page("The search above finds namespaces by a part of their name.")
}

/// A cancelled namespace can be gone on with.
pub fn resume(namespace: &str) -> Hint {
    Hint::from(format!("`bbtw resume {namespace}` goes on with it"))
        .on_page("“Resume” on its page goes on with it.")
}

/// An archived namespace cannot.
pub fn make_a_new_one() -> Hint {
    Hint::from("make a new one with `bbtw new`").on_page("make a new one from a plan")
}

#[cfg(test)]
mod tests {
    use buildbtw_api::ProblemType;

    use super::*;
    use crate::problems::HttpProblem;

    #[test]
    fn who_clicks_is_told_what_can_be_clicked() {
        let told = |hint: Hint| {
            let problem = HttpProblem::new(ProblemType::Conflict, "it cannot be done").hint(hint);
            (problem.problem.hint.unwrap(), problem.hint_on_page)
        };
        let same = told("try again in a moment".into());
        assert_eq!(same.1.as_ref(), Some(&same.0));
        let (typed, clicked) = told(resume("n"));
        assert!(typed.contains("`bbtw resume n`"), "{typed}");
        assert!(clicked.is_some_and(|text| !text.contains("bbtw")));
        let lists = told(Hint::from("`bbtw show n` lists its builds").not_on_page());
        assert_eq!(lists.1, None);
    }
}
