//! What a path is for, and so who may ask for it, and on which port.

use super::keys::Scope;

/// What a path is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Class {
    /// Whether the process is alive, and should be sent traffic.
    Health,
    /// What says nothing but what this is: pages, their files, descriptions.
    Open,
    /// The figures.
    Metrics,
    /// Every version and its state, and the model cards.
    Listing,
    /// Loading and unloading.
    Control,
    /// All else.
    Use,
}

impl Class {
    /// The scopes of which a key must have one; none where no key is asked
    /// for.
    pub(super) fn scopes(self) -> &'static [Scope] {
        match self {
            Class::Health | Class::Open => &[],
            Class::Metrics => &[Scope::Metrics],
            Class::Listing => &[Scope::Predict, Scope::Admin],
            Class::Control => &[Scope::Admin],
            Class::Use => &[Scope::Predict],
        }
    }

    /// Whether the port of the management answers it.
    pub(super) fn is_managing(self) -> bool {
        matches!(
            self,
            Class::Health | Class::Metrics | Class::Listing | Class::Control
        )
    }

    /// Whether the main port answers it, where management has a port of its
    /// own.
    pub(super) fn is_public(self) -> bool {
        !matches!(self, Class::Metrics | Class::Control)
    }
}

/// What `path` is for. The routes know a path in this spelling alone, so that
/// another spelling of one reaches nothing.
pub(super) fn class_of(path: &str) -> Class {
    if let Some(class) = http(path) {
        return class;
    }
    if let Some(call) = path.strip_prefix("/inference.GRPCInferenceService/") {
        return match call {
            "ServerLive" | "ServerReady" => Class::Health,
            "RepositoryIndex" => Class::Listing,
            "RepositoryModelLoad" | "RepositoryModelUnload" => Class::Control,
            _ => Class::Use,
        };
    }
    if path.starts_with("/grpc.health.v1.Health/") {
        return Class::Health;
    }
    if path.starts_with("/grpc.reflection.") {
        return Class::Open;
    }
    Class::Use
}

fn http(path: &str) -> Option<Class> {
    Some(match path {
        "/" | "/docs" | "/openapi.json" | "/favicon.ico" => Class::Open,
        "/livez" | "/readyz" | "/healthz" | "/v2/health/live" | "/v2/health/ready" => Class::Health,
        "/metrics" => Class::Metrics,
        "/v2/repository/index" | "/models" => Class::Listing,
        _ if path.starts_with("/models/") => Class::Listing,
        _ if path.starts_with("/docs/") => Class::Open,
        _ if path.starts_with("/v2/repository/") => Class::Control,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_path_has_its_class() {
        for (path, class) in [
            ("/", Class::Open),
            ("/docs/start.js", Class::Open),
            ("/docsx", Class::Use),
            ("/livez", Class::Health),
            ("/livez/", Class::Use),
            ("/v2/health/ready", Class::Health),
            ("/v2/models/linear/ready", Class::Use),
            ("/metrics", Class::Metrics),
            ("/models", Class::Listing),
            ("/models/linear", Class::Listing),
            ("/modelsx", Class::Use),
            ("/predict/21", Class::Use),
            ("/v2/repository/index", Class::Listing),
            ("/v2/repository/models/linear/load", Class::Control),
            ("/inference.GRPCInferenceService/ModelInfer", Class::Use),
            ("/inference.GRPCInferenceService/ServerLive", Class::Health),
            (
                "/inference.GRPCInferenceService/RepositoryModelLoad",
                Class::Control,
            ),
            ("/grpc.health.v1.Health/Check", Class::Health),
            ("/what/ever", Class::Use),
        ] {
            assert_eq!(class_of(path), class, "{path}");
        }
    }
}
