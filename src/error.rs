//! The one error of the request path: a kind, and a sentence for the caller.
//!
//! The kinds are the rows of one table; how each is written on the wire is
//! known only to `transport::status`.

use std::{borrow::Cow, fmt, time::Duration};

/// What went wrong, in the caller's terms.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// The request can't be understood, or does not fit the model.
    Invalid,
    /// No key, or one that is not known.
    Unauthenticated,
    /// A known key that may not do this.
    Forbidden,
    /// No such path, model or version.
    NotFound,
    /// The path stands, but not for this method.
    MethodNotAllowed,
    /// The request is over a limit on size.
    TooLarge,
    /// The queue is full; the caller may try again later.
    Overloaded,
    /// The caller went away before the answer.
    Cancelled,
    /// A fault on our side. The text is logged, never sent.
    Internal,
    /// Understood, and not offered here.
    Unsupported,
    /// Not ready yet, or draining.
    Unavailable,
    /// The caller's deadline passed first.
    Deadline,
}

impl Kind {
    /// Every kind, in the order of the table.
    pub const ALL: [Kind; 12] = [
        Kind::Invalid,
        Kind::Unauthenticated,
        Kind::Forbidden,
        Kind::NotFound,
        Kind::MethodNotAllowed,
        Kind::TooLarge,
        Kind::Overloaded,
        Kind::Cancelled,
        Kind::Internal,
        Kind::Unsupported,
        Kind::Unavailable,
        Kind::Deadline,
    ];

    /// The kind as a metric label.
    pub fn label(self) -> &'static str {
        match self {
            Kind::Invalid => "invalid",
            Kind::Unauthenticated => "unauthenticated",
            Kind::Forbidden => "forbidden",
            Kind::NotFound => "not_found",
            Kind::MethodNotAllowed => "method_not_allowed",
            Kind::TooLarge => "too_large",
            Kind::Overloaded => "overloaded",
            Kind::Cancelled => "cancelled",
            Kind::Internal => "internal",
            Kind::Unsupported => "unsupported",
            Kind::Unavailable => "unavailable",
            Kind::Deadline => "deadline",
        }
    }
}

/// A refused or failed request.
#[derive(Debug, Clone)]
pub struct Error {
    kind: Kind,
    message: Cow<'static, str>,
    retry_after: Option<Duration>,
    counted: bool,
}

/// The result of anything on the request path.
pub type Result<T, E = Error> = std::result::Result<T, E>;

macro_rules! constructors {
    ($($(#[$doc:meta])* $name:ident => $kind:ident;)+) => {
        impl Error {
            $($(#[$doc])*
            pub fn $name(message: impl Into<Cow<'static, str>>) -> Self {
                Self::new(Kind::$kind, message)
            })+
        }
    };
}

constructors! {
    /// The request can't be understood, or does not fit the model.
    invalid => Invalid;
    /// No key, or one that is not known.
    unauthenticated => Unauthenticated;
    /// A known key that may not do this.
    forbidden => Forbidden;
    /// No such path, model or version.
    not_found => NotFound;
    /// The path stands, but not for this method.
    method_not_allowed => MethodNotAllowed;
    /// Over a limit on size.
    too_large => TooLarge;
    /// The caller went away.
    cancelled => Cancelled;
    /// A fault on our side; `message` is for the log alone.
    internal => Internal;
    /// Not offered here.
    unsupported => Unsupported;
    /// Not ready, or draining.
    unavailable => Unavailable;
    /// The deadline passed.
    deadline => Deadline;
}

impl Error {
    /// An error of `kind` with a sentence that tells the caller what to change.
    pub fn new(kind: Kind, message: impl Into<Cow<'static, str>>) -> Self {
        Self {
            kind,
            message: message.into(),
            retry_after: None,
            counted: false,
        }
    }

    /// A full queue; `retry_after` is the wait to suggest.
    pub fn overloaded(message: impl Into<Cow<'static, str>>, retry_after: Duration) -> Self {
        Self {
            retry_after: Some(retry_after),
            ..Self::new(Kind::Overloaded, message)
        }
    }

    /// What went wrong.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// The whole text, internal detail included: for the log.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// What the caller may read: the message, but for internal errors a
    /// fixed sentence.
    pub fn public_message(&self) -> &str {
        match self.kind {
            Kind::Internal => "the server failed to answer this request; its log says why",
            _ => &self.message,
        }
    }

    /// How long the caller should wait before another try, where that helps.
    pub fn retry_after(&self) -> Option<Duration> {
        self.retry_after
    }

    /// The same error, marked as counted under a model.
    #[must_use]
    pub fn counted(mut self) -> Self {
        self.counted = true;
        self
    }

    /// Whether the error stands in a model's figures already; where it does
    /// not, the request reached no model.
    pub fn is_counted(&self) -> bool {
        self.counted
    }

    /// The same error with `context` before its message.
    #[must_use]
    pub fn within(mut self, context: impl fmt::Display) -> Self {
        self.message = format!("{context}: {}", self.message).into();
        self
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn internal_text_is_not_for_the_caller() {
        let error = Error::internal("session 0x7f failed in /srv/models/linear");
        assert!(!error.public_message().contains("/srv"));
        assert!(error.message().contains("/srv"));
    }

    #[test]
    fn labels_are_unique() {
        let labels: std::collections::HashSet<_> = Kind::ALL.iter().map(|k| k.label()).collect();
        assert_eq!(labels.len(), Kind::ALL.len());
    }
}
