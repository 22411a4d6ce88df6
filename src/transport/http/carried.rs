//! Files that the binary carries for browsers, and what a browser says of
//! which form it takes.

use std::{io::Read, sync::OnceLock};

use axum::{body::Body, response::Response};
use bytes::Bytes;
use flate2::read::GzDecoder;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};

use super::answer::Failure;
use crate::{error::Error, repository::Digest};

/// A file, compressed.
pub(super) struct Carried {
    kind: &'static str,
    brotli: Option<&'static [u8]>,
    gzip: &'static [u8],
    /// Which file it is: the same for every coding of it, and so a weak one.
    tag: OnceLock<HeaderValue>,
}

impl Carried {
    /// A file whose `Content-Type` is `kind`, by gzip and, where it is worth
    /// that, by brotli.
    pub(super) const fn new(
        kind: &'static str,
        gzip: &'static [u8],
        brotli: Option<&'static [u8]>,
    ) -> Self {
        Self {
            kind,
            brotli,
            gzip,
            tag: OnceLock::new(),
        }
    }

    /// The file in the smallest form that the caller takes; nothing but its tag
    /// to one who has it.
    ///
    /// # Errors
    /// Never in fact: what the binary carries can be unpacked.
    pub(super) fn answer(&self, headers: &HeaderMap) -> Result<Response, Failure> {
        let tag = self.tag();
        let mut response = if knows(headers, tag) {
            let mut response = Response::new(Body::empty());
            *response.status_mut() = StatusCode::NOT_MODIFIED;
            response
        } else {
            self.whole(headers)?
        };
        let own = response.headers_mut();
        own.insert(header::ETAG, tag.clone());
        own.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
        own.insert(header::VARY, HeaderValue::from_static("accept-encoding"));
        Ok(response)
    }

    fn whole(&self, headers: &HeaderMap) -> Result<Response, Failure> {
        let takes = |coding| weight(headers, &header::ACCEPT_ENCODING, coding) > 0.0;
        let (coding, content) = match self.brotli {
            Some(brotli) if takes("br") => (Some("br"), Bytes::from_static(brotli)),
            _ if takes("gzip") => (Some("gzip"), Bytes::from_static(self.gzip)),
            _ => (None, self.unpack()?),
        };
        let mut response = file(self.kind, content);
        if let Some(coding) = coding {
            response
                .headers_mut()
                .insert(header::CONTENT_ENCODING, HeaderValue::from_static(coding));
        }
        Ok(response)
    }

    fn unpack(&self) -> Result<Bytes, Failure> {
        let mut plain = Vec::with_capacity(4 * self.gzip.len());
        GzDecoder::new(self.gzip)
            .read_to_end(&mut plain)
            .map_err(|e| Error::internal(format!("a file that the binary carries: {e}")))?;
        Ok(plain.into())
    }

    fn tag(&self) -> &HeaderValue {
        self.tag.get_or_init(|| {
            let tag = format!("W/\"{}\"", Digest::of(self.gzip));
            HeaderValue::from_str(&tag).unwrap_or(HeaderValue::from_static("W/\"\""))
        })
    }
}

/// A file as it is.
pub(super) fn file(kind: &'static str, content: Bytes) -> Response {
    let mut response = Response::new(Body::from(content));
    let headers: [(HeaderName, HeaderValue); 2] = [
        (header::CONTENT_TYPE, HeaderValue::from_static(kind)),
        (
            header::X_CONTENT_TYPE_OPTIONS,
            HeaderValue::from_static("nosniff"),
        ),
    ];
    response.headers_mut().extend(headers);
    response
}

/// How much the caller wants `wanted` by the header `name`, from 0 to 1: 0 where
/// the header does not list it by name.
pub(super) fn weight(headers: &HeaderMap, name: &HeaderName, wanted: &str) -> f32 {
    let values = headers.get_all(name).iter().filter_map(|v| v.to_str().ok());
    let weights = values.flat_map(|v| v.split(',')).filter_map(|one| {
        let mut parts = one.split(';').map(str::trim);
        if !parts.next()?.eq_ignore_ascii_case(wanted) {
            return None;
        }
        let given = parts
            .filter_map(|part| part.split_once('='))
            .find(|(key, _)| key.trim().eq_ignore_ascii_case("q"));
        // A weight that is none says nothing against it.
        Some(given.map_or(1.0, |(_, weight)| weight.trim().parse().unwrap_or(1.0)))
    });
    weights.fold(0.0, f32::max)
}

/// Whether the caller has what `tag` names: whether `If-None-Match` lists it,
/// weak or not, or is the `*` that stands for all.
fn knows(headers: &HeaderMap, tag: &HeaderValue) -> bool {
    let Ok(tag) = tag.to_str() else {
        return false;
    };
    let tag = tag.trim_start_matches("W/");
    headers
        .get_all(header::IF_NONE_MATCH)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(str::trim)
        // A comma within another's tag makes pieces of it, none of which is a
        // digest in quotes.
        .any(|one| one == "*" || one.trim_start_matches("W/") == tag)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(name: HeaderName, values: &[&'static str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(&name, HeaderValue::from_static(value));
        }
        headers
    }

    #[test]
    fn a_weight_is_what_the_list_gives() {
        for (values, brotli) in [
            (&["br"][..], 1.0),
            (&["gzip, deflate, BR;q=0.5"], 0.5),
            (&["gzip;q=0, br"], 1.0),
            (&["gzip", "br;q=0.2"], 0.2),
            (&["br;q=0"], 0.0),
            (&["gzip, br ; Q = 0.000"], 0.0),
            (&["br;level=3;q=0.7"], 0.7),
            (&["br;q=much"], 1.0),
            (&["brotli"], 0.0),
            (&["gzip"], 0.0),
            (&["*"], 0.0),
            (&["", ", ,"], 0.0),
            (&[], 0.0),
        ] {
            let headers = headers(header::ACCEPT_ENCODING, values);
            let found = weight(&headers, &header::ACCEPT_ENCODING, "br");
            assert!((found - brotli).abs() < 1e-6, "{values:?}: {found}");
        }
    }

    #[test]
    fn a_tag_is_known_where_a_list_holds_it() {
        let tag = HeaderValue::from_static("W/\"ab\"");
        for (values, known) in [
            (&["W/\"ab\""][..], true),
            (&["\"ab\""], true),
            (&["\"x\", W/\"ab\" , \"y\""], true),
            (&["\"x\"", "\"ab\""], true),
            (&["*"], true),
            (&["ab"], false),
            (&["\"a\""], false),
            (&["\"x,ab\""], false),
            (&[""], false),
            (&[], false),
        ] {
            assert_eq!(
                knows(&headers(header::IF_NONE_MATCH, values), &tag),
                known,
                "{values:?}"
            );
        }
    }
}
