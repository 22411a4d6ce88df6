//! What a batch and the JSON of tensors cost: `cargo bench --bench tensors`.
//!
//! Batch assembly puts the rows of several requests together and takes the
//! outputs apart again; the JSON codec reads and writes a tensor's data.

use divan::{Bencher, black_box, counter::BytesCount};
use modelship::tensor::{
    DType, Shape, Tensor, concatenate,
    json::{read_data, write_data},
    split,
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
