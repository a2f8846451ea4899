//! Package sources and released packages, found by name.

mod names;
mod released;
mod sources;

pub(crate) use names::{Place, Slot};
pub use released::ReleasedIndex;
pub use sources::SourceIndex;
