//! ONNX files with a text of a stranger's choice wherever a file has one.
//!
//! Written by hand, as no exporter writes such names. Field numbers are those
//! of `onnx.proto`.

/// A message of protobuf, as its fields come.
#[derive(Default)]
struct Message(Vec<u8>);

impl Message {
    fn varint(mut self, mut value: u64) -> Self {
        while value > 0x7f {
            self.0.push(value.to_le_bytes()[0] | 0x80);
            value >>= 7;
        }
        self.0.push(value.to_le_bytes()[0]);
        self
    }

    fn int(self, number: u64, value: u64) -> Self {
        self.varint(number << 3).varint(value)
    }

    fn bytes(self, number: u64, bytes: impl AsRef<[u8]>) -> Self {
        let bytes = bytes.as_ref();
        let mut own = self.varint(number << 3 | 2).varint(bytes.len() as u64);
        own.0.extend_from_slice(bytes);
        own
    }

    fn message(self, number: u64, message: Self) -> Self {
        self.bytes(number, message.0)
    }
}

/// The names of such a model.
pub struct Names {
    pub input: String,
    pub label: String,
    pub number: String,
}

impl Names {
    /// `poison` in each, and each another.
    pub fn of(poison: &str) -> Self {
        let own = |what: &str| format!("{poison}{what}");
        Self {
            input: own("in"),
            label: own("label"),
            number: own("number"),
        }
    }
}

/// A model of whole numbers that gives a class, which is a text, and `slope`
/// times the number. `classes` is what distinguishes its classes from those of
/// another version.
pub fn model(poison: &str, classes: &str, slope: f32) -> Vec<u8> {
    const FLOAT: u64 = 1;
    const INT64: u64 = 7;
    const TEXT: u64 = 8;
    let names = Names::of(poison);
    let own = |what: &str| format!("{poison}{what}");
    let value = |name: &str, element: u64| {
        let dim = Message::default().message(1, Message::default().bytes(2, own("n")));
        let tensor = Message::default().int(1, element).message(2, dim);
        let kind = Message::default().message(1, tensor);
        Message::default().bytes(1, name).message(2, kind)
    };
    let node = |inputs: &[&str], output: &str, operator: &str| {
        let node = inputs.iter().fold(Message::default(), |m, i| m.bytes(1, i));
        let node = node.bytes(2, output).bytes(3, own(operator));
        node.bytes(4, operator).bytes(6, poison)
    };
    let attribute = |name: &str, kind: u64| Message::default().bytes(1, name).int(20, kind);
    let mut keys = attribute("keys_int64s", 7);
    let mut texts = attribute("values_strings", 8);
    for n in 0..4 {
        keys = keys.int(8, n);
        texts = texts.bytes(9, format!("{poison}{classes}{n}"));
    }
    let otherwise = attribute("default_string", 3).bytes(4, own(classes));
    let label = node(&[&names.input], &names.label, "LabelEncoder")
        .message(5, keys)
        .message(5, texts)
        .message(5, otherwise)
        .bytes(7, "ai.onnx.ml");
    let (float, weight) = (own("float"), own("weight"));
    let to = attribute("to", 2).int(3, FLOAT);
    let cast = node(&[&names.input], &float, "Cast").message(5, to);
    let times = node(&[&float, &weight], &names.number, "Mul");
    let initializer = Message::default()
        .int(1, 1)
        .int(2, FLOAT)
        .bytes(8, &weight)
        .bytes(9, slope.to_le_bytes());
    let graph = [label, cast, times]
        .into_iter()
        .fold(Message::default(), |graph, node| graph.message(1, node))
        .bytes(2, own("graph"))
        .message(5, initializer)
        .bytes(10, poison)
        .message(11, value(&names.input, INT64))
        .message(12, value(&names.label, TEXT))
        .message(12, value(&names.number, FLOAT));
    let opset = |domain: &str, version: u64| Message::default().bytes(1, domain).int(2, version);
    let words = Message::default().bytes(1, own("key")).bytes(2, poison);
    Message::default()
        .int(1, 8)
        .bytes(2, poison)
        .bytes(3, poison)
        .bytes(4, poison)
        .bytes(6, poison)
        .message(7, graph)
        .message(8, opset("", 15))
        .message(8, opset("ai.onnx.ml", 3))
        .message(14, words)
        .0
}
