//! The cost of minting and opening a code, beside the FF1 of the crate `fpe` in the same run.

use std::hint::black_box;

use aes::Aes128;
use coupon::code::Code;
use coupon::minted::CodeKey;
use coupon::time::Day;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use fpe::ff1::{FF1, FlexibleNumeralString};

const KEY: [u8; 16] = *b"a key of 16 byte";

/// 2026-12-31.
const DAY: Day = Day(20_818);

/// Codes of one run: as many as an export writes between two flushes.
const RUN: usize = 4_096;

fn mint(c: &mut Criterion) {
    let key = CodeKey::new(KEY);
    let mut group = c.benchmark_group("mint");
    group.throughput(Throughput::Elements(1));
    let mut serial = 0;
    group.bench_function("one", |b| {
        b.iter(|| {
            serial += 1;
            key.mint(DAY, black_box(serial))
        });
    });
    group.throughput(Throughput::Elements(RUN as u64));
    let mut text = String::with_capacity(RUN * 20);
    group.bench_function("run of 4096", |b| {
        b.iter(|| {
            text.clear();
            key.mint_run(DAY, black_box(7), RUN, &mut |code| text.push_str(code));
            black_box(text.len())
        });
    });
    group.finish();
}

fn open(c: &mut Criterion) {
    let key = CodeKey::new(KEY);
    let mut group = c.benchmark_group("open");
    group.throughput(Throughput::Elements(1));
    let genuine = key.mint(DAY, 123_456_789);
    group.bench_function("one", |b| b.iter(|| key.open(black_box(&genuine))));
    let forged: Code = "7K2M-9QXD-4TRB-H0VE".parse().expect("a well-formed code");
    assert_eq!(key.open(&forged), None);
    group.bench_function("forged", |b| b.iter(|| key.open(black_box(&forged))));
    group.finish();
}

fn peer(c: &mut Criterion) {
    let ff1 = FF1::<Aes128>::new(&KEY, 32).expect("32 is a radix");
    let numerals = FlexibleNumeralString::from((0..16).collect::<Vec<u16>>());
    let mut group = c.benchmark_group("fpe");
    group.throughput(Throughput::Elements(1));
    group.bench_function("encrypt one", |b| {
        b.iter(|| ff1.encrypt(&[], black_box(&numerals)).is_ok());
    });
    group.finish();
}

criterion_group!(benches, mint, open, peer);
criterion_main!(benches);
