//! What was meant by a name that is nearly right.

/// The name that `written` is most likely a slip of: two letters away at most,
/// and one for a short name.
pub(super) fn nearest(
    written: &str,
    names: impl IntoIterator<Item = impl Into<String>>,
) -> Option<String> {
    let slips = if written.len() < 6 { 1 } else { 2 };
    let plain = |name: &str| name.replace('_', "-").to_lowercase();
    let written = plain(written);
    names
        .into_iter()
        .map(Into::into)
        .map(|name: String| (strsim::osa_distance(&written, &plain(&name)), name))
        .filter(|(distance, _)| *distance <= slips)
        .min()
        .map(|(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_is_seen_and_another_word_is_not() {
        let names = ["listen", "models", "max-body-size"];
        for (written, meant) in [
            ("listne", Some("listen")),
            ("model", Some("models")),
            ("max_body_size", Some("max-body-size")),
            ("max-size", None),
            ("port", None),
        ] {
            assert_eq!(nearest(written, names).as_deref(), meant, "{written}");
        }
    }
}
