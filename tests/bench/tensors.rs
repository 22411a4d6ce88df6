//! What a batch and the forms of tensors cost: `cargo bench --bench tensors`.
//!
//! Batch assembly puts the rows of several requests together and takes the
//! outputs apart again; the JSON and binary codecs read and write a tensor's
//! data. Binary numbers are shared, not copied: their cost is the same at
//! every size.

use divan::{Bencher, black_box, counter::BytesCount};
use modelship::tensor::{
    DType, Shape, Tensor, concatenate,
    json::{read_data, write_data},
    read_raw, split, write_raw,
};

fn main() {
    divan::main();
}

/// Requests in a batch.
const BATCHES: [usize; 4] = [1, 8, 32, 128];

/// Elements of a tensor: one number, a row of features, an embedding or a
/// row of classes, an image.
const SIZES: [usize; 4] = [1, 30, 1000, 150_528];

/// `rows` rows of floats of some digits.
fn tensor(rows: usize, width: usize) -> Tensor {
    #[expect(clippy::cast_precision_loss, reason = "small numbers")]
    let elements = (0..rows * width).map(|i| (i % 1000) as f32 * 0.731 - 300.0);
    Tensor::new([rows, width], elements.collect()).expect("the shape fits")
}

#[divan::bench(args = BATCHES, consts = [1, 30, 384])]
fn concatenate_rows<const WIDTH: usize>(bencher: Bencher<'_, '_>, requests: usize) {
    let parts: Vec<Tensor> = (0..requests).map(|_| tensor(1, WIDTH)).collect();
    let parts: Vec<&Tensor> = parts.iter().collect();
    bencher
        .counter(BytesCount::new(requests * WIDTH * 4))
        .bench_local(|| concatenate(black_box(&parts)));
}

#[divan::bench(args = BATCHES, consts = [1, 30, 384])]
fn split_rows<const WIDTH: usize>(bencher: Bencher<'_, '_>, requests: usize) {
    let whole = tensor(requests, WIDTH);
    let counts = vec![1; requests];
    bencher
        .counter(BytesCount::new(requests * WIDTH * 4))
        .bench_local(|| split(black_box(&whole), black_box(&counts)));
}

#[divan::bench(args = SIZES)]
fn json_read(bencher: Bencher<'_, '_>, elements: usize) {
    let mut json = Vec::new();
    write_data(&tensor(1, elements), &mut json);
    let json = String::from_utf8(json).expect("JSON is UTF-8");
    let shape: Shape = [1, elements].into();
    bencher
        .counter(BytesCount::of_str(&json))
        .bench_local(|| read_data("x", DType::F32, shape.clone(), black_box(&json)));
}

#[divan::bench(args = SIZES)]
fn json_write(bencher: Bencher<'_, '_>, elements: usize) {
    let tensor = tensor(1, elements);
    let mut out = Vec::new();
    write_data(&tensor, &mut out);
    let counter = BytesCount::new(out.len());
    bencher.counter(counter).bench_local(|| {
        out.clear();
        write_data(black_box(&tensor), &mut out);
        out.len()
    });
}

#[divan::bench(args = SIZES)]
fn binary_read(bencher: Bencher<'_, '_>, elements: usize) {
    let raw = write_raw(&tensor(1, elements)).expect("numbers have bytes");
    let shape: Shape = [1, elements].into();
    bencher
        .counter(BytesCount::new(raw.len()))
        .bench_local(|| read_raw("x", DType::F32, shape.clone(), black_box(&raw).clone()));
}

#[divan::bench(args = SIZES)]
fn binary_write(bencher: Bencher<'_, '_>, elements: usize) {
    let tensor = tensor(1, elements);
    bencher
        .counter(BytesCount::new(elements * 4))
        .bench_local(|| write_raw(black_box(&tensor)));
}

/// A text of 16 letters for each element.
fn text(elements: usize) -> Tensor {
    let text = (0..elements).map(|i| format!("{i:016}")).collect();
    Tensor::text([1, elements], text).expect("the shape fits")
}

#[divan::bench(args = [1, 30, 1000])]
fn binary_read_text(bencher: Bencher<'_, '_>, elements: usize) {
    let raw = write_raw(&text(elements)).expect("text is short");
    let shape: Shape = [1, elements].into();
    bencher
        .counter(BytesCount::new(raw.len()))
        .bench_local(|| read_raw("x", DType::Bytes, shape.clone(), black_box(&raw).clone()));
}

#[divan::bench(args = [1, 30, 1000])]
fn binary_write_text(bencher: Bencher<'_, '_>, elements: usize) {
    let tensor = text(elements);
    bencher
        .counter(BytesCount::new(elements * 20))
        .bench_local(|| write_raw(black_box(&tensor)));
}
