//! The JSON of an inference request, read in one pass: the numbers of a
//! tensor's data go from the text into the tensor.

use serde_json::{Map, Value};

use crate::{
    error::{Error, Result},
    tensor::{
        DType, Shape, Tensor,
        json::{Scanner, read_data, read_next},
    },
    transport::{inference, limits::Limits},
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
    /// `Invalid`, with what is wrong and where, which is also that it nests too
    /// deep; `TooLarge` for a tensor of too many elements.
    pub(super) fn read(json: &str, limits: Limits) -> Result<Self> {
        let mut reader = Reader(Scanner::within(json, limits.json_depth), limits);
        let mut request = Self::default();
        let mut inputs = None;
        let keys = ["id", "parameters", "inputs", "outputs"];
        reader.object("an inference request", &keys, |reader, key| {
            match key {
                "id" => request.id = reader.text_or_null("id")?,
                "parameters" => request.parameters = reader.parameters()?,
                "inputs" => inputs = Some(reader.list("inputs", Reader::input)?),
                _ => request.outputs = reader.list("outputs", Reader::requested)?,
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
        Ok(request)
    }
}

struct Reader<'a>(Scanner<'a>, Limits);

impl<'a> Reader<'a> {
    #[cold]
    fn wrong(&self, what: &str) -> Error {
        Error::invalid(format!(
            "the body is not the JSON of an inference request: at byte {}, {what}",
            self.0.at()
        ))
    }

    /// Reads what stands in the list or the object that comes next.
    fn within<T>(&mut self, read: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        if self.0.is_too_deep(1) {
            return Err(self.too_deep());
        }
        self.0.stand(true);
        let read = read(self)?;
        self.0.stand(false);
        Ok(read)
    }

    #[cold]
    fn too_deep(&self) -> Error {
        self.wrong(&format!(
            "lists and objects stand more than {} deep in each other, which the setting \
             max-json-depth raises",
            self.0.deepest()
        ))
    }

    /// Reads an object, key by key: `field` those of `known`, each of which
    /// may stand there once. Others mean nothing.
    fn object(
        &mut self,
        what: &str,
        known: &[&str],
        mut field: impl FnMut(&mut Self, &str) -> Result<()>,
    ) -> Result<()> {
        let mut seen = 0u8;
        self.keys(what, |reader, key| {
            let Some(place) = known.iter().position(|name| *name == key) else {
                return reader.ignore();
            };
            if seen & 1 << place != 0 {
                return Err(reader.twice(&key, what));
            }
            seen |= 1 << place;
            field(reader, &key)
        })
    }

    #[cold]
    fn twice(&self, key: &str, what: &str) -> Error {
        self.wrong(&format!(
            "the key \"{}\" stands twice in {what}",
            inference::short(key)
        ))
    }

    /// Reads an object, key by key.
    fn keys(
        &mut self,
        what: &str,
        field: impl FnMut(&mut Self, String) -> Result<()>,
    ) -> Result<()> {
        if !self.0.take(b'{') {
            return Err(self.wrong(&format!("{what} must be an object")));
        }
        self.within(|reader| reader.fields(field))
    }

    fn fields(&mut self, mut field: impl FnMut(&mut Self, String) -> Result<()>) -> Result<()> {
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
            field(self, key)?;
            if self.0.take(b',') {
                continue;
            }
            if self.0.take(b'}') {
                return Ok(());
            }
            return Err(self.wrong("a comma or a closing brace is due"));
        }
    }

    fn list<T>(&mut self, name: &str, item: impl FnMut(&mut Self) -> Result<T>) -> Result<Vec<T>> {
        if !self.0.take(b'[') {
            return Err(self.wrong(&format!("\"{name}\" must be a list")));
        }
        self.within(|reader| reader.items(item))
    }

    fn items<T>(&mut self, mut item: impl FnMut(&mut Self) -> Result<T>) -> Result<Vec<T>> {
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
        self.0.skip().ok_or_else(|| {
            let at_bracket = matches!(self.0.rest().as_bytes().first(), Some(b'[' | b'{'));
            if at_bracket && self.0.is_too_deep(1) {
                self.too_deep()
            } else {
                self.wrong("a whole value is due")
            }
        })
    }

    fn ignore(&mut self) -> Result<()> {
        let raw = self.raw()?;
        serde_json::from_str::<serde::de::IgnoredAny>(raw)
            .map(drop)
            .map_err(|e| self.wrong(&format!("a value is not JSON ({e})")))
    }

    fn parameters(&mut self) -> Result<Parameters> {
        let mut values = Parameters::new();
        if self.0.peek() == Some(b'n') && self.raw()? == "null" {
            return Ok(values);
        }
        self.keys("\"parameters\"", |reader, key| {
            let raw = reader.raw()?;
            if raw.starts_with(['[', '{']) {
                return Err(Error::invalid(format!(
                    "the parameter \"{}\" must be text, a number, true or false",
                    inference::short(&key)
                )));
            }
            let value = serde_json::from_str(raw)
                .map_err(|e| reader.wrong(&format!("a value is not JSON ({e})")))?;
            if values.contains_key(&key) {
                return Err(reader.twice(&key, "\"parameters\""));
            }
            values.insert(key, value);
            Ok(())
        })?;
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
        self.object("an output", &["name", "parameters"], |reader, key| {
            match key {
                "name" => name = Some(reader.text("name")?),
                _ => parameters = reader.parameters()?,
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
        let keys = ["name", "shape", "datatype", "parameters", "data"];
        self.object("an input", &keys, |reader, key| {
            match key {
                "name" => name = Some(reader.text("name")?),
                "shape" => shape = Some(reader.list("shape", Reader::dimension)?),
                "datatype" => datatype = Some(reader.text("datatype")?),
                "parameters" => parameters = reader.parameters()?,
                _ => match (&name, &shape, &datatype) {
                    (Some(name), Some(shape), Some(datatype)) => {
                        let dtype = inference::datatype(name, datatype)?;
                        let shape = inference::shape(name, shape, reader.1)?;
                        tensor = Some(read_next(
                            &inference::short(name),
                            dtype,
                            shape,
                            &mut reader.0,
                        )?);
                    }
                    _ => later = Some(reader.raw()?),
                },
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
        let shape = inference::shape(given, dims?, self.1)?;
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
mod tests;
