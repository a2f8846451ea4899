//! The crate against the tools whose work it does (bsdtar, repo-add, pacman)
//! and against input that is out to harm.

mod hostile;
mod packages;
mod tools;
