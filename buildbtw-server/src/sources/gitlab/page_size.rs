//! How many projects are asked for at once: as many as GitLab manages in its time.

use crate::gitlab::GitLabError;

/// The most, which is GitLab's limit.
const MOST: usize = 100;

/// The fewest.
const FEWEST: usize = 1;

/// So many good pages in a row, and more are tried.
const GOOD_PAGES: u32 = 8;

/// A size that goes by what worked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PageSize {
    size: usize,
    good: u32,
}

impl Default for PageSize {
    fn default() -> Self {
        Self {
            size: MOST,
            good: 0,
        }
    }
}

impl PageSize {
    /// How many to ask for.
    pub fn get(self) -> usize {
        self.size
    }

    /// A page came.
    pub fn worked(&mut self) {
        self.good += 1;
        if self.good >= GOOD_PAGES {
            self.good = 0;
            self.size = (self.size + self.size / 2 + 1).min(MOST);
        }
    }

    /// A page did not come. Whether a smaller one may is said, and tried next.
    pub fn failed(&mut self, error: &GitLabError) -> bool {
        self.good = 0;
        let took_too_long = match error {
            GitLabError::TookTooLong { .. }
            | GitLabError::Silent { .. }
            | GitLabError::TooLarge { .. } => true,
            // What stands before GitLab gives up as well.
            GitLabError::Broken { status, .. } => status.as_u16() == 504 || status.as_u16() == 500,
            _ => false,
        };
        if !took_too_long || self.size == FEWEST {
            return false;
        }
        self.size = (self.size / 2).max(FEWEST);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_shrinks_at_once_and_grows_slowly() {
        let slow = GitLabError::TookTooLong {
            what: "x",
            said: String::new(),
        };
        let mut size = PageSize::default();
        let mut sizes = Vec::new();
        while size.failed(&slow) {
            sizes.push(size.get());
        }
        assert_eq!(sizes, [50, 25, 12, 6, 3, 1]);
        let mut pages = 0;
        while size.get() < MOST {
            size.worked();
            pages += 1;
        }
        assert!((50..100).contains(&pages), "{pages}");
        let refused = GitLabError::Unauthorized { what: "x" };
        assert!(!size.failed(&refused));
        assert_eq!(size.get(), MOST);
    }
}
