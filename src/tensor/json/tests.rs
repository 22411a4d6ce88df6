//! JSON data, read and written.

use half::{bf16, f16};
use proptest::prelude::*;

use super::{read_data, write_data};
use crate::tensor::{DType, Element, Shape, Tensor};

fn read(dtype: DType, shape: &[usize], json: &str) -> Tensor {
    read_data("x", dtype, Shape::new(shape), json).unwrap()
}

fn error(dtype: DType, shape: &[usize], json: &str) -> String {
    read_data("x", dtype, Shape::new(shape), json)
        .unwrap_err()
        .message()
        .to_owned()
}

fn one<T: Element>(json: &str) -> T {
    let tensor = read(T::DTYPE, &[1], &format!("[{json}]"));
    tensor.elements::<T>().unwrap()[0]
}

fn written(tensor: &Tensor) -> String {
    let mut out = Vec::new();
    write_data(tensor, &mut out);
    String::from_utf8(out).unwrap()
}

#[test]
fn flat_and_nested_are_the_same() {
    let flat = read(DType::F32, &[2, 2], "[1,2,3,4]");
    assert_eq!(flat, read(DType::F32, &[2, 2], "[ [1,2] ,\n[3,4] ]"));
    assert_eq!(
        read(DType::I8, &[2, 1, 2], "[[[1,2]],[[3,4]]]"),
        read(DType::I8, &[2, 1, 2], "[1,2,3,4]")
    );
}

#[test]
fn scalars_and_empty_tensors() {
    assert_eq!(read(DType::F32, &[], "[5]"), read(DType::F32, &[], " 5 "));
    assert_eq!(read(DType::Bytes, &[], "\"a\"").strings().unwrap(), ["a"]);
    for (shape, forms) in [
        (&[0][..], &["[]", "[ ]"][..]),
        (&[0, 3], &["[]"]),
        (&[2, 0], &["[]", "[[],[]]"]),
        (&[2, 0, 3], &["[]", "[[],[]]"]),
        (&[2, 1, 0], &["[]", "[[[]],[[]]]"]),
    ] {
        for form in forms {
            assert!(read(DType::F32, shape, form).is_empty());
        }
    }
}

#[test]
fn ragged_nesting_is_refused() {
    for (shape, json) in [
        (&[2, 2][..], "[[1,2],[3]]"),
        (&[2, 2], "[[1,2,3],[4]]"),
        (&[2, 2], "[[1,2],[3,4],[]]"),
        (&[2, 2], "[[1,2]]"),
        (&[2, 2], "[[1,2],3]"),
        (&[2, 2], "[1,[2,3],4]"),
        (&[2, 2], "[[[1,2],[3,4]]]"),
        (&[2, 2], "[[],[1,2,3,4]]"),
        (&[4], "[[1,2],[3,4]]"),
        (&[2, 1, 2], "[[1,2],[3,4]]"),
    ] {
        let text = error(DType::I32, shape, json);
        assert!(
            text.contains("nested") && text.contains("\"x\""),
            "{json}: {text}"
        );
    }
}

#[test]
fn a_value_that_does_not_fit_is_named() {
    let text = error(DType::U8, &[2], "[1,300]");
    for part in ["\"x\"", "300", "index 1", "UINT8"] {
        assert!(text.contains(part), "{text}");
    }
    for (dtype, value) in [
        (DType::F32, "1e39"),
        (DType::F16, "65520"),
        (DType::F64, "1e309"),
        (DType::I8, "-129"),
        (DType::I64, "9223372036854775808"),
        (DType::U64, "-1"),
        (DType::I32, "1.5"),
        (DType::I32, "\"1\""),
        (DType::I32, "true"),
        (DType::F32, "null"),
        (DType::F32, "\"nan\""),
        (DType::Bool, "2"),
        (DType::Bytes, "1"),
        (DType::F32, "{\"a\":1}"),
    ] {
        let text = error(
            dtype,
            &[3],
            &format!("[0.0e0,{value},0]").replace(
                "0.0e0",
                if dtype == DType::Bytes {
                    "\"a\""
                } else {
                    "0.0e0"
                },
            ),
        );
        let shown = value.split('}').next().unwrap().split(',').next().unwrap();
        assert!(text.contains(shown) && text.contains("index 1"), "{text}");
    }
}

#[test]
fn what_is_not_json_is_refused() {
    for json in [
        "",
        "[",
        "]",
        "[1",
        "[1,",
        "[1,]",
        "[,1]",
        "[1 2]",
        "[1]]",
        "[1]x",
        "1",
        "{}",
        "[01]",
        "[+1]",
        "[1.]",
        "[.5]",
        "[-]",
        "[1e]",
        "[1e+]",
        "[--1]",
        "[0x1]",
        "[NaN]",
        "[Infinity]",
        "[1_0]",
        "[\u{661}]",
    ] {
        assert!(
            read_data("x", DType::F32, Shape::from([1]), json).is_err(),
            "{json}"
        );
        assert!(
            read_data("x", DType::I32, Shape::from([1]), json).is_err(),
            "{json}"
        );
    }
    for json in [
        r#"["]"#,
        r#"["\x"]"#,
        r#"["\u12"]"#,
        r#"["\ud800"]"#,
        r#"["\ud800\u0041"]"#,
        r#"["\udc00"]"#,
        "[\"\u{1}\"]",
        "[\"a\n\"]",
        r#"["a\"]"#,
    ] {
        assert!(
            read_data("x", DType::Bytes, Shape::from([1]), json).is_err(),
            "{json}"
        );
    }
}

#[test]
fn strings_are_unescaped() {
    let tensor = read(
        DType::Bytes,
        &[4],
        r#"["", "plain é 🦀", "a\"\\\/\b\f\n\r\tz", "\u0041\ud83e\udd80\u00e9x"]"#,
    );
    assert_eq!(
        tensor.strings().unwrap(),
        ["", "plain é 🦀", "a\"\\/\u{8}\u{c}\n\r\tz", "A🦀éx"]
    );
}

#[test]
fn integers_are_exact() {
    for n in [i64::MAX, i64::MIN, i64::MAX - 1, 9_007_199_254_740_993] {
        assert_eq!(one::<i64>(&n.to_string()), n);
    }
    assert_eq!(one::<u64>(&u64::MAX.to_string()), u64::MAX);
    assert_eq!(one::<i64>("9007199254740993.0"), 9_007_199_254_740_993);
    assert_eq!(one::<i32>("-3.00e2"), -300);
    assert_eq!(one::<u8>("-0"), 0);
    assert_eq!(one::<i16>("0e999999999999999999999"), 0);
}

#[test]
fn booleans_are_words_or_bits() {
    let tensor = read(DType::Bool, &[4], "[true,false,1,0]");
    assert_eq!(*tensor.elements::<u8>().unwrap(), [1, 0, 1, 0]);
}

#[test]
fn counts_must_fit() {
    assert!(error(DType::I32, &[3], "[1,2]").contains("fill"));
    assert!(error(DType::I32, &[1], "[1,2]").contains("more elements"));
    assert!(error(DType::I32, &[usize::MAX, 2], "[1,2]").contains("larger than memory"));
    assert!(error(DType::I32, &[1; 65], "[1]").contains("dimensions"));
    let deep = "[".repeat(100_000);
    assert!(!error(DType::I32, &[1; 64], &deep).is_empty());
}

#[test]
fn special_floats_are_strings_both_ways() {
    for dtype in [DType::F16, DType::BF16, DType::F32, DType::F64] {
        let json = r#"["NaN","Infinity","-Infinity",-0.0,0]"#;
        assert_eq!(written(&read(dtype, &[5], json)), json);
    }
}

/// Decimals at, just below and just above the middle between every two halves.
#[test]
fn many_elements_are_written_as_each_alone() {
    fn check<T: Element>(elements: &[T]) {
        for count in [0, 1, 15, 16, 17, 31, 32, 33, elements.len()] {
            let alone = |e: &T| {
                let one = written(&Tensor::new([1], vec![*e]).unwrap());
                one.trim_matches(['[', ']']).to_owned()
            };
            let each: Vec<String> = elements[..count].iter().map(alone).collect();
            let whole = Tensor::new([count], elements[..count].to_vec()).unwrap();
            assert_eq!(written(&whole), format!("[{}]", each.join(",")));
        }
    }
    let doubles = (0..500).flat_map(|i| {
        let turned = f64::from_bits(0x9e37_79b9_7f4a_7c15u64.wrapping_mul(i));
        let longest = -2.225_073_858_507_201_4e-308;
        [turned, f64::from(i as u32), -0.0, f64::INFINITY, longest]
    });
    let doubles: Vec<f64> = doubles.collect();
    check(&doubles);
    check::<f32>(&doubles.iter().map(|d| *d as f32).collect::<Vec<_>>());
    check::<i64>(
        &doubles
            .iter()
            .map(|d| d.to_bits() as i64)
            .collect::<Vec<_>>(),
    );
    check::<u8>(&(0..=255).collect::<Vec<_>>());
    assert_eq!(
        written(&Tensor::new([2], vec![-0.0, 1e30]).unwrap()),
        "[-0.0,1e+30]"
    );
}

#[test]
fn halves_round_once() {
    fn check<T: Element>(from_bits: impl Fn(u16) -> T, to_f64: impl Fn(T) -> f64, last: u16) {
        for bits in 0..last {
            let (low, high) = (from_bits(bits), from_bits(bits + 1));
            let middle = f64::midpoint(to_f64(low), to_f64(high));
            let even = if bits % 2 == 0 { low } else { high };
            let exact = format!("{middle:.180e}");
            let (digits, power) = exact.split_once('e').unwrap();
            let digits = digits.trim_end_matches('0');
            let digits = if digits.ends_with('.') {
                format!("{digits}0")
            } else {
                digits.to_owned()
            };
            assert_eq!(one::<T>(&format!("{digits}e{power}")), even, "{exact}");
            assert_eq!(
                one::<T>(&format!("{digits}{}1e{power}", "0".repeat(30))),
                high,
                "{exact}"
            );
            let below: String = format!("{}e{power}", just_below(&digits));
            assert_eq!(one::<T>(&below), low, "{below}");
        }
    }
    fn just_below(digits: &str) -> String {
        let mut digits = digits.as_bytes().to_vec();
        for digit in digits.iter_mut().rev() {
            match digit {
                b'.' => {}
                b'0' => *digit = b'9',
                _ => {
                    *digit -= 1;
                    break;
                }
            }
        }
        digits.extend([b'9'; 30]);
        String::from_utf8(digits).unwrap()
    }
    check(f16::from_bits, f16::to_f64, 0x7bff);
    check(bf16::from_bits, bf16::to_f64, 0x7f7f);
    assert!(error(DType::F16, &[1], "[65520]").contains("65520"));
    assert_eq!(one::<f16>("65519.99999999999999999999"), f16::MAX);
}

/// Every half is written with as few digits as any decimal that reads back as
/// it has.
#[test]
fn halves_are_short() {
    fn check<T: Element>(from_bits: impl Fn(u16) -> T, to_f64: impl Fn(T) -> f64, last: u16) {
        for bits in 0..=last {
            let half = from_bits(bits);
            let text = written(&Tensor::new([1], vec![half]).unwrap());
            let text = text.trim_matches(['[', ']']);
            assert_eq!(one::<T>(text), half, "{text}");
            let count = |text: &str| {
                let mantissa = text.split('e').next().unwrap().replace('.', "");
                mantissa.trim_matches('0').len()
            };
            let fewer = (0..count(text).saturating_sub(1))
                .map(|n| format!("{:.n$e}", to_f64(half)))
                .find(|shorter| {
                    read_data("x", T::DTYPE, Shape::from([1]), &format!("[{shorter}]"))
                        .is_ok_and(|t| t.elements::<T>().unwrap()[0] == half)
                });
            assert_eq!(fewer, None, "{text}");
        }
    }
    check(f16::from_bits, f16::to_f64, 0x7bff);
    check(bf16::from_bits, bf16::to_f64, 0x7f7f);
}

fn any_shape() -> impl Strategy<Value = Vec<usize>> {
    prop::collection::vec(0usize..4, 0..5)
}

fn any_tensor() -> impl Strategy<Value = Tensor> {
    (
        any_shape(),
        prop::sample::select(DType::ALL.to_vec()),
        any::<u64>(),
    )
        .prop_map(|(shape, dtype, seed)| {
            let shape = Shape::new(&shape);
            let count = shape.elements().unwrap();
            let mut state = seed | 1;
            let mut next = move || {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                state
            };
            match dtype.size() {
                None => {
                    let text = (0..count).map(|_| {
                        let bits = next();
                        (0..bits % 5)
                            .map(|i| {
                                char::from_u32((bits >> (8 * i)) as u32 & 0x1_07ff)
                                    .unwrap_or('\u{7f}')
                            })
                            .collect::<String>()
                    });
                    Tensor::text(shape.clone(), text.collect()).unwrap()
                }
                Some(size) => {
                    let bytes: Vec<u8> = (0..count * size)
                        .map(|_| (next() >> 32) as u8)
                        .map(|b| if dtype == DType::Bool { b & 1 } else { b })
                        .collect();
                    without_odd_nans(Tensor::from_bytes(dtype, shape, bytes.into()).unwrap())
                }
            }
        })
}

/// JSON has one NaN: the others become it.
fn without_odd_nans(tensor: Tensor) -> Tensor {
    macro_rules! plain {
        ($type:ty) => {{
            let elements = tensor.elements::<$type>().unwrap();
            let plain = elements
                .iter()
                .map(|x| if x.is_nan() { <$type>::NAN } else { *x });
            Tensor::new(tensor.shape().clone(), plain.collect()).unwrap()
        }};
    }
    match tensor.dtype() {
        DType::F16 => plain!(f16),
        DType::BF16 => plain!(bf16),
        DType::F32 => plain!(f32),
        DType::F64 => plain!(f64),
        _ => tensor,
    }
}

/// The flat list `json` nested as `shape` says.
fn nest(tensor: &Tensor) -> String {
    fn level(shape: &[usize], cells: &mut std::vec::IntoIter<serde_json::Value>) -> String {
        let Some((size, rest)) = shape.split_first() else {
            return cells.next().unwrap().to_string();
        };
        let parts: Vec<String> = (0..*size).map(|_| level(rest, cells)).collect();
        format!("[{}]", parts.join(" ,\t"))
    }
    let cells: Vec<Box<serde_json::value::RawValue>> =
        serde_json::from_str(&written(tensor)).unwrap();
    let cells: Vec<serde_json::Value> = cells
        .iter()
        .map(|c| serde_json::from_str(c.get()).unwrap())
        .collect();
    level(tensor.shape(), &mut cells.into_iter())
}

proptest! {
    #[test]
    fn reading_undoes_writing(tensor in any_tensor()) {
        let json = written(&tensor);
        let back = read_data("x", tensor.dtype(), tensor.shape().clone(), &json);
        prop_assert_eq!(back.unwrap(), tensor.clone(), "{}", json);
        prop_assert!(serde_json::from_str::<serde_json::Value>(&json).is_ok());
        let nested = nest(&tensor);
        let back = read_data("x", tensor.dtype(), tensor.shape().clone(), &nested);
        prop_assert_eq!(back.unwrap(), tensor, "{}", nested);
    }

    #[test]
    fn nothing_panics(json in "\\PC*|[\\[\\],.0-9eE+\\-\" \\\\u]*", shape in any_shape()) {
        for dtype in DType::ALL {
            let _ = read_data("x", dtype, Shape::new(&shape), &json);
        }
    }

    #[test]
    fn floats_read_as_rust_reads_them(value: f64, digits in 0usize..30) {
        prop_assume!(value.is_finite());
        for text in [format!("{value:e}"), format!("{value:.digits$e}"), format!("{:.digits$}", value % 1e15)] {
            prop_assert_eq!(one::<f64>(&text).to_bits(), text.parse::<f64>().unwrap().to_bits());
            let single: f32 = text.parse().unwrap();
            if single.is_finite() {
                prop_assert_eq!(one::<f32>(&text).to_bits(), single.to_bits());
            }
        }
    }

    #[test]
    fn singles_round_once(bits in 0u32..0x7f7f_ffff, after in "[0-9]{0,12}") {
        let middle = f64::midpoint(f32::from_bits(bits).into(), f32::from_bits(bits + 1).into());
        let exact = format!("{middle:.160e}");
        let (digits, power) = exact.split_once('e').unwrap();
        for digits in [format!("{}{after}", digits.trim_end_matches('0')), digits[..18].to_owned()] {
            if digits.ends_with('.') { continue; }
            let text = format!("{digits}e{power}");
            prop_assert_eq!(one::<f32>(&text), text.parse::<f32>().unwrap());
        }
    }
}
