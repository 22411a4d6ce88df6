//! The error table: the only place that knows both columns.

use ::http::StatusCode;
use tonic::Code;

use crate::error::Kind;

/// nginx's status for a caller that went away; it has no name in the registry.
const CLIENT_CLOSED_REQUEST: u16 = 499;

/// The HTTP status of `kind`.
pub fn http(kind: Kind) -> StatusCode {
    match kind {
        Kind::Invalid => StatusCode::BAD_REQUEST,
        Kind::Unauthenticated => StatusCode::UNAUTHORIZED,
        Kind::Forbidden => StatusCode::FORBIDDEN,
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

/// The gRPC code of `kind`.
pub fn grpc(kind: Kind) -> Code {
    match kind {
        Kind::Invalid => Code::InvalidArgument,
        Kind::Unauthenticated => Code::Unauthenticated,
        Kind::Forbidden => Code::PermissionDenied,
        Kind::NotFound => Code::NotFound,
        Kind::TooLarge | Kind::Overloaded => Code::ResourceExhausted,
        Kind::Cancelled => Code::Cancelled,
        Kind::Internal => Code::Internal,
        Kind::MethodNotAllowed | Kind::Unsupported => Code::Unimplemented,
        Kind::Unavailable => Code::Unavailable,
        Kind::Deadline => Code::DeadlineExceeded,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_of_the_design() {
        let table = [
            (Kind::Invalid, 400, Code::InvalidArgument),
            (Kind::Unauthenticated, 401, Code::Unauthenticated),
            (Kind::Forbidden, 403, Code::PermissionDenied),
            (Kind::NotFound, 404, Code::NotFound),
            (Kind::MethodNotAllowed, 405, Code::Unimplemented),
            (Kind::TooLarge, 413, Code::ResourceExhausted),
            (Kind::Overloaded, 429, Code::ResourceExhausted),
            (Kind::Cancelled, 499, Code::Cancelled),
            (Kind::Internal, 500, Code::Internal),
            (Kind::Unsupported, 501, Code::Unimplemented),
            (Kind::Unavailable, 503, Code::Unavailable),
            (Kind::Deadline, 504, Code::DeadlineExceeded),
        ];
        for (kind, status, code) in table {
            assert_eq!(http(kind).as_u16(), status, "{kind:?}");
            assert_eq!(grpc(kind), code, "{kind:?}");
        }
        assert_eq!(table.len(), Kind::ALL.len());
    }
}
