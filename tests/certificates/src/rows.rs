//! Combinations of values: every pair of values of two columns.

/// The columns of a table: how many values each has. A row has the number of a value for each.
pub(crate) type Row<const COLUMNS: usize> = [usize; COLUMNS];

/// As few rows as a simple search finds that have every pair of values.
pub(crate) fn pairwise<const COLUMNS: usize>(sizes: Row<COLUMNS>) -> Vec<Row<COLUMNS>> {
    let all = combinations(sizes);
    let mut missing: Vec<_> = all.iter().flat_map(pairs).collect();
    missing.sort_unstable();
    missing.dedup();
    let mut rows = Vec::new();
    while !missing.is_empty() {
        let gain = |row: &&Row<COLUMNS>| pairs(row).filter(|pair| missing.binary_search(pair).is_ok()).count();
        let Some(best) = all.iter().max_by_key(gain) else { break };
        missing.retain(|pair| !pairs(best).any(|covered| covered == *pair));
        rows.push(*best);
    }
    rows
}

fn combinations<const COLUMNS: usize>(sizes: Row<COLUMNS>) -> Vec<Row<COLUMNS>> {
    (0..sizes.iter().product::<usize>())
        .map(|mut number| {
            sizes.map(|size| {
                let value = number % size;
                number /= size;
                value
            })
        })
        .collect()
}

/// The pairs of a row: two columns with the value of each.
fn pairs<const COLUMNS: usize>(row: &Row<COLUMNS>) -> impl Iterator<Item = [usize; 4]> {
    (0..COLUMNS).flat_map(move |a| (a + 1..COLUMNS).map(move |b| [a, row[a], b, row[b]]))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZES: [usize; 6] = [4, 2, 3, 4, 5, 2];

    #[test]
    fn pairwise_rows_have_every_pair_and_are_few() {
        let rows = pairwise(SIZES);
        for wanted in combinations(SIZES).iter().flat_map(pairs) {
            assert!(rows.iter().flat_map(pairs).any(|pair| pair == wanted), "{wanted:?}");
        }
        assert!(rows.len() <= 30, "{}", rows.len());
    }
}
