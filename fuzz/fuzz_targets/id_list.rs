//! The program's reader of id lists: the rows are the same for all chunks, in the order of their lines.
#![no_main]

use std::io::{BufRead, BufReader};

use libfuzzer_sys::arbitrary::{self, Arbitrary};
use libfuzzer_sys::fuzz_target;

// The program is not a library.
#[allow(dead_code, reason = "the program uses what this target does not")]
#[path = "../../dps-cli/src/bulk"]
mod bulk {
    mod lines;
    pub mod rows;
}

use bulk::rows::{Layout, Row, RowProblem, Rows};

#[derive(Arbitrary, Debug)]
struct Input<'a> {
    column: Option<u8>,
    header: bool,
    piece: u8,
    list: &'a [u8],
}

fuzz_target!(|input: Input<'_>| {
    let column = input.column.map(|column| usize::from(column).max(1));
    let layout = Layout { column, header: input.header };
    let rows = read(input.list, layout);
    assert_eq!(read(BufReader::with_capacity(usize::from(input.piece).max(1), input.list), layout), rows);
    let lines = input.list.split(|byte| *byte == b'\n').count() as u64;
    assert!(rows.iter().all(|(line, _)| (1..=lines).contains(line)));
    assert!(rows.windows(2).all(|pair| pair[0].0 < pair[1].0));
});

fn read(list: impl BufRead, layout: Layout) -> Vec<(u64, Result<String, RowProblem>)> {
    let (mut rows, mut ids) = (Rows::new(list, layout), String::new());
    let rows: Vec<Row> = std::iter::from_fn(|| rows.next(&mut ids).unwrap()).collect();
    rows.into_iter().map(|row| (row.line, row.id.map(|place| ids[place].to_owned()))).collect()
}
