//! Integer keys. Each table has its own type, so that one table is never searched by the key
//! of another. They never leave the server.

macro_rules! keys {
    ($($(#[$doc:meta])* $name:ident;)+) => {
        $(
            $(#[$doc])*
            #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, sqlx::Type)]
            #[sqlx(transparent)]
            pub struct $name(pub(crate) i64);
        )+
    };
}

keys! {
    /// A row of `namespace`.
    NamespaceKey;
    /// A row of `iteration`.
    IterationKey;
    /// A row of `build_set`.
    BuildSetKey;
    /// A row of `build`.
    BuildKey;
    /// A row of `run`.
    RunKey;
    /// A row of `worker`.
    WorkerKey;
    /// A row of `package`.
    PackageKey;
}
