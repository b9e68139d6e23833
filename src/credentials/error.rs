//! Why there are no keys.

/// Keys that cannot be had. The text is a lower-case fragment without any part of a secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text}")]
pub struct CredentialsError {
    kind: Kind,
    text: String,
}

/// What an error means for the program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// There are none where they were looked for.
    NotFound,
    /// Others may read a secret; the program does not start with it (exit status 78).
    Open,
    /// They are there, but cannot be read, or are no keys.
    Unreadable,
    /// A part of a group is missing: an id without a secret, a role without its provider.
    Incomplete,
    /// They are of a kind that this version cannot use.
    Unsupported,
    /// Whoever hands them out does not answer, or is busy: another attempt may do.
    Unreachable,
    /// Whoever hands them out says no, or answers with what are no keys.
    Refused,
}

impl CredentialsError {
    pub(super) fn new(kind: Kind, text: impl Into<String>) -> Self {
        Self { kind, text: text.into() }
    }

    /// What the error means for the program.
    #[must_use]
    pub const fn kind(&self) -> Kind {
        self.kind
    }
}
