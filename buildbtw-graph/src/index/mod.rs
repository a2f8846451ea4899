//! Package sources and released packages, found by name.

mod address;
mod names;
mod numbered;
mod released;
mod sources;

pub(crate) use address::address;
pub(crate) use names::{Place, Slot, Wanted};
pub(crate) use numbered::{Numbered, Numbering};
pub use released::ReleasedIndex;
pub use sources::SourceIndex;
