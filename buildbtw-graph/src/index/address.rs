//! What tells things apart without a look at their names: where they stand.

/// Where a source or a package stands, for as long as somebody holds it. Naming the type has what only refers to it
/// looked through.
pub(crate) fn address<T: ?Sized>(of: &T) -> usize {
    std::ptr::from_ref(of).addr()
}
