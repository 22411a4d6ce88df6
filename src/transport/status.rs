//! The error table: the only place that knows both columns.

use ::http::StatusCode;

use crate::error::Kind;

/// nginx's status for a caller that went away; it has no name in the registry.
const CLIENT_CLOSED_REQUEST: u16 = 499;

/// The HTTP status of `kind`.
pub fn http(kind: Kind) -> StatusCode {
    match kind {
        Kind::Invalid => StatusCode::BAD_REQUEST,
        Kind::NotFound => StatusCode::NOT_FOUND,
        Kind::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
        Kind::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        Kind::Overloaded => StatusCode::TOO_MANY_REQUESTS,
        Kind::Cancelled => {
            StatusCode::from_u16(CLIENT_CLOSED_REQUEST).unwrap_or(StatusCode::BAD_REQUEST)
        }
        Kind::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        Kind::Unsupported => StatusCode::NOT_IMPLEMENTED,
        Kind::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        Kind::Deadline => StatusCode::GATEWAY_TIMEOUT,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_of_the_design() {
        let table = [
            (Kind::Invalid, 400),
            (Kind::NotFound, 404),
            (Kind::MethodNotAllowed, 405),
            (Kind::TooLarge, 413),
            (Kind::Overloaded, 429),
            (Kind::Cancelled, 499),
            (Kind::Internal, 500),
            (Kind::Unsupported, 501),
            (Kind::Unavailable, 503),
            (Kind::Deadline, 504),
        ];
        for (kind, status) in table {
            assert_eq!(http(kind).as_u16(), status, "{kind:?}");
        }
        assert_eq!(table.len(), Kind::ALL.len());
    }
}
