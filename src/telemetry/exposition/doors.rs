//! The metrics of the way in.

use std::fmt::Result;

use prometheus_client::{metrics::MetricType, registry::Unit};

use super::{NO_LABELS, Writer, gauge};
use crate::telemetry::Doors;

pub(super) fn write(out: &mut Writer<'_, '_>, doors: &Doors) -> Result {
    let (open, turned_away, cut) = doors.connections();
    out.gauge(
        "modelship_connections",
        "Connections that are open",
        [(NO_LABELS, open)],
    )?;
    out.counter(
        "modelship_connections_refused",
        "Connections that were turned away because there were too many",
        [(NO_LABELS, turned_away)],
    )?;
    out.counter(
        "modelship_connections_cut",
        "Connections and streams that were ended because the caller was too slow",
        [(NO_LABELS, cut)],
    )?;
    out.counter(
        "modelship_renewals",
        "Changed files of certificates, keys and trust that were taken (success) or not right (failure)",
        doors.renewals().flat_map(|(what, outcomes)| {
            outcomes
                .read()
                .map(|(outcome, count)| ([("what", what.label()), ("outcome", outcome)], count))
        }),
    )?;
    out.counter(
        "modelship_tls_handshakes",
        "TLS handshakes that have ended, by outcome",
        doors
            .handshakes()
            .read()
            .map(|(outcome, count)| ([("outcome", outcome)], count)),
    )?;
    out.family(
        (
            "modelship_tls_certificate_expiry_timestamp",
            "When the certificate ends that callers are shown, in seconds since 1970",
            Some(&Unit::Seconds),
            MetricType::Gauge,
        ),
        doors.expires().map(|second| (NO_LABELS, second)),
        gauge,
    )
}
