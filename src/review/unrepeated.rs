//! JSON in which no key of an object stands twice.

use std::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{self, MapAccess, SeqAccess, Visitor},
};
use serde_json::{Map, Value};

/// Any JSON. To read it is an error where an object holds a key twice, of
/// which one value would have been lost.
#[derive(Debug, Clone, PartialEq)]
pub struct Unrepeated(pub Value);

impl<'de> Deserialize<'de> for Unrepeated {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Any).map(Unrepeated)
    }
}

struct Any;

impl<'de> Visitor<'de> for Any {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut array = Vec::new();
        while let Some(Unrepeated(item)) = items.next_element()? {
            array.push(item);
        }
        Ok(Value::Array(array))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut object = Map::new();
        while let Some((key, Unrepeated(value))) = entries.next_entry::<String, _>()? {
            if object.contains_key(&key) {
                return Err(de::Error::custom(format_args!(
                    "the key \"{key}\" stands there twice"
                )));
            }
            object.insert(key, value);
        }
        Ok(Value::Object(object))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_key_that_stands_twice_is_refused_at_any_depth() {
        for text in [
            r#"{"a": 1, "a": 1}"#,
            r#"[{"x": [{"a": 1, "b": 2, "\u0061": 3}]}]"#,
        ] {
            let error = serde_json::from_str::<Unrepeated>(text).unwrap_err();
            assert!(
                error.to_string().contains("\"a\" stands there twice"),
                "{error}"
            );
        }
        let text = r#"[{"a": {"a": null}}, {"a": -1}, 1.5, true, "t"]"#;
        let own: Unrepeated = serde_json::from_str(text).unwrap();
        assert_eq!(own.0, serde_json::from_str::<Value>(text).unwrap());
    }

    proptest! {
        #[test]
        fn numbers_are_read_as_they_are(number: f64, whole: i64) {
            let text = format!("[{}, {whole}]", Value::from(number));
            let own: Unrepeated = serde_json::from_str(&text).unwrap();
            prop_assert_eq!(own.0, serde_json::from_str::<Value>(&text).unwrap());
        }
    }
}
