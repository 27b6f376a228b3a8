//! An order is declared when it is true, and then nothing is sorted again.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringViewArray};
use arrow::datatypes::{DataType, Field, Schema};

use super::fixture::{Lake, Writer, plan, rows, shown};
use crate::tables::scan::SORTED_TAG;

fn batch(keys: impl Iterator<Item = Option<i64>>) -> RecordBatch {
    let keys: Vec<Option<i64>> = keys.collect();
    let texts: ArrayRef = Arc::new(StringViewArray::from_iter_values(keys.iter().map(|key| format!("{key:?}"))));
    RecordBatch::try_from_iter([("k", Arc::new(Int64Array::from(keys)) as ArrayRef), ("v", texts)]).unwrap()
}

fn lake(files: Vec<RecordBatch>, tags: &[(&str, &str)]) -> Lake {
    let fields = vec![Field::new("k", DataType::Int64, true), Field::new("v", DataType::Utf8View, true)];
    let mut lake = Lake::new(Schema::new(fields), &[]);
    for file in files {
        lake.file(&file, &[], Writer::Own, tags);
    }
    lake
}

async fn sorts(lake: &Lake, sql: &str) -> bool {
    let session = lake.session(false);
    let plan = plan(&session, sql).await;
    assert_eq!(
        rows(&session, sql).await,
        rows(&session, &sql.replace("FROM t", "FROM truth")).await,
        "{sql}\n{}",
        shown(&plan)
    );
    shown(&plan).contains("SortExec")
}

const TAG: &[(&str, &str)] = &[(SORTED_TAG, "[\"k\"]")];

#[tokio::test]
async fn sorted_files_that_do_not_overlap_are_in_order() {
    let files = [300, 0, 100, 200].map(|first| batch((first..first + 50).map(Some)));
    let lake = lake(files.to_vec(), TAG);
    for sql in [
        "SELECT k, v FROM t ORDER BY k",
        "SELECT v FROM t ORDER BY k LIMIT 7",
        "SELECT k, v FROM t WHERE k > 120 ORDER BY k",
    ] {
        assert!(!sorts(&lake, sql).await, "{sql}");
    }
    assert!(sorts(&lake, "SELECT k, v FROM t ORDER BY v").await);
    sorts(&lake, "SELECT k, v FROM t ORDER BY k NULLS FIRST").await;
    sorts(&lake, "SELECT k, v FROM t ORDER BY k DESC").await;
    sorts(&lake, "SELECT k, v FROM t ORDER BY k DESC LIMIT 3").await;
    sorts(&lake, "SELECT k, count(*) FROM t GROUP BY k ORDER BY k").await;
}

#[tokio::test]
async fn nothing_is_declared_that_is_not_so() {
    let ranges = [0, 100, 200].map(|first| batch((first..first + 50).map(Some))).to_vec();
    let untagged = lake(ranges.clone(), &[]);
    assert!(sorts(&untagged, "SELECT k, v FROM t ORDER BY k").await, "no tag");
    let mut overlapping = ranges.clone();
    overlapping.push(batch((40..120).map(Some)));
    assert!(sorts(&lake(overlapping, TAG), "SELECT k, v FROM t ORDER BY k").await, "overlap");
    let mut with_null = ranges.clone();
    with_null.push(batch((300..320).map(Some).chain([None])));
    assert!(sorts(&lake(with_null, TAG), "SELECT k, v FROM t ORDER BY k, v").await, "null");
    let mut mixed = lake(ranges, TAG);
    mixed.file(&batch([Some(500), Some(400)].into_iter()), &[], Writer::Own, &[]);
    assert!(sorts(&mixed, "SELECT k, v FROM t ORDER BY k").await, "one file without the tag");
}

#[tokio::test]
async fn files_that_touch_are_in_order() {
    let files = [batch((0..50).map(Some)), batch((49..80).map(Some)), batch((79..90).map(Some))];
    assert!(!sorts(&lake(files.to_vec(), TAG), "SELECT k, v FROM t ORDER BY k").await);
}
