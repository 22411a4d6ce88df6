//! The JSON of an inference request, read in one pass: the numbers of a
//! tensor's data go from the text into the tensor.

use serde_json::{Map, Value};

use crate::{
    error::{Error, Result},
    tensor::{
        DType, Shape, Tensor,
        json::{Scanner, read_data, read_next},
    },
    transport::inference,
};

/// Parameters by name.
pub(super) type Parameters = Map<String, Value>;

/// An inference request, its binary tensors still to come.
#[derive(Debug, Default)]
pub(super) struct Request {
    pub(super) id: Option<String>,
    pub(super) parameters: Parameters,
    pub(super) inputs: Vec<Input>,
    pub(super) outputs: Vec<Requested>,
}

/// One input.
#[derive(Debug)]
pub(super) struct Input {
    pub(super) name: String,
    pub(super) dtype: DType,
    pub(super) shape: Shape,
    pub(super) parameters: Parameters,
    /// `None` for a binary tensor.
    pub(super) tensor: Option<Tensor>,
}

/// An output that the caller wants.
#[derive(Debug)]
pub(super) struct Requested {
    pub(super) name: String,
    pub(super) parameters: Parameters,
}

impl Request {
    /// Reads `json`.
    ///
    /// # Errors
    /// `Invalid`, with what is wrong and where.
    pub(super) fn read(json: &str) -> Result<Self> {
        let mut reader = Reader(Scanner::new(json));
        let mut request = Self::default();
        let mut inputs = None;
        let mut outputs = None;
        reader.object("an inference request", |reader, key| {
            match key {
                "id" => request.id = reader.text_or_null("id")?,
                "parameters" => request.parameters = reader.parameters()?,
                "inputs" => once(&mut inputs, reader.list("inputs", Reader::input)?, "inputs")?,
                "outputs" => {
                    let listed = reader.list("outputs", Reader::requested)?;
                    once(&mut outputs, listed, "outputs")?;
                }
                _ => reader.ignore()?,
            }
            Ok(())
        })?;
        if reader.0.peek().is_some() {
            return Err(reader.wrong("the body goes on after the request"));
        }
        request.inputs = inputs.ok_or_else(|| {
            Error::invalid(
                "the request has no \"inputs\": it takes a list of tensors, each with a name, a \
                 shape, a datatype and data",
            )
        })?;
        request.outputs = outputs.unwrap_or_default();
        Ok(request)
    }
}

fn once<T>(place: &mut Option<T>, value: T, name: &str) -> Result<()> {
    match place.replace(value) {
        None => Ok(()),
        Some(_) => Err(Error::invalid(format!(
            "the request has \"{name}\" twice in one object"
        ))),
    }
}

struct Reader<'a>(Scanner<'a>);

impl<'a> Reader<'a> {
    #[cold]
    fn wrong(&self, what: &str) -> Error {
        Error::invalid(format!(
            "the body is not the JSON of an inference request: at byte {}, {what}",
            self.0.at()
        ))
    }

    /// Reads an object, key by key.
    fn object(
        &mut self,
        what: &str,
        mut field: impl FnMut(&mut Self, &str) -> Result<()>,
    ) -> Result<()> {
        if !self.0.take(b'{') {
            return Err(self.wrong(&format!("{what} must be an object")));
        }
        if self.0.take(b'}') {
            return Ok(());
        }
        loop {
            self.0.peek();
            let key = self
                .0
                .string()
                .ok_or_else(|| self.wrong("a key in quotes is due"))?;
            if !self.0.take(b':') {
                return Err(self.wrong("a colon is due"));
            }
            field(self, &key)?;
            if self.0.take(b',') {
                continue;
            }
            if self.0.take(b'}') {
                return Ok(());
            }
            return Err(self.wrong("a comma or a closing brace is due"));
        }
    }

    fn list<T>(
        &mut self,
        name: &str,
        mut item: impl FnMut(&mut Self) -> Result<T>,
    ) -> Result<Vec<T>> {
        if !self.0.take(b'[') {
            return Err(self.wrong(&format!("\"{name}\" must be a list")));
        }
        let mut items = Vec::new();
        if self.0.take(b']') {
            return Ok(items);
        }
        loop {
            items.push(item(self)?);
            if self.0.take(b',') {
                continue;
            }
            if self.0.take(b']') {
                return Ok(items);
            }
            return Err(self.wrong("a comma or a closing bracket is due"));
        }
    }

    fn text(&mut self, name: &str) -> Result<String> {
        self.0.peek();
        self.0
            .string()
            .ok_or_else(|| self.wrong(&format!("\"{name}\" must be text in quotes")))
    }

    fn text_or_null(&mut self, name: &str) -> Result<Option<String>> {
        match self.0.peek() {
            Some(b'n') if self.0.skip() == Some("null") => Ok(None),
            _ => self.text(name).map(Some),
        }
    }

    /// The value that comes next, as text that is JSON.
    fn raw(&mut self) -> Result<&'a str> {
        self.0
            .skip()
            .ok_or_else(|| self.wrong("a whole value is due"))
    }

    fn ignore(&mut self) -> Result<()> {
        let raw = self.raw()?;
        serde_json::from_str::<serde::de::IgnoredAny>(raw)
            .map(drop)
            .map_err(|e| self.wrong(&format!("a value is not JSON ({e})")))
    }

    fn parameters(&mut self) -> Result<Parameters> {
        let raw = self.raw()?;
        let values: Option<Parameters> = serde_json::from_str(raw)
            .map_err(|e| self.wrong(&format!("\"parameters\" is not an object ({e})")))?;
        let values = values.unwrap_or_default();
        for (name, value) in &values {
            if value.is_array() || value.is_object() {
                return Err(Error::invalid(format!(
                    "the parameter \"{}\" must be text, a number, true or false",
                    inference::short(name)
                )));
            }
        }
        Ok(values)
    }

    fn dimension(&mut self) -> Result<i64> {
        let raw = self.raw()?;
        raw.parse().map_err(|_| {
            self.wrong(&format!(
                "a shape must be a list of integers, and has {}",
                inference::short(raw)
            ))
        })
    }

    fn requested(&mut self) -> Result<Requested> {
        let mut name = None;
        let mut parameters = Parameters::new();
        self.object("an output", |reader, key| {
            match key {
                "name" => once(&mut name, reader.text("name")?, "name")?,
                "parameters" => parameters = reader.parameters()?,
                _ => reader.ignore()?,
            }
            Ok(())
        })?;
        let name = name.ok_or_else(|| self.wrong("an output has no \"name\""))?;
        Ok(Requested { name, parameters })
    }

    fn input(&mut self) -> Result<Input> {
        let mut name: Option<String> = None;
        let mut shape: Option<Vec<i64>> = None;
        let mut datatype: Option<String> = None;
        let mut parameters = Parameters::new();
        let mut tensor: Option<Tensor> = None;
        // Data that comes before what says how to read it.
        let mut later: Option<&'a str> = None;
        self.object("an input", |reader, key| {
            match key {
                "name" => once(&mut name, reader.text("name")?, "name")?,
                "shape" => {
                    let dims = reader.list("shape", Reader::dimension)?;
                    once(&mut shape, dims, "shape")?;
                }
                "datatype" => once(&mut datatype, reader.text("datatype")?, "datatype")?,
                "parameters" => parameters = reader.parameters()?,
                "data" => match (&name, &shape, &datatype) {
                    _ if tensor.is_some() || later.is_some() => {
                        return Err(reader.wrong("an input has \"data\" twice"));
                    }
                    (Some(name), Some(shape), Some(datatype)) => {
                        let dtype = inference::datatype(name, datatype)?;
                        let shape = inference::shape(name, shape)?;
                        tensor = Some(read_next(
                            &inference::short(name),
                            dtype,
                            shape,
                            &mut reader.0,
                        )?);
                    }
                    _ => later = Some(reader.raw()?),
                },
                _ => reader.ignore()?,
            }
            Ok(())
        })?;
        let missing = |what: &str| {
            Error::invalid(match &name {
                Some(name) => format!("the input \"{}\" has no \"{what}\"", inference::short(name)),
                None => format!("an input has no \"{what}\""),
            })
        };
        let dtype = datatype.as_ref().ok_or_else(|| missing("datatype"));
        let dims = shape.as_ref().ok_or_else(|| missing("shape"));
        let given = name.as_ref().ok_or_else(|| missing("name"))?;
        let dtype = inference::datatype(given, dtype?)?;
        let shape = inference::shape(given, dims?)?;
        if let Some(json) = later {
            tensor = Some(read_data(
                &inference::short(given),
                dtype,
                shape.clone(),
                json,
            )?);
        }
        Ok(Input {
            name: name.unwrap_or_default(),
            dtype,
            shape,
            parameters,
            tensor,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn error(json: &str) -> String {
        Request::read(json).unwrap_err().message().to_owned()
    }

    #[test]
    fn keys_come_in_any_order() {
        let request = Request::read(
            r#" {"outputs":[{"name":"y","parameters":{"binary_data":true}}],"id":"a\"b",
                "extra":[{"x":null}],"inputs":[
                {"data":[[1,2]],"datatype":"INT8","shape":[1,2],"name":"x"},
                {"name":"z","shape":[],"datatype":"FP32","parameters":{"p":1.5},"data":[3]},
                {"name":"b","shape":[4],"datatype":"BOOL","parameters":{"binary_data_size":4}}
                ],"parameters":{"mine":"kept"}} "#,
        )
        .unwrap();
        assert_eq!(request.id.as_deref(), Some("a\"b"));
        assert_eq!(request.parameters["mine"], "kept");
        assert_eq!(request.outputs[0].parameters["binary_data"], true);
        let [x, z, b] = request.inputs.as_slice() else {
            panic!("three inputs")
        };
        assert_eq!(x.tensor, Some(Tensor::new([1, 2], vec![1i8, 2]).unwrap()));
        assert_eq!(z.tensor, Some(Tensor::new([], vec![3f32]).unwrap()));
        assert!(b.tensor.is_none());
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (json, part) in [
            ("", "must be an object"),
            ("[]", "must be an object"),
            ("{}", "no \"inputs\""),
            (r#"{"inputs":{}}"#, "must be a list"),
            (r#"{"inputs":[]} x"#, "goes on"),
            (r#"{"inputs":[],"inputs":[]}"#, "twice"),
            (r#"{"inputs":[{}]}"#, "no \"name\""),
            (r#"{"inputs":[{"name":"x"}]}"#, "\"x\" has no \"datatype\""),
            (
                r#"{"inputs":[{"name":"x","datatype":"FLOAT"}]}"#,
                "unknown datatype",
            ),
            (
                r#"{"inputs":[{"name":"x","datatype":"FP32","shape":[-1]}]}"#,
                "dimension -1",
            ),
            (
                r#"{"inputs":[{"name":"x","datatype":"FP32","shape":[1.5]}]}"#,
                "list of integers",
            ),
            (
                r#"{"inputs":[{"name":"x","datatype":"FP32","shape":[1],"data":[1"#,
                "lacks a comma",
            ),
            (r#"{"inputs":[{"name":1}]}"#, "text in quotes"),
            (r#"{"inputs":[],"parameters":[1]}"#, "not an object"),
            (
                r#"{"inputs":[],"parameters":{"p":{}}}"#,
                "parameter \"p\" must be",
            ),
            (r#"{"inputs":[],"x":01}"#, "not JSON"),
            (r#"{"inputs":[] "id":"x"}"#, "comma"),
            (r#"{inputs:[]}"#, "quotes"),
            (r#"{"id":7,"inputs":[]}"#, "text in quotes"),
        ] {
            let text = error(json);
            assert!(text.contains(part), "{json}: {text}");
        }
    }

    proptest! {
        #[test]
        fn nothing_panics(json in r#"(\{|\}|\[|\]|,|:|"inputs"|"name"|"x"|"shape"|"datatype"|"FP32"|"data"|"parameters"|1|\\|"|null|\PC)*"#) {
            let _ = Request::read(&json);
        }
    }
}
